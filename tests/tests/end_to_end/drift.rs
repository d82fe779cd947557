//! Results change their columns, owners change their tables, and producers have only so many of either.

use serde_json::{Value, json};

use crate::message::{Message, departures, message};
use crate::site::{Site, until};

const ROUTE: &str = "[[route]]\njob = \"fleet\"\nproducers = [\"*\"]\ntable = \"reports.fleet\"\n";

const STREAMED: &str = "[load]\nstream_above = \"1B\"\n";

/// A table as its owner made it, with what every report table has.
fn owned(site: &Site, columns: &str) {
    site.execute(&format!(
        "CREATE SCHEMA IF NOT EXISTS reports;
         CREATE TABLE reports.fleet (_producer text, _as_of timestamptz, _file bigint, {columns})"
    ));
}

fn columns(columns: &[(&str, &str)]) -> Value {
    columns
        .iter()
        .map(|(name, ty)| json!({"name": name, "type": ty}))
        .collect()
}

fn fleet(time: &str, of: &[(&str, &str)], rows: &Value) -> Message {
    message("jfk", "fleet", time)
        .with("columns", columns(of))
        .rows(rows)
}

#[test]
fn columns_that_several_consumers_add_at_once_are_all_there_with_all_their_values() {
    let site = Site::anywhere().configured("[load]\nbatch_files = 2\n");
    for n in 0..40 {
        site.drop(
            &departures(&format!("2013-01-31T05:00:{n:02}Z"))
                .with(
                    "columns",
                    columns(&[("n", "int64"), (&format!("c{}", n / 2), "string")]),
                )
                .rows(&json!([[n, format!("value {n}")]])),
        );
    }

    let consumers: Vec<_> = (0..3).map(|_| site.start(&["run"])).collect();
    site.wait_for("SELECT count(*) FROM jfk.departures", &["40"]);

    assert_eq!(
        site.rows("SELECT DISTINCT state, attempts FROM nightdrop.file"),
        ["loaded|0"]
    );
    for n in 0..40 {
        assert_eq!(
            site.rows(&format!(
                "SELECT c{} FROM jfk.departures WHERE n = {n}",
                n / 2
            )),
            [format!("value {n}")]
        );
    }
    for consumer in &consumers {
        let log = consumer.log();
        // On a busy machine one may wait for the others' columns for longer than it does, and rests.
        let refused = |line: &str| line.contains("refuses") && !line.contains("lock timeout");
        assert!(!log.lines().any(refused), "{log}");
    }
}

#[test]
fn a_column_that_a_result_has_lost_is_null_in_its_rows() {
    let site = Site::anywhere();
    for mode in ["append", "replace", "upsert"] {
        let result = |time: &str| {
            let mut message = message("jfk", &format!("{mode}s"), time).with("mode", json!(mode));
            if mode == "upsert" {
                message = message.with("primary_key", json!(["carrier"]));
            }
            message
        };
        site.drop(&result("2013-01-01T00:00:00Z"));
        site.drop(
            &result("2013-01-02T00:00:00Z")
                .with("columns", columns(&[("carrier", "string")]))
                .rows(&json!([["UA"]])),
        );
    }
    site.once();
    let rows = |table: &str| {
        site.rows(&format!(
            "SELECT carrier, flight FROM jfk.{table} ORDER BY _file, 1"
        ))
    };
    assert_eq!(rows("appends"), ["AA|1141", "UA|1545", "UA|null"]);
    assert_eq!(rows("replaces"), ["UA|null"]);
    assert_eq!(rows("upserts"), ["AA|1141", "UA|null"]);
}

