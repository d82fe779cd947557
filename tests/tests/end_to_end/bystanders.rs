//! Whatever befalls one file or one job, those beside it notice nothing.

use serde_json::{Value, json};

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::{Site, on_each, until};

fn lga(time: &str) -> Message {
    message("lga", "departures", time)
}

fn upsert(time: &str, rows: &Value) -> Message {
    message("jfk", "fleet", time)
        .with("mode", json!("upsert"))
        .with("primary_key", json!(["carrier"]))
        .rows(rows)
}

/// A result with so many columns, named after `prefix`, and one row.
fn wide(prefix: &str, columns: usize, time: &str) -> Message {
    let names: Vec<Value> = (0..columns)
        .map(|n| json!({"name": format!("{prefix}{n}"), "type": "int64"}))
        .collect();
    message("jfk", "wide", time)
        .with("columns", json!(names))
        .rows(&json!([(0..columns).collect::<Vec<_>>()]))
}

#[test]
fn a_report_table_that_somebody_locks_delays_its_own_job_only() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        let site = Site::anywhere().configured(streams);
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.once();
        let lock = site.hold("LOCK TABLE jfk.departures IN ACCESS EXCLUSIVE MODE");
        for hour in 2..6 {
            site.drop(&departures(&format!("2013-01-31T0{hour}:00:00Z")));
        }
        site.drop(&lga("2013-01-31T01:00:00Z"));

        let _consumer = site.start(&["run"]);
        site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);

        drop(lock);
        site.wait_for("SELECT count(*) FROM jfk.departures", &["10"]);
        assert_eq!(
            site.rows("SELECT DISTINCT state, attempts FROM nightdrop.file"),
            ["loaded|0"]
        );
    }
}

#[test]
fn a_reader_that_keeps_a_column_from_being_added_delays_its_own_job_only() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    let reader = site.hold("SELECT FROM jfk.departures");
    site.drop(
        &departures("2013-01-31T02:00:00Z")
            .with("columns", json!([{"name": "tail", "type": "string"}]))
            .rows(&json!([["N1"]])),
    );
    site.drop(&lga("2013-01-31T01:00:00Z"));

    let _consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);

    drop(reader);
    site.wait_for("SELECT count(tail) FROM jfk.departures", &["1"]);
}

#[test]
fn what_a_commit_would_refuse_is_refused_before_and_parks_one_file_only() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    site.execute(
        "CREATE TABLE jfk.airline (carrier text PRIMARY KEY); INSERT INTO jfk.airline VALUES ('UA'), ('AA');
         ALTER TABLE jfk.departures ADD FOREIGN KEY (carrier) REFERENCES jfk.airline DEFERRABLE INITIALLY DEFERRED",
    );
    site.drop(&departures("2013-01-31T02:00:00Z").rows(&json!([["ZZ", 1]])));
    site.drop(&departures("2013-01-31T03:00:00Z"));
    site.drop(&lga("2013-01-31T01:00:00Z"));

    let ended = site.once();

    assert_eq!(
        ended.stdout,
        "2 results loaded, 4 rows; 1 parked: `nightdrop-consumer status` says why\n"
    );
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["4"]);
}

#[test]
fn an_object_that_the_bucket_fails_to_give_delays_nobody() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        let mut site = Site::anywhere().configured(streams);
        let gate = gate_before_s3(&mut site);
        gate.refuse("GET /");
        let bad: Vec<Message> = (1..4)
            .map(|hour| departures(&format!("2013-01-31T0{hour}:00:00Z")))
            .collect();
        for message in &bad {
            site.drop(message);
        }
        gate.refuse("/inbox/jfk/");
        let _consumer = site.start(&["run"]);
        site.wait_for("SELECT count(*) FROM nightdrop.file", &["3"]);
        for hour in 1..9 {
            site.drop(&lga(&format!("2013-01-31T0{hour}:00:00Z")));
        }
        site.wait_for("SELECT count(*) FROM lga.departures", &["16"]);

        gate.refuse("nothing");
        site.wait_for("SELECT count(*) FROM jfk.departures", &["6"]);
        assert_eq!(
            site.rows("SELECT DISTINCT state, attempts FROM nightdrop.file"),
            ["loaded|0"]
        );
    }
}

#[test]
fn a_job_that_another_consumer_has_is_left_to_it_and_the_others_go_on() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        let site = Site::anywhere().configured(streams);
        site.drop(&upsert("2013-01-01T00:00:00Z", &json!([["AA", 1]])));
        site.once();
        let lock = site.hold("SELECT FROM nightdrop.job WHERE job = 'fleet' FOR UPDATE");
        for day in 2..6 {
            site.drop(&upsert(
                &format!("2013-01-0{day}T00:00:00Z"),
                &json!([["AA", day]]),
            ));
        }
        let _consumer = site.start(&["run"]);
        // Tried in vain, they rest instead of being fetched again and again.
        site.wait_for(
            "SELECT retry_at > now(), attempts FROM nightdrop.file WHERE state = 'waiting' AND token IS NULL AND claimed_at IS NOT NULL LIMIT 1",
            &["true|0"],
        );
        site.drop(&lga("2013-01-31T01:00:00Z"));
        site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);

        drop(lock);
        site.wait_for("SELECT flight FROM jfk.fleet", &["5"]);
    }
}

#[test]
fn an_object_replaced_while_it_is_loaded_hides_nothing_from_the_list() {
    on_each(|site| {
        site.rest("jfk", "departures");
        let first = departures("2013-01-31T01:00:00Z");
        site.drop(&first);
        site.once();
        // As a load does.
        let _load = site.hold("SELECT FROM nightdrop.file FOR UPDATE");
        let answer = site
            .inbox
            .request(&site.inbox.root(), "PUT", &first.key().to_string(), "{}")
            .unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        site.drop(&lga("2013-01-31T01:00:00Z"));

        site.once();

        assert_eq!(site.rows("SELECT count(*) FROM lga.departures"), ["2"]);
    });
}

