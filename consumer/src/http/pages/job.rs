//! `/jobs/<producer>/<job>`: how one job stands, how its last results were, its columns, and what went wrong last.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use nightdrop_schema::{Job, Producer};

use super::answer;
use super::chart::{Of, plot};
use super::desk::Desk;
use super::frame::Place;
use super::jobs::states;
use super::overview::trouble;
use super::words::{badge, head, kept_out, near, none, number, prose, when};
use crate::catalog::{self, Described};
use crate::columns;
use crate::ledger::now::{JobNow, Now};
use crate::ledger::pause::{self, Rest};
use crate::ledger::recent::{self, Recent};
use crate::ledger::summary::{self, Trouble as KeptOut};

/// Results in a chart.
const DRAWN: i64 = 120;

/// Results in the table below it.
const LISTED: usize = 20;

/// Parked and held files that are named.
const KEPT_OUT: i64 = 20;

struct Known {
    now: Arc<Now>,
    recent: Vec<Recent>,
    resting: Option<Rest>,
    kept_out: Vec<KeptOut>,
    failure: Option<KeptOut>,
    columns: Vec<Described>,
}

pub(super) async fn page(
    State(desk): State<Arc<Desk>>,
    Path((producer, job)): Path<(String, String)>,
) -> Response {
    let (Ok(producer), Ok(job)) = (producer.parse::<Producer>(), job.parse::<Job>()) else {
        let body = html! { p { "There is no job of that name, nor can there be." } };
        return answer(StatusCode::NOT_FOUND, "No such job", Place::Job, &body);
    };
    let title = format!("{producer}/{job}");
    let (status, body) = match desk.read(read(&desk, &producer, &job)).await {
        Ok(known) => match stands(&known.now, &producer, &job) {
            Some(job) => (StatusCode::OK, whole(job, &known)),
            None => (
                StatusCode::NOT_FOUND,
                html! { p { "Nothing of " (title) " is known: no result of it has come, none is expected, and no failed run has been heard of." } },
            ),
        },
        Err(unread) => (
            StatusCode::SERVICE_UNAVAILABLE,
            html! { p.alarm { (prose(&unread.to_string())) "." } },
        ),
    };
    answer(status, &title, Place::Job, &body)
}

fn stands<'a>(now: &'a Now, producer: &Producer, job: &Job) -> Option<&'a JobNow> {
    let is = |one: &&JobNow| one.producer == producer.as_str() && one.job == job.as_str();
    now.jobs.iter().find(is)
}

async fn read(desk: &Desk, producer: &Producer, job: &Job) -> Result<Known, sqlx::Error> {
    let pool = desk.consumer.pool();
    let now = desk.now().await?;
    let mut recent = recent::of(pool, &[(producer.as_str(), job.as_str())], DRAWN).await?;
    let resting = pause::resting(pool, i64::MAX).await?;
    let is = |rest: &Rest| rest.producer == producer.as_str() && rest.job == job.as_str();
    Ok(Known {
        now,
        recent: recent.drain().flat_map(|(_, results)| results).collect(),
        resting: resting.into_iter().find(is),
        kept_out: summary::kept_out_of(pool, producer, job, KEPT_OUT).await?,
        failure: summary::last_failure(pool, producer, job).await?,
        columns: catalog::described(pool, producer.as_str(), job.as_str()).await?,
    })
}

