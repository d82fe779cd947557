//! Whatever comes late, twice, or at the same instant: the reports end as the design's order says.

mod model;

use std::collections::BTreeMap;

use nightdrop_compose::S3Kind;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use self::model::{Covered, Mode, Sent, VALUES, covered, end};
use crate::crashes::gate_before_s3;
use crate::gate::Hold;
use crate::message::{Message, message};
use crate::site::{Site, on_one, until};

/// A `replace` of a range of its first column.
fn ranged(
    job: &str,
    ty: &str,
    time: &str,
    from: &Value,
    to: &Value,
    rows: &[(&Value, i64)],
) -> Message {
    let rows: Vec<Value> = rows.iter().map(|(at, n)| json!([at, n])).collect();
    message("jfk", job, time)
        .with("mode", json!("replace"))
        .with(
            "columns",
            json!([{"name": "at", "type": ty}, {"name": "n", "type": "int64"}]),
        )
        .with("range", json!({"column": "at", "from": from, "to": to}))
        .rows(&json!(rows))
}

#[test]
fn a_range_is_replaced_whatever_its_columns_type_and_however_far_off_its_years() {
    // Each ascends; the years outside 0001 to 9999 are written otherwise by Postgres.
    let columns = [
        (
            "int64",
            json!([i64::MIN, -1, 0, 9_007_199_254_740_993_i64, i64::MAX]),
        ),
        (
            "date",
            json!([
                "-4713-11-24",
                "0000-12-31",
                "2013-01-31",
                "+10000-01-01",
                "+5874897-12-31"
            ]),
        ),
        (
            "timestamp",
            json!([
                "-4713-11-24T00:00:00",
                "-0001-02-03T04:05:06.789",
                "2013-01-31T00:00:00.000001",
                "+12345-06-07T08:09:10",
                "+294276-12-31T23:59:59.999999"
            ]),
        ),
        (
            "timestamptz",
            json!([
                "-4713-11-24T00:00:00Z",
                "-0001-02-03T04:05:06.789Z",
                "2013-01-31T00:00:00.000001+05:45",
                "+12345-06-07T08:09:10Z",
                "+294276-12-31T23:59:59.999999Z"
            ]),
        ),
    ];
    on_one(|site| {
        for (ty, at) in &columns {
            site.drop(&ranged(
                ty,
                ty,
                "2013-02-01T00:00:00Z",
                &at[0],
                &at[4],
                &[(&at[0], 0), (&at[1], 1), (&at[2], 2), (&at[3], 3)],
            ));
        }
        site.once();
        for (ty, at) in &columns {
            // Half-open: the first and the second go, the third stays.
            site.drop(&ranged(
                ty,
                ty,
                "2013-02-02T00:00:00Z",
                &at[0],
                &at[2],
                &[(&at[1], 11)],
            ));
            site.drop(&ranged(ty, ty, "2013-02-03T00:00:00Z", &at[3], &at[4], &[]));
        }
        site.once();
        assert_eq!(
            site.rows("SELECT DISTINCT state, error FROM nightdrop.file"),
            ["loaded|null"]
        );
        for (ty, _) in &columns {
            assert_eq!(
                site.rows(&format!("SELECT n FROM jfk.\"{ty}\" ORDER BY at")),
                ["11", "2"],
                "{ty}"
            );
        }
    });
}

const PRODUCERS: [&str; 2] = ["jfk", "lga"];

/// Each job's mode; `shared` of both producers goes to one table.
const JOBS: [&str; 6] = ["appends", "wholes", "parts", "mixed", "keyed", "shared"];

/// Results of one producer's job, a few at the same instant.
fn some(
    random: &mut StdRng,
    producer: &str,
    job: &str,
    count: usize,
    next: &mut i64,
) -> Vec<(Message, Sent)> {
    (0..count)
        .map(|_| {
            let time = format!("2013-01-0{}T00:00:00Z", random.random_range(1..6));
            let mode = match job {
                "appends" => Mode::Append,
                "wholes" | "shared" => Mode::Replace,
                "mixed" if random.random_ratio(1, 4) => Mode::Replace,
                "parts" | "mixed" => {
                    let from = random.random_range(0..VALUES);
                    Mode::Range(from, random.random_range(from + 1..=VALUES))
                }
                _ => Mode::Upsert,
            };
            // Some of the larger ones are streamed.
            let length = *[0, 1, 3, 60].choose(random).unwrap();
            let mut keys: Vec<i64> = match mode {
                Mode::Range(from, to) => (0..length).map(|n| from + n % (to - from)).collect(),
                _ => (0..80).collect(),
            };
            keys.shuffle(random);
            keys.truncate(usize::try_from(length).unwrap());
            let rows: Vec<(i64, i64)> = keys
                .into_iter()
                .map(|k| {
                    *next += 1;
                    (k, *next)
                })
                .collect();
            let rows_as_json: Vec<Value> = rows.iter().map(|(k, n)| json!([k, n])).collect();
            let mut message = message(producer, job, &time)
                .with(
                    "columns",
                    json!([{"name": "k", "type": "int64"}, {"name": "n", "type": "int64"}]),
                )
                .rows(&json!(rows_as_json));
            message = match mode {
                Mode::Append => message,
                Mode::Replace => message.with("mode", json!("replace")),
                Mode::Range(from, to) => message
                    .with("mode", json!("replace"))
                    .with("range", json!({"column": "k", "from": from, "to": to})),
                Mode::Upsert => message
                    .with("mode", json!("upsert"))
                    .with("primary_key", json!(["k"])),
            };
            (message, Sent { mode, time, rows })
        })
        .collect()
}

