//! What happens when: drawn from a seed, written down, and told at a failure.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Blowing,
    /// Nothing is harmed any more; what was begun is finished.
    Calm,
    /// All is done.
    Settled,
}

pub struct Storm {
    pub seed: u64,
    pub blows: Duration,
    begun: Instant,
    phase: Mutex<Phase>,
    changed: Condvar,
    timeline: Mutex<Vec<(Duration, String)>>,
    failures: Mutex<Vec<String>>,
    spared: Mutex<Spared>,
}

/// Whether a consumer may be harmed.
struct Spared {
    /// Nobody was harmed since the ledger was read last.
    read: bool,
    /// The most attempts that any waiting file had then.
    attempts: i64,
}

/// So many attempts a file has that has ended a consumer twice, or is claimed alone for the second time.
const OFTEN: i64 = 3;

impl Storm {
    pub fn new(seed: u64, blows: Duration) -> Self {
        Self {
            seed,
            blows,
            begun: Instant::now(),
            phase: Mutex::new(Phase::Blowing),
            changed: Condvar::new(),
            timeline: Mutex::default(),
            failures: Mutex::default(),
            spared: Mutex::new(Spared {
                read: false,
                attempts: 0,
            }),
        }
    }

    /// The dice of one of those who are harmed: what the others do doesn't change them.
    pub fn dice(&self, whose: &str) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.seed, whose).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Writes down what is done.
    pub fn note(&self, what: impl Into<String>) {
        let line = (self.elapsed(), what.into());
        self.timeline.lock().unwrap().push(line);
    }

    /// Something is as it must never be: the storm ends.
    pub fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!(
            "FAILED: {}",
            what.lines().next().unwrap_or_default()
        ));
        self.failures.lock().unwrap().push(what);
        self.enter(Phase::Calm);
    }

    pub fn has_failed(&self) -> bool {
        !self.failures.lock().unwrap().is_empty()
    }

    /// Runs a part of it; its panic is a failure, and not the end of whoever waits for it.
    pub fn guard(&self, what: &str, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic");
            self.fail(format!("{what}: {said}"));
        }
    }

    fn enter(&self, phase: Phase) {
        let mut now = self.phase.lock().unwrap();
        *now = phase.max(*now);
        self.changed.notify_all();
    }

    /// From here on nothing is harmed.
    pub fn calm(&self) {
        self.note("calm");
        self.enter(Phase::Calm);
    }

    pub fn is_blowing(&self) -> bool {
        *self.phase.lock().unwrap() == Phase::Blowing
    }

    /// From here on nothing is left to do.
    pub fn settle(&self) {
        self.note("settled");
        self.enter(Phase::Settled);
    }

    pub fn is_settled(&self) -> bool {
        *self.phase.lock().unwrap() == Phase::Settled
    }

    /// Lets time pass while it blows. Gives false once it is calm.
    pub fn pass(&self, time: Duration) -> bool {
        let phase = self.phase.lock().unwrap();
        let (phase, _) = self
            .changed
            .wait_timeout_while(phase, time, |phase| *phase == Phase::Blowing)
            .unwrap();
        *phase == Phase::Blowing
    }

    /// The ledger was read: this is the most attempts that a waiting file has.
    pub fn read(&self, attempts: i64) {
        *self.spared.lock().unwrap() = Spared {
            read: true,
            attempts,
        };
    }

    /// Whether a consumer may be harmed now, so that no file is parked for having been near: at most one
    /// is between two looks at the ledger, and none while a file there has ended two.
    ///
    /// A file is parked with five attempts, each of which ended without a verdict; one more comes by each
    /// harm at most. From two, the most at which anybody is harmed, it is thus at three before the next
    /// look, and spared from then on until it is loaded.
    pub fn may_harm(&self) -> bool {
        let mut spared = self.spared.lock().unwrap();
        let may = spared.read && spared.attempts < OFTEN;
        if may {
            spared.read = false;
        }
        may
    }

    /// Panics with all that is known, if anything failed.
    pub fn end(&self) {
        let failures = self.failures.lock().unwrap();
        let timeline = self.timeline.lock().unwrap();
        if failures.is_empty() {
            let harms = timeline
                .iter()
                .filter(|(_, what)| what.contains(" killed") || what.contains(" stopped"));
            let at = |phase: &str| timeline.iter().find(|(_, what)| what == phase);
            eprintln!(
                "{} kills and stops; calm after {:?}, all loaded after {:?}",
                harms.count(),
                at("calm").map(|(when, _)| *when),
                at("settled").map(|(when, _)| *when)
            );
            return;
        }
        eprintln!("\nThe storm, seed {}:", self.seed);
        for (when, what) in &*timeline {
            eprintln!("{:9.3} {what}", when.as_secs_f64());
        }
        panic!(
            "{}\nagain: NIGHTDROP_STORM_SEED={} NIGHTDROP_STORM={}",
            failures.join("\n\n"),
            self.seed,
            humantime::format_duration(self.blows),
        );
    }
}

/// Some time within these seconds.
pub fn within(dice: &mut StdRng, seconds: Range<f64>) -> Duration {
    Duration::from_secs_f64(dice.random_range(seconds))
}
