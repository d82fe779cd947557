//! `parked show`: all that is known of a file, and what to do.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{Done, Error, unpicked};
use crate::columns;
use crate::explain::advice::advice;
use crate::ledger::pick::{self, Pick, Picked};
use crate::ledger::reason::Cause;
use crate::pool::Pool;
use crate::status::ago;

pub(super) async fn show(pool: &Pool, pick: &Pick) -> Result<Done, Error> {
    let (files, _) = pick::find(pool, pick, i64::MAX).await?;
    let mut done = unpicked(pool, pick, files.iter().map(|file| file.id)).await?;
    let now = Utc::now();
    let pages: Vec<String> = files.iter().map(|file| render(file, now)).collect();
    done.page.push_str(&pages.join("\n"));
    Ok(done)
}

fn render(file: &Picked, now: DateTime<Utc>) -> String {
    let mut page = format!(
        "file {} is {} ({})\n  {}\n\n",
        file.id,
        file.state,
        file.reason,
        columns::line(&file.error)
    );
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(page, "  {name:<8}  {value}");
    };
    say("key", &file.key.escape_debug().to_string());
    if let (Some(producer), Some(job)) = (&file.producer, &file.job) {
        say("job", &format!("{producer}/{job}"));
    }
    if let Some(run) = &file.run {
        say("run", run);
    }
    if let Some(as_of) = file.as_of {
        say("as of", &columns::at(as_of));
    }
    say(
        "size",
        &format!("{} ({} bytes)", columns::size(file.size), file.size),
    );
    say("seen", &columns::at(file.listed_at));
    say(
        &file.state,
        &format!("{}, {}", columns::at(file.since), ago(file.since, now)),
    );
    let bytes = match (file.state.as_str(), file.deleted_at) {
        ("parked", Some(_)) => "in Postgres; deleted from the bucket",
        ("parked", None) => "in Postgres; its object is still to be deleted from the bucket",
        _ => "in the bucket",
    };
    say("bytes", bytes);
    if let ("held", Some(again)) = (file.state.as_str(), file.retry_at) {
        say("again", &format!("by itself at {}", columns::at(again)));
    }
    if !file.judged_by.is_empty() {
        say(
            "judged",
            &format!("by version {}", file.judged_by.join(", ")),
        );
    }
    let cause = Cause::ALL
        .iter()
        .copied()
        .find(|cause| cause.as_str() == file.reason);
    let (producer, job) = (file.producer.as_deref(), file.job.as_deref());
    let helps = advice(
        cause,
        file.id,
        producer.unwrap_or_default(),
        job.unwrap_or_default(),
    );
    let _ = writeln!(page, "\nwhat helps: {helps}");
    page
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    pub(in crate::parked) fn contract() -> Picked {
        Picked {
            id: 17,
            state: "parked".into(),
            key: "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json"
                .into(),
            etag: "\"e\"".into(),
            size: 312_000,
            producer: Some("jfk".into()),
            job: Some("departures".into()),
            as_of: Some(at("2013-01-31T05:00:00Z")),
            run: Some("01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".into()),
            reason: "contract".into(),
            error: "data.rows[17][1] (flight, int64): 1545.0 has a point; write 1545".into(),
            listed_at: at("2013-01-31T05:00:03Z"),
            since: at("2013-01-31T05:00:04Z"),
            retry_at: None,
            deleted_at: Some(at("2013-01-31T05:00:05Z")),
            judged_by: Vec::new(),
        }
    }

    pub(in crate::parked) fn nobodys() -> Picked {
        Picked {
            id: 18,
            state: "held".into(),
            key: "inbox/jfk/hel\u{1b}lo".into(),
            size: 5,
            producer: None,
            job: None,
            as_of: None,
            run: None,
            reason: "key".into(),
            error: "a key is inbox/<producer>/<job>/<time>-<id>.json".into(),
            deleted_at: None,
            ..contract()
        }
    }

    #[test]
    fn a_page_says_what_is_wrong_where_it_is_and_what_to_do() {
        let now = at("2013-01-31T07:00:04Z");
        let refused = Picked {
            id: 19,
            state: "held".into(),
            reason: "unreadable".into(),
            error: "the bucket said 403".into(),
            retry_at: Some(at("2013-01-31T08:00:00Z")),
            deleted_at: None,
            ..contract()
        };
        let unknown = Picked {
            id: 20,
            reason: "unknown_version".into(),
            error: "type: nightdrop.result.v2 is no type of event that this version knows".into(),
            judged_by: vec!["0.1.0".into(), "0.2.0".into()],
            deleted_at: None,
            ..contract()
        };
        let pages: Vec<String> = [contract(), nobodys(), refused, unknown]
            .iter()
            .map(|file| render(file, now))
            .collect();
        insta::assert_snapshot!(pages.join("\n"));
    }
}