/// A result as the ledger has it.
#[derive(Debug)]
struct Judged<'a> {
    file: i64,
    state: String,
    sent: &'a Sent,
}

/// Two consumers meet in one job: the one that began first is half-way through an older result.
#[test]
fn a_newer_replace_waits_for_an_older_one_that_is_half_way_and_none_of_its_rows_stay() {
    let mut site = Site::anywhere();
    let direct = site.endpoint.clone();
    let gate = gate_before_s3(&mut site);
    let replace = |time: &str, rows: &Value| {
        message("jfk", "fleet", time)
            .with("mode", json!("replace"))
            .rows(rows)
    };
    // Larger than what is read before the rows begin to flow.
    let carrier = "a carrier ".repeat(11);
    let rows: Vec<Value> = (0..100_000).map(|n| json!([carrier, n])).collect();
    site.drop(&replace("2013-01-01T00:00:00Z", &json!(rows)));
    gate.hold(Hold::Received(10_000_000));
    let first = site.start(&["once"]);
    gate.wait();
    until("the older one to be half-way", || {
        site.rows(
            "SELECT count(*) FROM pg_stat_activity
             WHERE query LIKE 'COPY%' AND state = 'active' AND datname = current_database()",
        ) == ["1"]
    });

    site.drop(&replace("2013-01-02T00:00:00Z", &json!([["AA", 2]])));
    site.endpoint = direct;
    let second = site.start(&["run"]);
    until("the second to have come to the newer one", || {
        site.rows(
            "SELECT FROM nightdrop.file WHERE as_of = '2013-01-02' AND (claimed_at IS NOT NULL OR retry_at IS NOT NULL)",
        )
        .len()
            == 1
    });
    // However long the rest takes, nobody takes the load that is held for one that no longer moves.
    site.execute("UPDATE nightdrop.load SET deadline = clock_timestamp() + interval '1 h'");
    // With the job to itself it would be done by now.
    site.drop(&message("jfk", "others", "2013-01-01T00:00:00Z"));
    site.wait_for("SELECT count(*) FROM jfk.others", &["2"]);
    site.drop(&message("jfk", "others", "2013-01-02T00:00:00Z"));
    site.wait_for("SELECT count(*) FROM jfk.others", &["4"]);
    gate.open();

    assert_eq!(first.wait(crate::site::PATIENCE).code, Some(0));
    site.wait_for(
        "SELECT state FROM nightdrop.file WHERE job = 'fleet' ORDER BY as_of",
        &["loaded", "loaded"],
    );
    drop(second);
    assert_eq!(site.rows("SELECT carrier, flight FROM jfk.fleet"), ["AA|2"]);
}

#[test]
fn rows_that_would_blur_what_a_result_says_of_itself_are_parked_by_name() {
    on_one(|site| {
        let (from, to) = (json!(0), json!(10));
        let day = "2013-02-01T00:00:00Z";
        site.drop(&ranged(
            "outside",
            "int64",
            day,
            &from,
            &to,
            &[(&json!(10), 1)],
        ));
        site.drop(&ranged(
            "null",
            "int64",
            day,
            &from,
            &to,
            &[(&Value::Null, 1)],
        ));
        site.drop(&ranged(
            "infinite",
            "date",
            day,
            &json!("2013-01-01"),
            &json!("2013-02-01"),
            &[(&json!("infinity"), 1)],
        ));
        site.drop(&ranged(
            "endless",
            "date",
            day,
            &json!("2013-01-01"),
            &json!("infinity"),
            &[],
        ));
        site.drop(
            &message("jfk", "keyless", day)
                .with("mode", json!("upsert"))
                .with("primary_key", json!(["carrier"]))
                .rows(&json!([["AA", 1], [null, 2]])),
        );
        site.once();
        let rows = site.rows("SELECT job, reason, error FROM nightdrop.file ORDER BY job");
        for (row, begins) in rows.iter().zip([
            "endless|contract|data.range.to: is infinite",
            "infinite|contract|data.rows[0][0] (at, date): ",
            "keyless|contract|data.rows[1][0] (carrier, string): ",
            "null|contract|data.rows[0][0] (at, int64): ",
            "outside|contract|data.rows[0][0] (at, int64): ",
        ]) {
            assert!(row.starts_with(begins), "{row}");
        }
        assert_eq!(rows.len(), 5);
    });
}

