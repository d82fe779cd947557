//! What waits again by itself: held files whose term is over or for which there is room now, parked ones
//! that this version knows or whose time has come. And a word, each hour, of those that nobody looks after.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::consumer::Consumer;
use crate::ledger::{job, redrive};

/// Room is looked for so often, for it is found by adding up all that a producer has parked.
const ROOM: Duration = Duration::from_secs(10);

/// The alarm is raised so often.
const ALARM: Duration = Duration::from_hours(1);

/// When this process last did what it doesn't do at every poll.
#[derive(Debug, Default)]
pub struct Rounds {
    room: Round,
    alarm: Round,
}

#[derive(Debug, Default)]
struct Round(Mutex<Option<Instant>>);

impl Round {
    /// Whether it is time again; if so, the next time begins to run.
    fn is_due(&self, every: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= every);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Lets wait again what may, and gives how many files that were.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn release(consumer: &Consumer) -> Result<u64, sqlx::Error> {
    let (pool, config) = (consumer.pool(), &consumer.config);
    let mut released = redrive::release(pool).await?;
    released += job::release(pool, config.quota.tables).await?;
    if consumer.rounds.room.is_due(ROOM) {
        released += redrive::release_into_room(pool, config.quota.parked).await?;
    }
    if released > 0 {
        tracing::info!(files = released, "parked or held before, tried again");
        consumer.company.changed();
        consumer.arrivals.notify_waiters();
        consumer.streams.notify_waiters();
    }
    if consumer.rounds.alarm.is_due(ALARM)
        && let Some(overdue) = redrive::overdue(pool, config.keep.parked).await?
    {
        tracing::error!(
            files = overdue.files,
            bytes = overdue.bytes,
            since = %overdue.since.format("%Y-%m-%dT%H:%M:%SZ"),
            "parked for longer than [keep] parked, and never dropped by themselves: `nightdrop-consumer parked list` shows them, `parked retry` and `parked drop` end it"
        );
    }
    Ok(released)
}
