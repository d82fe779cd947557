//! What a person types, and reads.

use serde_json::{Value, json};

use super::{files, once_without_deletes, parked};
use crate::message::{Message, departures, message};
use crate::site::{Site, on_one};

fn bad(producer: &str, time: &str) -> Message {
    message(producer, "departures", time).rows(&json!([["UA", 1545.5]]))
}

/// Three bad files of two producers.
fn three() -> (Site, [Message; 3]) {
    let site = Site::anywhere();
    let messages = [
        bad("jfk", "2013-01-31T05:00:00Z"),
        bad("jfk", "2013-01-31T06:00:00Z"),
        bad("lga", "2013-01-31T07:00:00Z"),
    ];
    for message in &messages {
        site.drop(message);
        site.once();
    }
    (site, messages)
}

#[test]
fn list_has_a_line_a_file_and_the_same_as_json() {
    let (site, messages) = three();
    let list = parked(&site, &["list"]).stdout;
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(lines.len(), 4, "{list}");
    assert_eq!(
        lines[1][..4],
        ["1", "parked", "jfk/departures", "2013-01-31 05:00:00Z"]
    );
    assert_eq!(lines[1][5], "contract");
    assert!(
        lines[1][7].starts_with("data.rows[0][1] (flight, int64): 1545.5"),
        "{list}"
    );

    let json: Value =
        serde_json::from_str(&parked(&site, &["list", "--json", "--producer", "lga"]).stdout)
            .unwrap();
    assert_eq!(json["more"], 0);
    assert_eq!(json["files"].as_array().unwrap().len(), 1);
    assert_eq!(json["files"][0]["key"], messages[2].key().to_string());
    assert_eq!(json["files"][0]["state"], "parked");

    let some = parked(&site, &["list", "--limit", "2"]).stdout;
    assert!(some.contains("and 1 more"), "{some}");
    assert_eq!(
        parked(&site, &["list", "--job", "arrivals"]).stdout,
        "nothing that is parked or held is meant by that\n"
    );
    parked(&site, &["drop", "1", "2", "3"]);
    assert_eq!(
        parked(&site, &["list"]).stdout,
        "nothing is parked or held\n"
    );
}

#[test]
fn show_says_all_that_is_known_and_what_to_do() {
    let (site, messages) = three();
    let page = parked(&site, &["show", "2"]).stdout;
    for part in [
        "file 2 is parked (contract)\n  data.rows[0][1] (flight, int64): 1545.5 has a point",
        &messages[1].key().to_string(),
        "in Postgres; deleted from the bucket",
        "`nightdrop-consumer parked drop 2`",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    assert!(!page.contains("file 1"), "{page}");
}

#[test]
fn retry_and_drop_never_mean_everything_by_saying_nothing() {
    let (site, _) = three();
    for verb in ["retry", "drop", "export", "show"] {
        let ended = site.consumer(&["parked", verb]);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains("which files"), "{ended:?}");
    }
    assert_eq!(files(&site), ["parked|contract|true|1"; 3]);
    // Nor is one way to pick taken for another.
    for words in [
        &["drop", "1", "--producer", "jfk"][..],
        &["drop", "--reason", "bad"],
    ] {
        let ended = site.consumer(&[&["parked"], words].concat());
        assert_eq!(ended.code, Some(64), "{ended:?}");
    }
    assert_eq!(files(&site), ["parked|contract|true|1"; 3]);
}

#[test]
fn drop_says_what_it_dropped_and_touches_nothing_else() {
    let (site, messages) = three();
    let ended = parked(&site, &["drop", "--producer", "jfk"]);
    for (id, message) in [(1, &messages[0]), (2, &messages[1])] {
        let line = format!("{id} {} dropped\n", message.key());
        assert!(ended.stdout.contains(&line), "{ended:?}");
    }
    assert_eq!(
        files(&site),
        [
            "dropped|contract|false|0",
            "dropped|contract|false|0",
            "parked|contract|true|1"
        ]
    );
    let none = parked(&site, &["drop", "--producer", "jfk"]);
    assert_eq!(
        none.stdout,
        "nothing that is parked or held is meant by that\n"
    );
}

#[test]
fn ids_that_are_not_parked_or_held_are_named_and_the_others_are_done() {
    let (site, _) = three();
    site.drop(&departures("2013-01-31T08:00:00Z"));
    site.once();
    let ended = site.consumer(&["parked", "drop", "4", "2", "99"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("file 4 is loaded, not parked or held"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("there is no file 99 in the ledger"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("2 inbox/jfk/"), "{ended:?}");
    assert_eq!(
        site.rows("SELECT state FROM nightdrop.file ORDER BY id"),
        ["parked", "dropped", "parked", "loaded"]
    );
}

#[test]
fn export_writes_the_bytes_as_they_were_and_never_over_a_file() {
    on_one(|site| {
        let site = site.configured("[load]\npark_up_to = \"1KiB\"\n");
        let small = bad("jfk", "2013-01-31T05:00:00Z");
        let rows: Vec<Value> = (0..200_000)
            .map(|n| json!(["UA", f64::from(n) + 0.5]))
            .collect();
        let held = departures("2013-01-31T06:00:00Z").rows(&json!(rows));
        let answer = site
            .inbox
            .request(&site.inbox.root(), "PUT", "inbox/stray", "x");
        assert_eq!(answer.unwrap().status, 200);
        site.drop(&small);
        site.drop(&held);
        site.once();
        assert_eq!(
            site.states(),
            ["parked|contract", "held|contract", "held|key"]
        );

        let to = tempfile::tempdir().unwrap();
        let folder = to.path().to_str().unwrap();
        let export = |words: &[&str]| {
            site.consumer(&[&["parked", "export", "--to", folder], words].concat())
        };
        let ended = export(&["1", "2"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for message in [&small, &held] {
            let name = message
                .key()
                .to_string()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
            let path = to.path().join(name);
            assert!(
                ended
                    .stdout
                    .contains(&format!("written to {}\n", path.display())),
                "{ended:?}"
            );
            assert!(std::fs::read(&path).unwrap() == message.body().as_bytes());
            std::fs::write(&path, "mine").unwrap();
        }

        let again = export(&["1", "2"]);
        assert_eq!(again.code, Some(73), "{again:?}");
        assert!(again.stderr.contains("is there already"), "{again:?}");
        let there: Vec<_> = std::fs::read_dir(to.path())
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert_eq!(there, [b"mine", b"mine"]);

        let stray = export(&["--reason", "key"]);
        assert_eq!(stray.code, Some(65), "{stray:?}");
        assert!(stray.stderr.contains("outside the grammar"), "{stray:?}");
        assert_eq!(
            site.states(),
            ["parked|contract", "held|contract", "held|key"]
        );
    });
}

#[test]
fn a_file_that_is_dropped_before_its_object_is_deleted_is_deleted_after_all() {
    on_one(|mut site| {
        site.drop(&bad("jfk", "2013-01-31T05:00:00Z"));
        once_without_deletes(&mut site);
        parked(&site, &["drop", "1"]);
        assert_eq!(files(&site), ["dropped|contract|false|0"]);
        assert_eq!(site.keys().len(), 1);
        site.once();
        assert_eq!(site.keys(), Vec::<String>::new());
        assert_eq!(files(&site), ["dropped|contract|false|0"]);
    });
}