#[test]
fn whatever_the_order_they_come_in_results_end_as_if_each_had_come_in_its_time() {
    let seed = std::env::var("NIGHTDROP_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("NIGHTDROP_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::on(*S3Kind::available().choose(&mut random).unwrap()).configured(
        "[load]\nbatch_files = 7\nstream_above = \"700B\"\n\
         [[route]]\njob = \"shared\"\nproducers = [\"*\"]\ntable = \"reports.shared\"\n",
    );
    let mut next = 0;
    let mut sent = Vec::new();
    // Few jobs are contended for, many are mixed in a batch.
    let jobs = random.random_range(1..=JOBS.len());
    let chosen: Vec<&str> = JOBS.sample(&mut random, jobs).copied().collect();
    for producer in PRODUCERS {
        for job in &chosen {
            sent.extend(some(&mut random, producer, job, 72 / jobs, &mut next));
        }
    }
    let by_run: BTreeMap<String, &Sent> = sent
        .iter()
        .map(|(message, sent)| (message.id.to_string(), sent))
        .collect();
    let mut drops = Vec::new();
    for (message, _) in &sent {
        drops.push((message.key(), message.body().into_bytes()));
        // The same run under two keys, and the same key again when it may have been deleted.
        if random.random_ratio(1, 8) {
            drops.push(message.gzipped());
        }
        if random.random_ratio(1, 8) {
            drops.push((message.key(), message.body().into_bytes()));
        }
    }
    drops.shuffle(&mut random);

    let consumers: Vec<_> = (0..3).map(|_| site.start(&["run"])).collect();
    let waves = drops.len().div_ceil(3);
    for wave in drops.chunks(waves) {
        for (key, body) in wave {
            site.drop_as(key, body);
        }
        until("some of a wave to be decided", || {
            site.try_rows("SELECT FROM nightdrop.file WHERE state <> 'waiting' LIMIT 10")
                .is_ok_and(|rows| rows.len() == 10)
        });
    }
    // Then all have been listed: a repeat, too.
    until("the inbox to be empty", || site.is_inbox_empty());
    site.wait_for(
        "SELECT count(*) FILTER (WHERE state = 'waiting'), count(DISTINCT run_id) FROM nightdrop.file",
        &[&format!("0|{}", sent.len())],
    );
    drop(consumers);

    let mut jobs: BTreeMap<(String, String), Vec<Judged<'_>>> = BTreeMap::new();
    for row in site.rows(
        "SELECT producer, job, id, run_id, state || coalesce(' ' || reason, '') FROM nightdrop.file ORDER BY id",
    ) {
        let [producer, job, file, run, state] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let judged = Judged {
            file: file.parse().unwrap(),
            state: state.to_owned(),
            sent: by_run[run],
        };
        jobs.entry((producer.into(), job.into()))
            .or_default()
            .push(judged);
    }
    assert_eq!(jobs.len(), PRODUCERS.len() * chosen.len());
    for ((producer, job), files) in &jobs {
        let whose = format!("{producer}/{job} with NIGHTDROP_SEED={seed}");
        for one in files {
            check(one, files, &whose);
        }
        let counting = files
            .iter()
            .filter(|one| matches!(one.state.as_str(), "loaded" | "superseded"))
            .map(|one| (one.file, one.sent))
            .collect();
        let table = match job.as_str() {
            "shared" => "reports.shared".to_owned(),
            job => format!("{producer}.{job}"),
        };
        let rows: Vec<(i64, i64)> = site
            .rows(&format!(
                "SELECT k, n FROM {table} WHERE _producer = '{producer}' ORDER BY k, n"
            ))
            .iter()
            .map(|row| {
                let (k, n) = row.split_once('|').unwrap();
                (k.parse().unwrap(), n.parse().unwrap())
            })
            .collect();
        assert_eq!(rows, end(counting), "{whose}: {files:#?}");
    }
}

/// Whether a file is where the others of its job let it be.
fn check(one: &Judged<'_>, files: &[Judged<'_>], whose: &str) {
    let rank = |one: &Judged<'_>| (one.sent.time.clone(), one.file);
    let loaded = || files.iter().filter(|other| other.state == "loaded");
    let later: Vec<&Mode> = loaded()
        .filter(|other| rank(other) > rank(one))
        .map(|other| &other.sent.mode)
        .collect();
    let covered = covered(&one.sent.mode, &later);
    let same_run = |other: &&Judged<'_>| std::ptr::eq(other.sent, one.sent);
    let fits = match one.state.as_str() {
        "loaded" | "duplicate" => loaded().filter(same_run).count() == 1,
        "superseded" => covered == Covered::All,
        // Results that were loaded since may cover the rest.
        "parked partial_overlap" => covered != Covered::Nothing,
        _ => false,
    };
    assert!(fits, "{whose}: {one:#?}\namong {files:#?}");
    if one.state.starts_with("parked") {
        assert!(
            matches!(one.sent.mode, Mode::Range(..))
                || covered == Covered::Some
                || covered == Covered::All,
            "{whose}: {one:#?}"
        );
    }
}
