//! The one sentence on where a file is and what to do. Pure.

use std::time::Duration;

use chrono::TimeDelta;

use super::advice::advice;
use super::waiting::waiting;
use crate::columns::{self, at};
use crate::ledger::history::{Around, Other, Sighting};
use crate::ledger::reason::Cause;

/// Where this file is, and what to do. `delete_after` is how long objects stay after their verdict.
pub(super) fn sentence(file: &Sighting, around: &Around, delete_after: Duration) -> String {
    let since = at(file.decided_at.unwrap_or(file.listed_at));
    let why = file.error.as_deref().unwrap_or_default();
    match file.state.as_str() {
        "waiting" => waiting(file, around),
        "loaded" => format!(
            "loaded since {since}: {}{}; {}",
            rows(file, around),
            read_with(file),
            object(file, around, delete_after)
        ),
        "superseded" => match &around.newer {
            Some(newer) => format!(
                "superseded since {since}: newer results cover all that it says, the newest of them file {}{}; there is nothing to do",
                newer.file,
                loaded(newer)
            ),
            None => format!(
                "superseded since {since}: newer results covered all that it says; there is nothing to do"
            ),
        },
        "duplicate" => match &around.loaded {
            Some(other) => format!(
                "a duplicate: the same run, with the same content, is in the reports as file {}{}; there is nothing to do",
                other.file,
                loaded(other)
            ),
            None => format!(
                "a duplicate since {since}: the same run, with the same content, was loaded before; there is nothing to do"
            ),
        },
        "parked" => format!(
            "parked since {since} ({}): {why}. Its bytes are kept; {}",
            reason(file),
            help(file)
        ),
        "held" => {
            let again = match file.retry_at.filter(|again| *again > around.now) {
                Some(again) => format!(", tried again at {}", at(again)),
                None => String::new(),
            };
            format!(
                "held in the bucket since {since}{again} ({}): {why}. Nothing of it is in the reports; {}",
                reason(file),
                help(file)
            )
        }
        "missing" => missing(file, around, &since, why),
        "noted" if cause(file) == Some(Cause::Failed) => format!(
            "noted since {since}: {why}. It carries no rows; the producer's own log says more"
        ),
        "noted" => format!(
            "noted since {since}: it carries no rows ({}); there is nothing to do",
            reason(file)
        ),
        "dropped" => {
            let was = if why.is_empty() {
                String::new()
            } else {
                format!(" It had been kept out for this: {why}")
            };
            format!("dropped at {since} by a person, and in no report.{was}")
        }
        other => {
            format!("{other} since {since}, which a newer version of this program can explain")
        }
    }
}

fn cause(file: &Sighting) -> Option<Cause> {
    let reason = file.reason.as_deref()?;
    Cause::ALL
        .iter()
        .copied()
        .find(|cause| cause.as_str() == reason)
}

fn reason(file: &Sighting) -> &str {
    file.reason.as_deref().unwrap_or("no reason given")
}

fn help(file: &Sighting) -> String {
    let (producer, job) = (
        file.producer.as_deref().unwrap_or_default(),
        file.job.as_deref().unwrap_or_default(),
    );
    advice(cause(file), file.file, producer, job)
}

fn loaded(other: &Other) -> String {
    match other.loaded_at {
        Some(since) => format!(" since {}", at(since)),
        None => " (its history is pruned)".to_owned(),
    }
}

fn read_with(file: &Sighting) -> String {
    match &file.parameters {
        Some(parameters) => format!(", read with {}", columns::line(parameters)),
        None => String::new(),
    }
}

fn rows(file: &Sighting, around: &Around) -> String {
    let rows = match file.rows {
        Some(0) => "it had no rows".to_owned(),
        Some(1) => "its one row is".to_owned(),
        Some(rows) => format!("its {rows} rows are"),
        None => "its rows are".to_owned(),
    };
    let table = match (&around.table, file.rows) {
        (_, Some(0)) => String::new(),
        (Some(table), _) if around.retired => {
            format!(" in {table}, its job's table before it was retired")
        }
        (Some(table), _) => format!(" in {table}"),
        (None, _) => " in a table that is known no more".to_owned(),
    };
    let since = match (file.mode.as_deref(), &around.newer) {
        (Some("replace"), Some(newer)) => format!(
            ", as far as newer results have not taken their place (the newest is file {})",
            newer.file
        ),
        (Some("upsert"), _) => ", where no later row of the same key took their place".to_owned(),
        _ => String::new(),
    };
    format!("{rows}{table}{since}")
}

/// Where the object is: in the bucket for a while, or no more.
fn object(file: &Sighting, around: &Around, delete_after: Duration) -> String {
    if file.gone_at.is_some() {
        return "its object is deleted from the bucket".to_owned();
    }
    let stays = TimeDelta::from_std(delete_after)
        .ok()
        .and_then(|stays| file.decided_at?.checked_add_signed(stays))
        .filter(|until| *until > around.now);
    match (stays, file.retry_at.filter(|again| *again > around.now)) {
        (Some(until), _) => format!("its object stays in the bucket until {}", at(until)),
        (None, Some(again)) => format!(
            "the bucket refused to delete its object, which is tried again at {}",
            at(again)
        ),
        (None, None) => "its object is still to be deleted from the bucket".to_owned(),
    }
}

