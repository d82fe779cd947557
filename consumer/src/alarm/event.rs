//! The event that a webhook gets: sorted by a program, read by a person.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::news::ONE_BY_ONE;
use crate::ledger::outbox::Alarm;
use crate::trouble::{Kind, Trouble};

/// Something is wrong.
pub(super) fn started(trouble: &Trouble, at: DateTime<Utc>) -> String {
    let text = format!(
        "{} {}: {}. What to do: {}.",
        trouble.kind.as_str().to_uppercase(),
        trouble.of(),
        what(trouble),
        trouble.remedy
    );
    json!({
        "type": "nightdrop.alarm.started",
        "timestamp": instant(at),
        "data": {
            "kind": trouble.kind,
            "producer": trouble.producer,
            "job": trouble.job,
            "since": instant(trouble.since),
            "what": what(trouble),
            "remedy": trouble.remedy,
            "text": text,
        }
    })
    .to_string()
}

/// What is wrong, without the words of the file that told of it: whoever has the producer's key writes them, and
/// chat makes links and calls of them. The exit code and what it was about are ours.
fn what(trouble: &Trouble) -> &str {
    match trouble.kind {
        Kind::Failing if trouble.job.is_some() => trouble
            .what
            .split_once(':')
            .map_or(&*trouble.what, |(ours, _)| ours),
        Kind::Late | Kind::Failing | Kind::Parked | Kind::Held => &trouble.what,
    }
}

/// It is no more.
pub(super) fn ended(alarm: &Alarm, at: DateTime<Utc>) -> String {
    let some = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    let (producer, job, kind) = (some(&alarm.producer), some(&alarm.job), &alarm.kind);
    let files = matches!(kind.as_str(), "parked" | "held");
    let what = match (&producer, &job) {
        (Some(producer), Some(job)) if files => {
            format!("{producer}/{job} has nothing {kind} any more")
        }
        (Some(producer), Some(job)) => format!("{producer}/{job} is {kind} no more"),
        (Some(producer), None) => format!(
            "no more than {ONE_BY_ONE} of {producer}'s jobs {} now, and each is told by itself",
            if files {
                format!("have anything {kind}")
            } else {
                format!("are {kind}")
            }
        ),
        (None, _) => "the inbox holds no key any more that is none of a result".to_owned(),
    };
    json!({
        "type": "nightdrop.alarm.ended",
        "timestamp": instant(at),
        "data": {
            "kind": kind,
            "producer": producer,
            "job": job,
            "since": instant(alarm.since),
            "text": format!("OVER: {what}."),
        }
    })
    .to_string()
}

fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime<Utc> {
        "2013-02-01T06:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_alarm_is_an_event_that_a_program_can_sort_and_a_person_read() {
        let trouble = Trouble {
            kind: Kind::Late,
            producer: Some("jfk".into()),
            job: Some("departures".into()),
            since: "2013-02-01T05:40:00Z".parse().unwrap(),
            what: "a result was due".into(),
            remedy: "look at jfk".into(),
        };
        insta::assert_snapshot!("started", started(&trouble, at()));
    }

    #[test]
    fn nothing_out_of_a_file_that_was_not_loaded_is_sent() {
        let trouble = Trouble {
            kind: Kind::Failing,
            producer: Some("jfk".into()),
            job: Some("departures".into()),
            since: at(),
            what: "the run failed with exit code 77 (source): @everyone, see https://evil.example"
                .into(),
            remedy: "look at jfk".into(),
        };
        let event = started(&trouble, at());
        assert!(
            !event.contains("everyone") && !event.contains("evil"),
            "{event}"
        );
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        assert_eq!(
            event["data"]["what"],
            "the run failed with exit code 77 (source)"
        );
    }

    #[test]
    fn what_has_ended_is_said_in_a_sentence() {
        let said = |kind: &str, producer: &str, job: &str| {
            let alarm = Alarm {
                kind: kind.into(),
                producer: producer.into(),
                job: job.into(),
                since: at(),
            };
            ended(&alarm, at())
        };
        insta::assert_snapshot!("ended", said("late", "jfk", "departures"));
        for (kind, producer, job, sentence) in [
            (
                "failing",
                "jfk",
                "fleet",
                "OVER: jfk/fleet is failing no more.",
            ),
            (
                "parked",
                "jfk",
                "fleet",
                "OVER: jfk/fleet has nothing parked any more.",
            ),
            (
                "late",
                "jfk",
                "",
                "OVER: no more than 10 of jfk's jobs are late now, and each is told by itself.",
            ),
            (
                "held",
                "jfk",
                "",
                "OVER: no more than 10 of jfk's jobs have anything held now, and each is told by itself.",
            ),
            (
                "held",
                "",
                "",
                "OVER: the inbox holds no key any more that is none of a result.",
            ),
        ] {
            let event: serde_json::Value =
                serde_json::from_str(&said(kind, producer, job)).unwrap();
            assert_eq!(event["data"]["text"], sentence);
        }
    }
}