#[test]
fn a_file_larger_than_all_memory_for_small_files_is_still_loaded() {
    let site = Site::anywhere().configured("[load]\nstream_above = \"64MiB\"\n");
    let large = "x".repeat(6 * 1024 * 1024);
    site.drop(&departures("2013-01-31T01:00:00Z").rows(&json!([
        [large, 1],
        [large, 2],
        [large, 3]
    ])));
    site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["3"]);
}

#[test]
fn a_result_with_more_columns_than_its_table_takes_is_parked_and_those_beside_it_load() {
    let site = Site::anywhere().configured("[quota]\nnew_columns = 500\n");
    for (hour, prefix) in ["a", "b", "c", "d", "a"].into_iter().enumerate() {
        site.drop(&wide(prefix, 500, &format!("2013-01-31T0{hour}:00:00Z")));
    }
    let mut key = wide("k", 40, "2013-01-31T01:00:00Z").with("mode", json!("upsert"));
    key.subject = "keyed".into();
    let names: Vec<String> = (0..33).map(|n| format!("k{n}")).collect();
    site.drop(&key.with("primary_key", json!(names)));

    site.once();

    assert_eq!(
        site.rows("SELECT job, state, reason FROM nightdrop.file ORDER BY job, as_of"),
        [
            "keyed|parked|too_wide",
            "wide|loaded|null",
            "wide|loaded|null",
            "wide|loaded|null",
            "wide|parked|too_wide",
            "wide|loaded|null",
        ]
    );
}

#[test]
fn a_run_that_comes_again_holds_no_transaction_open_while_it_is_read() {
    let mut site = Site::anywhere().configured("[load]\nstream_above = \"1B\"\n");
    // Larger than what is read before the rows begin to flow.
    let carrier = "a carrier ".repeat(11);
    let rows: Vec<Value> = (0..100_000).map(|n| json!([carrier, n])).collect();
    let result = departures("2013-01-31T01:00:00Z").rows(&json!(rows));
    site.drop(&result);
    site.once();
    site.drop(&result);
    let gate = gate_before_s3(&mut site);
    gate.hold(Hold::Received(10_000_000));

    let consumer = site.start(&["once"]);
    gate.wait();
    until("the run to be known", || {
        consumer.log().contains("this run is loaded already")
    });
    // A transaction of its other work ends by itself.
    site.wait_for(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
        &["0"],
    );
    gate.open();
    assert_eq!(consumer.wait(crate::site::PATIENCE).code, Some(0));
    assert_eq!(site.states(), ["loaded|null", "duplicate|null"]);
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["100000"]);
}

#[test]
fn an_upsert_clears_columns_that_another_consumer_has_added_since() {
    let site = Site::anywhere();
    let with_tail = |time: &str| {
        upsert(time, &json!([["AA", "N1"]])).with(
            "columns",
            json!([{"name": "carrier", "type": "string"}, {"name": "tail", "type": "string"}]),
        )
    };
    site.drop(&upsert("2013-01-01T00:00:00Z", &json!([["AA", 1]])));
    let first = site.start(&["run"]);
    site.wait_for("SELECT flight FROM jfk.fleet", &["1"]);
    first.signal("STOP");
    site.drop(&with_tail("2013-01-02T00:00:00Z"));
    site.once();
    assert_eq!(site.rows("SELECT flight, tail FROM jfk.fleet"), ["null|N1"]);
    first.signal("CONT");

    site.drop(&upsert("2013-01-03T00:00:00Z", &json!([["AA", 3]])));
    site.wait_for("SELECT flight FROM jfk.fleet", &["3"]);
    assert_eq!(site.rows("SELECT flight, tail FROM jfk.fleet"), ["3|null"]);
}

#[test]
fn a_job_that_goes_on_being_refused_rests_longer_each_time() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    // COPY can't write to such a table; nothing else minds.
    site.execute("ALTER TABLE jfk.departures ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    site.drop(&departures("2013-01-31T02:00:00Z"));
    let mut before = 0;
    for _ in 0..3 {
        site.once();
        let failures: u32 = site.rows("SELECT failures FROM nightdrop.pause")[0]
            .parse()
            .unwrap();
        assert!(failures > before, "{failures} after {before}");
        before = failures;
        site.execute("UPDATE nightdrop.pause SET until = now()");
    }
}

#[test]
fn a_consumer_that_starts_while_another_migrates_waits_for_it() {
    let site = Site::unprepared();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    let migrating = site.hold("CREATE SCHEMA nightdrop");
    let mut consumer = site.start(&["run"]);
    until("the consumer to be held up", || {
        !consumer.is_running() || consumer.log().contains("lock timeout")
    });
    drop(migrating);
    site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
}

#[test]
fn an_object_deleted_while_a_list_of_it_is_under_way_is_not_seen_again() {
    let mut site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    let direct = site.database_url.take();
    let gate = gate_before_postgres(&mut site);
    // It has listed, and is about to write down what it saw.
    gate.hold(Hold::Request("reason = 'replaced'"));
    let late = site.start(&["once"]);
    gate.wait();
    site.database_url = direct;
    site.once();
    assert_eq!(site.states(), ["loaded|null"]);
    gate.open();
    assert_eq!(late.wait(crate::site::PATIENCE).code, Some(0));
    assert_eq!(site.states(), ["loaded|null"]);
}
