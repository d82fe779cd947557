//! What is bad is parked with a sentence that says why, and delays nobody.

use nightdrop_schema::Key;
use serde_json::json;

use crate::message::{departures, message};
use crate::site::on_each;

#[test]
fn bad_files_are_parked_by_name_and_the_good_one_behind_them_loads_in_the_same_pass() {
    on_each(|site| {
        let truncated = departures("2013-01-31T01:00:00Z");
        let whole = truncated.body();
        site.drop_as(&truncated.key(), &whole.as_bytes()[..whole.len() - 20]);
        site.drop(&departures("2013-01-31T02:00:00Z").rows(&json!([["UA", 1], ["AA", 1545.5]])));
        let unknown = departures("2013-01-31T03:00:00Z");
        site.drop_as(
            &unknown.key(),
            unknown.body().replace("result.v1", "result.v9").as_bytes(),
        );
        let garbage = departures("2013-01-31T04:00:00Z").key().to_string() + ".gz";
        site.drop_as(&garbage.parse().unwrap(), b"this is no gzip");
        site.drop(&departures("2013-01-31T05:00:00Z"));

        let ended = site.once();

        assert_eq!(
            ended.stdout,
            "1 result loaded, 2 rows; 4 parked: `nightdrop-consumer status` says why\n"
        );
        assert_eq!(
            site.states(),
            [
                "parked|truncated",
                "parked|contract",
                "parked|unknown_version",
                "parked|undecodable",
                "loaded|null"
            ]
        );
        let sentences =
            site.rows("SELECT error FROM nightdrop.file WHERE state = 'parked' ORDER BY id");
        assert!(sentences[0].contains("the file ends"), "{}", sentences[0]);
        assert_eq!(
            sentences[1],
            "data.rows[1][1] (flight, int64): 1545.5 has a point; round it in the query, or make the column a decimal"
        );
        assert!(
            sentences[2].contains("nightdrop.result.v9"),
            "{}",
            sentences[2]
        );
        assert!(sentences[3].contains("gzip"), "{}", sentences[3]);
        // What is parked is kept to the byte, and gone from the bucket.
        assert_eq!(
            site.rows(
                "SELECT convert_from(bytes, 'UTF8') FROM nightdrop.parked ORDER BY file LIMIT 1"
            ),
            [&whole[..whole.len() - 20]]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_producer_has_no_say_outside_its_own_prefix() {
    on_each(|site| {
        let mut claims_another = departures("2013-01-31T01:00:00Z");
        let key = claims_another.key();
        claims_another.source = "lga".into();
        site.drop_as(&key, claims_another.body().as_bytes());
        site.once();
        assert_eq!(site.states(), ["parked|contract"]);
        let sentence = site.rows("SELECT error FROM nightdrop.file").concat();
        assert!(
            sentence.contains("jfk") && sentence.contains("lga"),
            "{sentence}"
        );
        assert_eq!(site.rows("SELECT to_regclass('lga.departures')"), ["null"]);
    });
}

#[test]
fn a_key_outside_the_grammar_is_held_and_hides_nobody() {
    on_each(|site| {
        for path in ["inbox/jfk/departures/hello.json", "inbox/aaa/stray"] {
            let answer = site
                .inbox
                .request(&site.inbox.root(), "PUT", path, "x")
                .unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.once();
        site.once();
        assert_eq!(
            site.rows("SELECT key, state, reason FROM nightdrop.file ORDER BY key"),
            [
                "inbox/aaa/stray|held|key".to_owned(),
                format!("{}|loaded|null", departures_key(&site)),
                "inbox/jfk/departures/hello.json|held|key".to_owned(),
            ]
        );
        assert_eq!(
            site.keys(),
            ["inbox/aaa/stray", "inbox/jfk/departures/hello.json"]
        );
    });
}

fn departures_key(site: &crate::site::Site) -> String {
    site.rows("SELECT key FROM nightdrop.file WHERE state = 'loaded'")
        .concat()
}

#[test]
fn the_same_run_with_other_content_is_parked_with_an_alarm() {
    on_each(|site| {
        let result = departures("2013-01-31T01:00:00Z");
        site.drop(&result);
        site.once();
        site.drop(&result.rows(&json!([["B6", 1]])));
        let ended = site.once();
        assert_eq!(site.states(), ["loaded|null", "parked|run_reused"]);
        assert!(
            ended.stderr.contains("with other content"),
            "{}",
            ended.stderr
        );
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
    });
}

#[test]
fn a_result_from_the_future_is_parked() {
    on_each(|site| {
        site.drop(&departures("2199-01-01T00:00:00Z"));
        site.once();
        assert_eq!(site.states(), ["parked|future"]);
    });
}

#[test]
fn a_changed_type_is_parked_and_says_what_to_do() {
    on_each(|site| {
        site.drop(&departures("2013-01-31T01:00:00Z"));
        let text =
            json!([{"name": "carrier", "type": "string"}, {"name": "flight", "type": "string"}]);
        site.drop(
            &departures("2013-01-31T02:00:00Z")
                .with("columns", text)
                .rows(&json!([["UA", "1"]])),
        );
        site.once();
        assert_eq!(site.states(), ["loaded|null", "parked|changed_type"]);
        assert_eq!(
            site.rows("SELECT error FROM nightdrop.file WHERE state = 'parked'"),
            [
                "column flight is string (text) here and bigint in jfk.departures; give it its old type again, or another name"
            ]
        );
    });
}

#[test]
fn what_a_report_table_refuses_is_found_among_its_neighbours_and_parked() {
    on_each(|site| {
        let site = site.configured("[[route]]\njob = \"departures\"\nproducers = [\"*\"]\ntable = \"reports.departures\"\n");
        site.execute(
            "CREATE SCHEMA reports; CREATE TABLE reports.departures (_producer text NOT NULL, _as_of timestamptz NOT NULL, \
             _file bigint NOT NULL, carrier text, flight bigint CHECK (flight < 9000))",
        );
        for (hour, flight) in (10..20).zip([1, 2, 3, 9999, 5, 6, 7, 8, 9998, 10]) {
            site.drop(
                &departures(&format!("2013-01-31T{hour}:00:00Z")).rows(&json!([["UA", flight]])),
            );
        }
        site.once();
        assert_eq!(
            site.rows("SELECT flight FROM reports.departures ORDER BY 1"),
            ["1", "2", "3", "5", "6", "7", "8", "10"]
        );
        let parked = site.rows("SELECT reason, error FROM nightdrop.file WHERE state = 'parked'");
        assert_eq!(parked.len(), 2);
        assert!(
            parked[0].starts_with("refused|Postgres refused it: ")
                && parked[0].contains("departures_flight_check"),
            "{parked:?}"
        );
    });
}

#[test]
fn a_table_that_is_not_ours_is_never_written_and_its_job_rests_while_others_go_on() {
    on_each(|site| {
        site.execute(
            "CREATE SCHEMA jfk; CREATE TABLE jfk.departures (carrier text, flight bigint)",
        );
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.drop(&message("lga", "departures", "2013-01-31T01:00:00Z"));
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["0"]);
        assert_eq!(
            site.rows("SELECT producer, state, attempts FROM nightdrop.file ORDER BY 1"),
            ["jfk|waiting|0", "lga|loaded|0"]
        );
        site.execute("UPDATE nightdrop.pause SET until = now() + interval '1 h'");
        let status = site.consumer(&["status"]);
        assert!(
            status
                .stdout
                .contains("jfk/departures rests: jfk.departures is there already"),
            "{}",
            status.stdout
        );

        // Once a person has looked, it loads by itself.
        site.execute("DROP TABLE jfk.departures; UPDATE nightdrop.pause SET until = now()");
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
    });
}

#[test]
fn a_bad_file_that_is_too_large_to_park_is_held_in_the_bucket() {
    on_each(|site| {
        let site = site.configured("[load]\npark_up_to = \"1KiB\"\nstream_above = \"1KiB\"\n");
        let result = departures("2013-01-31T01:00:00Z").rows(&json!(
            (0..1000).map(|n| json!(["UA", n])).collect::<Vec<_>>()
        ));
        let key: Key = result.key();
        let whole = result.body();
        site.drop_as(&key, &whole.as_bytes()[..whole.len() - 1]);
        site.once();
        assert_eq!(site.states(), ["held|truncated"]);
        assert_eq!(site.keys(), [key.to_string()]);
    });
}
