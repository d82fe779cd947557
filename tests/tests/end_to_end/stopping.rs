//! A stop signal finishes the batch in hand, gives the rest back, and the process ends well.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::gate::{Gate, Hold};
use crate::hangs::with_its_file_locked;
use crate::message::departures;
use crate::site::{let_pass, on_each};

/// With patience for a busy machine; a bucket that doesn't answer is waited for longer.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn an_idle_consumer_stops_at_once() {
    on_each(|site| {
        let consumer = site.start(&["run"]);
        site.drop(&departures("2013-01-31T05:00:00Z"));
        site.wait_for("SELECT gone_at IS NOT NULL FROM nightdrop.file", &["true"]);
        consumer.signal("TERM");
        let ended = consumer.wait(SOON);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    });
}

#[test]
fn a_consumer_stopped_in_the_middle_of_a_large_file_gives_it_back_unharmed() {
    on_each(|site| {
        let mut site = site.configured("[load]\nlease = \"10min\"\n");
        let gate = Gate::before(site.inbox.endpoint.trim_start_matches("http://"));
        site.endpoint = Some(format!("http://{}", gate.address));
        let rows: Vec<_> = (0..100_000).map(|n| json!(["UA", n])).collect();
        site.drop(&departures("2013-01-31T05:00:00Z").rows(&json!(rows)));
        gate.hold(Hold::Received(600_000));
        let consumer = site.start(&["run"]);
        gate.wait();
        consumer.signal("TERM");

        let ended = consumer.wait(SOON);

        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            site.rows(
                "SELECT state, attempts, token IS NULL, lease_until IS NULL FROM nightdrop.file"
            ),
            ["waiting|0|true|true"]
        );
        gate.open();
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["100000"]);
    });
}

#[test]
fn what_is_still_locked_when_a_consumer_is_stopped_is_given_back_before_it_ends() {
    // It tries for some seconds: where this machine took those for itself, nothing was shown.
    let shown = (0..5).any(|_| {
        let (site, consumer, _gate, load) = with_its_file_locked();
        let begun = Instant::now();
        consumer.signal("TERM");
        // Longer than its lane tries to give it back.
        let_pass(Duration::from_secs(1));
        drop(load);
        let in_time = begun.elapsed() < Duration::from_millis(2500);

        let ended = consumer.wait(SOON);

        assert_eq!(ended.code, Some(0), "{ended:?}");
        if in_time {
            assert_eq!(
                site.rows("SELECT state, attempts, token IS NULL FROM nightdrop.file"),
                ["waiting|0|true"]
            );
        }
        in_time
    });
    assert!(shown);
}
