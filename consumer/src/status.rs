//! `status`: the ledger as a person reads it. Pure but for its caller's clock.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::columns;
use crate::ledger::breaker::Kept;
use crate::ledger::now::Now;
use crate::ledger::summary::{JobSummary, Summary};
use crate::ledger::verdict::Tally;
use crate::trouble::{Kind, NOBODY};

/// The summary, and how the jobs stand, as a page of text.
pub fn render(summary: &Summary, stand: &Now, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    if summary.jobs.is_empty() {
        text.push_str("nothing has come yet\n");
    } else {
        table(&mut text, summary, now);
    }
    // What is parked or held has lines of its own.
    let wrong = stand.troubles().into_iter();
    for trouble in wrong.filter(|trouble| matches!(trouble.kind, Kind::Late | Kind::Failing)) {
        let _ = write!(text, "\n{trouble}");
    }
    if stand.consumers == 0 {
        let _ = writeln!(text, "\n{NOBODY}");
    }
    for job in summary.jobs.iter().filter(|job| job.paused.is_some()) {
        let error = job.paused.as_deref().unwrap_or_default();
        let _ = writeln!(text, "\n{}/{} rests: {error}", job.producer, job.job);
    }
    if !summary.troubles.is_empty() {
        let _ = writeln!(text, "\nnot in the reports:");
        for trouble in &summary.troubles {
            let _ = writeln!(
                text,
                "  {} {} {} ({}), {}\n      {}",
                trouble.file,
                trouble.state,
                trouble.key.escape_debug(),
                trouble.reason,
                ago(trouble.since, now),
                trouble.error
            );
        }
    }
    for kept in &summary.breakers {
        let _ = writeln!(text, "\n{}", breaker(kept, now));
    }
    if let Some(overdue) = &summary.overdue {
        let _ = writeln!(
            text,
            "\nALARM: parked for longer than [keep] parked: {} {} ({}), the first {}; `parked list` shows them, `parked retry` and `parked drop` end it",
            overdue.files,
            if overdue.files == 1 { "file" } else { "files" },
            columns::size(overdue.bytes),
            ago(overdue.since, now)
        );
    }
    if summary.to_delete > 0 {
        let _ = writeln!(
            text,
            "\n{} loaded files are still to be deleted from the bucket",
            summary.to_delete
        );
    }
    text
}

/// What a host knows of a server that it was or is kept from.
fn breaker(kept: &Kept, now: DateTime<Utc>) -> String {
    let Kept {
        host,
        server,
        state,
        since,
        ask_at,
        error,
    } = kept;
    let server = match server.as_str() {
        "postgres" => "Postgres",
        _ => "the bucket",
    };
    let since = columns::at(*since);
    match (state.as_str(), ask_at) {
        ("open", Some(at)) => {
            let will_be = if *at < now { "was to be" } else { "will be" };
            format!(
                "{server} is away for {host}, since {since}; it {will_be} asked again at {}: {error}",
                columns::at(*at)
            )
        }
        ("half_open", _) => {
            format!("{server} is being tried again by {host}, since {since}: {error}")
        }
        _ => format!("{server} is used by {host} again, since {since}; before that: {error}"),
    }
}

