//! Whatever befalls one file or one job, those beside it notice nothing.

use nightdrop_compose::S3Kind;
use serde_json::{Value, json};

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::{Site, on_each, until};

fn site() -> Site {
    Site::on(S3Kind::available().pop().unwrap())
}

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
fn a_run_that_comes_again_holds_no_transaction_open_while_it_is_read() {
    let mut site = site().configured("[load]\nstream_above = \"1B\"\n");
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
    assert_eq!(
        site.rows("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"),
        ["0"]
    );
    gate.open();
    assert_eq!(consumer.wait(crate::site::PATIENCE).code, Some(0));
    assert_eq!(site.states(), ["loaded|null", "duplicate|null"]);
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["100000"]);
}