#[test]
fn a_routes_wider_column_takes_each_value_as_it_is_in_every_mode() {
    let narrow = [
        ("id", "int64"),
        ("name", "string"),
        ("seats", "int64"),
        ("more", "json"),
    ];
    let rows = json!([
        [i64::MIN, "a", "9223372036854775807", {"b": 1, "a": [1.5]}],
        [i64::MAX, "b  ", null, null],
        [9_007_199_254_740_993_i64, "", -1, {}]
    ]);
    for streamed in ["", STREAMED] {
        for mode in ["append", "replace", "ranged", "upsert"] {
            let site = Site::anywhere().configured(&format!("{streamed}{ROUTE}"));
            owned(
                &site,
                "id numeric, name varchar, seats numeric(21,2), more json, own text DEFAULT 'theirs', UNIQUE (_producer, id)",
            );
            let mut result = fleet("2013-01-01T00:00:00Z", &narrow, &rows);
            if mode == "ranged" {
                let range = json!({"column": "id", "from": i64::MIN, "to": i64::MAX});
                let [one, _, three] = &rows.as_array().unwrap()[..] else {
                    unreachable!("three rows");
                };
                result = result.with("mode", json!("replace")).with("range", range);
                site.drop(&result.clone().rows(&json!([one, three])));
                result.time = "2013-01-02T00:00:00Z".into();
                result.id = departures(&result.time).id;
                result = result.rows(&json!([one, three]));
            } else {
                result = result.with("mode", json!(mode));
            }
            if mode == "upsert" {
                result = result.with("primary_key", json!(["id"]));
                site.drop(&result);
                result.time = "2013-01-02T00:00:00Z".into();
                result.id = departures(&result.time).id;
            }
            site.drop(&result);
            site.once();
            let mut expected = vec![
                r#"-9223372036854775808|a|9223372036854775807.00|{"a":[1.5],"b":1}|theirs"#
                    .to_owned(),
                "9007199254740993||-1.00|{}|theirs".to_owned(),
            ];
            if mode != "ranged" {
                expected.push("9223372036854775807|b  |null|null|theirs".to_owned());
            }
            assert_eq!(
                site.rows(
                    "SELECT id::text, name, seats::text, more::text, own FROM reports.fleet ORDER BY reports.fleet.id"
                ),
                expected,
                "{mode} {streamed}: {:?}",
                site.rows("SELECT state, error FROM nightdrop.file")
            );
        }
    }
}

#[test]
fn a_routes_column_that_would_alter_a_value_takes_none_and_says_what_to_do() {
    for (ty, column, cell) in [
        ("int64", "integer", json!(1)),
        ("decimal", "numeric(10,2)", json!("1.005")),
        ("string", "character varying(3)", json!("abc   ")),
        (
            "timestamptz",
            "timestamp(0) with time zone",
            json!("2013-01-31T05:17:00.7Z"),
        ),
        (
            "time",
            "time(3) without time zone",
            json!("05:17:00.123456"),
        ),
    ] {
        let site = Site::anywhere().configured(ROUTE);
        owned(&site, &format!("c {column}"));
        site.drop(&fleet(
            "2013-01-01T00:00:00Z",
            &[("c", ty)],
            &json!([[cell]]),
        ));
        site.once();
        assert_eq!(
            site.rows("SELECT c FROM reports.fleet"),
            Vec::<String>::new(),
            "{ty}"
        );
        let [error] = &site.rows("SELECT reason || ': ' || error FROM nightdrop.file")[..] else {
            panic!("one file");
        };
        assert!(
            error.starts_with(&format!("changed_type: column c is {ty} ("))
                && error.contains(&format!(" here and {column} in reports.fleet"))
                && error.contains(
                    "cast it in the query, or have the table's owner change it: ALTER TABLE"
                ),
            "{error}"
        );
    }
}

#[test]
fn a_routed_table_gets_no_column_but_from_its_owner() {
    let site = Site::anywhere().configured(ROUTE);
    owned(&site, "carrier text");
    site.drop(&message("jfk", "fleet", "2013-01-01T00:00:00Z"));
    site.once();
    assert_eq!(
        site.rows("SELECT reason, error FROM nightdrop.file"),
        [
            r#"column_unknown|column flight is not in reports.fleet, whose columns are its owner's; add it: ALTER TABLE "reports"."fleet" ADD COLUMN "flight" bigint"#
        ]
    );
}

/// Eight bytes of an integer are eight bytes of a double too: a COPY in binary would not notice.
#[test]
fn a_column_changed_behind_a_consumers_back_never_makes_a_value_another() {
    for streamed in ["", STREAMED] {
        let site = Site::anywhere().configured(streamed);
        let _consumer = site.start(&["run"]);
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
        site.execute("ALTER TABLE jfk.departures ALTER COLUMN flight TYPE double precision");
        site.drop(&departures("2013-01-31T02:00:00Z"));
        site.wait_for(
            "SELECT state, reason FROM nightdrop.file ORDER BY id",
            &["loaded|null", "parked|changed_type"],
        );
        assert_eq!(
            site.rows("SELECT flight FROM jfk.departures ORDER BY 1"),
            ["1141", "1545"]
        );
        // A new column of another name is no reason not to load.
        site.execute(
            "ALTER TABLE jfk.departures ALTER COLUMN flight TYPE bigint, ADD COLUMN note text",
        );
        site.drop(&departures("2013-01-31T03:00:00Z"));
        site.wait_for("SELECT count(*) FROM jfk.departures", &["4"]);
    }
}

