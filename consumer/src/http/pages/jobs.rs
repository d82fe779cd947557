//! The table of all jobs on `/`: how fresh each is, what it waits for, how its last results were.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::chart::{Of, spark};
use super::frame::Place;
use super::overview::{JOBS, Overview, Wish};
use super::words::{badge, far, head, near, none, number};
use crate::ledger::now::JobNow;
use crate::ledger::pause::Rest;
use crate::trouble::Trouble;

pub(super) fn jobs(overview: &Overview, troubles: &[Trouble], wish: Wish) -> Markup {
    let all = overview.now.jobs.len();
    let shown = overview
        .now
        .jobs
        .get(overview.shown.clone())
        .unwrap_or_default();
    html! {
        section aria-labelledby="jobs" {
            h2 #jobs { "Producers and jobs" }
            @if all == 0 {
                p { "Nothing has come yet, and nothing is expected." }
            } @else {
                table.cards.jobs role="table" {
                    caption { "How fresh each job is, and how its last results were" }
                    (head(&["Job", "State", "As of", "Next due", "Rows", "Lag", "Waiting", "Kept out"]))
                    @for of_one in shown.chunk_by(|one, other| one.producer == other.producer) {
                        @if let Some(first) = of_one.first() {
                            tbody role="rowgroup" {
                                (producer(&first.producer, overview))
                                @for one in of_one { (job(one, overview, troubles)) }
                            }
                        }
                    }
                }
                @if all > JOBS {
                    nav aria-label="Pages of jobs" {
                        p {
                            "Jobs " (overview.shown.start + 1) " to " (overview.shown.end) " of " (all) ". "
                            @if wish.page > 1 { a href=(Wish { page: wish.page - 1, ..wish }.link()) { "Earlier ones" } " " }
                            @if overview.shown.end < all { a href=(Wish { page: wish.page + 1, ..wish }.link()) { "Further ones" } }
                        }
                    }
                }
            }
        }
    }
}

fn producer(name: &str, overview: &Overview) -> Markup {
    // Of all its jobs, those on other pages too.
    let jobs = overview.now.jobs.iter().filter(|job| job.producer == name);
    let waiting: i64 = jobs.map(|job| job.waiting).sum();
    let queue = overview.queues.iter().find(|queue| queue.producer == name);
    html! {
        tr.producer role="row" {
            th role="rowheader" scope="rowgroup" colspan="8" {
                (name)
                @if waiting > 0 {
                    span.far {
                        " " (number(waiting)) " waiting"
                        @if let Some(oldest) = queue.and_then(|queue| since(queue.oldest)) {
                            ", the oldest put " (far(oldest, overview.now.at))
                        }
                    }
                }
            }
        }
    }
}

fn since(seconds: f64) -> Option<DateTime<Utc>> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of floats saturates, and what is no instant is none"
    )]
    DateTime::from_timestamp(seconds as i64, 0)
}

fn job(job: &JobNow, overview: &Overview, troubles: &[Trouble]) -> Markup {
    let now = overview.now.at;
    let whose = (job.producer.clone(), job.job.clone());
    let results = overview.recent.get(&whose).map_or(&[][..], Vec::as_slice);
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href={ (Place::Top.up()) "jobs/" (job.producer) "/" (job.job) } {
                    span.hidden { (job.producer) "/" } (job.job)
                }
            }
            td role="cell" data-label="State" {
                @for word in states(job, &overview.resting, troubles) { (badge(word)) " " }
            }
            td role="cell" data-label="As of" { (maybe(job.as_of, now)) }
            td role="cell" data-label="Next due" {
                span class=[job.late.then_some("overdue")] { (maybe(job.next_by, now)) }
            }
            @for of in [Of::Rows, Of::Lag] {
                td role="cell" data-label=(match of { Of::Rows => "Rows", Of::Lag => "Lag" }) {
                    @if let Some(last) = of.last(results) { span.drawn { (spark(of, results)) " " (last) } } @else { (none()) }
                }
            }
            td role="cell" data-label="Waiting" { (number(job.waiting)) }
            td role="cell" data-label="Kept out" {
                @match (job.parked, job.held) {
                    (0, 0) => { (none()) }
                    (parked, 0) => { (number(parked)) " parked" }
                    (0, held) => { (number(held)) " held" }
                    (parked, held) => { (number(parked)) " parked, " (number(held)) " held" }
                }
            }
        }
    }
}

fn maybe(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    at.map_or_else(none, |at| near(at, now))
}

/// How a job is, in words: all that is wrong with it, else that it is well.
pub(super) fn states(job: &JobNow, resting: &[Rest], troubles: &[Trouble]) -> Vec<&'static str> {
    let is = |producer: &str, name: &str| producer == job.producer && name == job.job;
    let mut words: Vec<_> = troubles
        .iter()
        .filter(|trouble| {
            let of = trouble.producer.as_deref().zip(trouble.job.as_deref());
            of.is_some_and(|(producer, name)| is(producer, name))
        })
        .map(|trouble| trouble.kind.as_str())
        .collect();
    if resting.iter().any(|rest| is(&rest.producer, &rest.job)) {
        words.push("resting");
    }
    if words.is_empty() {
        words.push(match (job.as_of, job.next_by) {
            (None, _) => "nothing yet",
            (Some(_), Some(_)) => "on time",
            (Some(_), None) => "no schedule",
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::now::{self, Now};

    #[test]
    fn a_job_says_all_that_is_wrong_with_it_or_that_it_is_well() {
        let at = |text: &str| Some(text.parse().unwrap());
        let job = JobNow {
            as_of: at("2013-01-31T05:00:00Z"),
            next_by: at("2013-02-01T05:00:00Z"),
            ..now::tests::unheard_of("jfk", "departures")
        };
        let mut now = now::tests::at("2013-02-01T04:00:00Z", vec![job]);
        let rest = |producer: &str| Rest {
            producer: producer.into(),
            job: "departures".into(),
            until: now.at,
            error: "no".into(),
        };
        let (ours, others) = ([rest("jfk")], [rest("lga")]);
        let said = |now: &Now, resting: &[Rest]| states(&now.jobs[0], resting, &now.troubles());
        assert_eq!(said(&now, &others), ["on time"]);
        now.jobs[0].late = true;
        now.jobs[0].parked = 2;
        now.jobs[0].parked_since = at("2013-01-31T05:00:00Z");
        assert_eq!(said(&now, &ours), ["late", "parked", "resting"]);
        now.jobs[0].late = false;
        now.jobs[0].parked = 0;
        now.jobs[0].next_by = None;
        assert_eq!(said(&now, &[]), ["no schedule"]);
        now.jobs[0].as_of = None;
        assert_eq!(said(&now, &[]), ["nothing yet"]);
    }
}
