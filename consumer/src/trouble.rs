//! What is wrong now, said once for all who tell it: `check`, alarms, metrics and the status page. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::columns::{self, at};
use crate::ledger::now::{JobNow, Now};

/// What is said where no consumer is connected.
pub const NOBODY: &str = "no consumer is connected: nothing is loaded, and no alarm goes out, until `nightdrop-consumer run` is started";

/// What sort of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A result was due, and no newer one is in the reports.
    Late,
    /// The last run that is heard of failed.
    Failing,
    /// Files could not be loaded, and are kept in Postgres.
    Parked,
    /// Files can't be read or kept, and stay in the bucket.
    Held,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Late, Self::Failing, Self::Parked, Self::Held];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Held => "held",
        }
    }
}

/// One thing that is wrong now. There is at most one of a kind for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What sort.
    pub kind: Kind,
    /// Whose; none for keys that are none of results.
    pub producer: Option<String>,
    /// Which job's; none likewise, and for what is told of several.
    pub job: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What is wrong. No secret; of a failed run, after the colon, what its producer says of it.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Trouble {
    /// `producer/job`, the producer alone, or `the inbox`.
    pub fn of(&self) -> String {
        match (&self.producer, &self.job) {
            (Some(producer), Some(job)) => format!("{producer}/{job}"),
            (Some(producer), None) => producer.clone(),
            (None, _) => "the inbox".to_owned(),
        }
    }
}

impl fmt::Display for Trouble {
    /// As a terminal shows it: what is wrong, and below it what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str().to_uppercase();
        let Self { what, remedy, .. } = self;
        writeln!(f, "{kind} {}: {what}\n    {remedy}", self.of())
    }
}

impl Now {
    /// What is wrong, by producer, job and kind.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut troubles: Vec<Trouble> = self
            .jobs
            .iter()
            .flat_map(|job| [self.late(job), failing(job), parked(job), held(job)])
            .flatten()
            .collect();
        if let Some(since) = self.strange_since.filter(|_| self.strange > 0) {
            troubles.push(Trouble {
                kind: Kind::Held,
                producer: None,
                job: None,
                since,
                what: match self.strange {
                    1 => "a key in the inbox is none of a result".to_owned(),
                    keys => format!("{keys} keys in the inbox are none of results"),
                },
                remedy: "`nightdrop-consumer parked list --reason key` shows what and where"
                    .to_owned(),
            });
        }
        troubles
    }

    fn late(&self, now: &JobNow) -> Option<Trouble> {
        let JobNow { producer, job, .. } = now;
        let due = now.next_by.filter(|_| now.late)?;
        let newest = match now.as_of {
            Some(as_of) => format!("the newest in the reports is as of {}", at(as_of)),
            None => "nothing of it is in the reports".to_owned(),
        };
        // What nobody lists can't be known to wait.
        let (waits, remedy) = match (now.waiting, &self.away) {
            _ if self.consumers == 0 => (
                "; no consumer is connected".to_owned(),
                "start `nightdrop-consumer run`; the end of the last one's log says why it ended"
                    .to_owned(),
            ),
            (_, Some(away)) => (
                format!("; {} can't use the bucket", away.host),
                "see to the bucket: `nightdrop-consumer status` has what it says".to_owned(),
            ),
            (0, None) if now.failing => (
                "; its last run failed".to_owned(),
                "see FAILING: what ends that ends this".to_owned(),
            ),
            (0, None) => (
                String::new(),
                format!(
                    "look at {producer}: is `nightdrop-producer run {job}` still started, what did it say, what waits in its spool? A job that is no more is ended by `nightdrop-consumer retire {producer} {job}`, and by taking it out of [[expect]]"
                ),
            ),
            (waiting, None) => (
                format!("; {waiting} wait to be loaded"),
                format!("`nightdrop-consumer explain {producer}/{job}` says what keeps them"),
            ),
        };
        Some(trouble(
            Kind::Late,
            now,
            due,
            format!("a result was due by {}, and {newest}{waits}", at(due)),
            remedy,
        ))
    }
}

fn failing(now: &JobNow) -> Option<Trouble> {
    let at = now.failed_at.filter(|_| now.failing)?;
    let what = now.failure.as_deref().unwrap_or("the last run failed");
    Some(trouble(
        Kind::Failing,
        now,
        at,
        columns::line(what),
        format!(
            "{}; the log of {}'s run says more, and its next result ends this",
            mended_by(what),
            now.producer
        ),
    ))
}

