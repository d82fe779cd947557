//! Who is worked for, and beside whom.

use std::time::Duration;

use nightdrop_consumer::config::Config;
use nightdrop_consumer::database::Database;
use nightdrop_consumer::ledger::claim::{self, Lane};
use serde_json::json;

use crate::crashes::{gate_before_postgres, gate_before_s3, many_rows};
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::{Site, let_pass, on_each, until};

fn of(producer: &str, minute: u32) -> Message {
    let time = format!("2013-01-31T05:{minute:02}:00Z");
    message(producer, "departures", &time)
}

/// So many results of one job, a second apart.
pub fn results(producer: &str, job: &str, count: usize) -> Vec<Message> {
    let time = |n: usize| {
        let (hour, minute, second) = (n / 3600, n / 60 % 60, n % 60);
        format!("2013-01-31T{hour:02}:{minute:02}:{second:02}Z")
    };
    (0..count)
        .map(|n| message(producer, job, &time(n)))
        .collect()
}

#[test]
fn a_batch_has_a_share_for_each_producer_and_what_one_leaves_goes_to_the_others() {
    let site = Site::anywhere().configured("[load]\nbatch_files = 10\n");
    let mut all: Vec<Message> = (0..30).map(|minute| of("aaa", minute)).collect();
    all.extend((0..3).map(|minute| of("zzz", minute)));
    site.drop_all(&all);

    let ended = site.once();

    let batches = |files: u32| ended.stderr.matches(&format!("results={files} ")).count();
    assert_eq!((batches(10), batches(3)), (3, 1), "{}", ended.stderr);
    // What was left was claimed a moment later.
    assert_eq!(
        site.rows(
            "SELECT producer, count(*) FROM nightdrop.file
             WHERE claimed_at = (SELECT min(claimed_at) FROM nightdrop.file) GROUP BY 1 ORDER BY 1"
        ),
        ["aaa|5", "zzz|3"]
    );
}

#[test]
fn of_its_producer_s_share_each_job_has_its_part() {
    let site = Site::anywhere().configured("[load]\nbatch_files = 12\n");
    let jobs = [
        ("aaa", "arrivals"),
        ("aaa", "departures"),
        ("zzz", "departures"),
    ];
    let all: Vec<Message> = jobs
        .iter()
        .flat_map(|(producer, job)| results(producer, job, 12))
        .collect();
    site.drop_all(&all);

    site.once();

    assert_eq!(
        site.rows(
            "SELECT producer, job, count(*) FROM nightdrop.file
             WHERE claimed_at = (SELECT min(claimed_at) FROM nightdrop.file) GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        ["aaa|arrivals|3", "aaa|departures|3", "zzz|departures|6"]
    );
}

#[test]
fn one_job_of_each_producer_comes_before_the_second_of_any() {
    let site = Site::anywhere().configured("[load]\nbatch_files = 4\n");
    let mut all = Vec::new();
    for producer in ["bbb", "ccc", "ddd"] {
        all.extend(results(producer, "departures", 4));
    }
    for job in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        all.extend(results("aaa", job, 1));
    }
    site.drop_all(&all);

    site.once();

    assert_eq!(
        site.rows(
            "SELECT producer FROM nightdrop.file
             WHERE claimed_at = (SELECT min(claimed_at) FROM nightdrop.file) ORDER BY 1"
        ),
        ["aaa", "bbb", "ccc", "ddd"]
    );
}

#[test]
fn where_there_is_room_for_one_the_lot_decides_between_producers_and_between_jobs() {
    // Files that wait for the first time, and such as are tried alone.
    for attempts in [0, 1] {
        for (other, job) in [("aaa", "departures"), ("zzz", "arrivals")] {
            let site = Site::anywhere().configured("[load]\nbatch_files = 1\n");
            let all = [results("aaa", "arrivals", 24), results(other, job, 24)].concat();
            site.rest("aaa", "arrivals");
            site.rest(other, job);
            site.drop_all(&all);
            site.once();
            site.execute(&format!(
                "UPDATE nightdrop.file SET attempts = {attempts}; DELETE FROM nightdrop.pause"
            ));

            site.once();

            // By chance, only one of the two is among the first 20 once in half a million times.
            assert_eq!(
                site.rows(
                    "SELECT count(DISTINCT (producer, job))
                     FROM (SELECT * FROM nightdrop.file ORDER BY claimed_at LIMIT 20) first"
                ),
                ["2"],
                "{other}/{job}, {attempts} attempts"
            );
        }
    }
}

