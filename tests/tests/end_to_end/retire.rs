//! A retired job begins anew, whatever a consumer that is at work believes to know of it, and what was
//! loaded before stays where a person can find it.

use serde_json::{Value, json};

use crate::crashes::gate_before_postgres;
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::process::Ended;
use crate::site::{PATIENCE, Site, on_one, until};

const ROUTE: &str =
    "[[route]]\njob = \"departures\"\nproducers = [\"*\"]\ntable = \"reports.departures\"\n";

fn retire(site: &Site) -> Ended {
    site.consumer(&["retire", "jfk", "departures"])
}

fn replace(time: &str, rows: &Value) -> Message {
    departures(time).with("mode", json!("replace")).rows(rows)
}

/// Departures whose flights are texts.
fn as_text(time: &str, flight: &str) -> Message {
    departures(time)
        .with(
            "columns",
            json!([{"name": "carrier", "type": "string"}, {"name": "flight", "type": "string"}]),
        )
        .rows(&json!([["UA", flight]]))
}

/// The name of the only table that was kept.
fn kept(site: &Site) -> String {
    let tables = site.rows(
        "SELECT relname FROM pg_class WHERE relname LIKE 'departures_retired_%' AND relkind = 'r'",
    );
    assert_eq!(tables.len(), 1, "{tables:?}");
    tables.concat()
}

#[test]
fn a_changed_mode_and_type_load_once_their_job_is_retired_and_the_old_table_is_kept() {
    on_one(|site| {
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.once();
        let changed = || {
            as_text("2013-01-31T02:00:00Z", "UA1545")
                .with("mode", json!("upsert"))
                .with("primary_key", json!(["flight"]))
        };
        site.drop(&changed());
        site.once();
        assert_eq!(site.states(), ["loaded|null", "parked|changed_mode"]);

        let ended = retire(&site);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let kept = kept(&site);
        let said = format!("its table jfk.departures is called jfk.{kept} now");
        assert!(ended.stdout.contains(&said), "{}", ended.stdout);
        assert!(
            ended
                .stdout
                .contains("1 parked, 0 held: `nightdrop-consumer parked retry --producer jfk --job departures`"),
            "{}",
            ended.stdout
        );
        assert!(
            site.rows(&format!("SELECT obj_description('jfk.{kept}'::regclass)"))[0]
                .contains("Results of the job departures of jfk up to")
        );

        site.drop(&changed());
        site.once();
        assert_eq!(site.rows("SELECT flight FROM jfk.departures"), ["UA1545"]);
        assert_eq!(
            site.rows(&format!("SELECT flight FROM jfk.{kept} ORDER BY 1")),
            ["1141", "1545"]
        );
        assert_eq!(
            site.rows("SELECT mode, primary_key[1] FROM nightdrop.job"),
            ["upsert|flight"]
        );
    });
}

#[test]
fn a_job_is_retired_as_often_as_a_person_asks() {
    let site = Site::unprepared();
    let ended = retire(&site);
    assert_eq!(ended.code, Some(78), "its tables are not there: {ended:?}");
    site.once();
    let never = "jfk/departures has no table: nothing of it was ever loaded\n";
    assert!(retire(&site).stdout.starts_with(never));
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    assert!(retire(&site).stdout.contains("jfk/departures is retired: "));
    let again = retire(&site);
    assert_eq!(again.code, Some(0), "{again:?}");
    let said = format!("what was loaded before is in jfk.{}", kept(&site));
    assert!(again.stdout.contains(&said), "{}", again.stdout);
}

#[test]
fn nothing_that_was_loaded_before_a_job_was_retired_supersedes_what_comes_after() {
    on_one(|site| {
        let site = site.configured(ROUTE);
        site.drop(&replace("2013-02-02T00:00:00Z", &json!([["AA", 1]])));
        site.once();
        retire(&site);
        site.drop(&replace("2013-02-01T00:00:00Z", &json!([["UA", 2]])));
        site.once();
        assert_eq!(site.states(), ["loaded|null", "loaded|null"]);
        assert_eq!(
            site.rows("SELECT carrier, flight FROM reports.departures"),
            ["UA|2"]
        );
        // Within its new life order counts as ever.
        site.drop(&replace("2013-01-01T00:00:00Z", &json!([["B6", 3]])));
        site.once();
        assert_eq!(
            site.rows("SELECT carrier, flight FROM reports.departures"),
            ["UA|2"]
        );
    });
}

