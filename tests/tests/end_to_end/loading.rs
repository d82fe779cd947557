//! What was dropped is in the reports, once.

use serde_json::json;

use crate::message::{departures, message};
use crate::site::on_each;

#[test]
fn a_result_dropped_while_nobody_is_there_is_loaded_and_its_object_deleted() {
    on_each(|site| {
        site.drop(&departures("2013-01-31T05:00:00.123456Z"));
        assert_eq!(site.keys().len(), 1);

        let ended = site.once();

        assert_eq!(ended.stdout, "1 result loaded, 2 rows\n");
        assert_eq!(
            site.rows(
                "SELECT carrier, flight, _producer, _as_of FROM jfk.departures ORDER BY flight"
            ),
            [
                "AA|1141|jfk|2013-01-31T05:00:00.123456+00:00",
                "UA|1545|jfk|2013-01-31T05:00:00.123456+00:00"
            ]
        );
        assert_eq!(
            site.rows("SELECT f.state, f.row_count, f.attempts, f.gone_at IS NOT NULL FROM nightdrop.file f JOIN jfk.departures d ON d._file = f.id"),
            ["loaded|2|0|true", "loaded|2|0|true"]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn the_same_run_dropped_again_is_a_duplicate() {
    on_each(|site| {
        let result = departures("2013-01-31T05:00:00Z");
        site.drop(&result);
        site.once();
        site.drop(&result);
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
        assert_eq!(site.states(), ["loaded|null", "duplicate|null"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn the_same_run_under_two_keys_is_loaded_once() {
    on_each(|site| {
        let result = departures("2013-01-31T05:00:00Z");
        let (gzip, packed) = result.gzipped();
        site.drop(&result);
        site.drop_as(&gzip, &packed);

        site.once();

        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
        assert_eq!(
            site.rows("SELECT state, count(*) FROM nightdrop.file GROUP BY state ORDER BY state"),
            ["duplicate|1", "loaded|1"]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn an_empty_result_makes_its_table() {
    on_each(|site| {
        site.drop(&departures("2013-01-31T05:00:00Z").rows(&json!([])));
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["0"]);
        assert_eq!(site.states(), ["loaded|null"]);
    });
}

#[test]
fn two_jobs_of_two_producers_share_a_routed_table() {
    on_each(|site| {
        let site = site.configured(
            "[[route]]\njob = \"departures\"\nproducers = [\"*\"]\ntable = \"reports.departures\"\n",
        );
        site.drop(&message("jfk", "departures", "2013-01-31T05:00:00Z"));
        site.drop(&message("lga", "departures", "2013-01-31T06:00:00Z").rows(&json!([["DL", 7]])));
        site.once();
        assert_eq!(
            site.rows("SELECT _producer, count(*) FROM reports.departures GROUP BY 1 ORDER BY 1"),
            ["jfk|2", "lga|1"]
        );
    });
}

#[test]
fn a_new_column_is_added_and_a_lost_one_is_null() {
    on_each(|site| {
        site.drop(&departures("2013-01-31T05:00:00Z").rows(&json!([["UA", 1]])));
        let wider = json!([
            {"name": "flight", "type": "int64"},
            {"name": "fare", "type": "decimal", "description": "What it's \"worth\"; in $"}
        ]);
        site.drop(
            &departures("2013-02-01T05:00:00Z")
                .with("columns", wider)
                .rows(&json!([[2, "99.90"]])),
        );
        site.once();
        assert_eq!(
            site.rows("SELECT carrier, flight, fare FROM jfk.departures ORDER BY flight"),
            ["UA|1|null", "null|2|99.90"]
        );
        assert_eq!(
            site.rows("SELECT col_description('jfk.departures'::regclass, attnum) c FROM pg_attribute WHERE attrelid = 'jfk.departures'::regclass AND attname = 'fare'"),
            ["What it's \"worth\"; in $"]
        );
    });
}

#[test]
fn a_large_file_is_streamed_and_loaded_like_a_small_one() {
    on_each(|site| {
        let rows: Vec<_> = (0..200_000).map(|n| json!(["UA", n])).collect();
        let result = departures("2013-01-31T05:00:00Z").rows(&json!(rows));
        site.drop(&result);
        site.drop(&departures("2013-01-31T06:00:00Z"));
        site.once();
        assert_eq!(
            site.rows("SELECT count(*), sum(flight) FROM jfk.departures"),
            ["200002|19999902686"]
        );
        assert_eq!(
            site.rows("SELECT streamed, state FROM nightdrop.file ORDER BY id"),
            ["true|loaded", "false|loaded"]
        );
    });
}

#[test]
fn a_small_file_that_inflates_a_lot_takes_the_lane_of_large_ones() {
    on_each(|site| {
        let rows: Vec<_> = (0..300_000).map(|_| json!(["UA", 1])).collect();
        let result = departures("2013-01-31T05:00:00Z").rows(&json!(rows));
        let (gzip, packed) = result.gzipped();
        site.drop_as(&gzip, &packed);
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["300000"]);
        assert_eq!(
            site.rows("SELECT streamed, state, attempts FROM nightdrop.file"),
            ["true|loaded|0"]
        );
    });
}

#[test]
fn a_canary_and_word_of_a_failed_run_are_noted_and_deleted() {
    on_each(|site| {
        let id = uuid::Uuid::now_v7();
        let envelope = |ty: &str, subject: &str, data: &str| {
            format!(
                r#"{{"specversion":"1.0","type":"{ty}","id":"{id}","source":"jfk","subject":"{subject}","time":"2013-01-31T05:00:00Z","data":{data}}}"#
            )
        };
        let key = |job: &str| {
            format!("inbox/jfk/{job}/20130131T050000Z-{id}.json")
                .parse()
                .unwrap()
        };
        site.drop_as(
            &key("nightdrop_probe"),
            envelope("nightdrop.probe.v1", "nightdrop_probe", "{}").as_bytes(),
        );
        let failed = r#"{"code":69,"kind":"timeout","message":"the query took longer than 10m"}"#;
        site.drop_as(
            &key("departures"),
            envelope("nightdrop.failed.v1", "departures", failed).as_bytes(),
        );
        site.once();
        assert_eq!(
            site.rows("SELECT state, reason, error FROM nightdrop.file ORDER BY job DESC"),
            [
                "noted|probe|a canary: it was seen",
                "noted|failed|the run failed with exit code 69 (timeout): the query took longer than 10m"
            ]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}
