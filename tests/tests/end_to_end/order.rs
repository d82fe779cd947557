//! Whatever comes late, twice, or at the same instant: the reports end as the design's order says.

mod model;

use std::collections::BTreeMap;

use nightdrop_compose::S3Kind;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use self::model::{Covered, Mode, Sent, VALUES, covered, end};
use crate::message::{Message, message};
use crate::site::{Site, on_each, until};

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
    on_each(|site| {
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
fn some(random: &mut StdRng, producer: &str, job: &str, next: &mut i64) -> Vec<(Message, Sent)> {
    let count = 12;
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
    for producer in PRODUCERS {
        for job in JOBS {
            sent.extend(some(&mut random, producer, job, &mut next));
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
    assert_eq!(jobs.len(), PRODUCERS.len() * JOBS.len());
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
