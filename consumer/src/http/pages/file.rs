//! `/files/<id>`: what `explain` says of one file, and what the ledger knows of it. Nothing out of it is shown.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::answer;
use super::desk::Desk;
use super::frame::Place;
use super::words::{badge, number, prose, when};
use crate::columns;
use crate::explain::{self, File, Site};
use crate::ledger::history::{Around, Other, Sighting};

pub(super) async fn page(State(desk): State<Arc<Desk>>, Path(file): Path<String>) -> Response {
    let Ok(id) = file.parse::<i64>() else {
        let body = html! { p { "A file is asked for by its number: the " code { "_file" } " of its rows." } };
        return answer(StatusCode::NOT_FOUND, "No such file", Place::File, &body);
    };
    let consumer = &desk.consumer;
    let bucket = consumer.bucket.to_string();
    let site = Site {
        bucket: &bucket,
        delete_after: consumer.config.bucket.delete_after,
        history: consumer.config.keep.history,
    };
    let (status, body) = match desk.read(explain::file(consumer.pool(), id, site)).await {
        Ok(File::There {
            sighting,
            around,
            sentence,
        }) => (StatusCode::OK, whole(&sighting, &around, &sentence)),
        Ok(File::Pruned(run, sentence)) => (
            StatusCode::OK,
            html! {
                p.lead { (prose(&sentence)) "." }
                dl.facts {
                    dt { "Producer" } dd { (run.producer) }
                    dt { "Run" } dd { code { (run.run) } }
                }
            },
        ),
        Ok(File::Unknown(sentence)) => (
            StatusCode::NOT_FOUND,
            html! { p.lead { (prose(&sentence)) "." } },
        ),
        Err(unread) => (
            StatusCode::SERVICE_UNAVAILABLE,
            html! { p.alarm { (prose(&unread.to_string())) "." } },
        ),
    };
    answer(status, &format!("File {id}"), Place::File, &body)
}

fn whole(file: &Sighting, around: &Around, sentence: &str) -> Markup {
    let now = around.now;
    html! {
        p.states { (badge(&file.state)) }
        p.lead { (prose(&columns::line(sentence))) "." }
        @if let Some(other) = around.loaded.as_ref().filter(|other| other.file != file.file) {
            p { "Its run is in the reports as " (link(other)) "." }
        }
        @if let Some(newer) = &around.newer {
            p { "The newest result that took its place: " (link(newer)) "." }
        }
        section aria-labelledby="known" {
            h2 #known { "What is known of it" }
            (facts(file, now))
        }
    }
}

fn link(other: &Other) -> Markup {
    html! { a href={ (Place::File.up()) "files/" (other.file) } { "file " (other.file) } }
}

fn facts(file: &Sighting, now: DateTime<Utc>) -> Markup {
    let instants = [
        ("As of", file.as_of),
        ("Listed", Some(file.listed_at)),
        ("Claimed", file.claimed_at),
        ("Leased until", file.lease_until),
        ("Tried again", file.retry_at),
        ("Decided", file.decided_at),
        ("Gone from the bucket", file.gone_at),
    ];
    html! {
        dl.facts {
            @if let (Some(producer), Some(job)) = (&file.producer, &file.job) {
                dt { "Job" }
                dd { a href={ (Place::File.up()) "jobs/" (producer) "/" (job) } { (producer) "/" (job) } }
            }
            dt { "Key" }
            dd { code { (file.key.escape_debug().to_string()) } }
            @if let Some(run) = &file.run { dt { "Run" } dd { code { (run) } } }
            @if let Some(mode) = &file.mode { dt { "Mode" } dd { (mode) } }
            @if let Some(rows) = file.rows { dt { "Rows" } dd { (number(rows)) } }
            @if let Some(reason) = &file.reason { dt { "Reason" } dd { (reason) } }
            @for (what, at) in instants {
                @if let Some(at) = at { dt { (what) } dd { (when(at, now)) } }
            }
            @if let Some(worker) = &file.worker { dt { "Worker" } dd { (worker) } }
            @if file.attempts > 0 { dt { "Attempts without a verdict" } dd { (file.attempts) } }
            @if file.kept { dt { "Its bytes" } dd { "kept in Postgres; " code { "nightdrop-consumer parked export " (file.file) } " writes them out" } }
        }
    }
}
