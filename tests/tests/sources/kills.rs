//! A run that is killed before and after each step of the spool's protocol: the next one finds out what became of it,
//! and in the end each row is in exactly one object.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use nightdrop_compose::binary_with_fail_points;

use crate::incremental::{Incremental, START};
use crate::site::Ended;

/// Where it is killed, and whether the result is committed by then.
const STEPS: [(&str, bool); 15] = [
    ("draft: begun=return", false),
    ("draft: written=return", false),
    ("draft: synced=return", false),
    // The announcement.
    ("watermark: written=return", false),
    ("watermark: synced=return", false),
    ("watermark: renamed=return", false),
    ("watermark: announced=return", false),
    ("entry: renamed=return", true),
    ("entry: synced=return", true),
    // What was announced, saved.
    ("watermark: written=1*off->return", true),
    ("watermark: synced=1*off->return", true),
    ("watermark: renamed=1*off->return", true),
    ("watermark: saved=return", true),
    ("entry: put=return", true),
    ("entry: removed=return", true),
];

/// Where the very first run is killed, too: it takes the state folder for its producer.
const FIRST: [&str; 2] = ["owner: synced=return", "owner: renamed=return"];

/// The command, by the program that is killed at `step`.
fn killed_at(step: &str, command: &Command) {
    let mut killed = Command::new(binary_with_fail_points("nightdrop-producer").unwrap());
    killed.args(command.get_args()).env("FAILPOINTS", step);
    let output = killed.output().unwrap();
    // SIGABRT, by which a fail point ends a process: no destructor runs.
    assert_eq!(
        output.status.signal(),
        Some(6),
        "{step} was never reached: {:?}",
        Ended::from(output)
    );
}

#[test]
fn each_fail_point_of_the_producer_has_its_kill() {
    let mut named = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../producer/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for call in text.split("failpoint(\"").skip(1) {
                named.insert(call.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    let steps = STEPS.iter().map(|(step, _)| step).chain(&FIRST);
    let killed: BTreeSet<String> = steps
        .map(|step| step.split('=').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(named, killed);
}

#[tokio::test]
async fn a_first_run_that_is_killed_while_it_takes_its_folder_leaves_it_to_the_next() {
    for step in FIRST {
        let job = Incremental::new().await;
        killed_at(step, &job.command(&["run", "job", "--start", START]));
        job.catch_up();
        job.check();
    }
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_step_leaves_no_gap_and_drops_nothing_twice() {
    for (step, committed) in STEPS {
        for runs_before in [0, 1] {
            let mut job = Incremental::new().await;
            if runs_before == 1 {
                job.catch_up();
                job.grow().await;
            }
            let before = job.dropped().len();

            let words: &[&str] = match runs_before {
                0 => &["run", "job", "--start", START],
                _ => &["run", "job"],
            };
            killed_at(step, &job.command(words));

            // What is committed is dropped, whoever comes next; what is not never was.
            let ended = job.run(&["drain"]);
            assert_eq!(ended.code, Some(0), "{step}: {}", ended.stderr);
            assert_eq!(
                job.dropped().len(),
                before + usize::from(committed),
                "{step}, run {runs_before}"
            );
            job.grow().await;
            job.catch_up();
            job.check();
        }
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_finished_by_the_next_run_too() {
    for (step, _) in STEPS {
        let mut job = Incremental::new().await;
        job.catch_up();
        job.grow().await;
        killed_at(step, &job.command(&["run", "job"]));
        job.catch_up();
        job.check();
    }
}

#[tokio::test]
async fn a_run_that_is_killed_twice_is_still_one_run() {
    // The one that finishes what was announced is killed, too, before and after that is durable.
    for step in [
        "watermark: written=return",
        "watermark: renamed=return",
        "entry: put=return",
    ] {
        let mut job = Incremental::new().await;
        job.catch_up();
        job.grow().await;
        killed_at("entry: renamed=return", &job.command(&["run", "job"]));
        killed_at(step, &job.command(&["drain"]));
        job.catch_up();
        job.check();
    }
}

#[tokio::test]
async fn a_job_without_a_cursor_is_dropped_once_or_never_began() {
    for (step, committed) in STEPS.iter().filter(|(step, _)| !step.contains("watermark")) {
        let job = Incremental::new().await;
        let words = ["run", "job"];
        let query = "SELECT 1 AS one";
        killed_at(step, &job.site.command(&words, query, ""));
        let ended = Ended::from(job.site.command(&["drain"], query, "").output().unwrap());
        assert_eq!(ended.code, Some(0), "{step}: {}", ended.stderr);
        assert_eq!(
            job.site.files("box").len(),
            usize::from(*committed),
            "{step}"
        );
        assert!(job.site.files("state/spool").is_empty());
    }
}
