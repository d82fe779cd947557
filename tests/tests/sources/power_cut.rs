//! What a power cut may undo is what was not made durable: so the order of the system calls is the promise, and it is
//! read from a trace of the real program.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::incremental::{Incremental, START};

/// What matters of a system call.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Sync(String),
    Rename(String, String),
    Link(String),
    Unlink(String),
}

/// Runs the job under strace and gives its calls, with the parts of paths that change replaced.
fn calls(job: &Incremental, words: &[&str]) -> Vec<Call> {
    let trace = job.site.folder.path().join("trace");
    let command = job.command(words);
    let output = Command::new("strace")
        .args(["-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e"])
        .arg("trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat")
        .arg("-o")
        .arg(&trace)
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .expect("strace shows the order of system calls; install it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let root = fs::canonicalize(job.site.folder.path()).unwrap();
    let root = format!("{}/", root.display());
    fs::read_to_string(trace)
        .unwrap()
        .lines()
        .filter(|line| line.trim_end().ends_with("= 0"))
        .filter_map(|line| call(line, &root))
        .collect()
}

fn call(line: &str, root: &str) -> Option<Call> {
    let (_, line) = line.split_once(' ')?;
    let line = line.trim_start();
    let name = line.split('(').next()?;
    // Of a descriptor in angle brackets, of the others in quotes.
    let paths: Vec<String> = line
        .split(['<', '>', '"'])
        .filter_map(|part| part.strip_prefix(root))
        .map(shape)
        .collect();
    let last = paths.last()?.clone();
    Some(match name {
        "fsync" | "fdatasync" => Call::Sync(last),
        "rename" | "renameat" | "renameat2" => Call::Rename(paths[0].clone(), last),
        "link" | "linkat" => Call::Link(last),
        "unlink" | "unlinkat" => Call::Unlink(last),
        _ => return None,
    })
}

/// A path without what differs from run to run.
fn shape(path: &str) -> String {
    let is_draft = Path::new(path)
        .extension()
        .is_some_and(|ending| ending == "draft");
    if path.starts_with("state/spool/job/") {
        if is_draft { "DRAFT" } else { "ENTRY" }.to_owned()
    } else if path.starts_with("box/inbox/jfk/job/") {
        "OBJECT".to_owned()
    } else {
        path.to_owned()
    }
}

#[tokio::test]
async fn each_step_of_a_run_is_durable_before_the_next() {
    let mut job = Incremental::new().await;
    job.catch_up();
    job.grow().await;
    let calls = calls(&job, &["run", "job"]);
    let sync = |path: &str| Call::Sync(path.to_owned());
    let rename = |from: &str, to: &str| Call::Rename(from.to_owned(), to.to_owned());
    let draft = "state/watermark/job.draft";
    let file = "state/watermark/job.json";
    let steps = [
        sync("DRAFT"),
        // Announced.
        sync(draft),
        rename(draft, file),
        sync("state/watermark"),
        // Committed.
        rename("DRAFT", "ENTRY"),
        sync("state/spool/job"),
        // Saved.
        sync(draft),
        rename(draft, file),
        sync("state/watermark"),
        // Put, removed.
        Call::Link("OBJECT".to_owned()),
        Call::Unlink("ENTRY".to_owned()),
    ];
    let ours: Vec<&Call> = calls.iter().filter(|call| steps.contains(call)).collect();
    assert_eq!(ours, steps.iter().collect::<Vec<_>>(), "{calls:#?}");
}

#[tokio::test]
async fn a_first_run_makes_its_folders_durable_too() {
    let job = Incremental::new().await;
    let calls = calls(&job, &["run", "job", "--start", START]);
    let at = |wanted: &Call| calls.iter().position(|call| call == wanted);
    let commit = at(&Call::Rename("DRAFT".to_owned(), "ENTRY".to_owned()));
    assert!(commit.is_some(), "{calls:#?}");
    let (draft, name) = ("state/producer.draft", "state/producer");
    let synced = at(&Call::Sync(draft.to_owned()));
    let renamed = at(&Call::Rename(draft.to_owned(), name.to_owned()));
    assert!(synced.is_some() && synced < renamed, "{calls:#?}");
    for folder in ["state", "state/spool"] {
        let synced = at(&Call::Sync(folder.to_owned()));
        assert!(synced.is_some() && synced < commit, "{folder}: {calls:#?}");
    }
}
