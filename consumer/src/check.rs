//! `check`: whether all is on time, as monitoring asks it. From Postgres alone, so that it can tell when no
//! consumer is there to. Pure but for its one look.

use std::fmt::Write as _;

use serde::Serialize;

use crate::columns;
use crate::consumer::Consumer;
use crate::ledger::now::{JobNow, Now};
use crate::ledger::outbox::{self, Untold};
use crate::migrate;
use crate::trouble::{NOBODY, Trouble};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The answer in a word.
    pub verdict: Verdict,
    /// All that is wrong.
    pub troubles: Vec<Trouble>,
    /// `producer/job` of those that promise nothing and aren't expected: nobody would miss them.
    pub unpromised: Vec<String>,
    /// Alarms that a webhook does not take: nothing is wrong with a job by that.
    pub untold: Option<Untold>,
    /// What it was found from.
    #[serde(flatten)]
    pub now: Now,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Exit code 0.
    Fine,
    /// Exit code 1: something is late, failing, parked or held.
    Wrong,
    /// Exit code 2: there is nothing that it could be told from.
    CannotTell,
}

/// Looks, and judges.
///
/// # Errors
/// When Postgres is away or a migration is pending: it can't be told.
pub async fn check(consumer: &Consumer) -> Result<Checked, migrate::Error> {
    migrate::at_start(consumer.pool(), false).await?;
    let now = Now::read(consumer.pool(), false)
        .await
        .map_err(migrate::Error::Unavailable)?;
    let expected = consumer.config.expected.iter();
    let expected = expected.map(|one| (one.producer.as_str(), one.job.as_str()));
    let untold = outbox::untold(consumer.pool())
        .await
        .map_err(migrate::Error::Unavailable)?;
    Ok(Checked {
        untold,
        ..judge(now, expected)
    })
}

/// `expected` are the jobs that this configuration names: a job that no consumer has heard of yet is one that
/// can't be told of.
fn judge<'a>(now: Now, mut expected: impl Iterator<Item = (&'a str, &'a str)>) -> Checked {
    let troubles = now.troubles();
    let name = |job: &JobNow| format!("{}/{}", job.producer, job.job);
    let unpromised: Vec<String> = now
        .jobs
        .iter()
        .filter(|job| job.next_by.is_none())
        .map(name)
        .collect();
    let unheard = expected.any(|(producer, job)| {
        let same = |now: &JobNow| now.producer == producer && now.job == job;
        !now.jobs
            .iter()
            .any(|now| same(now) && now.next_by.is_some())
    });
    let verdict = if !troubles.is_empty() {
        Verdict::Wrong
    } else if unheard || now.jobs.is_empty() {
        Verdict::CannotTell
    } else {
        Verdict::Fine
    };
    Checked {
        verdict,
        troubles,
        unpromised,
        untold: None,
        now,
    }
}

impl Checked {
    /// As a person reads it: two lines for each trouble.
    pub fn page(&self) -> String {
        let mut text = String::new();
        for trouble in &self.troubles {
            // Writing to a String can't fail.
            let _ = write!(text, "{trouble}");
        }
        let _ = match (self.verdict, self.now.jobs.len()) {
            (Verdict::Wrong, _) => Ok(()),
            (Verdict::CannotTell, 0) => writeln!(
                text,
                "can't tell: nothing has come, and nothing is expected; is this the right database? Name what should come in [[expect]]"
            ),
            (Verdict::CannotTell, _) => writeln!(
                text,
                "can't tell: no consumer has started with this [[expect]] yet; start `nightdrop-consumer run` with it"
            ),
            (Verdict::Fine, 1) => writeln!(text, "1 job, all on time"),
            (Verdict::Fine, jobs) => writeln!(text, "{jobs} jobs, all on time"),
        };
        if self.now.consumers == 0 {
            let _ = writeln!(text, "{NOBODY}");
        }
        if let Some(away) = &self.now.away {
            let _ = writeln!(
                text,
                "the bucket can't be used by {} since {}: {}",
                away.host,
                columns::at(away.since),
                columns::line(&away.error)
            );
        }
        if !self.unpromised.is_empty() {
            let _ = writeln!(
                text,
                "nobody would miss: {}; give the job a `schedule`, or name it in [[expect]]",
                self.unpromised.join(", ")
            );
        }
        if let Some(Untold {
            messages, error, ..
        }) = &self.untold
        {
            let _ = writeln!(
                text,
                "alarms that a [[webhook]] doesn't take: {messages}; the last time: {error}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::ledger::now::tests::{at, unheard_of};

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn job(name: &str, next_by: Option<&str>, late: bool) -> JobNow {
        JobNow {
            next_by: next_by.map(time),
            late,
            ..unheard_of("jfk", name)
        }
    }

    fn judged(jobs: Vec<JobNow>, expected: &[(&str, &str)]) -> Checked {
        judge(at("2013-02-01T06:00:00Z", jobs), expected.iter().copied())
    }

    const BY: Option<&str> = Some("2013-02-01T05:40:00Z");

    #[test]
    fn what_is_late_is_wrong_and_said_in_full() {
        let checked = judged(
            vec![job("departures", BY, true), job("fleet", None, false)],
            &[],
        );
        assert_eq!(checked.verdict, Verdict::Wrong);
        insta::assert_snapshot!(checked.page());
    }

    #[test]
    fn all_on_time_is_fine() {
        let checked = judged(vec![job("departures", BY, false)], &[("jfk", "departures")]);
        assert_eq!(checked.verdict, Verdict::Fine);
        assert_eq!(checked.page(), "1 job, all on time\n");
    }

    /// A monitor that looks at the wrong database must not be green for ever.
    #[test]
    fn of_nothing_nothing_can_be_told() {
        let checked = judged(Vec::new(), &[]);
        assert_eq!(checked.verdict, Verdict::CannotTell);
        insta::assert_snapshot!(checked.page());
    }

    #[test]
    fn an_expectation_that_no_consumer_has_heard_of_is_not_fine() {
        let checked = judged(vec![job("departures", BY, false)], &[("lga", "fares")]);
        assert_eq!(checked.verdict, Verdict::CannotTell);
        insta::assert_snapshot!(checked.page());
    }
}