fn missing(file: &Sighting, around: &Around, since: &str, why: &str) -> String {
    let run = match &around.loaded {
        Some(other) => format!(
            "its run is in the reports as file {}{}; there is nothing to do",
            other.file,
            loaded(other)
        ),
        None => format!(
            "nothing of it is in the reports: have the producer run {} again",
            file.job.as_deref().unwrap_or("its job")
        ),
    };
    format!("missing since {since}: {why}; {run}")
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    const NOW: &str = "2026-11-21T12:00:00Z";

    pub(in crate::explain) fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    pub(in crate::explain) fn sighting(state: &str) -> Sighting {
        Sighting {
            file: 17,
            key: "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json"
                .into(),
            producer: Some("jfk".into()),
            job: Some("departures".into()),
            run: None,
            as_of: None,
            state: state.into(),
            streamed: false,
            attempts: 0,
            claimed: false,
            worker: None,
            claimed_at: None,
            lease_until: None,
            retry_at: None,
            rows: Some(27),
            mode: Some("append".into()),
            parameters: None,
            reason: None,
            error: None,
            kept: false,
            listed_at: time("2026-11-21T11:00:00Z"),
            decided_at: (state != "waiting").then(|| time("2026-11-21T11:30:00Z")),
            gone_at: None,
        }
    }

    pub(in crate::explain) fn around() -> Around {
        Around {
            now: time(NOW),
            consumers: 1,
            rests: None,
            breaker: None,
            ahead: 0,
            table: Some("jfk.departures".into()),
            retired: false,
            loaded: None,
            newer: None,
        }
    }

    pub(in crate::explain) fn says(file: &Sighting, around: &Around) -> String {
        sentence(file, around, Duration::ZERO)
    }

    #[test]
    fn what_is_loaded_says_where_its_rows_and_its_object_are() {
        let file = sighting("loaded");
        insta::assert_snapshot!(says(&file, &around()), @"loaded since 2026-11-21 11:30:00Z: its 27 rows are in jfk.departures; its object is still to be deleted from the bucket");
        insta::assert_snapshot!(sentence(&file, &around(), Duration::from_hours(1)), @"loaded since 2026-11-21 11:30:00Z: its 27 rows are in jfk.departures; its object stays in the bucket until 2026-11-21 12:30:00Z");
        let gone = Sighting {
            gone_at: Some(time(NOW)),
            mode: Some("replace".into()),
            rows: Some(1),
            ..file
        };
        let older_life = Around {
            table: Some("jfk.departures_retired_20261121t114000".into()),
            retired: true,
            newer: Some(Other {
                file: 20,
                loaded_at: None,
            }),
            ..around()
        };
        insta::assert_snapshot!(says(&gone, &older_life), @"loaded since 2026-11-21 11:30:00Z: its one row is in jfk.departures_retired_20261121t114000, its job's table before it was retired, as far as newer results have not taken their place (the newest is file 20); its object is deleted from the bucket");
    }

    #[test]
    fn what_is_not_in_the_reports_says_why_and_what_helps() {
        let other = Other {
            file: 12,
            loaded_at: Some(time("2026-11-21T10:00:00Z")),
        };
        let known = Around {
            loaded: Some(other.clone()),
            newer: Some(other),
            ..around()
        };
        let mut parked = sighting("parked");
        parked.reason = Some("changed_mode".into());
        parked.error = Some("mode is upsert here and append in every result before".into());
        insta::assert_snapshot!(says(&parked, &around()), @"parked since 2026-11-21 11:30:00Z (changed_mode): mode is upsert here and append in every result before. Its bytes are kept; if the change is meant: `nightdrop-consumer retire jfk departures`, then `nightdrop-consumer parked retry 17`; if not, mend the job's query, then `nightdrop-consumer parked drop 17`");
        let held = Sighting {
            reason: Some("unreadable".into()),
            error: Some("GET is refused".into()),
            retry_at: Some(time("2026-11-21T12:30:00Z")),
            ..sighting("held")
        };
        insta::assert_snapshot!(says(&held, &around()), @"held in the bucket since 2026-11-21 11:30:00Z, tried again at 2026-11-21 12:30:00Z (unreadable): GET is refused. Nothing of it is in the reports; give the reader's key the right to get it; it is tried again by itself, or now: `nightdrop-consumer parked retry 17`");
        insta::assert_snapshot!(says(&sighting("superseded"), &known), @"superseded since 2026-11-21 11:30:00Z: newer results cover all that it says, the newest of them file 12 since 2026-11-21 10:00:00Z; there is nothing to do");
        insta::assert_snapshot!(says(&sighting("duplicate"), &known), @"a duplicate: the same run, with the same content, is in the reports as file 12 since 2026-11-21 10:00:00Z; there is nothing to do");
        let missing = Sighting {
            error: Some("it is no longer in the bucket".into()),
            ..sighting("missing")
        };
        insta::assert_snapshot!(says(&missing, &around()), @"missing since 2026-11-21 11:30:00Z: it is no longer in the bucket; nothing of it is in the reports: have the producer run departures again");
        insta::assert_snapshot!(says(&missing, &known), @"missing since 2026-11-21 11:30:00Z: it is no longer in the bucket; its run is in the reports as file 12 since 2026-11-21 10:00:00Z; there is nothing to do");
        let note = Sighting {
            reason: Some("failed".into()),
            error: Some("the run failed with exit code 65 (source): no such table".into()),
            ..sighting("noted")
        };
        insta::assert_snapshot!(says(&note, &around()), @"noted since 2026-11-21 11:30:00Z: the run failed with exit code 65 (source): no such table. It carries no rows; the producer's own log says more");
        insta::assert_snapshot!(says(&sighting("dropped"), &around()), @"dropped at 2026-11-21 11:30:00Z by a person, and in no report.");
    }
}
