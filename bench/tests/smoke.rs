//! The whole bench with tiny inputs, by all whom it takes only seconds to fetch: Nightdrop, the scripts and the limits. Every
//! one loads what was dropped, and Nightdrop gets nothing wrong. No times.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a test, a panic is the report, and its name says what it shows"
)]

use std::path::Path;

use nightdrop_bench::bench::{self, Options, Outcome};
use nightdrop_bench::python::Python;
use nightdrop_bench::report;

fn options(works: &[&str], contenders: &[&str], output: &Path) -> Options {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Options {
        works: owned(works),
        contenders: owned(contenders),
        runs: 1,
        scale: 0.001,
        output: output.to_owned(),
        release: false,
    }
}

/// Runs it, and gives what was found with the report.
async fn run(options: &Options) -> (Outcome, String) {
    let python = Python::ready(options.peers()).unwrap();
    let outcome = bench::run(options, &python).await.unwrap();
    let page = report::write(&outcome, &python, &options.output).unwrap();
    (outcome, std::fs::read_to_string(page).unwrap())
}

/// Sentences about everything that was wrong in the samples.
fn wrong(outcome: &Outcome) -> Vec<String> {
    let wrong = outcome.samples.iter().filter_map(|sample| {
        let wrong = sample.wrong.as_ref()?;
        Some(format!("{} of {}: {wrong}", sample.contender, sample.work))
    });
    wrong.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contender_loads_every_work_as_it_was_dropped() {
    let output = tempfile::tempdir().unwrap();
    let contenders = ["nightdrop", "threaded", "plain", "copy"];
    let options = options(&["S", "L", "M", "P"], &contenders, output.path());
    let (outcome, page) = run(&options).await;
    assert_eq!(wrong(&outcome), Vec::<String>::new());
    for title in [
        "Nightdrop",
        "threaded boto3",
        "plain boto3",
        "raw LIST",
        "psql",
    ] {
        assert!(
            page.contains(title),
            "{title} is not in the report:\n{page}"
        );
    }
    for chart in [
        "S.svg",
        "S.png",
        "L.svg",
        "P.png",
        "figures.json",
        "figures.csv",
    ] {
        assert!(
            output.path().join(chart).metadata().unwrap().len() > 500,
            "{chart}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nightdrop_gets_nothing_wrong_and_the_bench_sees_who_does() {
    let output = tempfile::tempdir().unwrap();
    let options = options(&["nasty"], &["nightdrop", "threaded"], output.path());
    let (outcome, _) = run(&options).await;
    let [ours, theirs] = &outcome.verdicts[..] else {
        panic!("{:?}", outcome.verdicts)
    };
    assert_eq!(ours.wrong, Vec::<String>::new());
    assert!(
        theirs
            .wrong
            .iter()
            .any(|wrong| wrong.contains("80 rows of 40")),
        "{:?}",
        theirs.wrong
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_scale_and_memory_are_measured_to_their_ends() {
    let output = tempfile::tempdir().unwrap();
    let options = options(
        &["latency", "scale", "memory"],
        &["nightdrop"],
        output.path(),
    );
    let (outcome, _) = run(&options).await;
    let latency = outcome.latency.as_ref().unwrap();
    assert!(latency.idle.len() >= 4);
    assert_eq!(latency.loaded.len(), 4);
    assert!(latency.loaded.iter().all(|load| load.took.len() > 10));
    let growth = outcome.growth.as_ref().unwrap();
    assert_eq!(growth.together.len(), 3);
    assert!(
        outcome
            .memory
            .iter()
            .all(|memory| memory.rows > 0 && memory.peak > 0)
    );
    assert!(growth.beside.files > 0 && growth.beside.lists > 0);
}
