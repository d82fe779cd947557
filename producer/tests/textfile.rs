//! What `node_exporter` finds of a producer's runs, with the real binary.
#![expect(clippy::unwrap_used, reason = "a test that can't go on stops here")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command},
};

use rusqlite::Connection;

/// A producer that drops into a folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(jobs: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let database = folder.path().join("lga.db");
        Connection::open(&database)
            .unwrap()
            .execute_batch("PRAGMA user_version = 1")
            .unwrap();
        let text = format!(
            "producer = \"lga\"\nstate_dir = \"{root}/state\"\n[metrics]\ntextfile = \"{root}/lga.prom\"\n\
             [bucket]\nurl = \"file://{root}/box\"\nput_for = \"1ms\"\n\
             [source.ops]\nurl = \"sqlite://{root}/lga.db\"\n{jobs}"
        );
        fs::write(folder.path().join("lga.toml"), text).unwrap();
        fs::create_dir(folder.path().join("box")).unwrap();
        Self { folder }
    }

    fn start(&self, words: &[&str]) -> Child {
        // As the unit for systemd has it: what a run makes is nobody else's to read.
        Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_nightdrop-producer"))
            .arg("-c")
            .arg(self.folder.path().join("lga.toml"))
            .args(words)
            .env("RUST_LOG", "off")
            .spawn()
            .unwrap()
    }

    fn run(&self, words: &[&str]) -> Option<i32> {
        self.start(words).wait().unwrap().code()
    }

    fn textfile(&self) -> PathBuf {
        self.folder.path().join("lga.prom")
    }

    fn value(&self, metric: &str, job: &str) -> Option<f64> {
        let text = fs::read_to_string(self.textfile()).unwrap();
        let name = format!("nightdrop_producer_{metric}{{producer=\"lga\",job_name=\"{job}\"}} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&name))
            .map(|value| value.parse().unwrap())
    }
}

fn job(name: &str, query: &str) -> String {
    format!("[job.{name}]\nsource = \"ops\"\nmode = \"append\"\nquery = \"{query}\"\n")
}

#[test]
fn a_run_is_seen_and_a_failed_one_leaves_the_last_success() {
    let jobs = job("good", "SELECT 1 AS n UNION ALL SELECT 2") + &job("bad", "SELECT nonsense");
    let site = Site::new(&jobs);
    assert_eq!(site.run(&["run", "--all"]), Some(65));

    assert_eq!(site.value("last_exit_code", "good"), Some(0.0));
    assert_eq!(site.value("last_success_rows", "good"), Some(2.0));
    assert!(site.value("last_success_bytes", "good") > Some(50.0));
    assert!(site.value("last_run_seconds", "good") > Some(0.0));
    let run = site.value("last_run_timestamp_seconds", "good");
    assert!(run > Some(1.7e9));
    assert_eq!(site.value("last_success_timestamp_seconds", "good"), run);
    assert_eq!(site.value("spool_files", "good"), Some(0.0));
    assert_eq!(site.value("last_exit_code", "bad"), Some(65.0));
    assert_eq!(site.value("last_success_timestamp_seconds", "bad"), None);
    // node_exporter is another user.
    let mode = fs::metadata(site.textfile()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    // The bucket is gone: the result is in the spool, and the numbers of the last success stay.
    fs::remove_dir_all(site.folder.path().join("box")).unwrap();
    assert_ne!(site.run(&["run", "good"]), Some(0));
    assert_ne!(site.value("last_exit_code", "good"), Some(0.0));
    assert_eq!(site.value("last_success_timestamp_seconds", "good"), run);
    assert_eq!(site.value("spool_files", "good"), Some(1.0));

    fs::create_dir(site.folder.path().join("box")).unwrap();
    assert_eq!(site.run(&["drain"]), Some(0));
    assert_eq!(site.value("spool_files", "good"), Some(0.0));
}

#[test]
fn runs_at_the_same_time_don_t_lose_each_other_s_numbers() {
    let names: Vec<String> = (0..4).map(|n| format!("job_{n}")).collect();
    let jobs: String = names
        .iter()
        .map(|name| job(name, "SELECT 1 AS n"))
        .collect();
    let site = Site::new(&jobs);
    let runs: Vec<_> = names
        .iter()
        .map(|name| site.start(&["run", name]))
        .collect();
    for mut run in runs {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    for name in &names {
        assert_eq!(site.value("last_exit_code", name), Some(0.0), "{name}");
    }
}

#[test]
fn no_run_fails_for_its_textfile() {
    let site = Site::new(&job("good", "SELECT 1 AS n"));
    fs::create_dir(site.textfile()).unwrap();
    assert_eq!(site.run(&["run", "good"]), Some(0));
}

#[test]
fn a_run_waits_for_numbers_no_longer_than_they_are_worth_and_empties_no_file_of_others() {
    let site = Site::new(&job("good", "SELECT 1 AS n"));
    assert_eq!(site.run(&["run", "good"]), Some(0));
    let precious = site.folder.path().join("precious");
    fs::write(&precious, "dear").unwrap();
    std::os::unix::fs::symlink(&precious, site.textfile().with_extension("lock")).unwrap();
    let held = fs::File::open(site.folder.path().join("state/textfile.lock")).unwrap();
    held.lock().unwrap();
    assert_eq!(site.run(&["run", "good"]), Some(0));
    assert_eq!(fs::read(&precious).unwrap(), b"dear");
}

#[test]
fn a_run_that_is_refused_in_another_users_state_folder_leaves_nothing_there() {
    let site = Site::new(&job("good", "SELECT 1 AS n"));
    let state = site.folder.path().join("state");
    fs::create_dir(&state).unwrap();
    if std::os::unix::fs::chown(&state, Some(65534), None).is_err() {
        // Only root can give a folder away; and whom it would shut out is what this is about.
        return;
    }
    assert_eq!(site.run(&["run", "good"]), Some(73));
    assert_eq!(site.run(&["put", "/dev/null"]), Some(73));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    assert!(!site.textfile().exists());
}