/// By the exit code that the run ended with, and what that was about: `the run failed with exit code 77 (source): …`.
fn mended_by(what: &str) -> &'static str {
    let is = |about: &str| what.starts_with(&format!("the run failed with exit code {about}:"));
    match () {
        () if is("65 (source)") => {
            "the source refuses the query: a table, a column or a right is gone"
        }
        () if is("65 (contract)") => {
            "mend the query, or give the column a type in `types`: its result has what a message can't"
        }
        () if is("66 (config)") => "say --start, once: it has no watermark for this query",
        () if is("69 (source)") => {
            "see whether its database runs and can be reached, and no transaction is open there for longer than the `lag`"
        }
        () if is("69 (timeout)") => {
            "an index, a smaller interval, or a longer `timeout`: the query took too long"
        }
        () if is("77 (source)") => {
            "mend the file or the variable that `password` names, or the user in `url`"
        }
        () if is("78 (config)") => {
            "mend its configuration: it doesn't fit the result, or names a file that is gone"
        }
        () => "run it by hand to see more",
    }
}

fn parked(now: &JobNow) -> Option<Trouble> {
    let since = now.parked_since.filter(|_| now.parked > 0)?;
    let what = match now.parked {
        1 => "a file could not be loaded, and is kept".to_owned(),
        files => format!("{files} files could not be loaded, and are kept"),
    };
    Some(trouble(Kind::Parked, now, since, what, list(now)))
}

fn held(now: &JobNow) -> Option<Trouble> {
    let since = now.held_since.filter(|_| now.held > 0)?;
    let what = match now.held {
        1 => "a file can't be read or kept, and stays in the bucket".to_owned(),
        files => format!("{files} files can't be read or kept, and stay in the bucket"),
    };
    Some(trouble(Kind::Held, now, since, what, list(now)))
}

fn list(now: &JobNow) -> String {
    let JobNow { producer, job, .. } = now;
    format!(
        "`nightdrop-consumer parked list --producer {producer} --job {job}` says which and why; `parked show ID` what to do"
    )
}

fn trouble(
    kind: Kind,
    now: &JobNow,
    since: DateTime<Utc>,
    what: String,
    remedy: String,
) -> Trouble {
    Trouble {
        kind,
        producer: Some(now.producer.clone()),
        job: Some(now.job.clone()),
        since,
        what,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger;
    use crate::ledger::now::tests::unheard_of;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn job() -> JobNow {
        JobNow {
            as_of: Some(time("2013-01-31T05:00:00Z")),
            next_by: Some(time("2013-02-01T05:40:00Z")),
            ..unheard_of("jfk", "departures")
        }
    }

    fn now(job: JobNow) -> Now {
        ledger::now::tests::at("2013-02-01T06:00:00Z", vec![job])
    }

    fn said(now: &Now) -> String {
        let lines = now.troubles().into_iter().map(|trouble| {
            let kind = trouble.kind.as_str();
            format!(
                "{kind} {}: {}\n  {}",
                trouble.of(),
                trouble.what,
                trouble.remedy
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn nothing_is_wrong_with_what_is_on_time() {
        assert_eq!(now(job()).troubles(), []);
    }

    #[test]
    fn each_trouble_says_what_is_wrong_and_what_to_do() {
        let all = JobNow {
            late: true,
            failing: true,
            failed_at: Some(time("2013-02-01T05:00:03Z")),
            failed_kind: Some("source".into()),
            failure: Some(
                "the run failed with exit code 77 (source): the source refused the credentials"
                    .into(),
            ),
            parked: 1,
            parked_since: Some(time("2013-01-30T05:00:09Z")),
            held: 2,
            held_since: Some(time("2013-01-30T05:00:09Z")),
            ..job()
        };
        let now = Now {
            strange: 1,
            strange_since: Some(time("2013-01-30T05:00:09Z")),
            ..now(all)
        };
        insta::assert_snapshot!(said(&now));
    }

    #[test]
    fn what_is_late_says_where_it_is_stuck() {
        let never = JobNow {
            late: true,
            as_of: None,
            waiting: 3,
            ..job()
        };
        insta::assert_snapshot!("stuck", said(&now(never.clone())));
        let alone = Now {
            consumers: 0,
            ..now(never)
        };
        insta::assert_snapshot!("alone", said(&alone));
    }
}
