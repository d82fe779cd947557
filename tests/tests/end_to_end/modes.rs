//! `replace` and `upsert` end as if all results had come in the order of their time.

use serde_json::{Value, json};

use crate::message::{Message, message};
use crate::site::{Site, on_one};

fn replace(time: &str, rows: &Value) -> Message {
    message("jfk", "fleet", time)
        .with("mode", json!("replace"))
        .rows(rows)
}

fn upsert(time: &str, rows: &Value) -> Message {
    message("jfk", "fleet", time)
        .with("mode", json!("upsert"))
        .with("primary_key", json!(["carrier"]))
        .rows(rows)
}

fn days(time: &str, from: &str, to: &str, rows: &Value) -> Message {
    message("jfk", "days", time)
        .with("mode", json!("replace"))
        .with(
            "columns",
            json!([{"name": "day", "type": "date"}, {"name": "n", "type": "int64"}]),
        )
        .with("range", json!({"column": "day", "from": from, "to": to}))
        .rows(rows)
}

fn fleet(site: &Site) -> Vec<String> {
    site.rows("SELECT carrier, flight FROM jfk.fleet ORDER BY 1, 2")
}

#[test]
fn a_replace_takes_the_place_of_the_producers_older_rows() {
    on_one(|site| {
        site.drop(&replace(
            "2013-01-01T00:00:00Z",
            &json!([["AA", 1], ["UA", 1]]),
        ));
        site.once();
        site.drop(&replace("2013-01-02T00:00:00Z", &json!([["AA", 2]])));
        site.once();
        assert_eq!(fleet(&site), ["AA|2"]);
    });
}

#[test]
fn a_replace_leaves_other_producers_rows_alone() {
    on_one(|site| {
        let site = site.configured(
            "[[route]]\njob = \"fleet\"\nproducers = [\"*\"]\ntable = \"reports.fleet\"\n",
        );
        let mut other = replace("2013-01-01T00:00:00Z", &json!([["B6", 1]]));
        other.source = "lga".into();
        site.drop(&other);
        site.drop(&replace("2013-01-02T00:00:00Z", &json!([["AA", 2]])));
        site.once();
        assert_eq!(
            site.rows("SELECT _producer, carrier FROM reports.fleet ORDER BY 1"),
            ["jfk|AA", "lga|B6"]
        );
    });
}

