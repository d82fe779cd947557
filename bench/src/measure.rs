//! One process from its start to its end: wall time, memory, and who used the processors meanwhile.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nightdrop_compose::peak_rss;

/// How often the memory of a running process is looked at; each look gives its peak so far.
const LOOK: Duration = Duration::from_millis(10);

/// Looks from one search for its children to the next: a search reads a file for each of its threads.
const LOOKS: usize = 10;

/// Clock ticks a second in `/proc` (`USER_HZ`, 100 on every Linux; proc(5)).
const TICKS: f64 = 100.0;

/// A contender that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(20);

/// What a process cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// From its start to its end.
    pub wall: Duration,
    /// The most memory that it had resident, its children's added, in bytes.
    pub peak: u64,
    /// Processor time of the process and its children, in seconds.
    pub own: f64,
    /// Processor time of each server meanwhile, in seconds, in the order of `servers`.
    pub servers: Vec<f64>,
    /// None after a signal.
    pub code: Option<i32>,
}

impl Measured {
    /// Whether it says that all went well.
    pub fn ended_well(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs `command` to its end; what it says goes to the file `log`. `servers` are the process ids of the servers.
///
/// # Errors
/// When it can't be started.
pub fn run(command: &mut Command, log: &Path, servers: &[u32]) -> Result<Measured> {
    let file = fs::File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let before: Vec<f64> = servers.iter().map(|pid| cpu(*pid)).collect();
    let ours = reaped();
    let since = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("can't start {command:?}"))?;
    let (pid, done) = (child.id(), AtomicBool::new(false));
    let (status, wall, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(pid, &done));
        let status = child.wait();
        let wall = since.elapsed();
        done.store(true, Ordering::Relaxed);
        (status, wall, watch.join().unwrap_or_default())
    });
    let after = servers.iter().map(|pid| cpu(*pid));
    Ok(Measured {
        wall,
        peak,
        own: reaped() - ours,
        servers: after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect(),
        code: status?.code(),
    })
}

/// Follows the memory of a process and its children, and ends them when they take too long.
fn watch(pid: u32, done: &AtomicBool) -> u64 {
    let since = Instant::now();
    let mut peaks = std::collections::HashMap::new();
    let mut members = Vec::new();
    for look in 0_usize.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        if look % LOOKS == 0 {
            members = family(pid);
        }
        for &pid in &members {
            if let Ok(peak) = peak_rss(pid) {
                peaks.insert(pid, peak);
            }
        }
        if since.elapsed() > PATIENCE {
            for pid in family(pid) {
                drop(
                    Command::new("kill")
                        .args(["-KILL", &pid.to_string()])
                        .status(),
                );
            }
        }
        std::thread::sleep(LOOK);
    }
    peaks.values().sum()
}

/// A process and all that it started.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(pid) = family.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    family
}

/// Processor time of a process, of its children that have ended, and of those that run, in seconds.
pub fn cpu(pid: u32) -> f64 {
    family(pid)
        .into_iter()
        .map(|pid| stat(&format!("/proc/{pid}/stat"), &[11, 12, 13, 14]))
        .sum()
}

/// Processor time of our own children that have ended, in seconds.
pub fn reaped() -> f64 {
    stat("/proc/self/stat", &[13, 14])
}

/// The sum of some fields of a `stat`, counted behind the command's name, in seconds.
fn stat(path: &str, fields: &[usize]) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name is in brackets, and may hold anything.
    let Some((_, text)) = text.rsplit_once(") ") else {
        return 0.0;
    };
    let all: Vec<&str> = text.split(' ').collect();
    let ticks = fields
        .iter()
        .filter_map(|field| all.get(*field)?.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_with_its_children() {
        let log = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3",
        ]);
        let measured = run(&mut command, log.path(), &[std::process::id()]);
        let measured = measured.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(measured.code, Some(3));
        assert!(measured.own > 0.0 && measured.own <= measured.wall.as_secs_f64() * 1.5);
        assert!(measured.peak > 100_000, "{}", measured.peak);
    }
}
