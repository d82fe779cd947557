//! What is told to a webhook that refuses, of a producer that flaps, and of what a file says that was not loaded.

use serde_json::json;

use super::alarms::{Answer, Receiver, STARTED};
use super::{failed, in_seconds, promising};
use crate::message::message;

/// As if it had been tried so often, and all waits were over.
const TRIED: &str = "UPDATE nightdrop.outbox SET retry_at = now(), attempts = attempts + 4 * (error IS NOT NULL)::integer";

#[test]
fn a_message_that_is_refused_lets_the_others_pass_and_goes_with_its_end() {
    let receiver = Receiver::new(Answer::Refuses("departures"));
    let site = receiver.site();
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    site.drop(&message("jfk", "fleet", &in_seconds(-5)).with("row_count", json!(3)));
    site.once();
    assert_eq!(receiver.told(), [""; 0], "it is tried a few times first");
    site.execute(TRIED);
    site.once();
    assert_eq!(
        receiver.told(),
        ["nightdrop.alarm.started parked jfk/fleet"]
    );
    let untold =
        "alarms that a [[webhook]] doesn't take: 1; the last time: it answered 400 Bad Request\n";
    let checked = site.consumer(&["check"]).stdout;
    assert!(checked.ends_with(untold), "{checked}");

    site.drop(&promising(&in_seconds(-5), &in_seconds(3600)));
    site.once();
    let waiting = "SELECT body::json->>'type', refused FROM nightdrop.outbox ORDER BY id";
    assert_eq!(
        site.rows(waiting),
        [
            "nightdrop.alarm.started|true",
            "nightdrop.alarm.ended|false"
        ]
    );
    site.execute(TRIED);
    site.once();
    assert_eq!(site.rows(waiting), [""; 0]);
    assert_eq!(
        receiver.told(),
        ["nightdrop.alarm.started parked jfk/fleet"]
    );
}

#[test]
fn what_flaps_is_not_told_and_holds_nobody_up() {
    let receiver = Receiver::new(Answer::Status(500));
    let site = receiver.site();
    let parked = |producer: &str, job: &str| {
        site.drop(&message(producer, job, &in_seconds(-5)).with("row_count", json!(3)));
    };
    let waiting = || site.rows("SELECT producer, job FROM nightdrop.outbox ORDER BY turn, id");
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    site.once();
    for _ in 0..2 {
        parked("jfk", "fleet");
        site.once();
        assert_eq!(waiting(), ["jfk|departures", "jfk|fleet"]);
        let ended = site.consumer(&["parked", "drop", "--producer", "jfk"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        site.once();
        assert_eq!(waiting(), ["jfk|departures"]);
    }

    for job in ["a", "b", "c"] {
        parked("jfk", job);
    }
    parked("lga", "fares");
    site.once();
    receiver.answers(Answer::Status(204));
    site.execute(TRIED);
    site.once();
    let told = ["jfk/a", "lga/fares", "jfk/b", "jfk/c"]
        .map(|of| format!("nightdrop.alarm.started parked {of}"));
    assert_eq!(receiver.told(), [&[STARTED.to_owned()], &told[..]].concat());
}

#[test]
fn no_message_holds_what_a_failed_run_says() {
    let receiver = Receiver::new(Answer::Status(204));
    let site = receiver.site();
    let (key, body) = failed("jfk", "departures", &in_seconds(-5));
    let body = body.replace(
        "the source refused",
        "@everyone \u{202E}https://evil.example",
    );
    site.drop_as(&key, body.as_bytes());
    site.once();
    let came = receiver.received();
    let [one] = &came[..] else { panic!("{came:?}") };
    assert!(one.body.contains("exit code 77 (source). What to do"));
    assert!(!one.body.contains("everyone"), "{one:?}");
    let checked = site.consumer(&["check"]).stdout;
    assert!(
        checked.contains("@everyone  https://evil.example the credentials"),
        "{checked}"
    );
}