#[test]
fn a_consumer_appends_nothing_to_a_shared_table_by_what_it_knew_of_a_retired_job() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        let site = Site::anywhere().configured(&format!("{ROUTE}{streams}"));
        site.drop(&departures("2013-01-31T01:00:00Z"));
        let consumer = site.start(&["run"]);
        site.wait_for("SELECT count(*) FROM reports.departures", &["2"]);
        consumer.signal("STOP");
        retire(&site);
        // Another consumer settles it anew, in the same table, as another mode.
        site.drop(&replace("2013-01-31T02:00:00Z", &json!([["B6", 3]])));
        site.once();
        site.drop(&departures("2013-01-31T03:00:00Z"));
        consumer.signal("CONT");
        site.wait_for(
            "SELECT state, reason FROM nightdrop.file ORDER BY id",
            &["loaded|null", "loaded|null", "parked|changed_mode"],
        );
        assert_eq!(
            site.rows("SELECT carrier, flight FROM reports.departures"),
            ["B6|3"]
        );
    }
}

#[test]
fn a_consumer_writes_no_numbers_as_text_by_what_it_knew_of_a_retired_job() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        let site = Site::anywhere().configured(streams);
        site.drop(&departures("2013-01-31T01:00:00Z"));
        let consumer = site.start(&["run"]);
        site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
        consumer.signal("STOP");
        retire(&site);
        site.drop(&as_text("2013-01-31T02:00:00Z", "1"));
        site.once();
        // In binary this number is eight good letters.
        let number = i64::from_be_bytes(*b"WRITTEN!");
        site.drop(&departures("2013-01-31T03:00:00Z").rows(&json!([["UA", number]])));
        consumer.signal("CONT");
        site.wait_for(
            "SELECT state, reason FROM nightdrop.file ORDER BY id",
            &["loaded|null", "loaded|null", "parked|changed_type"],
        );
        assert_eq!(site.rows("SELECT flight FROM jfk.departures"), ["1"]);
    }
}

#[test]
fn a_job_is_retired_only_once_the_load_in_flight_has_ended() {
    let rows: Value = (0..100_000).map(|n| json!(["UA", n])).collect();
    for streams in ["", "[load]\nstream_above = \"1GiB\"\n"] {
        let mut site = Site::anywhere().configured(&format!("{ROUTE}{streams}"));
        let gate = gate_before_postgres(&mut site);
        site.drop(&departures("2013-01-31T01:00:00Z").rows(&rows));
        gate.hold(Hold::Sent(1_000_000));
        let _consumer = site.start(&["run"]);
        gate.wait();

        site.database_url = None;
        let mut retiring = site.start(&["retire", "jfk", "departures"]);
        until("the person to wait for the load", || {
            assert!(
                retiring.is_running(),
                "{:?}",
                site.rows("SELECT * FROM nightdrop.job")
            );
            site.rows(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND datname = current_database() AND application_name LIKE 'nightdrop/%'",
            ) == ["1"]
        });
        gate.open();

        let ended = retiring.wait(PATIENCE);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            site.rows("SELECT count(*) FROM reports.departures"),
            ["100000"]
        );
        assert_eq!(site.states(), ["loaded|null"]);
        assert_eq!(site.rows("SELECT count(*) FROM nightdrop.job"), ["0"]);
    }
}

#[test]
fn a_table_in_use_is_not_renamed_and_its_readers_are_not_held_up_for_long() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.once();
    let reader = site.hold("SELECT FROM jfk.departures");
    let ended = retire(&site);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(
        ended.stderr.contains("somebody has jfk.departures in use"),
        "{}",
        ended.stderr
    );
    assert_eq!(site.rows("SELECT count(*) FROM nightdrop.job"), ["1"]);
    drop(reader);
    assert_eq!(retire(&site).code, Some(0));
    kept(&site);
}

#[test]
fn a_table_that_other_jobs_share_is_left_alone() {
    let site = Site::anywhere().configured(ROUTE);
    site.drop(&departures("2013-01-31T01:00:00Z"));
    site.drop(&message("lga", "departures", "2013-01-31T01:00:00Z"));
    site.once();
    let ended = retire(&site);
    assert!(
        ended
            .stdout
            .contains("reports.departures is not its own and stays as it is"),
        "{}",
        ended.stdout
    );
    site.drop(&message("lga", "departures", "2013-01-31T02:00:00Z"));
    site.once();
    assert_eq!(
        site.rows("SELECT _producer, count(*) FROM reports.departures GROUP BY 1 ORDER BY 1"),
        ["jfk|2", "lga|4"]
    );
    // Its next result goes where the routes say now.
    let site = site.configured("");
    site.drop(&departures("2013-01-31T03:00:00Z"));
    site.once();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
}
