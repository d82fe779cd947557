//! What comes back without anybody's asking, and what is said of that which doesn't.

use serde_json::{Value, json};

use super::{files, parked, refused, refusing};
use crate::message::{Message, departures, message};
use crate::site::{Site, on_one};

/// What an older version left: it had read this file and didn't know its type.
fn left_by_an_older_version(site: &Site, message: &Message, body: &str, version: &str) {
    let key = message.key();
    site.execute(&format!(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
         VALUES ('{key}', '\"old\"', {}, '{}', '{}', '{}', '{}');
         INSERT INTO nightdrop.parked SELECT id, 0, convert_to($body${body}$body$, 'UTF8') FROM nightdrop.file WHERE key = '{key}';
         UPDATE nightdrop.file SET state = 'parked', decided_at = now(), gone_at = now(), kept = true,
                reason = 'unknown_version', error = 'not known', judged_by = '{{{version}}}'
         WHERE key = '{key}'",
        body.len(),
        message.source,
        message.subject,
        message.time,
        message.id
    ));
}

#[test]
fn what_an_older_version_did_not_know_is_loaded_by_the_first_that_does() {
    on_one(|site| {
        let result = departures("2013-01-31T05:00:00Z");
        left_by_an_older_version(&site, &result, &result.body(), "0.0.1");

        let ended = site.once();

        assert_eq!(ended.stdout, "1 result loaded, 2 rows\n");
        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(
            site.rows("SELECT flight, _file FROM jfk.departures ORDER BY 1"),
            ["1141|1", "1545|1"]
        );
    });
}

#[test]
fn a_file_that_comes_back_knows_that_its_object_is_gone() {
    let site = Site::anywhere();
    let result = departures("2013-01-31T05:00:00Z");
    left_by_an_older_version(&site, &result, &result.body(), "0.0.1");
    // Somebody has put the same object again: a sighting of its own, with a verdict of its own.
    site.execute(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id, state, decided_at, reason, error)
         SELECT key, etag, size, producer, job, as_of, run_id, 'held', now(), 'unreadable', 'refused' FROM nightdrop.file",
    );

    site.once();

    assert_eq!(
        site.rows("SELECT state, gone_at IS NOT NULL FROM nightdrop.file ORDER BY id"),
        ["loaded|true", "held|false"]
    );
}

#[test]
fn a_note_that_an_older_version_did_not_know_is_noted() {
    let site = Site::anywhere();
    let result = departures("2013-01-31T05:00:00Z");
    let note = format!(
        r#"{{"specversion":"1.0","type":"nightdrop.failed.v1","id":"{}","source":"jfk","subject":"departures","time":"2013-01-31T05:00:00Z","data":{{"code":69,"kind":"timeout","message":"too long"}}}}"#,
        result.id
    );
    left_by_an_older_version(&site, &result, &note, "0.0.1");
    site.once();
    assert_eq!(files(&site), ["noted|failed|false|0"]);
}

#[test]
fn a_version_tries_once_what_it_does_not_know() {
    on_one(|site| {
        let unknown = departures("2013-01-31T03:00:00Z");
        let body = unknown.body().replace("result.v1", "result.v9");
        site.drop_as(&unknown.key(), body.as_bytes());
        site.once();
        let judged = "SELECT state, reason, judged_by, claimed_at FROM nightdrop.file";
        let before = site.rows(judged);
        assert!(
            before[0].starts_with("parked|unknown_version|["),
            "{before:?}"
        );
        site.once();
        assert_eq!(site.rows(judged), before);

        // To this version it is as good as new if only another one has judged it.
        site.execute("UPDATE nightdrop.file SET judged_by = '{0.0.1}'");
        site.once();
        let after = site.rows(judged);
        assert_ne!(after, before);
        assert!(
            after[0].starts_with("parked|unknown_version|[\"0.0.1\",\""),
            "{after:?}"
        );
        site.once();
        assert_eq!(site.rows(judged), after);
        assert_eq!(files(&site), ["parked|unknown_version|true|1"]);
    });
}