#[test]
fn a_batch_that_took_long_is_followed_by_a_smaller_one() {
    let site = Site::anywhere();
    site.once();
    site.drop_all(&results("aaa", "departures", 400));
    // Each load ends when the test says so: the first waits, and so do the two that come after it.
    site.administer(
        "CREATE FUNCTION nightdrop.loaded() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
         AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
         CREATE TRIGGER loaded BEFORE UPDATE ON nightdrop.file FOR EACH ROW
         WHEN (NEW.state = 'loaded') EXECUTE FUNCTION nightdrop.loaded()",
    );
    let slow = site.hold("SELECT pg_advisory_xact_lock(1)");
    let consumer = site.start(&["run"]);
    site.wait_for(
        "SELECT count(*) FROM nightdrop.file WHERE token IS NOT NULL",
        &["300"],
    );
    let_pass(Duration::from_millis(2100));
    drop(slow);

    // Of the first 100, fewer than 50 would have been done in a second.
    until("a batch of 50", || consumer.log().contains("results=50 "));
    assert!(consumer.log().contains("results=100 "));
}

#[test]
fn large_files_of_one_producer_leave_a_lane_for_the_others() {
    let mut site = Site::anywhere().configured("[load]\nstream_above = \"1B\"\nlease = \"5min\"\n");
    let gate = gate_before_s3(&mut site);
    for minute in 0..4 {
        site.drop(&of("aaa", minute));
    }
    gate.hold(Hold::Request("/inbox/aaa/"));
    let _consumer = site.start(&["run"]);
    gate.wait();
    site.drop(&of("zzz", 0));

    site.wait_for("SELECT count(*) FROM zzz.departures", &["2"]);

    assert_eq!(
        site.rows(
            "SELECT count(*) FROM nightdrop.file WHERE producer = 'aaa' AND claimed_at IS NOT NULL"
        ),
        ["1"],
        "nobody waited until the bucket was given up"
    );
    gate.open();
    site.wait_for("SELECT count(*) FROM aaa.departures", &["8"]);
}

#[test]
fn a_suspect_is_tried_alone_and_nobody_waits_for_it_for_long() {
    on_each(|site| {
        let mut site = site.configured("[load]\nlease = \"1s\"\nstream_above = \"10KB\"\n");
        let gate = gate_before_s3(&mut site);
        site.drop(&of("aaa", 0));
        gate.hold(Hold::Request("/inbox/aaa/"));
        let consumer = site.start(&["run"]);
        gate.wait();
        consumer.kill();
        gate.open();
        site.wait_for("SELECT lease_until < now() FROM nightdrop.file", &["true"]);

        // Longer than it is held from here on.
        site = site.configured("[load]\nlease = \"1min\"\nstream_above = \"10KB\"\n");
        gate.hold(Hold::Request("/inbox/aaa/"));
        let _consumer = site.start(&["run"]);
        gate.wait();
        assert_eq!(site.rows("SELECT attempts FROM nightdrop.file"), ["2"]);
        site.drop(&of("zzz", 0));
        site.drop(&of("yyy", 0).rows(&many_rows(1000)));
        site.wait_for("SELECT count(*) FROM zzz.departures", &["2"]);
        site.wait_for("SELECT count(*) FROM yyy.departures", &["1000"]);

        // It is still held, and nothing was claimed beside it in its first seconds.
        assert_eq!(
            site.rows(
                "SELECT other.streamed, other.claimed_at - a.claimed_at > interval '4 s'
                 FROM nightdrop.file a, nightdrop.file other
                 WHERE a.producer = 'aaa' AND a.token IS NOT NULL AND other.producer <> 'aaa' ORDER BY 1"
            ),
            ["false|true", "true|true"]
        );
        gate.open();
        site.wait_for("SELECT count(*) FROM aaa.departures", &["2"]);
    });
}

#[test]
fn nobody_stands_aside_for_a_suspect_that_can_t_be_tried_yet() {
    let site = Site::anywhere();
    site.drop(&of("aaa", 0).with("mode", json!("replace")));
    site.once();
    site.rest("aaa", "departures");
    site.drop(&of("aaa", 1).with("mode", json!("replace")));
    site.drop(&of("aaa", 2).with("mode", json!("replace")));
    site.once();
    site.execute("UPDATE nightdrop.file SET attempts = 1 WHERE state = 'waiting'");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let text = std::fs::read_to_string(site.config()).unwrap();
    let config: Config = nightdrop_runtime::config::parse("consumer.toml", &text).unwrap();
    let database = Database::open(&config.postgres, "asking").unwrap();
    let asked = || runtime.block_on(claim::is_any_suspect(database.pool(), "asking"));
    let claimed = || {
        let (token, lane) = (uuid::Uuid::now_v7(), Lane::Suspect);
        let lease = Duration::from_mins(5);
        let claim = claim::claim(database.pool(), token, lane, "asking", lease);
        runtime.block_on(claim).unwrap().files.len()
    };

    assert!(!asked().unwrap(), "its job rests");
    assert_eq!(claimed(), 0);

    site.execute("DELETE FROM nightdrop.pause");
    assert!(asked().unwrap());

    let another = |until: &str| {
        site.execute(&format!(
            "UPDATE nightdrop.file SET token = '00000000-0000-7000-8000-000000000000', worker = 'another',
                    lease_until = now() + interval '{until}', claimed_at = now()
             WHERE extract(minute FROM as_of) = 1"
        ));
    };
    another("5 min");
    assert!(!asked().unwrap(), "another consumer has its job");
    assert_eq!(claimed(), 0);

    another("-1 s");
    assert!(asked().unwrap());
    assert_eq!(claimed(), 1);
    assert!(!asked().unwrap(), "the last one is being tried");
}

