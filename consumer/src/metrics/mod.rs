//! What Prometheus is shown: what this process did (counted here), what it knows of bucket and Postgres
//! (`servers.rs`), and what the ledger says of everybody's (`ledger.rs`).
//!
//! Producers and jobs are labels, and so have limits (`names.rs`): what comes beyond them is counted as nobody's.

mod ledger;
mod names;
mod servers;
mod today;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use nightdrop_bucket::{Call, Fault, Observer};
use nightdrop_runtime::metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::ledger::Ledger;
use self::names::Names;
pub use self::today::Today;
use crate::ledger::state::State;
use crate::ledger::verdict::{Decided, VERSION};
use crate::servers::Servers;

/// Upper bounds of what takes its time, in seconds: from what is good to what nobody wants.
const SECONDS: [f64; 14] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0,
    604_800.0,
];

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    counts: Arc<Counts>,
    /// What is read from Postgres.
    pub ledger: Arc<Ledger>,
}

/// What this process did.
#[derive(Debug)]
pub struct Counts {
    requests: Family<CallLabel, Counter>,
    errors: Family<FaultLabels, Counter>,
    /// Objects deleted from the bucket.
    pub deleted: Counter,
    /// Objects that the bucket refused to delete.
    pub not_deleted: Counter,
    claims: Family<LaneLabel, Counter>,
    claimed: Family<LaneLabel, Counter>,
    failed: Family<LaneLabel, Counter>,
    decided: Family<DecidedLabels, Counter>,
    results: Family<JobLabels, Counter>,
    rows: Family<JobLabels, Counter>,
    bytes: Family<JobLabels, Counter>,
    to_put: Family<ProducerLabel, Histogram, fn() -> Histogram>,
    to_load: Family<ProducerLabel, Histogram, fn() -> Histogram>,
    whole: Family<ProducerLabel, Histogram, fn() -> Histogram>,
    names: Mutex<Names>,
    /// LIST requests of this day.
    pub lists: Today,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    call: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    call: String,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProducerLabel {
    producer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    producer: String,
    // Not `job`: every target has a label of that name from Prometheus itself.
    job_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecidedLabels {
    producer: String,
    state: &'static str,
    reason: &'static str,
}

impl Metrics {
    /// All at zero.
    pub fn new(servers: Arc<Servers>) -> Self {
        let mut registry = metrics::registry(VERSION);
        let counts = Arc::new(Counts::new());
        counts.register(registry.sub_registry_with_prefix("nightdrop"));
        let ledger = Arc::new(Ledger::default());
        let ours = registry.sub_registry_with_prefix("nightdrop");
        ours.register_collector(Box::new(servers::Shown(servers)));
        ours.register_collector(Box::new(ledger::Shown(Arc::clone(&ledger))));
        Self {
            registry,
            counts,
            ledger,
        }
    }

    /// What this process did.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The page that Prometheus reads.
    pub fn render(&self) -> String {
        metrics::render(&self.registry)
    }
}

impl Counts {
    fn new() -> Self {
        let histograms = || -> Family<ProducerLabel, Histogram, fn() -> Histogram> {
            Family::new_with_constructor(|| Histogram::new(SECONDS))
        };
        Self {
            requests: Family::default(),
            errors: Family::default(),
            deleted: Counter::default(),
            not_deleted: Counter::default(),
            claims: Family::default(),
            claimed: Family::default(),
            failed: Family::default(),
            decided: Family::default(),
            results: Family::default(),
            rows: Family::default(),
            bytes: Family::default(),
            to_put: histograms(),
            to_load: histograms(),
            whole: histograms(),
            names: Mutex::default(),
            lists: Today::since(Utc::now()),
        }
    }

    fn register(&self, to: &mut Registry) {
        to.register(
            "bucket_requests",
            "Requests to the bucket by this process",
            self.requests.clone(),
        );
        to.register(
            "bucket_errors",
            "Requests that failed, by what failed",
            self.errors.clone(),
        );
        to.register(
            "deleted_objects",
            "Objects deleted from the bucket by this process",
            self.deleted.clone(),
        );
        to.register(
            "refused_deletes",
            "Objects that the bucket refused to delete; each is tried again",
            self.not_deleted.clone(),
        );
        to.register(
            "claims",
            "Claims of waiting files that got some, by lane",
            self.claims.clone(),
        );
        to.register(
            "claimed_files",
            "Attempts at files: how many were claimed, by lane",
            self.claimed.clone(),
        );
        to.register(
            "failed_passes",
            "Times that a lane came to nothing, and gave its files back",
            self.failed.clone(),
        );
        to.register(
            "decided_files",
            "Files that got their verdict from this process",
            self.decided.clone(),
        );
        to.register(
            "loaded_results",
            "Results loaded by this process",
            self.results.clone(),
        );
        to.register(
            "loaded_rows",
            "Rows of results loaded by this process",
            self.rows.clone(),
        );
        to.register(
            "loaded_bytes",
            "Stored bytes of results loaded by this process",
            self.bytes.clone(),
        );
        to.register(
            "put_lag_seconds",
            "From the instant that a loaded result is as of to its PUT",
            self.to_put.clone(),
        );
        to.register(
            "load_lag_seconds",
            "From a loaded result's PUT to the commit of its rows",
            self.to_load.clone(),
        );
        to.register(
            "lag_seconds",
            "From the instant that a loaded result is as of to the commit of its rows",
            self.whole.clone(),
        );
    }

    /// A claim got so many files.
    pub fn claimed(&self, lane: &'static str, files: usize) {
        let label = LaneLabel { lane };
        self.claims.get_or_create(&label).inc();
        self.claimed.get_or_create(&label).inc_by(files as u64);
    }

    /// A lane came to nothing.
    pub fn failed(&self, lane: &'static str) {
        self.failed.get_or_create(&LaneLabel { lane }).inc();
    }

    /// These files have their verdict, and it is committed.
    pub fn decided(&self, files: &[Decided]) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            let producer = names.producer(&file.producer);
            self.decided
                .get_or_create(&DecidedLabels {
                    producer: producer.clone(),
                    state: file.state.as_str(),
                    reason: file.cause.map_or("", |cause| cause.as_str()),
                })
                .inc();
            if file.state != State::Loaded {
                continue;
            }
            let whose = JobLabels {
                producer: producer.clone(),
                job_name: names.job(&file.producer, &file.job),
            };
            let producer = ProducerLabel { producer };
            self.results.get_or_create(&whose).inc();
            self.rows.get_or_create(&whose).inc_by(file.rows);
            self.bytes.get_or_create(&whose).inc_by(file.size);
            self.whole
                .get_or_create(&producer)
                .observe(seconds(file.as_of, file.at));
            if let Some(put_at) = file.put_at {
                self.to_put
                    .get_or_create(&producer)
                    .observe(seconds(file.as_of, put_at));
                self.to_load
                    .get_or_create(&producer)
                    .observe(seconds(put_at, file.at));
            }
        }
    }
}

