//! What is kept, and for how long: history leaves the ledger without ever being loaded again, and objects
//! stay in the bucket for as long as they are told to.

use serde_json::{Value, json};

use crate::crashes::{gate_before_postgres, many_rows};
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::{PATIENCE, Site, on_each};

/// Longer ago than `[keep] history`.
pub(crate) const AGE: &str = "
    UPDATE nightdrop.file SET decided_at = decided_at - interval '500 days', gone_at = gone_at - interval '500 days'
    WHERE state <> 'waiting';
    UPDATE nightdrop.job SET created_at = created_at - interval '500 days';
    UPDATE nightdrop.retired SET created_at = created_at - interval '500 days', retired_at = retired_at - interval '500 days'";

fn days(time: &str, from: &str, to: &str, n: i64) -> Message {
    message("jfk", "days", time)
        .with("mode", json!("replace"))
        .with(
            "columns",
            json!([{"name": "day", "type": "date"}, {"name": "n", "type": "int64"}]),
        )
        .with("range", json!({"column": "day", "from": from, "to": to}))
        .rows(&json!([[from, n]]))
}

#[test]
fn a_run_that_was_pruned_from_the_history_is_never_loaded_again() {
    for streams in ["", "[load]\nstream_above = \"1B\"\n"] {
        on_each(|site| {
            let site = site.configured(streams);
            let old = departures("2013-01-31T01:00:00Z");
            site.drop(&old);
            site.drop(&departures("2013-01-31T02:00:00Z"));
            site.once();
            site.execute(AGE);
            site.once();
            assert_eq!(
                site.rows("SELECT run_id, file FROM nightdrop.seen"),
                [format!("{}|1", old.id)]
            );
            assert_eq!(site.rows("SELECT id FROM nightdrop.file"), ["2"]);

            site.drop(&old);
            site.once();
            site.drop(&old.rows(&json!([["B6", 1]])));
            site.once();
            assert_eq!(
                site.states(),
                ["loaded|null", "duplicate|null", "parked|run_reused"]
            );
            assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["4"]);
        });
    }
}

#[test]
fn a_run_that_is_pruned_while_it_is_being_loaded_once_more_is_there_once() {
    let mut site = Site::anywhere().configured("[load]\nlease = \"5min\"\n");
    let gate = gate_before_postgres(&mut site);
    let result = departures("2013-01-31T05:00:00Z").rows(&many_rows(20_000));
    let (gzip, packed) = result.gzipped();
    site.drop(&result);
    gate.hold(Hold::Sent(600_000));
    // It has looked whether the run is loaded, and is in the middle of its rows; it has no eye for what comes.
    let _first = site.start(&["once"]);
    gate.wait();

    site.database_url = None;
    site.drop_as(&gzip, &packed);
    site.drop(&departures("2013-01-31T06:00:00Z"));
    let second = site.start(&["run"]);
    site.wait_for(
        "SELECT id FROM nightdrop.file WHERE state = 'loaded' AND gone_at IS NOT NULL ORDER BY id",
        &["2", "3"],
    );
    drop(second);
    site.execute(AGE);
    let _third = site.start(&["run"]);
    site.wait_for(
        "SELECT run_id FROM nightdrop.seen",
        &[&result.id.to_string()],
    );
    gate.open();

    site.wait_for(
        "SELECT id, state FROM nightdrop.file ORDER BY id",
        &["1|duplicate", "3|loaded"],
    );
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["20002"]);
}

/// Lets `count` appends of jfk/departures have been loaded long ago, one a minute.
fn history(site: &Site, count: u32) {
    site.execute(&format!(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
         SELECT 'k' || n, 'e', 1, 'jfk', 'departures', timestamptz '2013-01-01Z' + n * interval '1 min', gen_random_uuid()
         FROM generate_series(1, {count}) n;
         UPDATE nightdrop.file SET state = 'loaded', mode = 'append', row_count = 1, body_hash = sha256(key::bytea),
                decided_at = now(), gone_at = now() WHERE key LIKE 'k%';
         {AGE}"
    ));
}

