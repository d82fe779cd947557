//! A file is loaded within seconds of its PUT, whatever backlogs others have. A program of its own: it looks at
//! the clock, and the other tests would take their share of the machine.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "one test binary: nothing in it is an interface, a panic is the report, and the tests say what they show in their names"
)]

#[allow(dead_code, reason = "what is of no use here is the other tests'")]
#[path = "../end_to_end/message.rs"]
mod message;
#[allow(dead_code, reason = "what is of no use here is the other tests'")]
#[path = "../end_to_end/process.rs"]
mod process;
#[allow(dead_code, reason = "what is of no use here is the other tests'")]
#[path = "../end_to_end/site.rs"]
mod site;

use std::time::{Duration, Instant};

use nightdrop_compose::{S3Kind, file_rss, peak_rss};

use crate::message::{departures, message};
use crate::site::Site;

/// What a file may wait from its PUT until its rows are in the reports.
const PROMISE: Duration = Duration::from_secs(5);

/// What the consumer may have resident, and what of that the program itself takes, optimized. As tests are
/// built it is several times as large.
const CEILING: u64 = 64 << 20;
const PROGRAM: u64 = 12 << 20;

#[test]
fn a_file_is_loaded_within_seconds_beside_poison_sorted_first_and_a_backlog() {
    let kind = S3Kind::available().pop().unwrap();
    // As a site has it that configures nothing.
    let site = Site::on(kind).configured("[poll]\nmin = \"1s\"\nmax = \"5s\"\n");
    let second = |n: usize| {
        let (hour, minute, second) = (n / 3600, n / 60 % 60, n % 60);
        format!("2013-01-31T{hour:02}:{minute:02}:{second:02}Z")
    };
    site.drop_all_as((0..5_000).map(|n| {
        let poison = message("aaa", "poison", &second(n));
        let body = poison.body();
        (poison.key(), body[..body.len() - 20].to_owned())
    }));
    site.drop_all_as((0..20_000).map(|n| {
        let result = departures(&second(n));
        (result.key(), result.body())
    }));

    // Its key is made before: that takes its time.
    site.keys_of("zzz");

    let consumer = site.start(&["run"]);
    let count = |query: &str| -> u64 {
        let rows = site.try_rows(query).unwrap_or_default();
        rows.concat().parse().unwrap_or_default()
    };
    let decided = |producer: &str| {
        count(&format!(
            "SELECT count(*) FROM nightdrop.file WHERE producer = '{producer}' AND state IN ('loaded', 'parked')"
        ))
    };
    crate::site::until("both backlogs to be worked on", || {
        decided("aaa") > 0 && decided("jfk") > 0
    });
    let mut waited = Vec::new();
    for hour in 0..5 {
        let before = (decided("aaa"), decided("jfk"));
        let begun = Instant::now();
        site.drop(&message(
            "zzz",
            "arrivals",
            &format!("2013-01-31T{hour:02}:00:00Z"),
        ));
        let expected = 2 * (hour + 1);
        crate::site::until("the third's file to be loaded", || {
            count("SELECT count(*) FROM zzz.arrivals") == expected
        });
        waited.push(begun.elapsed());
        let after = (decided("aaa"), decided("jfk"));
        eprintln!(
            "{:?} beside {before:?} to {after:?} decided",
            begun.elapsed()
        );
        if after.0 >= 5_000 || after.1 >= 20_000 {
            assert!(!waited.is_empty());
            break;
        }
    }
    for file in site.rows(
        "SELECT listed_at - lag(decided_at) OVER (ORDER BY id) AS after, claimed_at - listed_at AS to_claim, decided_at - claimed_at AS to_load
         FROM nightdrop.file WHERE producer = 'zzz' ORDER BY id",
    ) {
        eprintln!("after the last one's load | listed to claimed | claimed to loaded: {file}");
    }
    let (peak, program) = (
        peak_rss(consumer.pid()).unwrap(),
        file_rss(consumer.pid()).unwrap(),
    );
    eprintln!(
        "peak resident {} MiB, {} of them the program itself",
        peak >> 20,
        program >> 20
    );
    assert!(waited.iter().all(|waited| *waited < PROMISE), "{waited:?}");
    assert!(
        peak - program + PROGRAM < CEILING,
        "the consumer took {peak} bytes"
    );
}
