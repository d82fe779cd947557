//! The consumer's own tables, one file for each thing that is done with them: the statements stand
//! close to the types that they fill. Nothing here knows the bucket or the report tables.

pub mod breaker;
pub mod claim;
pub mod deletion;
pub mod expectation;
pub mod gauges;
pub mod history;
pub mod job;
pub mod life;
pub mod look;
pub mod now;
pub mod outbox;
pub mod parked;
pub mod pause;
pub mod pick;
pub mod prune;
pub mod reason;
pub mod recent;
pub mod redrive;
pub mod shape;
pub mod sighting;
pub mod state;
pub mod summary;
pub mod taken;
pub mod verdict;
pub mod watch;

use std::time::Duration;

use chrono::{DateTime, Utc};
use nightdrop_schema::Timestamptz;
use sqlx::postgres::types::PgInterval;

/// The same instant, as the driver binds it.
pub(crate) fn instant(time: Timestamptz) -> DateTime<Utc> {
    time.unix_micros()
        .and_then(DateTime::from_timestamp_micros)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Further back there is no calendar: what is taken from the clock is no longer than this.
const CALENDAR: Duration = Duration::from_hours(24 * 365 * 1000);

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