fn table(text: &mut String, summary: &Summary, now: DateTime<Utc>) {
    let head = [
        "producer/job",
        "table",
        "as of",
        "loaded",
        "results",
        "rows",
        "waiting",
        "parked",
        "held",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(summary.jobs.iter().map(|job| line(job, now)));
    // Names to the left, numbers to the right.
    text.push_str(&columns::align(&lines, |column| column >= 4));
}

fn line(job: &JobSummary, now: DateTime<Utc>) -> [String; 9] {
    [
        format!("{}/{}", job.producer, job.job),
        job.table.clone().unwrap_or_else(|| "none yet".to_owned()),
        job.as_of.map_or_else(|| "never".to_owned(), columns::at),
        job.loaded_at
            .map_or_else(|| "never".to_owned(), |instant| ago(instant, now)),
        job.loaded.to_string(),
        job.rows.to_string(),
        job.waiting.to_string(),
        job.parked.to_string(),
        job.held.to_string(),
    ]
}

/// A span in its largest unit, as people say it.
pub(crate) fn ago(instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - instant).to_std().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..=1 => "just now".to_owned(),
        2..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// What `once` did, in one line.
pub fn tally(tally: &Tally) -> String {
    let mut line = format!(
        "{} {} loaded, {} {}",
        tally.loaded,
        if tally.loaded == 1 {
            "result"
        } else {
            "results"
        },
        tally.rows,
        if tally.rows == 1 { "row" } else { "rows" },
    );
    let others = [
        (tally.superseded, "superseded by newer results"),
        (tally.duplicates, "loaded before"),
        (tally.noted, "without rows"),
        (tally.missing, "no longer in the bucket"),
        (tally.parked, "parked"),
        (tally.held, "held in the bucket"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(line, "; {count} {what}");
    }
    if tally.parked + tally.held > 0 {
        line.push_str(": `nightdrop-consumer status` says why");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::redrive::Overdue;
    use crate::ledger::summary::Trouble;

    fn kept(server: &str, state: &str, ask_at: Option<&str>) -> Kept {
        Kept {
            host: "teller".into(),
            server: server.into(),
            state: state.into(),
            since: at("2013-01-31T05:00:12Z"),
            ask_at: ask_at.map(at),
            error: "no connection".into(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_page_shows_what_came_what_rests_and_what_is_wrong() {
        let job = |producer: &str, job: &str| JobSummary {
            producer: producer.into(),
            job: job.into(),
            table: Some(format!("{producer}.{job}")),
            mode: Some("append".into()),
            as_of: Some(at("2013-01-31T05:00:00Z")),
            loaded_at: Some(at("2013-01-31T05:00:12Z")),
            loaded: 31,
            rows: 27_004,
            waiting: 0,
            parked: 1,
            held: 0,
            paused: None,
        };
        let resting = JobSummary {
            table: None,
            as_of: None,
            loaded_at: None,
            loaded: 0,
            rows: 0,
            waiting: 2,
            parked: 0,
            paused: Some("lga.fleet is there already".into()),
            ..job("lga", "fleet")
        };
        let summary = Summary {
            jobs: vec![job("jfk", "departures"), resting],
            to_delete: 3,
            breakers: vec![
                kept("bucket", "open", Some("2013-01-31T05:01:12Z")),
                kept("bucket", "open", Some("2013-01-31T05:00:42Z")),
                kept("bucket", "half_open", None),
                kept("postgres", "closed", None),
            ],
            troubles: vec![Trouble {
                file: 17,
                key: "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json".into(),
                state: "parked".into(),
                reason: "contract".into(),
                error: "data.rows[17][1] (flight, int64): 1545.0 has a point; write 1545".into(),
                since: at("2013-01-31T03:00:00Z"),
            }],
            overdue: Some(Overdue {
                files: 2,
                bytes: 3 << 20,
                since: at("2012-12-01T03:00:00Z"),
            }),
        };
        let mut stand = crate::ledger::now::tests::at("2013-01-31T05:01:00Z", Vec::new());
        insta::assert_snapshot!(render(&summary, &stand, at("2013-01-31T05:01:00Z")));
        let nothing = Summary {
            jobs: Vec::new(),
            to_delete: 0,
            breakers: Vec::new(),
            troubles: Vec::new(),
            overdue: None,
        };
        stand.consumers = 0;
        assert_eq!(
            render(&nothing, &stand, at("2013-01-31T05:01:00Z")),
            format!("nothing has come yet\n\n{NOBODY}\n")
        );
    }

    #[test]
    fn one_line_says_what_became_of_everything() {
        assert_eq!(tally(&Tally::default()), "0 results loaded, 0 rows");
        let much = Tally {
            loaded: 1,
            rows: 1,
            duplicates: 2,
            parked: 3,
            ..Tally::default()
        };
        assert_eq!(
            tally(&much),
            "1 result loaded, 1 row; 2 loaded before; 3 parked: `nightdrop-consumer status` says why"
        );
    }
}
