//! Memory does not grow with the result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nightdrop_compose::{Postgres, S3Kind, file_rss, peak_rss};
use nightdrop_schema::{Compression, Key};
use serde_json::json;

use crate::hostile::body::{Part, instead, text, zstd};
use crate::message::message;
use crate::process::Process;
use crate::site::{PATIENCE, Site};

/// Each row is a little over 2,000 bytes as JSON.
const ROWS: u64 = 1_000_000;
const CEILING: u64 = 128 * 1024 * 1024;

/// Runs a program to its end, and gives the most memory that it had resident; and how much of that was the program's own
/// file, at the end.
pub fn peak_of(process: Process, patience: Duration) -> (u64, u64) {
    let pid = process.pid();
    let peak = AtomicU64::new(0);
    let program = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) == 0 {
                if let Ok(now) = peak_rss(pid) {
                    peak.fetch_max(now, Ordering::Relaxed);
                }
                if let Ok(now) = file_rss(pid) {
                    program.fetch_max(now, Ordering::Relaxed);
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let ended = process.wait(patience);
        done.store(1, Ordering::Relaxed);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    });
    let peak = peak.into_inner();
    assert!(peak > 0, "its memory was never seen");
    (peak, program.into_inner())
}

#[test]
fn two_gigabytes_go_through_both_programs_in_constant_memory() {
    let kind = S3Kind::available().pop().unwrap();
    let site = Site::on(kind);
    let source = Postgres::shared().unwrap().database().unwrap();
    let job = format!(
        "[job.large]\nsource = \"db\"\nmode = \"append\"\ntimeout = \"30m\"\nquery = \"SELECT n, n / 7.0 AS part, \
         repeat(md5(n::text), 62) AS text FROM generate_series(1, {ROWS}) n\"\n"
    );
    let config = site.producer_config("jfk", &source, "none", &job);

    let patience = Duration::from_mins(10);
    let (producer, _) = peak_of(
        Process::start("nightdrop-producer", &config, &["run", "large"]),
        patience,
    );
    site.as_reader();
    let (consumer, _) = peak_of(site.start(&["once"]), patience);

    assert_eq!(
        site.rows("SELECT row_count, size > 2000000000, state FROM nightdrop.file"),
        [format!("{ROWS}|true|loaded")]
    );
    assert_eq!(
        site.rows("SELECT count(*), sum(n), min(length(text)) FROM jfk.large"),
        [format!("{ROWS}|{}|1984", ROWS * (ROWS + 1) / 2)]
    );
    eprintln!(
        "peak resident: producer {} MiB, consumer {} MiB",
        producer >> 20,
        consumer >> 20
    );
    assert!(producer < CEILING, "the producer took {producer} bytes");
    assert!(consumer < CEILING, "the consumer took {consumer} bytes");
}

/// What of that the program itself takes, optimized. As tests are built it is larger.
const PROGRAM: u64 = 12 * 1024 * 1024;

#[test]
fn rows_near_their_cap_in_both_lanes_at_once_take_no_more_memory() {
    let site = Site::anywhere();
    // Two cells of a little less than 16 MiB each, so often.
    let (cell, rows) = ((16 << 20) - 4096, 4);
    for producer in ["jfk", "lga"] {
        let result = message(producer, "wide", "2013-01-31T05:00:00Z")
            .with(
                "columns",
                json!([{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]),
            )
            .rows(&json!(["all of them"]))
            .with("row_count", json!(rows));
        let row = format!("[\"{}\",\"{}\"]", "a".repeat(cell), "b".repeat(cell));
        let parts = vec![Part(format!("{row},"), rows - 1), text(row)];
        let plain = result.key();
        let key = Key::new(
            plain.producer().clone(),
            plain.job().clone(),
            plain.time(),
            plain.run(),
            Compression::Zstd,
        );
        let body = zstd(instead(&result, "\"all of them\"", parts));
        site.drop_as(&key.unwrap(), &body);
    }

    let consumer = site.start(&["run"]);
    let (begun, states) = (
        Instant::now(),
        "SELECT state FROM nightdrop.file ORDER BY id",
    );
    while !site
        .try_rows(states)
        .is_ok_and(|states| states == ["loaded"; 2])
    {
        assert!(
            begun.elapsed() < Duration::from_mins(5),
            "{:?}\n{}",
            site.rows(states),
            consumer.log()
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let (peak, program) = (
        peak_rss(consumer.pid()).unwrap(),
        file_rss(consumer.pid()).unwrap(),
    );
    consumer.signal("TERM");
    assert_eq!(consumer.wait(PATIENCE).code, Some(0));

    for producer in ["jfk", "lga"] {
        let query = format!("SELECT count(*), min(length(a)), min(length(b)) FROM {producer}.wide");
        assert_eq!(site.rows(&query), [format!("{rows}|{cell}|{cell}")]);
    }
    eprintln!(
        "peak resident: {} MiB, {} of them the program itself",
        peak >> 20,
        program >> 20
    );
    let own = peak - program;
    assert!(own + PROGRAM < CEILING, "the consumer took {own} bytes");
}