#[test]
fn a_parked_file_fixes_neither_the_mode_nor_the_columns_of_its_job() {
    let site = Site::anywhere().configured(STREAMED);
    let bad = message("jfk", "fleet", "2013-01-01T00:00:00Z")
        .with("mode", json!("upsert"))
        .with("primary_key", json!(["flight"]))
        .rows(&json!([["UA", 1545], ["AA", 1.5]]));
    site.drop(&bad);
    site.once();
    assert_eq!(site.states(), ["parked|contract"]);

    let right = fleet(
        "2013-01-01T00:00:00Z",
        &[("carrier", "string"), ("flight", "decimal"), ("at", "date")],
        &json!([["UA", 1545, null], ["AA", 1.5, "2013-01-31"]]),
    )
    .with("mode", json!("upsert"))
    .with("primary_key", json!(["carrier"]));
    site.drop(&right);
    site.once();
    assert_eq!(
        site.rows("SELECT carrier, flight::text, at FROM jfk.fleet ORDER BY 1"),
        ["AA|1.5|2013-01-31", "UA|1545|null"]
    );

    // From here on they are what they are.
    site.drop(&bad.clone().rows(&json!([["UA", 1545]])));
    let mut late = right.with("mode", json!("replace"));
    late.data.as_object_mut().unwrap().remove("primary_key");
    late.id = departures("2013-01-01T00:00:00Z").id;
    site.drop(&late);
    site.once();
    assert_eq!(
        site.rows("SELECT state, reason FROM nightdrop.file WHERE id > 2 ORDER BY 2"),
        ["parked|changed_key", "parked|changed_mode"]
    );
}

#[test]
fn a_job_that_would_need_one_table_too_many_is_held_until_one_is_retired() {
    let site = Site::anywhere().configured(
        "[quota]\ntables = 2\n[[route]]\njob = \"shared\"\nproducers = [\"*\"]\ntable = \"reports.shared\"\n",
    );
    for (minute, job) in ["shared", "one", "two", "three", "three"]
        .into_iter()
        .enumerate()
    {
        site.drop(&message(
            "jfk",
            job,
            &format!("2013-01-31T05:0{minute}:00Z"),
        ));
    }
    site.drop(&message("lga", "three", "2013-01-31T05:00:00Z"));
    site.once();
    assert_eq!(
        site.rows("SELECT producer, job, state, reason FROM nightdrop.file ORDER BY 1, 2, id"),
        [
            "jfk|one|loaded|null",
            "jfk|shared|loaded|null",
            "jfk|three|held|quota_tables",
            "jfk|three|held|quota_tables",
            "jfk|two|loaded|null",
            "lga|three|loaded|null",
        ]
    );
    assert_eq!(
        site.rows("SELECT DISTINCT error FROM nightdrop.file WHERE state = 'held'"),
        [
            "jfk has 2 tables, and may have 2; retire a job that is no longer wanted, or raise [quota] tables: this one is loaded then"
        ]
    );
    assert_eq!(site.keys().len(), 2);

    // A table that is there already is nobody's quota.
    site.drop(&message("jfk", "two", "2013-01-31T06:00:00Z"));
    site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.two"), ["4"]);

    assert_eq!(site.consumer(&["retire", "jfk", "one"]).code, Some(0));
    site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.three"), ["4"]);
    assert_eq!(site.keys(), Vec::<String>::new());
}