#[test]
fn what_was_only_near_a_death_is_cleared_before_the_one_that_was_there_twice() {
    let site = Site::anywhere();
    for minute in 0..4 {
        site.drop(&of("aaa", minute));
    }
    site.rest("aaa", "departures");
    site.once();
    // The first by time was there at most deaths.
    site.execute(
        "UPDATE nightdrop.file SET attempts = 4 - extract(minute FROM as_of); DELETE FROM nightdrop.pause",
    );
    site.once();
    assert_eq!(
        site.rows("SELECT attempts FROM nightdrop.file WHERE state = 'loaded' ORDER BY decided_at"),
        ["1", "2", "3"]
    );
    assert_eq!(
        site.rows("SELECT reason FROM nightdrop.file WHERE state = 'parked'"),
        ["deadly"]
    );
}

#[test]
fn files_that_turn_out_unfit_are_parked_many_in_one_commit() {
    on_each(|site| {
        site.drop(&departures("2013-01-31T01:00:00Z"));
        site.once();
        // As many as the first batch takes.
        let changed: Vec<Message> = (0..100)
            .map(|n| {
                let time = format!("2013-02-01T{:02}:{:02}:00Z", n / 60, n % 60);
                departures(&time).with("mode", json!("replace"))
            })
            .collect();
        site.drop_all(&changed);
        site.once();
        assert_eq!(
            site.rows(
                "SELECT reason, count(*) FROM nightdrop.file WHERE state = 'parked' GROUP BY 1"
            ),
            ["changed_mode|100"]
        );
        let commits = site.rows("SELECT count(DISTINCT xmin::text) FROM nightdrop.parked");
        assert_eq!(commits, ["1"], "commits");
        let kept = site
            .rows("SELECT convert_from(bytes, 'UTF8') FROM nightdrop.parked JOIN nightdrop.file f ON f.id = file ORDER BY f.as_of LIMIT 1");
        assert_eq!(kept, [changed[0].body()]);
    });
}

#[test]
fn two_consumers_share_a_backlog_and_neither_waits_for_the_others_large_file() {
    let mut site = Site::anywhere().configured("[load]\nlease = \"5min\"\n");
    let gate = gate_before_postgres(&mut site);
    let large: Vec<_> = (0..100_000)
        .map(|n| json!(["a carrier's name", n]))
        .collect();
    site.drop(&of("jfk", 59).rows(&json!(large)));
    gate.hold(Hold::Sent(600_000));
    let first = site.start(&["run"]);
    gate.wait();
    // Only its load hangs: the keys that it lists are as many bytes before long.
    gate.hold_no_others();
    site.database_url = None;
    let second = site.start(&["run"]);
    let results: Vec<Message> = (0..10_000)
        .map(|n| {
            let (minute, second) = (n / 60 % 59, n % 60);
            departures(&format!("2013-01-31T05:{minute:02}:{second:02}Z"))
        })
        .collect();
    site.drop_all(&results);

    crate::site::until_within(Duration::from_mins(5), "the backlog to be loaded", || {
        site.rows("SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'") == ["10000"]
    });
    assert_eq!(
        site.rows(
            "SELECT state, count(DISTINCT worker) FROM nightdrop.file WHERE streamed GROUP BY 1"
        ),
        ["waiting|1"]
    );
    let shares = site.rows(
        "SELECT count(*) FROM nightdrop.file WHERE state = 'loaded' GROUP BY worker ORDER BY 1",
    );
    eprintln!("10,000 files, shared: {shares:?}");
    assert_eq!(shares.len(), 2, "each has its share");

    gate.open();
    site.wait_for(
        "SELECT state FROM nightdrop.file WHERE streamed",
        &["loaded"],
    );
    assert_eq!(
        site.rows("SELECT count(*), count(DISTINCT (_file, flight)) FROM jfk.departures"),
        ["120000|120000"]
    );
    assert_eq!(
        site.rows("SELECT state, attempts, count(*) FROM nightdrop.file GROUP BY 1, 2"),
        ["loaded|0|10001"]
    );
    drop((first, second));
}
