//! What the ledger says, read when somebody asks, and no more often than every few seconds: a scrape never waits for
//! long, and any number of them costs Postgres no more than one.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nightdrop_runtime::metrics::gauge;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::ledger::gauges::{self, Gauges, Standing};
use crate::pool::Pool;

/// What was read is good for so long.
const FRESH: Duration = Duration::from_secs(5);

/// Of Postgres's time this takes no more than this part,
const PART: u32 = 20;

/// but it is read anew after this: it may have been the machine that stood still.
const LONGEST: Duration = Duration::from_mins(1);

/// A scrape waits for Postgres for so long; what it has then is what was read last.
const WAIT: Duration = Duration::from_secs(3);

/// What was read so long ago is not shown any more.
const STALE: Duration = Duration::from_mins(2);

/// What was last read.
#[derive(Debug, Default)]
pub struct Ledger {
    gauges: Last<Gauges>,
    standings: Last<Vec<Standing>>,
    /// When it may be asked again.
    next: Mutex<Option<Instant>>,
}

impl Ledger {
    /// Reads anew, if it is time, and nobody else does so just now.
    pub async fn freshen(&self, pool: &Pool, delete_after: Duration) {
        let Ok(mut next) = self.next.try_lock() else {
            return;
        };
        let begun = Instant::now();
        if next.is_some_and(|next| begun < next) {
            return;
        }
        tokio::join!(
            self.gauges.freshen(gauges::read(pool, delete_after)),
            self.standings.freshen(gauges::standings(pool)),
        );
        *next = Some(begun + (begun.elapsed() * PART).clamp(FRESH, LONGEST));
    }

    /// What waits, is kept out and rests.
    pub fn shown(&self) -> Option<Gauges> {
        self.gauges.shown()
    }
}

/// What was last read by some statements, and when.
#[derive(Debug)]
struct Last<T>(RwLock<Option<(Instant, T)>>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<T: Clone> Last<T> {
    async fn freshen(&self, reading: impl Future<Output = Result<T, sqlx::Error>>) {
        match timeout(WAIT, reading).await {
            Ok(Ok(read)) => {
                *self.0.write().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), read));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the ledger could not be read for metrics");
            }
            Err(_) => tracing::debug!("the ledger was not read in time for metrics"),
        }
    }

    /// Unless it was read long ago.
    fn shown(&self) -> Option<T> {
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (at, read) = last.as_ref()?;
        (at.elapsed() < STALE).then(|| read.clone())
    }
}

#[derive(Debug)]
pub(super) struct Shown(pub(super) Arc<Ledger>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(standings) = self.0.standings.shown() {
            of_standings(&mut encoder, &standings)?;
        }
        let Some(gauges) = self.0.shown() else {
            return Ok(());
        };
        gauge(
            &mut encoder,
            "ledger_read_timestamp_seconds",
            "When what is said of the ledger was read, by Postgres's clock",
            [([("", ""); 0], gauges.at)],
        )?;
        gauge(
            &mut encoder,
            "queue_files",
            "Files that wait to be loaded, counted up to nightdrop_queue_counted_files",
            gauges
                .queues
                .iter()
                .map(|queue| ([("producer", &*queue.producer)], f64::from(queue.files))),
        )?;
        gauge(
            &mut encoder,
            "queue_counted_files",
            "How far the files of each producer were counted: less where many have a backlog",
            [([("", ""); 0], f64::from(gauges.counted))],
        )?;
        gauge(
            &mut encoder,
            "queue_oldest_timestamp_seconds",
            "When the file that waits longest was put; none where nothing waits",
            gauges
                .queues
                .iter()
                .map(|queue| ([("producer", &*queue.producer)], queue.oldest)),
        )?;
        gauge(
            &mut encoder,
            "kept_out_files",
            "Files that are parked or held, counted up to 10000 of each",
            gauges.kept_out.iter().map(|kept| {
                (
                    [
                        ("producer", &*kept.producer),
                        ("state", &*kept.state),
                        ("reason", &*kept.reason),
                    ],
                    f64::from(kept.files),
                )
            }),
        )?;
        gauge(
            &mut encoder,
            "undeleted_objects",
            "Decided objects that are still to be deleted from the bucket, counted up to 10000",
            [([("", ""); 0], f64::from(gauges.undeleted))],
        )?;
        let jobs = &gauges.jobs;
        gauge(
            &mut encoder,
            "job_as_of_timestamp_seconds",
            "What the newest loaded result of a job is as of",
            jobs.iter().filter_map(|job| {
                let labels = [("producer", &*job.producer), ("job_name", &*job.job)];
                job.as_of.map(|as_of| (labels, as_of))
            }),
        )?;
        gauge(
            &mut encoder,
            "job_paused",
            "Whether a job rests, for its report table refuses",
            jobs.iter().map(|job| {
                let labels = [("producer", &*job.producer), ("job_name", &*job.job)];
                (labels, f64::from(u8::from(job.paused)))
            }),
        )
    }
}

fn of_standings(
    encoder: &mut DescriptorEncoder<'_>,
    standings: &[Standing],
) -> Result<(), fmt::Error> {
    fn labels(job: &Standing) -> [(&str, &str); 2] {
        [("producer", &job.producer), ("job_name", &job.job)]
    }
    let is = |yes: bool| f64::from(u8::from(yes));
    gauge(
        encoder,
        "job_next_by_timestamp_seconds",
        "By when the next result of a job was promised, or is expected",
        standings
            .iter()
            .filter_map(|job| job.next_by.map(|next_by| (labels(job), next_by))),
    )?;
    gauge(
        encoder,
        "job_late",
        "Whether a result of a job was due, and no newer one is in the reports",
        standings.iter().map(|job| (labels(job), is(job.late))),
    )?;
    gauge(
        encoder,
        "job_failing",
        "Whether the last run of a job that is heard of failed",
        standings.iter().map(|job| (labels(job), is(job.failing))),
    )
}
