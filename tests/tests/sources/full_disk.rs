//! A disk that is full, at whatever step: the run ends with 73, nothing half-written is to be seen, and when there is
//! room again it goes on as if nothing had been.

use std::path::Path;
use std::process::Command;

use crate::incremental::{Incremental, START};
use crate::site::Ended;

/// Nothing is there but whole results.
fn nothing_half_written(job: &Incremental) {
    let spool = job.site.files("state/spool");
    assert!(
        spool
            .iter()
            .all(|path| path.extension().is_none_or(|ending| ending != "draft")),
        "{spool:?}"
    );
    job.dropped();
}

/// A file that must not grow beyond so many bytes: every write may fail that way, for any user.
#[tokio::test]
async fn a_write_that_is_refused_at_any_step_ends_with_73_and_costs_nothing() {
    let mut job = Incremental::new().await;
    let mut refused = 0;
    for limit in (0..).step_by(64) {
        job.grow().await;
        let command = job.command(&["run", "job", "--start", START]);
        let output = Command::new("bash")
            .args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" \"$@\""])
            .arg(limit.to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .output()
            .unwrap();
        let ended = Ended::from(output);
        nothing_half_written(&job);
        match ended.code {
            Some(0) => break,
            code => assert_eq!(code, Some(73), "{limit} bytes: {}", ended.stderr),
        }
        assert!(
            ended
                .stderr
                .contains("check state_dir: its room, its rights"),
            "{}",
            ended.stderr
        );
        refused += 1;
        assert!(limit < 1 << 16, "it never had room enough");
    }
    assert!(refused > 1, "no write was refused");
    job.catch_up();
    job.check();
}

/// A file system of a few pages, and of a few files.
struct Tiny<'a>(&'a Path);

impl Tiny<'_> {
    /// Whether this user may mount.
    fn sized(&self, options: &str) -> bool {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(self.0)
            .output()
            .is_ok_and(|output| output.status.success())
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_ends_with_73_at_any_step_and_costs_nothing() {
    let mut job = Incremental::new().await;
    let state = job.site.folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let disk = Tiny(&state);
    if !disk.sized("size=4k,nr_inodes=2") {
        // Elsewhere the test above stands alone.
        eprintln!(
            "NOT SHOWN: this user may not mount a small disk; a refused write was shown instead"
        );
        return;
    }
    let mut refused = 0;
    // First there is no room for a file more, then none for a page more.
    let sizes = (2..40)
        .map(|files| format!("remount,size=1m,nr_inodes={files}"))
        .chain((1..40).map(|pages| format!("remount,size={}k,nr_inodes=1000", 4 * pages)));
    for (step, options) in sizes.enumerate() {
        // A disk does not shrink below what is on it.
        if !disk.sized(&options) {
            continue;
        }
        job.grow().await;
        let mut words = vec!["run", "job"];
        if job.site.files("state/watermark").is_empty() {
            words.extend(["--start", START]);
        }
        let ended = job.run(&words);
        nothing_half_written(&job);
        match ended.code {
            Some(0) => {}
            code => {
                assert_eq!(code, Some(73), "step {step}, {options}: {}", ended.stderr);
                refused += 1;
            }
        }
    }
    assert!(refused > 3, "the disk was never full");
    assert!(disk.sized("remount,size=1m,nr_inodes=1000"));
    job.catch_up();
    job.check();
}
