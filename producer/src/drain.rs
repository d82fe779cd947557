//! From the spool into the bucket: oldest first, again and again until it worked or time is up.
//!
//! An entry that is refused does not block the ones behind it, and none is ever removed but because
//! the bucket has it.

use std::time::Duration;

use nightdrop_bucket::{self as bucket, Bucket, Fault};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    spool::{Entry, Turn},
};

/// The first wait is up to this long, the next up to twice that, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What became of the entries of one pass.
#[derive(Default)]
struct Pass {
    /// In the bucket now.
    gone: Vec<Entry>,
    /// To be tried again, with what was said last.
    later: Vec<(Entry, bucket::Error)>,
    /// Not to be tried again in this run.
    refused: Vec<(Entry, bucket::Error)>,
}

/// Puts what waits in the spool until all of it is in the bucket, `put_for` has passed or `stop` is
/// cancelled. Gives the entries that went. With a `put_for` of zero each is tried once.
///
/// # Errors
/// What the bucket said about the oldest entry that stayed. All that could be put was put.
pub async fn drain(
    turn: &Turn,
    bucket: &Bucket,
    put_for: Duration,
    stop: &CancellationToken,
) -> Result<Vec<Entry>, Error> {
    let deadline = Instant::now() + put_for;
    let mut waiting = turn.entries()?;
    let mut done = Pass::default();
    for attempt in 0.. {
        let pass = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::StoppedPutting),
            pass = once(turn, bucket, waiting) => pass?,
        };
        done.gone.extend(pass.gone);
        done.refused.extend(pass.refused);
        done.later = pass.later;
        let Some((_, error)) = done.later.first() else {
            break;
        };
        let wait = rand::random_range(Duration::ZERO..=longest(attempt));
        if Instant::now() + wait >= deadline {
            break;
        }
        tracing::warn!("{error}; again in {:.1} s", wait.as_secs_f64());
        tokio::select! {
            () = stop.cancelled() => return Err(Error::StoppedPutting),
            () = tokio::time::sleep(wait) => {}
        }
        waiting = std::mem::take(&mut done.later)
            .into_iter()
            .map(|(entry, _)| entry)
            .collect();
    }
    let mut stayed = done.refused;
    stayed.extend(done.later);
    stayed.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    match stayed.into_iter().next() {
        None => Ok(done.gone),
        Some((entry, error)) => Err(Error::Bucket {
            error,
            waiting: Some(entry.path),
        }),
    }
}

/// Each entry once; but once nobody answers, the rest waits too.
async fn once(turn: &Turn, bucket: &Bucket, waiting: Vec<Entry>) -> Result<Pass, Error> {
    let mut pass = Pass::default();
    for entry in waiting {
        if let Some((_, error)) = pass.later.last()
            && error.fault() == Fault::Unreachable
        {
            let error = error.clone();
            pass.later.push((entry, error));
            continue;
        }
        match bucket.put(&entry.key, &entry.path).await {
            // A key has the run's id in it: what is there already is this very result, put by an
            // attempt whose answer was lost, or by a run that died before it could remove it.
            Ok(bucket::Put::Created | bucket::Put::AlreadyThere) => {
                turn.remove(&entry)?;
                pass.gone.push(entry);
            }
            Err(error) if may_pass(error.fault()) => pass.later.push((entry, error)),
            Err(error) => {
                tracing::error!("{} stays in the spool: {error}", entry.path.display());
                pass.refused.push((entry, error));
            }
        }
    }
    Ok(pass)
}

/// Whether a failure may pass by itself within minutes.
fn may_pass(fault: Fault) -> bool {
    match fault {
        Fault::Unreachable | Fault::TimedOut | Fault::Busy => true,
        Fault::Unauthenticated
        | Fault::Forbidden
        | Fault::NotFound
        | Fault::Changed
        | Fault::NoBucket
        | Fault::Refused
        | Fault::Settings
        | Fault::Io => false,
    }
}

/// Full jitter: any wait up to this, so that producers which lost a bucket together do not come
/// back together.
fn longest(attempt: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute() {
        assert_eq!(longest(0), Duration::from_millis(500));
        assert_eq!(longest(3), Duration::from_secs(4));
        assert_eq!(longest(7), LONGEST_WAIT);
        assert_eq!(longest(u32::MAX), LONGEST_WAIT);
    }
}
