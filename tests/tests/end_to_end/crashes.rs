//! Whatever crashes when: each row is there exactly once.

use serde_json::json;

use crate::gate::{Gate, Hold};
use crate::message::departures;
use crate::site::{Site, on_each, until};

const SHORT_LEASE: &str = "[load]\nlease = \"1s\"\n";

pub fn many_rows(count: usize) -> serde_json::Value {
    json!(
        (0..count)
            .map(|n| json!(["a carrier's name", n]))
            .collect::<Vec<_>>()
    )
}

/// The site, with its consumer's way to the bucket through a gate.
pub fn gate_before_s3(site: &mut Site) -> Gate {
    let gate = Gate::before(site.inbox.endpoint.trim_start_matches("http://"));
    site.endpoint = Some(format!("http://{}", gate.address));
    gate
}

/// The site, with its consumer's way to Postgres through a gate.
pub fn gate_before_postgres(site: &mut Site) -> Gate {
    let url: url::Url = site.database.url.parse().unwrap();
    let gate = Gate::before(&format!("127.0.0.1:{}", url.port().unwrap()));
    let mut through = url;
    through
        .set_port(Some(
            gate.address.rsplit(':').next().unwrap().parse().unwrap(),
        ))
        .unwrap();
    site.database_url = Some(through.to_string());
    gate
}

