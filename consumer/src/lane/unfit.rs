//! What turned out not to be loadable once it was read, with its bytes no longer at hand: fetched once
//! more and parked, many files at once, so that nobody waits for them one after the other.

use bytes::Bytes;
use futures::{StreamExt, stream};
use uuid::Uuid;

use super::Error;
use crate::consumer::Consumer;
use crate::fetch::{self, unread};
use crate::ledger::claim::File;
use crate::ledger::parked::PART;
use crate::ledger::reason::Reason;
use crate::ledger::state::State;
use crate::ledger::verdict::{Tally, Verdict};
use crate::park;

/// So many GETs at once.
const FETCHES: usize = 32;

/// So many stored bytes go to Postgres in one commit.
const COMMIT: usize = 4 * 1024 * 1024;

/// What became of them.
#[derive(Default)]
pub(super) struct Parked {
    /// Files that have their verdict.
    pub(super) tally: Tally,
    /// Files that the bucket couldn't give.
    pub(super) away: Vec<(i64, fetch::Error)>,
}

/// Parks the files.
///
/// # Errors
/// When Postgres is away or refuses: what was committed by then stays parked.
pub(super) async fn park(
    consumer: &Consumer,
    token: Uuid,
    unfit: Vec<(File, Reason)>,
) -> Result<Parked, Error> {
    let mut parked = Parked::default();
    let room = consumer.room();
    let (small, others): (Vec<_>, Vec<_>) = unfit.into_iter().partition(|(file, reason)| {
        // Of what is kept already, or stays in the bucket, no bytes are needed.
        let wanted = !file.kept && reason.cause.state() != State::Held;
        wanted && file.size <= room.up_to.min(PART as u64)
    });
    let mut arriving = stream::iter(small)
        .map(|(file, reason)| async move { get(consumer, file, reason).await })
        .buffer_unordered(FETCHES);
    let (mut verdicts, mut bad, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(one) = arriving.next().await {
        match one {
            Got::Stored(id, reason, stored) => {
                bytes += stored.len();
                bad.push((id, reason, stored));
            }
            Got::Settled(verdict) => verdicts.push(*verdict),
            Got::Away(id, error) => parked.away.push((id, error)),
        }
        if bytes >= COMMIT {
            let (verdicts, bad) = (std::mem::take(&mut verdicts), std::mem::take(&mut bad));
            parked.tally += decide(consumer, token, verdicts, bad).await?;
            bytes = 0;
        }
    }
    parked.tally += decide(consumer, token, verdicts, bad).await?;
    for (file, reason) in others {
        let (pool, bucket) = (consumer.pool(), &consumer.bucket);
        match park::park(pool, bucket, token, &file, reason, room).await {
            Ok(decided) => parked.tally += consumer.count(&decided),
            Err(park::Error::Bucket(error)) => parked.away.push((file.id, error.into())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(parked)
}

/// What came of reading a file once more.
enum Got {
    Stored(i64, Reason, Bytes),
    Settled(Box<Verdict>),
    Away(i64, fetch::Error),
}

async fn get(consumer: &Consumer, file: File, reason: Reason) -> Got {
    let _permit = consumer.fetch.room_for(file.size).await;
    match consumer.bucket.get(&file.key, &file.etag).await {
        Ok(stored) => Got::Stored(file.id, reason, stored),
        Err(error) => match unread(file.id, error) {
            Ok(verdict) => Got::Settled(Box::new(verdict)),
            Err(error) => Got::Away(file.id, error.into()),
        },
    }
}

async fn decide(
    consumer: &Consumer,
    token: Uuid,
    verdicts: Vec<Verdict>,
    bad: Vec<(i64, Reason, Bytes)>,
) -> Result<Tally, Error> {
    if verdicts.is_empty() && bad.is_empty() {
        return Ok(Tally::default());
    }
    let room = consumer.room();
    Ok(consumer.count(&park::decide(consumer.pool(), token, verdicts, bad, room).await?))
}
