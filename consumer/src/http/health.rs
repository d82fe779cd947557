//! `/livez`: the process runs. `/readyz`: bucket and Postgres answer, or what is wrong with them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::consumer::Consumer;

/// The longest that one turn of the polling lane takes where all is well: many pages, each with its time limit.
const TURN: Duration = Duration::from_mins(5);

pub(super) fn routes() -> Router<Arc<Consumer>> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
}

async fn readyz(State(consumer): State<Arc<Consumer>>) -> (StatusCode, String) {
    match complaints(&consumer) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(lines) => (StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}

/// Whether bucket and Postgres can be used, else a line for each that can't.
pub(super) fn complaints(consumer: &Consumer) -> Result<(), String> {
    let patience = TURN + consumer.config.poll.max;
    consumer.servers.ready(chrono::Utc::now(), patience)
}