#[test]
fn a_file_that_brings_too_many_columns_is_held_until_the_quota_allows_them() {
    let mut site = Site::anywhere().configured("[quota]\nnew_columns = 1\n");
    let wider = |time: &str, names: &[&str]| {
        let of: Vec<_> = names.iter().map(|name| (*name, "int64")).collect();
        let row: Vec<usize> = (0..names.len()).collect();
        fleet(time, &of, &json!([row]))
    };
    // The first result makes its table as wide as it likes.
    site.drop(&wider("2013-01-01T00:00:00Z", &["a", "b", "c"]));
    site.drop(&wider("2013-01-02T00:00:00Z", &["a", "d", "e"]));
    site.drop(&wider("2013-01-03T00:00:00Z", &["a", "f"]));
    site.once();
    assert_eq!(
        site.states(),
        ["loaded|null", "held|quota_columns", "loaded|null"]
    );
    assert_eq!(
        site.rows("SELECT error, retry_at - decided_at BETWEEN '59 min' AND '61 min' FROM nightdrop.file WHERE state = 'held'"),
        ["it brings 2 columns that jfk.fleet doesn't have, and one file may add 1; raise [quota] new_columns, or let the query give fewer: it is tried again every hour|true"]
    );

    let an_hour_later =
        "UPDATE nightdrop.file SET retry_at = retry_at - interval '61 min' WHERE state = 'held'";
    site.execute(an_hour_later);
    site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.fleet"), ["2"]);
    site = site.configured("[quota]\nnew_columns = 2\n");
    site.execute(an_hour_later);
    site.once();
    assert_eq!(
        site.rows("SELECT a, e FROM jfk.fleet ORDER BY _as_of"),
        ["0|null", "0|2", "0|null"]
    );
    assert_eq!(site.keys(), Vec::<String>::new());
}

/// Nothing of it is in the bucket any more, so that it can't be left there.
#[test]
fn what_was_parked_and_then_meets_a_quota_is_parked_again() {
    let wider = message("jfk", "fleet", "2013-01-02T00:00:00Z").with("mode", json!("replace"));
    let mut site = Site::anywhere();
    site.drop(&message("jfk", "fleet", "2013-01-01T00:00:00Z"));
    site.drop(
        &wider
            .with("columns", columns(&[("a", "int64"), ("b", "int64")]))
            .rows(&json!([[1, 2]])),
    );
    site.once();
    assert_eq!(site.states(), ["loaded|null", "parked|changed_mode"]);

    assert_eq!(site.consumer(&["retire", "jfk", "fleet"]).code, Some(0));
    site = site.configured("[quota]\ntables = 0\n");
    assert_eq!(site.consumer(&["parked", "retry", "2"]).code, Some(0));
    site.once();
    assert_eq!(site.states(), ["loaded|null", "parked|quota_tables"]);

    site = site.configured("");
    assert_eq!(site.consumer(&["parked", "retry", "2"]).code, Some(0));
    site.once();
    assert_eq!(site.rows("SELECT a, b FROM jfk.fleet"), ["1|2"]);
}

/// How long the longest wait for a lock may hold others up, with patience for a busy machine.
const SOON: &str = "SET statement_timeout = '30s'";

/// Whether an ALTER TABLE waits for somebody, in this database of the server that all tests share.
fn column_waits(site: &Site) -> bool {
    site.rows(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
         WHERE NOT granted AND mode = 'AccessExclusiveLock' AND datname = current_database()",
    ) == ["1"]
}

#[test]
fn a_reader_gets_through_though_a_column_waits_for_a_longer_one() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    let long = site.hold("SELECT count(*) FROM jfk.departures");
    site.drop(
        &departures("2013-01-31T02:00:00Z")
            .with("columns", columns(&[("tail", "string")]))
            .rows(&json!([["N1"]])),
    );
    let _consumer = site.start(&["run"]);
    for _ in 0..2 {
        until("the column to wait for the reader", || column_waits(&site));
        drop(site.hold(&format!("{SOON}; SELECT count(*) FROM jfk.departures")));
    }
    assert_eq!(
        site.rows("SELECT state, attempts <= 1 FROM nightdrop.file ORDER BY id"),
        ["loaded|true", "waiting|true"]
    );

    drop(long);
    site.wait_for("SELECT count(tail) FROM jfk.departures", &["1"]);
}

#[test]
fn a_column_that_waits_for_a_reader_holds_up_no_other_table_of_the_schema() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    let _long = site.hold("SELECT count(*) FROM jfk.departures");
    site.drop(
        &departures("2013-01-31T02:00:00Z")
            .with("columns", columns(&[("tail", "string")]))
            .rows(&json!([["N1"]])),
    );
    let first = site.start(&["run"]);
    until("the column to wait for the reader", || column_waits(&site));
    first.signal("STOP");
    site.drop(&message("jfk", "fleet", "2013-01-31T01:00:00Z"));
    let second = site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.fleet"), ["2"]);
    assert!(!second.stderr.contains("fleet"), "{}", second.stderr);
    first.signal("CONT");
}