#[test]
fn two_consumers_prune_at_once_and_forget_no_run() {
    let site = Site::anywhere();
    history(&site, 5000);
    let (one, other) = (site.start(&["once"]), site.start(&["once"]));
    for ended in [one.wait(PATIENCE), other.wait(PATIENCE)] {
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    // The newest of a job stays: how fresh the reports are is read from it.
    assert_eq!(
        site.rows("SELECT key, (SELECT count(*) FROM nightdrop.seen) FROM nightdrop.file"),
        ["k5000|4999"]
    );
}

#[test]
fn run_prunes_beside_its_work() {
    let site = Site::anywhere();
    history(&site, 2500);
    let _consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM nightdrop.file", &["1"]);
}

#[test]
fn only_what_nothing_rests_on_is_pruned() {
    on_each(|site| {
        // Three ranges, of which the first is covered by a newer one; one that is superseded.
        site.drop(&days("2013-02-01T00:00:00Z", "2013-01-01", "2013-01-02", 1));
        site.drop(&days("2013-02-02T00:00:00Z", "2013-01-02", "2013-01-03", 2));
        site.drop(&days("2013-02-03T00:00:00Z", "2013-01-03", "2013-01-04", 3));
        site.once();
        site.drop(&days("2013-02-04T00:00:00Z", "2013-01-01", "2013-01-02", 4));
        site.drop(&days("2013-01-31T00:00:00Z", "2013-01-02", "2013-01-03", 5));
        // A full one, over and over: the last says all.
        for (day, n) in [("05", 1), ("06", 2)] {
            site.drop(
                &message("jfk", "fleet", &format!("2013-02-{day}T00:00:00Z"))
                    .with("mode", json!("replace"))
                    .rows(&json!([["AA", n]])),
            );
        }
        let bad = departures("2013-01-31T01:00:00Z");
        site.drop_as(&bad.key(), b"{");
        site.once();
        let keys =
            "SELECT state, job, to_char(as_of, 'MM-DD') FROM nightdrop.file ORDER BY 1, 2, 3";
        assert_eq!(site.rows(keys).len(), 8);
        site.execute(AGE);
        site.once();
        let kept = [
            "loaded|days|02-02",
            "loaded|days|02-03",
            "loaded|days|02-04",
            "loaded|fleet|02-06",
            "parked|departures|01-31",
        ];
        assert_eq!(site.rows(keys), kept);

        // So what comes late is judged as if nothing had been forgotten.
        site.drop(&days("2013-01-30T00:00:00Z", "2013-01-01", "2013-01-04", 6));
        site.drop(&days("2013-01-30T01:00:00Z", "2013-01-01", "2013-01-02", 7));
        site.drop(&days("2013-01-30T02:00:00Z", "2013-01-03", "2013-01-09", 8));
        site.once();
        assert_eq!(
            site.rows("SELECT state, reason FROM nightdrop.file WHERE as_of < '2013-01-31Z' ORDER BY as_of"),
            ["superseded|null", "superseded|null", "parked|partial_overlap"]
        );
        assert_eq!(
            site.rows("SELECT n FROM jfk.days ORDER BY day"),
            ["4", "2", "3"]
        );
    });
}

#[test]
fn the_newest_result_of_a_jobs_present_life_stays() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.once();
    let retired = site.consumer(&["retire", "jfk", "departures"]);
    assert_eq!(retired.code, Some(0), "{retired:?}");
    site.drop(&departures("2013-01-31T04:00:00Z"));
    site.once();
    site.execute(AGE);
    site.once();
    assert_eq!(
        site.rows("SELECT to_char(as_of, 'HH24') FROM nightdrop.file ORDER BY 1"),
        ["04", "05"]
    );
    let explained = site.consumer(&["explain", "1"]);
    assert!(
        explained.stdout.contains("jfk.departures_retired_"),
        "{}",
        explained.stdout
    );
}

#[test]
fn history_is_not_forgotten_while_a_list_may_still_show_it() {
    let site = Site::anywhere().configured("[keep]\nhistory = \"59m\"\n");
    let ended = site.consumer(&["status"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(
        ended.stderr.contains("history is kept for at least 1h"),
        "{}",
        ended.stderr
    );
}

const AN_HOUR_AGO: &str = "UPDATE nightdrop.file SET decided_at = decided_at - interval '61 min' WHERE decided_at IS NOT NULL";

#[test]
fn an_object_stays_in_the_bucket_for_as_long_as_delete_after_says() {
    on_each(|mut site| {
        site.in_bucket = "delete_after = \"1h\"\n".into();
        let result = departures("2013-01-31T01:00:00Z");
        site.drop(&result);
        let bad = departures("2013-01-31T02:00:00Z");
        site.drop_as(&bad.key(), b"{");
        for _ in 0..3 {
            site.once();
            assert_eq!(site.states(), ["loaded|null", "parked|truncated"]);
            assert_eq!(site.keys().len(), 2);
        }
        let explained = site.consumer(&["explain", "1"]);
        assert!(
            explained
                .stdout
                .contains("its object stays in the bucket until "),
            "{}",
            explained.stdout
        );
        site.execute(AN_HOUR_AGO);
        let _consumer = site.start(&["run"]);
        site.wait_for("SELECT count(gone_at) FROM nightdrop.file", &["2"]);
        assert_eq!(site.keys(), Vec::<String>::new());
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
    });
}

#[test]
fn an_object_that_was_put_over_a_loaded_one_has_a_time_of_its_own() {
    on_each(|mut site| {
        site.in_bucket = "delete_after = \"1h\"\n".into();
        let result = departures("2013-01-31T01:00:00Z");
        site.drop(&result);
        site.once();
        site.execute(AN_HOUR_AGO);
        // Whoever holds a producer's key can write over what is there.
        let other: Value = json!([["B6", 1]]);
        let (keys, body) = (site.keys_of("jfk"), result.clone().rows(&other).body());
        let answer = site
            .inbox
            .request(&keys, "PUT", &result.key().to_string(), &body)
            .unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        site.once();
        assert_eq!(site.states(), ["loaded|null", "parked|run_reused"]);
        assert_eq!(site.keys(), [result.key().to_string()]);
        site.execute(AN_HOUR_AGO);
        site.once();
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}