fn whole(job: &JobNow, known: &Known) -> Markup {
    let now = known.now.at;
    let troubles: Vec<_> = known
        .now
        .troubles()
        .into_iter()
        .filter(|one| {
            one.producer.as_ref() == Some(&job.producer) && one.job.as_ref() == Some(&job.job)
        })
        .collect();
    let resting = known.resting.as_slice();
    html! {
        p.states { @for word in states(job, resting, &troubles) { (badge(word)) " " } }
        @if !troubles.is_empty() || known.resting.is_some() {
            section aria-labelledby="wrong" {
                h2 #wrong { "What is wrong now" }
                ul.troubles {
                    @for one in &troubles { li { (trouble(one, Place::Job, now)) } }
                    @if let Some(rest) = &known.resting {
                        li {
                            p { (badge("resting")) " until " (when(rest.until, now)) }
                            p { "Its table refuses: " (prose(&columns::line(&rest.error))) "." }
                            p.remedy { "It is tried again by itself; its files wait meanwhile." }
                        }
                    }
                }
            }
        }
        section aria-labelledby="stands" {
            h2 #stands { "How it stands" }
            (facts(job, now))
        }
        @if !known.recent.is_empty() { (history(&known.recent, now)) }
        @if !known.kept_out.is_empty() {
            section aria-labelledby="kept-out" {
                h2 #kept-out { "Not in the reports" }
                (kept_out(&known.kept_out, "The latest files of this job that are parked or held", Place::Job.up(), now))
            }
        }
        @if let Some(failure) = &known.failure {
            section aria-labelledby="failure" {
                h2 #failure { "The last run that failed" }
                p { (when(failure.since, now)) ": " (prose(&columns::line(&failure.error))) ". "
                    a href={ (Place::Job.up()) "files/" (failure.file) } { "File " (failure.file) } }
            }
        }
        @if !known.columns.is_empty() { (described(job, &known.columns)) }
    }
}

fn facts(job: &JobNow, now: DateTime<Utc>) -> Markup {
    html! {
        dl.facts {
            dt { "Newest result" }
            dd {
                @match (job.as_of, job.committed_at, job.rows) {
                    (Some(as_of), Some(committed_at), Some(rows)) => {
                        "as of " (when(as_of, now)) ", committed " (when(committed_at, now)) ", "
                        (number(rows)) @if rows == 1 { " row" } @else { " rows" }
                    }
                    _ => { "none is in the reports" }
                }
            }
            dt { "Next due" }
            dd { @if let Some(at) = job.next_by { (when(at, now)) } @else { (none()) } }
            dt { "Table" }
            dd {
                @match (&job.table, &job.mode) {
                    (Some(table), Some(mode)) => { code { (table) } ", " (mode) }
                    _ => { "none yet" }
                }
            }
            dt { "Waiting" }
            dd { (number(job.waiting)) }
            dt { "Parked" }
            dd { (number(job.parked)) @if let Some(since) = job.parked_since { ", since " (when(since, now)) } }
            dt { "Held" }
            dd { (number(job.held)) @if let Some(since) = job.held_since { ", since " (when(since, now)) } }
        }
    }
}

fn history(recent: &[Recent], now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="history" {
            h2 #history { "Its last results" }
            div.plots { (plot(Of::Rows, recent)) (plot(Of::Lag, recent)) }
            table.cards role="table" {
                caption { "The newest results" }
                (head(&["File", "As of", "Committed", "Rows", "Lag", "Size"]))
                tbody role="rowgroup" {
                    @for one in recent.iter().rev().take(LISTED) {
                        tr role="row" {
                            th role="rowheader" scope="row" {
                                a href={ (Place::Job.up()) "files/" (one.file) } { "File " (one.file) }
                            }
                            td role="cell" data-label="As of" { (near(one.as_of, now)) }
                            td role="cell" data-label="Committed" { (near(one.committed_at, now)) }
                            td role="cell" data-label="Rows" { (number(one.rows)) }
                            td role="cell" data-label="Lag" { (Of::Lag.say(one.lag().num_seconds())) }
                            td role="cell" data-label="Size" { (columns::size(one.size)) }
                        }
                    }
                }
            }
        }
    }
}

fn described(job: &JobNow, columns: &[Described]) -> Markup {
    html! {
        section aria-labelledby="columns" {
            h2 #columns { "Columns" }
            table.cards role="table" {
                caption { "Of " @if let Some(table) = &job.table { code { (table) } } @else { "its table" } }
                (head(&["Column", "Type", "What it is"]))
                tbody role="rowgroup" {
                    @for column in columns {
                        tr role="row" {
                            th role="rowheader" scope="row" { code { (column.name) } }
                            td role="cell" data-label="Type" { (column.ty) }
                            td.sentence role="cell" data-label="What it is" {
                                @match &column.description {
                                    Some(description) => { (description) }
                                    None => { span.far { "not said" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
