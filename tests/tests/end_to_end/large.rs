//! Memory does not grow with the result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nightdrop_compose::{Postgres, S3Kind, file_rss, peak_rss};

use crate::process::Process;
use crate::site::Site;

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
