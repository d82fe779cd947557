//! A consumer that hangs or is cut off while another takes over: no second load, nobody waits for it for
//! long, and it goes on working once it can.

use serde_json::json;

use nightdrop_compose::S3Kind;

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::{Gate, Hold};
use crate::message::{Message, departures, message};
use crate::process::Process;
use crate::site::{PATIENCE, Site, on_each, until};

const LEASE: &str = "[load]\nlease = \"2s\"\n";
const LEASE_OF_STREAMS: &str = "[load]\nlease = \"2s\"\nstream_above = \"1B\"\n";

/// Sessions of consumers that are in the middle of a COPY.
const LOADING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'nightdrop/%' AND query LIKE 'COPY %' AND state = 'active'";

/// A little over 100 bytes each.
fn rows(count: usize) -> serde_json::Value {
    let carrier = "a carrier ".repeat(11);
    json!((0..count).map(|n| json!([carrier, n])).collect::<Vec<_>>())
}

/// About 2 MB on their way to Postgres.
fn many_rows() -> serde_json::Value {
    rows(20_000)
}

fn replace(time: &str) -> Message {
    message("jfk", "fleet", time).with("mode", json!("replace"))
}

fn server() -> S3Kind {
    S3Kind::available().pop().unwrap()
}

/// A consumer that has claimed what is in the inbox and is in the middle of its COPY, behind a gate.
fn in_the_middle_of_copy(site: &mut Site) -> (Process, Gate) {
    let gate = gate_before_postgres(site);
    gate.hold(Hold::Sent(600_000));
    let consumer = site.start(&["run"]);
    gate.wait();
    site.database_url = None;
    assert_eq!(site.rows(LOADING), ["1"]);
    (consumer, gate)
}

/// Another consumer loads what the first one hangs in, and the first one's session is ended.
fn another_takes_over(site: &Site) {
    let other = site.once();
    assert!(
        other.stderr.contains("ended a load that no longer moved"),
        "{}",
        other.stderr
    );
    assert_eq!(
        site.rows("SELECT DISTINCT state FROM nightdrop.file"),
        ["loaded"]
    );
    site.wait_for(LOADING, &["0"]);
    assert_eq!(site.rows("SELECT count(*) FROM nightdrop.load"), ["0"]);
}

/// It loads the next result of the same job, and ends well.
fn goes_on(site: &Site, consumer: Process, next: &Message, table: &str, rows: &str) {
    site.drop(next);
    site.wait_for(&format!("SELECT count(*) FROM {table}"), &[rows]);
    assert_eq!(
        site.rows("SELECT DISTINCT state FROM nightdrop.file"),
        ["loaded"]
    );
    consumer.signal("TERM");
    let ended = consumer.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_consumer_that_hangs_in_the_middle_of_an_append_never_causes_a_second_load() {
    for settings in [LEASE, LEASE_OF_STREAMS] {
        on_each(|site| {
            let mut site = site.configured(settings);
            site.drop(&departures("2013-01-31T05:00:00Z").rows(&many_rows()));
            let (hanging, gate) = in_the_middle_of_copy(&mut site);
            hanging.signal("STOP");
            gate.open();

            another_takes_over(&site);

            hanging.signal("CONT");
            let next = departures("2013-01-31T06:00:00Z");
            goes_on(&site, hanging, &next, "jfk.departures", "20002");
        });
    }
}

#[test]
fn a_consumer_that_hangs_with_a_job_locked_lets_others_have_it() {
    for settings in [LEASE, LEASE_OF_STREAMS] {
        let mut site = Site::on(server()).configured(settings);
        site.drop(&replace("2013-01-31T05:00:00Z"));
        site.once();
        site.drop(&replace("2013-01-31T06:00:00Z").rows(&many_rows()));
        let (hanging, gate) = in_the_middle_of_copy(&mut site);
        hanging.signal("STOP");
        gate.open();

        another_takes_over(&site);
        assert_eq!(site.rows("SELECT count(*) FROM jfk.fleet"), ["20000"]);

        hanging.signal("CONT");
        let next = replace("2013-01-31T07:00:00Z");
        goes_on(&site, hanging, &next, "jfk.fleet", "2");
    }
}

#[test]
fn a_consumer_that_is_cut_off_from_postgres_in_the_middle_of_a_load_notices_and_comes_back() {
    for settings in [LEASE, LEASE_OF_STREAMS] {
        let mut site = Site::on(server()).configured(settings);
        site.drop(&departures("2013-01-31T05:00:00Z").rows(&many_rows()));
        let (cut_off, gate) = in_the_middle_of_copy(&mut site);
        gate.hold(Hold::All);

        another_takes_over(&site);
        until("the consumer to give its load up", || {
            cut_off.log().contains("its lease could not be renewed")
        });

        gate.open();
        let next = departures("2013-01-31T06:00:00Z");
        goes_on(&site, cut_off, &next, "jfk.departures", "20002");
    }
}

#[test]
fn a_consumer_that_is_cut_off_from_postgres_while_it_claims_notices_and_comes_back() {
    let mut site = Site::on(server()).configured(LEASE);
    site.consumer(&["migrate"]);
    let gate = gate_before_postgres(&mut site);
    // The beginning of a claim.
    gate.hold(Hold::Request("WITH abandoned AS"));
    let cut_off = site.start(&["run"]);
    gate.wait();
    gate.hold(Hold::All);
    site.database_url = None;
    site.drop(&departures("2013-01-31T05:00:00Z"));

    site.once();
    assert_eq!(site.states(), ["loaded|null"]);
    // The claim itself too: its lane would wait for ever.
    until("the consumer to notice", || {
        let log = cut_off.log();
        log.contains("postgres can't be used") && log.contains("no answer within 40 s")
    });

    gate.open();
    let next = departures("2013-01-31T06:00:00Z");
    goes_on(&site, cut_off, &next, "jfk.departures", "4");
}

#[test]
fn a_load_whose_bytes_do_not_come_lets_others_have_its_job() {
    let mut site = Site::on(server()).configured(LEASE_OF_STREAMS);
    let gate = gate_before_s3(&mut site);
    // Larger than what is read before the rows begin to flow.
    site.drop(&replace("2013-01-31T05:00:00Z").rows(&rows(100_000)));
    gate.hold(Hold::Received(10_000_000));
    let waiting = site.start(&["run"]);
    gate.wait();
    site.wait_for(LOADING, &["1"]);

    // The bucket goes on giving to others; the load is ended by its own consumer, who is well.
    until("the load to be ended", || {
        waiting.log().contains("ended a load that no longer moved")
    });
    site.endpoint = None;
    site.drop(&replace("2013-01-31T06:00:00Z"));
    site.once();
    site.wait_for("SELECT count(*) FROM jfk.fleet", &["2"]);
    gate.open();
    site.wait_for(
        "SELECT DISTINCT state = 'waiting', attempts FROM nightdrop.file",
        &["false|0"],
    );
}
