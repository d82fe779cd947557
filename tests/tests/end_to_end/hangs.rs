//! A consumer that hangs or is cut off while another takes over: no second load, nobody waits for it for
//! long, and it goes on working once it can.

use serde_json::json;

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::{Gate, Hold};
use crate::message::{Message, departures, message};
use crate::process::Process;
use crate::site::{Held, PATIENCE, Site, on_each, until};

const LEASE: &str = "[load]\nlease = \"5s\"\n";
const LEASE_OF_STREAMS: &str = "[load]\nlease = \"5s\"\nstream_above = \"1B\"\n";

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
    let said = site.once_until_decided();
    assert!(said.contains("ended a load that no longer moved"), "{said}");
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
        let mut site = Site::anywhere().configured(settings);
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
        let mut site = Site::anywhere().configured(settings);
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
fn a_consumer_that_is_cut_off_from_postgres_between_two_loads_notices_and_comes_back() {
    let lane = "nothing was loaded this time";
    let polls = "postgres can't be used";
    // Whatever it waits for, else its lane would wait for ever.
    std::thread::scope(|scope| {
        for (statement, says) in [
            // The beginning of a claim.
            ("WITH abandoned AS", lane),
            // One row only, asked for before a suspect is claimed.
            ("SELECT EXISTS (SELECT FROM open)", lane),
            // In a transaction: what a LIST showed.
            ("reason = 'replaced'", polls),
            // A transaction itself, before anything else is done.
            ("BEGIN", polls),
        ] {
            scope.spawn(move || cut_off_at(statement, says));
        }
    });
}

/// A consumer that is cut off when it sends this statement says so, and comes back.
fn cut_off_at(statement: &'static str, says: &str) {
    let mut site = Site::anywhere().configured(LEASE);
    let gate = gate_before_postgres(&mut site);
    gate.hold(Hold::Request(statement));
    let first = departures("2013-01-31T05:00:00Z");
    // Only what there is to write down is written down. Else nothing is to be under way when it is cut off.
    let listed = statement.contains("replaced");
    if listed {
        site.drop(&first);
    }
    let cut_off = site.start(&["run"]);
    gate.wait();
    gate.hold(Hold::All);
    if !listed {
        site.drop(&first);
    }
    site.database_url = None;

    site.once();
    assert_eq!(site.states(), ["loaded|null"]);
    until(&format!("it to notice {statement}"), || {
        let log = cut_off.log();
        let in_vain = |line: &str| line.contains(says) && line.contains("no answer within 40 s");
        log.lines().any(in_vain)
    });
    until("it to know that Postgres is away", || {
        cut_off.log().contains("postgres can't be used")
    });

    gate.open();
    let next = departures("2013-01-31T06:00:00Z");
    goes_on(&site, cut_off, &next, "jfk.departures", "4");
}

#[test]
fn a_claim_whose_answer_never_came_is_given_back_with_no_attempt_used_up() {
    let mut site = Site::anywhere().configured("[load]\nlease = \"10min\"\n");
    // A claim ends when the test says so.
    site.administer(
        "CREATE FUNCTION nightdrop.claimed() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
         AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
         CREATE TRIGGER claimed BEFORE UPDATE ON nightdrop.file FOR EACH ROW
         WHEN (OLD.token IS NULL AND NEW.token IS NOT NULL) EXECUTE FUNCTION nightdrop.claimed()",
    );
    let claims = site.hold("SELECT pg_advisory_xact_lock(1)");
    let gate = gate_before_postgres(&mut site);
    let consumer = site.start(&["run"]);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.wait_for(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
         WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()",
        &["1"],
    );
    gate.hold(Hold::All);
    drop(claims);
    site.wait_for("SELECT token IS NOT NULL FROM nightdrop.file", &["true"]);
    until("the consumer to give the answer up", || {
        consumer.log().contains("no answer within 40 s")
    });

    gate.open();
    site.wait_for("SELECT state, attempts FROM nightdrop.file", &["loaded|0"]);
}

/// A consumer that waits for the bytes of its file, which something has locked: as a load of its own does
/// whose end Postgres hasn't noticed yet.
pub fn with_its_file_locked() -> (Site, Process, Gate, Held) {
    let mut site =
        Site::anywhere().configured("[load]\nlease = \"10min\"\nstream_above = \"1B\"\n");
    let gate = gate_before_s3(&mut site);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    gate.hold(Hold::Request("/inbox/jfk/"));
    let consumer = site.start(&["run"]);
    gate.wait();
    let load = site.hold("SELECT FROM nightdrop.file FOR UPDATE");
    (site, consumer, gate, load)
}

#[test]
fn what_can_not_be_given_back_yet_keeps_no_lane_from_its_work() {
    let (site, consumer, gate, load) = with_its_file_locked();
    gate.refuse("/inbox/jfk/");
    gate.cut();
    until("the file to be given up", || {
        consumer.log().contains("nothing was loaded this time")
    });

    site.drop(&message("lga", "departures", "2013-01-31T05:00:00Z"));
    site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);
    let claimed = "SELECT attempts, token IS NULL FROM nightdrop.file WHERE producer = 'jfk'";
    assert_eq!(site.rows(claimed), ["1|false"]);

    drop(load);
    gate.refuse("nothing");
    site.wait_for(
        "SELECT DISTINCT state, attempts FROM nightdrop.file",
        &["loaded|0"],
    );
}

#[test]
fn what_a_load_leaves_for_later_stays_its_consumer_s_meanwhile() {
    let mut site =
        Site::anywhere().configured("[load]\nlease = \"9s\"\nstream_above = \"64MiB\"\n");
    let bad = departures("2013-01-31T06:00:00Z").key();
    site.drop_as(&bad, b"{");
    site.drop(&departures("2013-01-31T05:00:00Z").rows(&rows(10_000)));
    let (_consumer, gate) = in_the_middle_of_copy(&mut site);

    // The bad one of this batch is parked when the good one is loaded, however long that takes.
    let claimed = site.rows(&format!(
        "SELECT token, lease_until FROM nightdrop.file WHERE key = '{bad}'"
    ));
    let (token, lease) = claimed[0].split_once('|').unwrap();
    let renewed = format!(
        "SELECT count(*) FROM nightdrop.file
         WHERE key = '{bad}' AND token = '{token}' AND lease_until > '{lease}'"
    );
    site.wait_for(&renewed, &["1"]);
    assert_eq!(site.rows(LOADING), ["1"], "the load is still under way");

    gate.open();
    site.wait_for(
        "SELECT state, attempts FROM nightdrop.file ORDER BY key",
        &["loaded|0", "parked|0"],
    );
}

#[test]
fn a_load_whose_bytes_do_not_come_lets_others_have_its_job() {
    let mut site = Site::anywhere().configured(LEASE_OF_STREAMS);
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
    // It says so before it gives the job back.
    until("another to have its job", || {
        site.once();
        site.rows("SELECT count(*) FROM jfk.fleet") == ["2"]
    });
    gate.open();
    site.wait_for(
        "SELECT DISTINCT state = 'waiting', attempts FROM nightdrop.file",
        &["false|0"],
    );
}
