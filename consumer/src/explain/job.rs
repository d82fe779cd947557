//! One job in a few sentences. Pure.

use std::fmt::Write;

use nightdrop_schema::{Job, Producer};

use crate::columns::{self, at};
use crate::ledger::look::JobLook;

/// Where the job's results go, how fresh they are, and what keeps others. `jobs` are the producer's known
/// ones, for a job of which nothing is known.
pub(super) fn sentence(
    producer: &Producer,
    job: &Job,
    look: &JobLook,
    jobs: &[String],
    bucket: &str,
) -> String {
    let mut text = match (&look.table, &look.mode) {
        (Some(table), Some(mode)) => format!("{producer}/{job} goes to {table} ({mode})"),
        _ if look.files > 0 => format!("{producer}/{job} has no table yet"),
        _ => return unknown(producer, job, look, jobs, bucket),
    };
    if let Some((was, since)) = &look.retired {
        let _ = write!(
            text,
            "; it was retired at {}, and what was loaded before is in {was}",
            at(*since)
        );
    }
    match &look.newest {
        Some(newest) => {
            let _ = write!(
                text,
                ". Its newest result is as of {}, loaded at {}",
                at(newest.as_of),
                at(newest.loaded_at)
            );
            if let Some(parameters) = &newest.parameters {
                let _ = write!(text, ", read with {}", columns::line(parameters));
            }
            match newest.next_by {
                Some(by) if by < look.now => {
                    // What nobody lists can't be known to wait.
                    let who = match (look.consumers, look.waiting) {
                        (0, _) => "no consumer is connected: start `nightdrop-consumer run`",
                        (_, 0) => "look at the producer",
                        _ => "it waits here",
                    };
                    let _ = write!(
                        text,
                        "; the next was promised by {} and is late: {who}",
                        at(by)
                    );
                }
                Some(by) => {
                    let _ = write!(text, "; the next is promised by {}", at(by));
                }
                None => text.push_str("; it promises no time for the next"),
            }
        }
        None => text.push_str(". Nothing of it is in the reports"),
    }
    match (look.waiting, look.claimed) {
        (0, _) => text.push_str(". Nothing waits"),
        (waiting, 0) if look.consumers == 0 => {
            let _ = write!(
                text,
                ". {waiting} wait, and no consumer is connected: start `nightdrop-consumer run`"
            );
        }
        (waiting, 0) => {
            let _ = write!(text, ". {waiting} wait");
        }
        (waiting, claimed) => {
            let _ = write!(text, ". {waiting} wait, {claimed} of them in work");
        }
    }
    let _ = write!(text, "; {} parked, {} held", look.parked, look.held);
    if look.parked + look.held > 0 {
        let _ = write!(
            text,
            ": `nightdrop-consumer parked list --producer {producer} --job {job}`"
        );
    }
    if let Some((until, error)) = &look.rests {
        let _ = write!(
            text,
            ". It rests until {}, then it is tried again by itself, for its table refuses: {error}",
            at(*until)
        );
    }
    text
}

fn unknown(
    producer: &Producer,
    job: &Job,
    look: &JobLook,
    jobs: &[String],
    bucket: &str,
) -> String {
    if let Some((was, since)) = &look.retired {
        return format!(
            "{producer}/{job} was retired at {}, and nothing of it has come since; what was loaded before is in {was}",
            at(*since)
        );
    }
    let known = if jobs.is_empty() {
        format!("nothing of {producer} was ever seen in {bucket}: does it write to another bucket?")
    } else {
        format!("of {producer} there are: {}.", jobs.join(", "))
    };
    format!(
        "nothing of {producer}/{job} was ever seen; {known} `nightdrop-producer list` beside the producer shows what waits in its spool"
    )
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::ledger::look::Newest;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn look() -> JobLook {
        JobLook {
            now: time("2026-11-21T12:00:00Z"),
            consumers: 0,
            files: 5,
            table: Some("jfk.departures".into()),
            mode: Some("append".into()),
            retired: None,
            rests: None,
            newest: Some(Newest {
                file: 3,
                as_of: time("2026-11-21T05:00:00Z"),
                loaded_at: time("2026-11-21T05:00:12Z"),
                next_by: Some(time("2026-11-21T11:00:00Z")),
                parameters: None,
            }),
            waiting: 2,
            claimed: 0,
            parked: 1,
            held: 0,
            trouble: None,
        }
    }

    fn says(look: &JobLook, jobs: &[&str]) -> String {
        let jobs: Vec<String> = jobs.iter().map(|&job| job.to_owned()).collect();
        sentence(
            &"jfk".parse().unwrap(),
            &"departures".parse().unwrap(),
            look,
            &jobs,
            "s3://inbox",
        )
    }

    #[test]
    fn a_job_says_where_it_goes_how_fresh_it_is_and_what_keeps_it() {
        insta::assert_snapshot!(says(&look(), &[]), @"jfk/departures goes to jfk.departures (append). Its newest result is as of 2026-11-21 05:00:00Z, loaded at 2026-11-21 05:00:12Z; the next was promised by 2026-11-21 11:00:00Z and is late: no consumer is connected: start `nightdrop-consumer run`. 2 wait, and no consumer is connected: start `nightdrop-consumer run`; 1 parked, 0 held: `nightdrop-consumer parked list --producer jfk --job departures`");
        let newest = Newest {
            parameters: Some(r#"{"cursor.to":"2026-11-21T04:55:00Z"}"#.into()),
            next_by: None,
            ..look().newest.unwrap()
        };
        let reads_on = JobLook {
            newest: Some(newest),
            consumers: 1,
            waiting: 0,
            parked: 0,
            ..look()
        };
        insta::assert_snapshot!(says(&reads_on, &[]), @r#"jfk/departures goes to jfk.departures (append). Its newest result is as of 2026-11-21 05:00:00Z, loaded at 2026-11-21 05:00:12Z, read with {"cursor.to":"2026-11-21T04:55:00Z"}; it promises no time for the next. Nothing waits; 0 parked, 0 held"#);
        let rests = JobLook {
            rests: Some((
                time("2026-11-21T12:05:00Z"),
                "jfk.departures is there already".into(),
            )),
            retired: Some((
                "jfk.departures_retired_20261101t000000".into(),
                time("2026-11-01T00:00:00Z"),
            )),
            table: None,
            newest: None,
            parked: 0,
            ..look()
        };
        insta::assert_snapshot!(says(&rests, &[]), @"jfk/departures has no table yet; it was retired at 2026-11-01 00:00:00Z, and what was loaded before is in jfk.departures_retired_20261101t000000. Nothing of it is in the reports. 2 wait, and no consumer is connected: start `nightdrop-consumer run`; 0 parked, 0 held. It rests until 2026-11-21 12:05:00Z, then it is tried again by itself, for its table refuses: jfk.departures is there already");
    }

    #[test]
    fn a_job_that_nobody_has_seen_names_those_that_are_there() {
        let nothing = JobLook {
            files: 0,
            table: None,
            mode: None,
            newest: None,
            ..look()
        };
        insta::assert_snapshot!(says(&nothing, &["fleet"]), @"nothing of jfk/departures was ever seen; of jfk there are: fleet. `nightdrop-producer list` beside the producer shows what waits in its spool");
        insta::assert_snapshot!(says(&nothing, &[]), @"nothing of jfk/departures was ever seen; nothing of jfk was ever seen in s3://inbox: does it write to another bucket? `nightdrop-producer list` beside the producer shows what waits in its spool");
    }
}
