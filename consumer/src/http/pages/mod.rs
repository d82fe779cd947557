//! The status page, for people: `/`, a page a job, a page a file. Plain HTML and one stylesheet; nothing runs in the
//! browser. It says nothing that is secret, and shows nothing out of a parked file but the sentence that says what is
//! wrong with it.
//!
//! `guard.rs` says who may look, by `token.rs`; `desk.rs` reads within limits, `chart.rs` draws, `words.rs` writes what all pages
//! write alike, `frame.rs` stands around them, `jobs.rs` and `servers.rs` are parts of `/`; the others are a page each.

mod chart;
mod desk;
mod file;
mod frame;
mod guard;
mod job;
mod jobs;
mod overview;
mod servers;
mod token;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};

use self::desk::Desk;
use self::frame::Place;
use crate::consumer::Consumer;

/// Nothing is fetched from elsewhere, nothing runs, nobody frames it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn routes(consumer: Arc<Consumer>) -> Router {
    let desk = Arc::new(Desk::new(consumer));
    Router::new()
        .route("/", get(overview::page))
        .route("/jobs/{producer}/{job}", get(job::page))
        .route("/files/{file}", get(file::page))
        .route("/style.css", get(style))
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::clone(&desk), guard::guard))
        .layer(map_response(cautious))
        .with_state(desk)
}

async fn style() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("style.css"),
    )
}

async fn nothing() -> Response {
    let body = html! { p { "There is no such page." } };
    answer(
        StatusCode::NOT_FOUND,
        "No such page",
        Place::Anywhere,
        &body,
    )
}

async fn cautious(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answer(status: StatusCode, title: &str, place: Place, body: &Markup) -> Response {
    let page = frame::frame(title, place, body);
    (status, Html(page.into_string())).into_response()
}
