//! `/`: every producer and job, what is wrong, what waits, what was not loaded, and how bucket and Postgres stand.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::REFRESH;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::desk::Desk;
use super::frame::Place;
use super::words::{kept_out, kind, number, prose, sentence, when};
use super::{answer, jobs, servers};
use crate::ledger::breaker::{self, Kept};
use crate::ledger::gauges::Queue;
use crate::ledger::now::{JobNow, Now};
use crate::ledger::pause::{self, Rest};
use crate::ledger::recent::{self, Recent};
use crate::ledger::summary::{self, Trouble as KeptOut};
use crate::servers::{Server, Standing};
use crate::trouble::Trouble;

/// Jobs on a page.
pub(super) const JOBS: usize = 200;

/// Troubles that are named; the others are counted.
const TROUBLES: usize = 100;

/// Parked and held files that are named.
const KEPT_OUT: i64 = 20;

/// Jobs that rest, at most.
const RESTING: i64 = 1_000;

/// Results in a spark.
const SPARK: i64 = 30;

/// Who asks for it is shown the page anew after so many seconds: nobody's reading is broken off who has not.
const REFRESH_SECONDS: HeaderValue = HeaderValue::from_static("60");

/// What a person asked for behind the `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) page: usize,
    pub(super) refresh: bool,
}

impl Wish {
    fn parse(query: Option<&str>) -> Self {
        let mut wish = Self {
            page: 1,
            refresh: false,
        };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "page" => wish.page = value.parse().unwrap_or(1).max(1),
                "refresh" => wish.refresh = true,
                _ => {}
            }
        }
        wish
    }

    pub(super) fn link(self) -> String {
        let refresh = if self.refresh { "&refresh" } else { "" };
        format!("./?page={}{refresh}", self.page)
    }
}

/// What `/` is made of.
pub(super) struct Overview {
    pub(super) now: Arc<Now>,
    pub(super) shown: std::ops::Range<usize>,
    pub(super) recent: HashMap<(String, String), Vec<Recent>>,
    pub(super) resting: Vec<Rest>,
    pub(super) kept_out: Vec<KeptOut>,
    pub(super) breakers: Vec<Kept>,
    pub(super) queues: Vec<Queue>,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery) -> Response {
    let wish = Wish::parse(query.as_deref());
    let (status, title, body) = match desk.read(read(&desk, wish.page)).await {
        Ok(overview) => {
            let troubles = overview.now.troubles();
            let body = whole(&desk, &overview, &troubles, wish);
            (
                StatusCode::OK,
                headline(troubles.len(), &desk.consumer.servers.standing()),
                body,
            )
        }
        Err(unread) => {
            let now = Utc::now();
            let body = html! {
                p.alarm { (prose(&unread.to_string())) ". What this consumer knows by itself:" }
                (servers::section(&desk.consumer, None, &[], now))
                (again(wish, now))
            };
            let title = "How things stand is not known".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, title, body)
        }
    };
    let mut response = answer(status, &title, Place::Top, &body);
    if wish.refresh {
        response.headers_mut().insert(REFRESH, REFRESH_SECONDS);
    }
    response
}

/// What a person has come for, in a browser's tab, too.
fn headline(troubles: usize, servers: &[Standing]) -> String {
    let unusable = servers.iter().find(|standing| !standing.usable);
    match (troubles, unusable.map(|standing| standing.server)) {
        (_, Some(Server::Bucket)) => "The bucket can't be used".to_owned(),
        (_, Some(Server::Postgres)) => "Postgres can't be used".to_owned(),
        (0, None) => "Nothing is wrong".to_owned(),
        (1, None) => "One thing is wrong".to_owned(),
        (many, None) => format!("{many} things are wrong"),
    }
}

async fn read(desk: &Desk, page: usize) -> Result<Overview, sqlx::Error> {
    let pool = desk.consumer.pool();
    let gauges = &desk.consumer.metrics.ledger;
    let counted = gauges.freshen(pool, desk.consumer.config.bucket.delete_after);
    let (now, ()) = tokio::join!(desk.now(), counted);
    let now = now?;
    let begin = page
        .saturating_sub(1)
        .saturating_mul(JOBS)
        .min(now.jobs.len());
    let shown = begin..now.jobs.len().min(begin + JOBS);
    let jobs: Vec<_> = now
        .jobs
        .get(shown.clone())
        .unwrap_or_default()
        .iter()
        .map(|job| (&*job.producer, &*job.job))
        .collect();
    let recent = recent::of(pool, &jobs, SPARK).await?;
    let resting = pause::resting(pool, RESTING).await?;
    let kept_out = summary::kept_out(pool, KEPT_OUT).await?;
    let breakers = breaker::all(pool).await?;
    let queues = gauges.shown().map(|gauges| gauges.queues);
    Ok(Overview {
        now,
        shown,
        recent,
        resting,
        kept_out,
        breakers,
        queues: queues.unwrap_or_default(),
    })
}

