//! Two consumers that are killed and started again, or stopped for less and for more than a lease.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nightdrop_compose::{file_rss, peak_rss};
use rand::RngExt;

use crate::process::Process;
use crate::site::{PATIENCE, Site};
use crate::weather::{Storm, within};

/// What a consumer may have resident, whatever happens around it.
const CEILING: u64 = 64 << 20;

/// What of that the program itself takes, optimized. As tests are built it is twice as large.
const PROGRAM: u64 = 12 << 20;

/// How often a consumer is looked at.
const LOOK: Duration = Duration::from_millis(100);

pub struct Consumers {
    config: PathBuf,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    processes: usize,
    /// The most that any had resident, and the most of its own: without the program's file.
    peak: u64,
    own: u64,
}

impl Consumers {
    pub fn new(site: &Site) -> Self {
        Self {
            config: site.config(),
            memory: Mutex::default(),
        }
    }

    /// Runs one after the other until nothing is left to do; the last is told to stop.
    pub fn blow(&self, number: u64, storm: &Storm) {
        let name = format!("consumer {number}");
        let mut dice = storm.dice(&name);
        let mut process = self.start();
        loop {
            let harm = storm.elapsed() + within(&mut dice, 3.0..11.0);
            loop {
                if !process.is_running() {
                    storm.fail(format!("{name} ended by itself:\n{}", tail(&process.log())));
                    return;
                }
                self.look(&process);
                if storm.is_settled() || storm.has_failed() {
                    self.stop(process, &name, storm);
                    return;
                }
                if storm.elapsed() >= harm && storm.is_blowing() && storm.may_harm() {
                    break;
                }
                std::thread::park_timeout(LOOK);
            }
            let fate: f64 = dice.random();
            if fate < 0.6 {
                storm.note(format!("{name} killed ({})", process.pid()));
                process.kill();
                storm.pass(within(&mut dice, 0.0..1.5));
                process = self.start();
                storm.note(format!("{name} is back ({})", process.pid()));
            } else {
                // Its leases run out during the longer ones, and another consumer takes its files over.
                let time = if fate < 0.8 { 0.2..2.0 } else { 3.5..6.0 };
                storm.note(format!("{name} stopped ({})", process.pid()));
                process.signal("STOP");
                storm.pass(within(&mut dice, time));
                process.signal("CONT");
                storm.note(format!("{name} goes on"));
            }
        }
    }

    fn start(&self) -> Process {
        self.memory.lock().unwrap().processes += 1;
        Process::start("nightdrop-consumer", &self.config, &["run"])
    }

    /// Told to stop, it ends well, and soon.
    fn stop(&self, process: Process, name: &str, storm: &Storm) {
        self.look(&process);
        if storm.has_failed() {
            storm.note(format!("{name} said:\n{}", tail(&process.log())));
        }
        process.signal("TERM");
        let begun = Instant::now();
        let ended = process.wait(PATIENCE);
        if ended.code != Some(0) {
            let (after, said) = (begun.elapsed(), tail(&ended.stderr));
            storm.fail(format!(
                "{name} ended with {:?} after {after:?}:\n{said}",
                ended.code
            ));
        }
    }

    fn look(&self, process: &Process) {
        if let (Ok(peak), Ok(program)) = (peak_rss(process.pid()), file_rss(process.pid())) {
            let mut memory = self.memory.lock().unwrap();
            memory.peak = memory.peak.max(peak);
            memory.own = memory.own.max(peak.saturating_sub(program));
        }
    }

    pub fn check_memory(&self) {
        let memory = self.memory.lock().unwrap();
        eprintln!(
            "{} consumer processes: peak resident {} MiB, {} without the program itself",
            memory.processes,
            memory.peak >> 20,
            memory.own >> 20
        );
        assert!(memory.peak > 0, "their memory was never seen");
        assert!(
            memory.own + PROGRAM < CEILING,
            "a consumer took {} bytes",
            memory.own
        );
    }
}

/// The end of what a process said.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