#[test]
fn a_late_replace_is_superseded() {
    on_one(|site| {
        site.drop(&replace("2013-01-02T00:00:00Z", &json!([["AA", 2]])));
        site.once();
        site.drop(&replace(
            "2013-01-01T00:00:00Z",
            &json!([["AA", 1], ["UA", 1]]),
        ));
        site.once();
        assert_eq!(fleet(&site), ["AA|2"]);
        assert_eq!(site.states(), ["loaded|null", "superseded|null"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn replaces_of_one_batch_end_with_the_newest_whatever_their_order() {
    on_one(|site| {
        for day in ["03", "01", "02"] {
            site.drop(&replace(
                &format!("2013-01-{day}T00:00:00Z"),
                &json!([["AA", day.parse::<i64>().unwrap()]]),
            ));
        }
        site.once();
        assert_eq!(fleet(&site), ["AA|3"]);
    });
}

#[test]
fn a_ranged_replace_touches_its_range_and_a_late_one_that_none_touches_is_loaded() {
    on_one(|site| {
        site.drop(&days(
            "2013-02-01T00:00:00Z",
            "2013-01-10",
            "2013-01-20",
            &json!([["2013-01-10", 1], ["2013-01-19", 1]]),
        ));
        site.once();
        site.drop(&days(
            "2013-01-31T00:00:00Z",
            "2013-01-20",
            "2013-01-30",
            &json!([["2013-01-20", 2]]),
        ));
        site.drop(&days(
            "2013-02-02T00:00:00Z",
            "2013-01-10",
            "2013-01-11",
            &json!([["2013-01-10", 3]]),
        ));
        site.once();
        assert_eq!(
            site.rows("SELECT day, n FROM jfk.days ORDER BY 1"),
            ["2013-01-10|3", "2013-01-19|1", "2013-01-20|2"]
        );
    });
}

#[test]
fn a_late_range_that_newer_ones_cover_is_superseded_and_a_partial_overlap_is_parked() {
    on_one(|site| {
        site.drop(&days(
            "2013-02-01T00:00:00Z",
            "2013-01-10",
            "2013-01-20",
            &json!([["2013-01-10", 1]]),
        ));
        site.drop(&days(
            "2013-02-02T00:00:00Z",
            "2013-01-20",
            "2013-01-30",
            &json!([["2013-01-20", 2]]),
        ));
        site.once();
        site.drop(&days(
            "2013-01-31T00:00:00Z",
            "2013-01-15",
            "2013-01-25",
            &json!([["2013-01-15", 3]]),
        ));
        site.drop(&days(
            "2013-01-31T00:00:00Z",
            "2013-01-25",
            "2013-02-25",
            &json!([["2013-02-15", 4]]),
        ));
        site.once();
        assert_eq!(
            site.rows("SELECT day, n FROM jfk.days ORDER BY 1"),
            ["2013-01-10|1", "2013-01-20|2"]
        );
        assert_eq!(
            site.rows("SELECT state, reason FROM nightdrop.file ORDER BY state, id"),
            [
                "loaded|null",
                "loaded|null",
                "parked|partial_overlap",
                "superseded|null"
            ]
        );
    });
}

#[test]
fn an_upsert_is_decided_row_by_row() {
    on_one(|site| {
        site.drop(&upsert(
            "2013-01-02T00:00:00Z",
            &json!([["AA", 2], ["UA", 2]]),
        ));
        site.once();
        // Late: only the key that nobody has newer is taken.
        site.drop(&upsert(
            "2013-01-01T00:00:00Z",
            &json!([["AA", 1], ["B6", 1]]),
        ));
        site.drop(&upsert("2013-01-03T00:00:00Z", &json!([["UA", 3]])));
        site.once();
        assert_eq!(fleet(&site), ["AA|2", "B6|1", "UA|3"]);
        assert_eq!(
            site.rows("SELECT DISTINCT state FROM nightdrop.file"),
            ["loaded"]
        );
    });
}

#[test]
fn an_upsert_with_a_repeated_key_is_parked_and_its_neighbours_load() {
    on_one(|site| {
        site.drop(&upsert("2013-01-01T00:00:00Z", &json!([["AA", 1]])));
        site.drop(&upsert(
            "2013-01-02T00:00:00Z",
            &json!([["UA", 1], ["UA", 2]]),
        ));
        site.drop(&upsert("2013-01-03T00:00:00Z", &json!([["B6", 3]])));
        site.once();
        assert_eq!(fleet(&site), ["AA|1", "B6|3"]);
        assert_eq!(
            site.states(),
            ["loaded|null", "parked|repeated_key", "loaded|null"]
        );
    });
}

#[test]
fn a_streamed_upsert_and_a_streamed_replace_end_like_small_ones() {
    on_one(|site| {
        let site = site.configured("[load]\nstream_above = \"100\"\n");
        site.drop(&upsert(
            "2013-01-02T00:00:00Z",
            &json!([["AA", 2], ["UA", 2]]),
        ));
        site.once();
        site.drop(&upsert(
            "2013-01-01T00:00:00Z",
            &json!([["AA", 1], ["B6", 1]]),
        ));
        let mut other = replace("2013-01-02T00:00:00Z", &json!([["AA", 2]]));
        other.subject = "wings".into();
        let mut late = replace("2013-01-01T00:00:00Z", &json!([["AA", 1]]));
        late.subject = "wings".into();
        site.drop(&other);
        site.once();
        site.drop(&late);
        site.once();
        assert_eq!(fleet(&site), ["AA|2", "B6|1", "UA|2"]);
        assert_eq!(site.rows("SELECT carrier, flight FROM jfk.wings"), ["AA|2"]);
        assert_eq!(
            site.rows("SELECT count(*) FROM nightdrop.file WHERE NOT streamed"),
            ["0"]
        );
    });
}

#[test]
fn a_changed_mode_or_key_is_parked_by_name() {
    on_one(|site| {
        site.drop(&upsert("2013-01-01T00:00:00Z", &json!([["AA", 1]])));
        site.once();
        site.drop(
            &upsert("2013-01-02T00:00:00Z", &json!([["AA", 2]]))
                .with("primary_key", json!(["flight"])),
        );
        site.drop(&message("jfk", "fleet", "2013-01-03T00:00:00Z"));
        site.once();
        assert_eq!(
            site.states(),
            ["loaded|null", "parked|changed_key", "parked|changed_mode"]
        );
        assert_eq!(fleet(&site), ["AA|1"]);
    });
}