fn whole(desk: &Desk, overview: &Overview, troubles: &[Trouble], wish: Wish) -> Markup {
    let now = overview.now.at;
    html! {
        (tiles(desk, &overview.now))
        (wrong(troubles, now))
        (jobs::jobs(overview, troubles, wish))
        @if !overview.kept_out.is_empty() {
            section aria-labelledby="kept-out" {
                h2 #kept-out { "Not in the reports" }
                (kept_out(&overview.kept_out, "The latest files that are parked or held", Place::Top.up(), now))
            }
        }
        (servers::section(&desk.consumer, Some(overview.now.consumers), &overview.breakers, now))
        (again(wish, now))
    }
}

/// All of it in a few numbers.
fn tiles(desk: &Desk, now: &Now) -> Markup {
    let producers = now
        .jobs
        .chunk_by(|one, other| one.producer == other.producer);
    let sum = |of: fn(&JobNow) -> i64| now.jobs.iter().map(of).sum::<i64>();
    let count = |many: usize| number(i64::try_from(many).unwrap_or(i64::MAX));
    let (parked, held) = (sum(|job| job.parked), sum(|job| job.held) + now.strange);
    let bad = |files: i64| if files > 0 { "tile bad" } else { "tile" };
    html! {
        dl.tiles {
            div.tile { dt { "Producers" } dd { (count(producers.count())) } }
            div.tile { dt { "Jobs" } dd { (count(now.jobs.len())) } }
            div.tile { dt { "Waiting" } dd { (number(sum(|job| job.waiting))) } }
            div class=(bad(parked)) { dt { "Parked" } dd { (number(parked)) } }
            div class=(bad(held)) { dt { "Held" } dd { (number(held)) } }
            div.tile { dt { "LIST cost today" } dd { (servers::cost(&desk.consumer, now.at)) } }
        }
    }
}

fn wrong(troubles: &[Trouble], now: DateTime<Utc>) -> Markup {
    html! {
        @if troubles.is_empty() {
            p.calm { "No job is late or failing, and nothing is parked or held." }
        } @else {
            section aria-label="What is wrong" {
                ul.troubles {
                    @for one in troubles.iter().take(TROUBLES) { li { (trouble(one, Place::Top, now)) } }
                }
                @if troubles.len() > TROUBLES {
                    p { "And more: " code { "nightdrop-consumer check" } " names them all." }
                }
            }
        }
    }
}

/// One thing that is wrong.
pub(super) fn trouble(trouble: &Trouble, place: Place, now: DateTime<Utc>) -> Markup {
    html! {
        p {
            (kind(trouble.kind)) " "
            @match (&trouble.producer, &trouble.job) {
                (Some(producer), Some(job)) if place == Place::Top => {
                    a href={ (place.up()) "jobs/" (producer) "/" (job) } { (trouble.of()) }
                }
                _ => { strong { (trouble.of()) } }
            }
            " since " (when(trouble.since, now))
        }
        p { (sentence(&trouble.what)) }
        p.remedy { (sentence(&trouble.remedy)) }
    }
}

/// When it was read, and how it is read again.
fn again(wish: Wish, at: DateTime<Utc>) -> Markup {
    let other = Wish {
        refresh: !wish.refresh,
        ..wish
    };
    html! {
        p.again {
            "Read at " time datetime=(at.to_rfc3339()) { (at.format("%H:%M:%SZ").to_string()) } ". "
            a href=(wish.link()) { "Read again" } " "
            @if wish.refresh {
                "It is read again every minute by itself. " a href=(other.link()) { "Stop that" }
            } @else {
                a href=(other.link()) { "Read again every minute" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_understood_and_nonsense_is_none() {
        let wish = |page, refresh| Wish { page, refresh };
        for (query, expected) in [
            (None, wish(1, false)),
            (Some("page=3"), wish(3, false)),
            (Some("refresh"), wish(1, true)),
            (Some("page=3&refresh"), wish(3, true)),
            (Some("page=-1&x=%zz&page"), wish(1, false)),
            (Some("page=0"), wish(1, false)),
        ] {
            assert_eq!(Wish::parse(query), expected, "{query:?}");
        }
        assert_eq!(
            Wish::parse(Some("page=3&refresh")).link(),
            "./?page=3&refresh"
        );
    }
}