#[test]
fn a_result_from_the_future_is_loaded_once_its_time_has_come() {
    let site = Site::anywhere().configured("[load]\nclock_skew = \"0s\"\n");
    // All that takes long is done before the time is told.
    site.keys_of("jfk");
    let soon = site.rows(
        "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '25 s', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    site.drop(&departures(&soon[0]));
    site.drop(&departures("2199-01-01T00:00:00Z"));
    site.once();
    assert_eq!(
        files(&site),
        ["parked|future|true|1", "parked|future|true|1"]
    );

    let consumer = site.start(&["run"]);
    site.wait_for(
        "SELECT state FROM nightdrop.file ORDER BY as_of",
        &["loaded", "parked"],
    );
    drop(consumer);
    assert_eq!(
        site.rows("SELECT decided_at >= as_of FROM nightdrop.file WHERE state = 'loaded'"),
        ["true"]
    );
}

/// A bad file of a little over 300 bytes.
fn bad(producer: &str, time: &str) -> Message {
    message(producer, "departures", time).rows(&json!([["UA", 1545.5]]))
}

const QUOTA: &str = "[quota]\nparked = \"700B\"\n";

#[test]
fn what_exceeds_a_producers_quota_of_parked_bytes_is_held_until_there_is_room() {
    on_one(|site| {
        let site = site.configured(QUOTA);
        for hour in ["01", "02", "03", "04"] {
            site.drop(&bad("jfk", &format!("2013-01-31T{hour}:00:00Z")));
        }
        site.drop(&bad("lga", "2013-01-31T05:00:00Z"));
        site.once();
        let states = "SELECT producer, state, reason, kept, size BETWEEN 300 AND 349 FROM nightdrop.file ORDER BY as_of";
        let (in_postgres, in_bucket) =
            ("parked|contract|true|true", "held|quota_parked|false|true");
        let expected = |jfk: [&str; 4]| {
            let mut all: Vec<String> = jfk.iter().map(|state| format!("jfk|{state}")).collect();
            all.push(format!("lga|{in_postgres}"));
            all
        };
        let full = expected([in_postgres, in_postgres, in_bucket, in_bucket]);
        assert_eq!(site.rows(states), full);
        assert_eq!(site.keys().len(), 2);
        let sentence = site
            .rows("SELECT error FROM nightdrop.file WHERE state = 'held' LIMIT 1")
            .concat();
        assert!(sentence.contains("1545.5 has a point"), "{sentence}");
        assert!(
            sentence.contains("of the 700 bytes that [quota] parked gives"),
            "{sentence}"
        );
        site.once();
        assert_eq!(site.rows(states), full);

        // There is room for one of them, and it is the older one's.
        let first = site.rows("SELECT id FROM nightdrop.file ORDER BY as_of LIMIT 1");
        parked(&site, &["drop", &first[0]]);
        site.once();
        assert_eq!(
            site.rows(states),
            expected([
                "dropped|contract|false|true",
                in_postgres,
                in_postgres,
                in_bucket
            ])
        );
    });
}

#[test]
fn a_large_bad_file_counts_like_a_small_one() {
    let site = refusing(Site::anywhere(), "[quota]\nparked = \"4MiB\"\n");
    for hour in ["01", "02"] {
        site.drop(&super::refused_large(&format!("2013-01-31T{hour}:00:00Z")));
    }
    site.once();
    assert_eq!(
        site.states(),
        ["parked|refused", "held|quota_parked"],
        "{:?}",
        site.rows("SELECT size FROM nightdrop.file")
    );
    parked(&site, &["drop", "1"]);
    site.once();
    assert_eq!(site.states(), ["dropped|refused", "parked|refused"]);
    assert_eq!(site.keys(), Vec::<String>::new());
}

#[test]
fn a_redriven_file_needs_no_more_room_than_it_has() {
    let site = refusing(Site::anywhere(), "");
    site.drop(&refused("2013-01-31T01:00:00Z"));
    site.once();
    let site = site.configured(&format!("[quota]\nparked = \"1B\"\n{}", super::ROUTE));
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(files(&site), ["parked|refused|true|1"]);
}

#[test]
fn what_nobody_looks_after_is_an_alarm_and_stays() {
    let site = Site::anywhere().configured("[keep]\nparked = \"1s\"\n");
    site.drop(&bad("jfk", "2013-01-31T05:00:00Z"));
    site.once();
    site.wait_for(
        "SELECT decided_at < now() - interval '1 s' FROM nightdrop.file",
        &["true"],
    );

    let ended = site.once();
    assert!(
        ended.stderr.contains("ERROR")
            && ended
                .stderr
                .contains("parked for longer than [keep] parked"),
        "{ended:?}"
    );
    let status = site.consumer(&["status"]).stdout;
    assert!(
        status.contains("ALARM: parked for longer than [keep] parked: 1 file ("),
        "{status}"
    );
    let json: Value = serde_json::from_str(&site.consumer(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["overdue"]["files"], 1);
    assert_eq!(files(&site), ["parked|contract|true|1"]);

    let patient = site.configured("");
    let json: Value =
        serde_json::from_str(&patient.consumer(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["overdue"], Value::Null);
    assert!(
        !patient.once().stderr.contains("[keep] parked"),
        "raised too early"
    );
}