#[test]
fn a_result_is_loaded_once_when_the_consumer_dies_after_commit() {
    on_each(|site| {
        let mut site = site.configured(SHORT_LEASE);
        let gate = gate_before_s3(&mut site);
        site.drop(&departures("2013-01-31T05:00:00Z"));
        gate.hold(Hold::Request("?delete"));

        let consumer = site.start(&["run"]);
        gate.wait();
        site.wait_for("SELECT state FROM nightdrop.file", &["loaded"]);
        consumer.kill();
        assert_eq!(site.keys().len(), 1, "the object is still there");
        gate.open();
        site.once();

        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
        assert_eq!(site.states(), ["loaded|null"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_streamed_result_is_loaded_once_when_the_consumer_dies_in_the_middle_of_copy() {
    on_each(|site| {
        let mut site = site.configured(SHORT_LEASE);
        let gate = gate_before_postgres(&mut site);
        site.drop(&departures("2013-01-31T05:00:00Z").rows(&many_rows(100_000)));
        gate.hold(Hold::Sent(2_000_000));

        let consumer = site.start(&["run"]);
        gate.wait();
        // Its consumer ends a load that hangs, and begins it anew.
        site.wait_for(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active' AND datname = current_database()",
            &["1"],
        );
        consumer.kill();
        gate.open();
        site.once_until_decided();

        assert_eq!(
            site.rows("SELECT count(*), count(DISTINCT flight) FROM jfk.departures"),
            ["100000|100000"]
        );
        assert_eq!(site.states(), ["loaded|null"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_batch_is_loaded_once_when_the_consumer_dies_in_the_middle_of_copy() {
    on_each(|site| {
        let mut site = site.configured(SHORT_LEASE);
        let gate = gate_before_postgres(&mut site);
        for hour in 10..20 {
            site.drop(&departures(&format!("2013-01-31T{hour}:00:00Z")).rows(&many_rows(10_000)));
        }
        gate.hold(Hold::Sent(1_500_000));

        let consumer = site.start(&["run"]);
        gate.wait();
        consumer.kill();
        gate.open();
        assert_eq!(
            site.rows("SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'"),
            ["0"]
        );
        site.once_until_decided();

        assert_eq!(
            site.rows("SELECT count(*), count(DISTINCT (_file, flight)) FROM jfk.departures"),
            ["100000|100000"]
        );
        assert_eq!(
            site.rows("SELECT state, count(*) FROM nightdrop.file GROUP BY 1"),
            ["loaded|10"]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_consumer_that_was_thought_dead_loads_nothing_that_another_has_loaded() {
    on_each(|site| {
        let mut site = site.configured(SHORT_LEASE);
        let gate = gate_before_s3(&mut site);
        site.drop(&departures("2013-01-31T05:00:00Z"));
        gate.hold(Hold::Request("GET /"));
        // It lists directly and then hangs, with the file claimed, in the middle of fetching it.
        gate.open();
        gate.hold(Hold::Request("departures/"));
        let hanging = site.start(&["run"]);
        gate.wait();
        hanging.signal("STOP");

        site.endpoint = None;
        site.wait_for("SELECT lease_until < now() FROM nightdrop.file", &["true"]);
        site.once_until_decided();
        assert_eq!(site.states(), ["loaded|null"]);
        gate.open();
        hanging.signal("CONT");
        // Its own look at the ledger tells it that the file is not its any more.
        until("the late consumer to see the bucket", || {
            hanging.log().contains("bucket can be used")
        });
        site.drop(&departures("2013-01-31T06:00:00Z"));
        site.wait_for("SELECT count(*) FROM jfk.departures", &["4"]);
        assert_eq!(site.states(), ["loaded|null", "loaded|null"]);
    });
}

#[test]
fn two_consumers_share_a_backlog_without_loading_anything_twice() {
    on_each(|site| {
        for minute in 0..40 {
            site.drop(&departures(&format!("2013-01-31T05:{minute:02}:00Z")));
        }
        let (one, other) = (site.start(&["once"]), site.start(&["once"]));
        let patience = crate::site::PATIENCE;
        let (one, other) = (one.wait(patience), other.wait(patience));
        assert_eq!(
            (one.code, other.code),
            (Some(0), Some(0)),
            "{one:?} {other:?}"
        );
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["80"]);
        assert_eq!(
            site.rows("SELECT state, count(*) FROM nightdrop.file GROUP BY 1"),
            ["loaded|40"]
        );
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn two_consumers_that_load_the_same_run_at_the_same_time_load_it_once() {
    on_each(|site| {
        // Long enough that the first load is not taken for dead while it is held.
        let mut site = site.configured("[load]\nlease = \"1m\"\n");
        let gate = gate_before_postgres(&mut site);
        let result = departures("2013-01-31T05:00:00Z").rows(&many_rows(20_000));
        let (gzip, packed) = result.gzipped();
        site.drop(&result);
        gate.hold(Hold::Sent(600_000));
        // It looks at the bucket again only after this load.
        let first = site.start(&["once"]);
        gate.wait();

        // The second consumer goes to Postgres directly, and sees the same run under another key.
        site.database_url = None;
        site.drop_as(&gzip, &packed);
        let _second = site.start(&["run"]);
        site.wait_for(
            "SELECT key LIKE '%.gz', state FROM nightdrop.file ORDER BY id",
            &["false|waiting", "true|loaded"],
        );
        gate.open();

        site.wait_for(
            "SELECT key LIKE '%.gz', state FROM nightdrop.file ORDER BY id",
            &["false|duplicate", "true|loaded"],
        );
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["20000"]);
        // Either may have been told so first: the one that comes to the other's load.
        until("the first to say why", || {
            first.log().contains("file_loaded_once")
        });
    });
}

#[test]
fn a_file_that_ends_its_consumer_is_parked_after_ending_it_three_times_alone() {
    on_each(|site| {
        // Longer than it is held: its own consumer isn't to take it for dead.
        let mut site = site.configured("[load]\nlease = \"10s\"\n");
        let gate = gate_before_s3(&mut site);
        site.drop(&departures("2013-01-31T05:00:00Z"));
        for attempts in ["1", "2", "3", "4"] {
            gate.hold(Hold::Request("/departures/"));
            let consumer = site.start(&["run"]);
            gate.wait();
            assert_eq!(site.rows("SELECT attempts FROM nightdrop.file"), [attempts]);
            consumer.kill();
            gate.open();
            site.execute("UPDATE nightdrop.file SET lease_until = now() - interval '1 s'");
        }
        site.once();
        assert_eq!(site.states(), ["parked|deadly"]);
        assert_eq!(site.rows("SELECT count(*) FROM nightdrop.parked"), ["1"]);
    });
}