impl Observer for Counts {
    fn asked(&self, call: Call) {
        if call == Call::List {
            self.lists.count(Utc::now());
        }
        let call = call.to_string();
        self.requests.get_or_create(&CallLabel { call }).inc();
    }

    fn failed(&self, call: Call, fault: Fault) {
        let call = call.to_string();
        let fault = fault.as_str();
        self.errors
            .get_or_create(&FaultLabels { call, fault })
            .inc();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Clocks of three machines are compared: what seems to lie before its beginning took no time.
fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(producer: &str, job: &str, state: State) -> Decided {
        let now = Utc::now();
        Decided {
            producer: producer.to_owned(),
            job: job.to_owned(),
            state,
            cause: None,
            as_of: now,
            put_at: Some(now),
            at: now,
            size: 1,
            rows: 1,
            traceparent: None,
        }
    }

    #[test]
    fn jobs_of_which_nothing_is_loaded_take_nobodys_numbers() {
        let counts = Counts::new();
        let made_up: Vec<_> = (0..10_000)
            .map(|n| decided("lga", &format!("job_{n}"), State::Noted))
            .collect();
        counts.decided(&made_up);
        counts.decided(&[decided("jfk", "departures", State::Loaded)]);

        let whose = JobLabels {
            producer: "jfk".to_owned(),
            job_name: "departures".to_owned(),
        };
        assert_eq!(counts.results.get_or_create(&whose).get(), 1);
        let mut registry = Registry::default();
        counts.register(&mut registry);
        let page = metrics::render(&registry);
        assert!(!page.contains(names::OTHERS), "{page}");
        assert!(!page.contains("job_1"), "{page}");
        assert!(
            page.contains(
                "decided_files_total{producer=\"lga\",state=\"noted\",reason=\"\"} 10000"
            ),
            "{page}"
        );
    }
}
