//! `explain` says where a result is and what to do, in every state, from Postgres alone.

use serde_json::{Value, json};

use crate::crashes::gate_before_s3;
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::Site;

fn explain(site: &Site, what: &str) -> String {
    let ended = site.consumer(&["explain", what]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[track_caller]
fn says(site: &Site, what: &str, parts: &[&str]) {
    let text = explain(site, what);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn replace(day: &str) -> Message {
    message("jfk", "fleet", &format!("2013-02-{day}T00:00:00Z")).with("mode", json!("replace"))
}

#[test]
fn what_is_loaded_is_found_by_its_file_its_run_its_key_and_parts_of_it() {
    let site = Site::anywhere();
    let result = departures("2013-01-31T05:00:00Z");
    site.drop(&result);
    site.drop(&departures("2013-01-31T06:00:00Z"));
    site.once();
    let (key, run) = (result.key().to_string(), result.id.to_string());
    let name = key.rsplit('/').next().unwrap();
    let file = site.rows(&format!(
        "SELECT id FROM nightdrop.file WHERE run_id = '{run}'"
    ));
    let first = explain(&site, &key);
    assert!(
        first.contains("its 2 rows are in jfk.departures; its object is deleted from the bucket"),
        "{first}"
    );
    for what in [&file[0], &run, name, &format!("departures/{name}")] {
        assert_eq!(explain(&site, what), first, "{what}");
    }
    says(&site, "T050000Z", &["its 2 rows are in jfk.departures"]);
    says(
        &site,
        "inbox/jfk/departures/2013",
        &["that fits 2 files of 2 results; ask for one of them", &key],
    );
    let json: Value =
        serde_json::from_str(&site.consumer(&["explain", &run, "--json"]).stdout).unwrap();
    assert_eq!(
        (
            &json["file"]["state"],
            &json["file"]["rows"],
            &json["file"]["key"]
        ),
        (&json!("loaded"), &json!(2), &json!(key))
    );
    assert!(
        json["sentence"]
            .as_str()
            .unwrap()
            .starts_with("loaded since ")
    );
}

/// By which a cursor job goes on whose state folder is lost.
#[test]
fn what_is_loaded_says_what_its_query_ran_with() {
    let site = Site::anywhere();
    let ran_with =
        json!({"cursor.from": "2013-01-30T05:00:00Z", "cursor.to": "2013-01-31T05:00:00Z"});
    let result = departures("2013-01-31T05:00:00Z").with("parameters", ran_with);
    site.drop(&result);
    // So much is nobody's watermark, and each file of the ledger would carry it.
    let many = json!({"ids": vec![0; 1000]});
    site.drop(&message("jfk", "fleet", "2013-01-31T05:00:00Z").with("parameters", many));
    site.once();
    let read_with =
        r#"read with {"cursor.from":"2013-01-30T05:00:00Z","cursor.to":"2013-01-31T05:00:00Z"}; "#;
    says(&site, "jfk/departures", &[read_with]);
    says(&site, &result.id.to_string(), &[read_with]);
    assert_eq!(
        site.rows("SELECT parameters FROM nightdrop.file WHERE job = 'fleet'"),
        ["null"]
    );
}

#[test]
fn what_nobody_has_seen_says_where_to_look() {
    let site = Site::unprepared();
    let result = departures("2013-01-31T05:00:00Z");
    let ended = site.consumer(&["explain", "17"]);
    assert_eq!(ended.code, Some(78), "its tables are not there: {ended:?}");
    site.drop(&result);
    site.once();
    let other = departures("2013-01-31T06:00:00Z").key().to_string();
    says(
        &site,
        &other,
        &[
            &format!("never seen in {}", site.inbox.url()),
            "listed at the next poll",
            "`nightdrop-producer list` beside jfk",
            "another bucket",
        ],
    );
    says(&site, "4711", &["no file 4711 is in the ledger"]);
    says(
        &site,
        "jfk/fleet",
        &["nothing of jfk/fleet was ever seen; of jfk there are: departures."],
    );
    says(
        &site,
        "lga/fleet",
        &["nothing of lga was ever seen in s3://"],
    );
}

#[test]
fn what_waits_says_for_whom_or_what() {
    let mut site = Site::anywhere();
    let gate = gate_before_s3(&mut site);
    let result = departures("2013-01-31T05:00:00Z");
    site.drop(&result);
    let run = result.id.to_string();
    gate.hold(Hold::Request("/departures/"));
    let consumer = site.start(&["run"]);
    gate.wait();
    let worker = site.rows("SELECT worker FROM nightdrop.file").concat();
    says(
        &site,
        &run,
        &[&format!("{worker} took it at "), "and has it until "],
    );
    says(&site, "jfk/departures", &["1 wait, 1 of them in work"]);
    consumer.kill();
    site.wait_for_the_end_of_sessions();
    site.execute("UPDATE nightdrop.file SET lease_until = now() - interval '1 s'");
    says(
        &site,
        &run,
        &[
            "and has not been heard of since; no consumer is connected: start `nightdrop-consumer run`",
        ],
    );
    gate.open();

    // Its table is somebody else's: its job rests. It is looked at for longer than the first rest lasts.
    let site = site.configured("[load]\nlease = \"1s\"\n");
    site.execute("CREATE SCHEMA jfk; CREATE TABLE jfk.departures (carrier text)");
    site.once();
    site.execute("UPDATE nightdrop.pause SET until = now() + interval '1 h'");
    let rests = ["its job rests until ", "jfk.departures is there already"];
    says(&site, &run, &rests);
    site.drop(&departures("2013-01-31T06:00:00Z"));
    let _consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM nightdrop.file", &["2"]);
    says(
        &site,
        "jfk/departures",
        &["It rests until ", "has no table yet", "2 wait"],
    );
}

#[test]
fn what_is_superseded_or_a_duplicate_names_the_other() {
    let site = Site::anywhere();
    let newer = replace("02");
    site.drop(&newer);
    site.once();
    let late = replace("01");
    site.drop(&late);
    let (gzip, packed) = newer.gzipped();
    site.drop_as(&gzip, &packed);
    site.once();
    says(
        &site,
        &late.id.to_string(),
        &["superseded since ", "the newest of them file 1 since "],
    );
    says(
        &site,
        &newer.id.to_string(),
        &[
            "a duplicate: the same run, with the same content, is in the reports as file 1 since ",
            "other sightings of it:",
            "file 1 inbox/jfk/fleet/",
        ],
    );
    site.drop(&replace("03"));
    site.once();
    says(
        &site,
        "1",
        &[
            "loaded since ",
            "as far as newer results have not taken their place (the newest is file 4)",
        ],
    );
}

#[test]
fn what_is_parked_names_the_verb_that_helps_and_then_what_became_of_it() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.once();
    let changed = departures("2013-01-31T06:00:00Z").with("mode", json!("replace"));
    let run = changed.id.to_string();
    site.drop(&changed);
    site.once();
    says(
        &site,
        &run,
        &[
            "parked since ",
            "(changed_mode): mode is replace here",
            "`nightdrop-consumer retire jfk departures`, then `nightdrop-consumer parked retry 2`",
        ],
    );
    says(
        &site,
        "jfk/departures",
        &[
            "goes to jfk.departures (append)",
            "1 parked, 0 held",
            "last trouble: file 2 parked",
        ],
    );

    // What it says is what helps.
    for words in [
        &["retire", "jfk", "departures"][..],
        &["parked", "retry", "2"],
    ] {
        let ended = site.consumer(words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    says(
        &site,
        &run,
        &[
            "waiting since ",
            "to be loaded from the bytes that were kept",
        ],
    );
    site.once();
    says(
        &site,
        &run,
        &["loaded since ", "its 2 rows are in jfk.departures; "],
    );
    says(
        &site,
        "1",
        &[
            "its 2 rows are in jfk.departures_retired_2",
            ", its job's table before it was retired",
        ],
    );
    says(
        &site,
        "jfk/departures",
        &["goes to jfk.departures (replace); it was retired at "],
    );

    let bad = departures("2013-01-31T07:00:00Z");
    site.drop_as(&bad.key(), b"{");
    site.once();
    says(
        &site,
        "3",
        &[
            "(truncated)",
            "have the producer run departures again",
            "then `nightdrop-consumer parked drop 3`",
        ],
    );
    assert_eq!(site.consumer(&["parked", "drop", "3"]).code, Some(0));
    says(
        &site,
        &bad.key().to_string(),
        &["dropped at ", " by a person, and in no report."],
    );
}

#[test]
fn what_is_held_missing_noted_or_pruned_says_so() {
    let site = Site::anywhere();
    let answer = site
        .inbox
        .request(&site.inbox.root(), "PUT", "inbox/aaa/stray", "x")
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    site.execute("CREATE SCHEMA jfk; CREATE TABLE jfk.departures (carrier text)");
    let vanishing = departures("2013-01-31T05:00:00Z");
    site.drop(&vanishing);
    let failed = departures("2013-01-31T06:00:00Z");
    site.drop_as(
        &failed.key(),
        format!(
            r#"{{"specversion":"1.0","type":"nightdrop.failed.v1","id":"{}","source":"jfk","subject":"departures","time":"{}","data":{{"code":69,"kind":"timeout","message":"the query took longer than 10m"}}}}"#,
            failed.id, failed.time
        )
        .as_bytes(),
    );
    site.once();
    says(
        &site,
        "inbox/aaa/stray",
        &[
            "held in the bucket since ",
            "(key): ",
            "put it again under a right key",
        ],
    );
    says(
        &site,
        &failed.id.to_string(),
        &[
            "noted since ",
            "the query took longer than 10m",
            "It carries no rows",
        ],
    );
    says(
        &site,
        "jfk/departures",
        &["last trouble: file ", " noted since "],
    );

    let key = vanishing.key().to_string();
    let answer = site
        .inbox
        .request(&site.inbox.root(), "DELETE", &key, "")
        .unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
    site.execute("DROP TABLE jfk.departures; DELETE FROM nightdrop.pause");
    site.once();
    says(
        &site,
        &key,
        &[
            "missing since ",
            "nothing of it is in the reports: have the producer run departures again",
        ],
    );

    // Put again, and loaded, and long ago: what was missing says nothing any more. It is looked at again
    // after an hour.
    site.execute(
        "UPDATE nightdrop.file SET gone_at = gone_at - interval '1 h' WHERE state = 'missing'",
    );
    site.drop(&vanishing);
    site.drop(&departures("2013-01-31T07:00:00Z"));
    site.once();
    says(
        &site,
        &key,
        &[
            "loaded since ",
            "other sightings of it:",
            "its run is in the reports as file ",
        ],
    );
    let file = site.rows(&format!(
        "SELECT id FROM nightdrop.file WHERE key = '{key}' AND state = 'loaded'"
    ));
    site.execute("UPDATE nightdrop.file SET decided_at = decided_at - interval '500 days', gone_at = gone_at - interval '500 days'");
    site.once();
    for what in [&key, &vanishing.id.to_string(), &file[0]] {
        says(
            &site,
            what,
            &[&format!(
                "loaded, as file {}, and its history is pruned",
                file[0]
            )],
        );
    }
}
