//! Old history leaves the ledger, a little at a time. What was loaded is remembered by run and hash, for
//! good: forgetting never means loading again.

use std::time::Duration;

use crate::consumer::Consumer;
use crate::ledger::breaker;
use crate::ledger::prune::{Mark, Pruned, prune};

/// So many old rows are looked at in one statement.
const LIMIT: i64 = 1000;

/// `once` looks at so many times [`LIMIT`].
const ONCE: usize = 10;

/// How long a sweep rests between two statements, so that it takes nothing from the loads.
pub const PAUSE: Duration = Duration::from_millis(200);

/// From the end of a sweep to the beginning of the next.
pub const SWEEP: Duration = Duration::from_hours(1);

/// Looks at the next old rows after `mark`, and removes those that nothing rests on; before the first of them, what is
/// known of hosts that are no more. Gives where to go on; none at the end.
///
/// # Errors
/// When Postgres refuses or is away: nothing is removed then.
pub async fn pass(consumer: &Consumer, mark: Option<Mark>) -> Result<Option<Mark>, sqlx::Error> {
    if mark.is_none() {
        breaker::forget(consumer.pool()).await?;
    }
    let Pruned { removed, next } =
        prune(consumer.pool(), consumer.config.keep.history, mark, LIMIT).await?;
    if removed > 0 {
        tracing::info!(files = removed, "history older than [keep] history pruned");
    }
    Ok(next)
}

/// A part of a sweep, as `once` does it beside its work.
///
/// # Errors
/// As [`pass`].
pub async fn a_little(consumer: &Consumer) -> Result<(), sqlx::Error> {
    let mut mark = None;
    for _ in 0..ONCE {
        mark = pass(consumer, mark).await?;
        if mark.is_none() {
            break;
        }
    }
    Ok(())
}
