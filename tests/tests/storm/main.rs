//! Three producers and two consumers, on servers of their own, while each of them, the S3 server and Postgres are killed
//! and stopped at random: in the end each result is in the reports once.
//!
//! `NIGHTDROP_STORM` says how long it blows, as `3m` or `1h`: half a minute and some hundred results unless said, from a
//! minute on at least 3,000 results. `NIGHTDROP_STORM_SEED` repeats what is killed and stopped when.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "one test binary: nothing in it is an interface, a panic is the report, and the tests say what they show in their names"
)]

mod account;
mod consumers;
#[allow(
    dead_code,
    reason = "what the storm has no use for is the other tests'"
)]
#[path = "../end_to_end/message.rs"]
mod message;
#[allow(
    dead_code,
    reason = "what the storm has no use for is the other tests'"
)]
#[path = "../end_to_end/process.rs"]
mod process;
mod producers;
mod servers;
#[allow(
    dead_code,
    reason = "what the storm has no use for is the other tests'"
)]
#[path = "../end_to_end/site.rs"]
mod site;
mod sources;
mod watch;
mod weather;

use std::time::Duration;

use nightdrop_compose::{Postgres, S3, S3Kind};

use crate::consumers::Consumers;
use crate::producers::Producer;
use crate::site::Site;
use crate::weather::Storm;

/// What two consumers are told besides where bucket and Postgres are. Leases run out during the longer stops. What a
/// consumer has in hand when it is killed is loaded file by file from then on: of 500 files at once most would be.
const CONSUMERS: &str = "[load]\nlease = \"3s\"\nbatch_files = 100\n[breaker]\nopen_for = \"2s\"\n";

/// How long it blows, and how many results there are at least.
fn form() -> (Duration, u64) {
    let text = std::env::var("NIGHTDROP_STORM").unwrap_or_else(|_| "30s".into());
    let blows = humantime::parse_duration(&text).expect("NIGHTDROP_STORM is a duration as 3m");
    if blows < Duration::from_mins(1) {
        (blows, 300)
    } else {
        (blows, 3_000)
    }
}

fn seed() -> u64 {
    std::env::var("NIGHTDROP_STORM_SEED").map_or_else(
        |_| rand::random(),
        |text| text.parse().expect("NIGHTDROP_STORM_SEED is a number"),
    )
}

#[test]
fn each_result_is_in_the_reports_once_whatever_is_killed_or_stopped_when() {
    let (blows, results) = form();
    let storm = Storm::new(seed(), blows);
    eprintln!("NIGHTDROP_STORM_SEED={} for {blows:?}", storm.seed);

    let kinds = S3Kind::available();
    let mut s3 = S3::start(kinds[kinds.len() - 1]).unwrap();
    let mut postgres = Postgres::start().unwrap();
    let site = Site::with(&s3, &postgres).configured(CONSUMERS);
    let mut producers: Vec<Producer> = sources::three(&postgres, blows)
        .into_iter()
        .map(|source| Producer::new(&site, source))
        .collect();
    producers.iter_mut().for_each(Producer::begin);
    let consumers = Consumers::new(&site);
    let share = results / producers.len() as u64;

    std::thread::scope(|scope| {
        let (site, storm, consumers) = (&site, &storm, &consumers);
        let (s3, postgres) = (&mut s3, &mut postgres);
        let mut blowing = vec![
            scope.spawn(|| storm.guard("S3", || servers::blow("S3", s3, storm))),
            scope.spawn(|| storm.guard("Postgres", || servers::blow("Postgres", postgres, storm))),
        ];
        for producer in &mut producers {
            blowing.push(scope.spawn(|| storm.guard("producer", || producer.blow(storm))));
        }
        for number in 0..2 {
            scope.spawn(move || storm.guard("consumer", || consumers.blow(number, storm)));
        }
        watch::until_it_is_over(site, storm, share);
        for one in blowing {
            one.join().unwrap();
        }
        // All servers are there again, all spools empty: what is dropped is to be loaded by itself.
        watch::until_all_is_loaded(site, storm);
        storm.settle();
    });

    storm.guard("the account", || {
        for producer in &producers {
            account::of_producer(&site, producer);
        }
        account::of_the_ledger(&site, results);
        consumers.check_memory();
    });
    storm.end();
}