#[test]
fn who_reads_a_table_waits_for_no_replace_and_no_replace_waits_for_them() {
    let mut site = Site::anywhere().configured(STREAMED);
    let replace = |time: &str, rows: &Value| {
        message("jfk", "fleet", time)
            .with("mode", json!("replace"))
            .rows(rows)
    };
    site.drop(&replace("2013-01-01T00:00:00Z", &json!([["AA", 1]])));
    site.once();
    let _reader = site
        .hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jfk.fleet");
    let gate = crate::crashes::gate_before_s3(&mut site);
    // Larger than what is read before the rows begin to flow.
    let carrier = "a carrier ".repeat(11);
    let rows: Vec<Value> = (0..100_000).map(|n| json!([carrier, n])).collect();
    site.drop(&replace("2013-01-02T00:00:00Z", &json!(rows)));
    gate.hold(crate::gate::Hold::Received(10_000_000));
    let consumer = site.start(&["once"]);
    gate.wait();
    until("the replace to be half-way", || {
        site.rows("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active' AND datname = current_database()")
            == ["1"]
    });
    drop(site.hold("SET statement_timeout = '15s'; SELECT count(*) FROM jfk.fleet"));
    assert_eq!(site.rows("SELECT count(*) FROM jfk.fleet"), ["1"]);
    gate.open();
    assert_eq!(consumer.wait(crate::site::PATIENCE).code, Some(0));
    assert_eq!(site.rows("SELECT count(*) FROM jfk.fleet"), ["100000"]);
}

#[test]
fn an_index_that_a_person_builds_only_lets_the_job_rest() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    let build = site.hold("CREATE INDEX ON jfk.departures (flight)");
    site.drop(&departures("2013-01-31T02:00:00Z"));
    site.drop(&message("lga", "departures", "2013-01-31T02:00:00Z"));
    let _consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);
    site.wait_for("SELECT producer FROM nightdrop.pause", &["jfk"]);
    drop(build);
    site.wait_for("SELECT count(*) FROM jfk.departures", &["4"]);
    assert_eq!(
        site.rows("SELECT DISTINCT state, attempts FROM nightdrop.file"),
        ["loaded|0"]
    );
}

#[test]
fn what_keeps_a_table_from_being_made_or_changed_lets_its_job_rest_and_no_other() {
    for streamed in ["", STREAMED] {
        let site = Site::anywhere().configured(streamed);
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.drop(&message("lga", "departures", "2013-01-31T01:00:00Z"));
        site.once();
        // An event trigger of the owner's, a column's name that the database has no letters for, and a statement
        // that takes too long.
        for (hour, code) in [(2, "P0001"), (3, "22P05"), (4, "57014")] {
            let time = format!("2013-01-31T{hour:02}:00:00Z");
            site.administer(&format!(
                "CREATE OR REPLACE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '{code}'; END $$;
                 CREATE EVENT TRIGGER refusing ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE')
                 EXECUTE FUNCTION public.refuse()"
            ));
            let refused = |job: &str| {
                message("jfk", job, &time)
                    .with("columns", columns(&[(&format!("column{hour}"), "int64")]))
                    .rows(&json!([[hour]]))
            };
            site.drop(&refused("departures"));
            site.drop(&refused(&format!("new{hour}")));
            site.drop(&message("lga", "departures", &time));

            site.once();

            assert_eq!(
                site.rows(&format!(
                    "SELECT producer, job, state, attempts FROM nightdrop.file WHERE as_of = '{time}' ORDER BY 1, 2"
                )),
                [
                    "jfk|departures|waiting|0".to_owned(),
                    format!("jfk|new{hour}|waiting|0"),
                    "lga|departures|loaded|0".to_owned()
                ],
                "{code} {streamed}"
            );
            let said = format!("not today (SQLSTATE {code})");
            assert_eq!(
                site.rows(&format!(
                    "SELECT job, right(error, {}) FROM nightdrop.pause ORDER BY 1",
                    said.len()
                )),
                [format!("departures|{said}"), format!("new{hour}|{said}")]
            );

            site.administer(
                "DROP EVENT TRIGGER refusing; UPDATE nightdrop.pause SET until = now()",
            );
            site.once();
            assert_eq!(
                site.rows(&format!(
                    "SELECT (SELECT sum(column{hour}) FROM jfk.departures), (SELECT sum(column{hour}) FROM jfk.new{hour})"
                )),
                [format!("{hour}|{hour}")]
            );
        }
    }
}
