//! Keeps what will never load: its bytes as they were stored, and the sentence that says why. What is
//! too large to keep stays in the bucket, held.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nightdrop_bucket::{Bucket, Error as BucketError};
use sqlx::PgTransaction;
use uuid::Uuid;

use crate::failpoint::failpoint;
use crate::fetch::{self, HELD_FOR, unread};
use crate::ledger::claim::File;
use crate::ledger::parked::{PART, beyond, keep, keep_all};
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::ledger::verdict::{self, Decided, Verdict};
use crate::pool::{Pool, limited};
use crate::remedy::Remedy;
use crate::sqlstate;

/// Why a file could not be parked: it is still claimed, and will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or is away.
    #[error("parking: {}", sqlstate::sentence(.0))]
    Postgres(#[from] sqlx::Error),
    /// The bucket is away.
    #[error("parking: {0}")]
    Bucket(#[from] BucketError),
}

impl From<fetch::Error> for Error {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Bucket(error) => Self::Bucket(error),
            fetch::Error::Kept(error) => Self::Postgres(error),
        }
    }
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            // What the ledger's own tables refuse is no file's fault.
            Self::Postgres(error) => sqlstate::remedy(error).for_everyone(),
            Self::Bucket(error) => fetch::remedy(error.fault()),
        }
    }
}

/// What may be kept in Postgres.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The largest file, in stored bytes.
    pub up_to: u64,
    /// All parked files of one producer.
    pub quota: u64,
}

/// Writes verdicts that need no bytes, or whose bytes are at hand, in one commit, and gives them.
///
/// # Errors
/// When Postgres refuses or is away: none of them is written then.
pub async fn decide(
    pool: &Pool,
    token: Uuid,
    mut verdicts: Vec<Verdict>,
    bad: Vec<(i64, Reason, Bytes)>,
    room: Room,
) -> Result<Vec<Decided>, Error> {
    let mut transaction = pool.begin().await?;
    let ids: Vec<i64> = verdicts
        .iter()
        .map(|verdict| verdict.file)
        .chain(bad.iter().map(|(id, ..)| *id))
        .collect();
    let ours = limited(verdict::lock(&mut transaction, token, &ids)).await?;
    verdicts.retain(|verdict| ours.contains(&verdict.file));
    let bad: Vec<_> = bad
        .into_iter()
        .filter(|(id, ..)| ours.contains(id))
        .collect();
    let ids: Vec<i64> = bad.iter().map(|(id, ..)| *id).collect();
    let beyond = limited(beyond(&mut transaction, &ids, room.quota)).await?;
    let mut kept: Vec<(i64, &[u8])> = Vec::with_capacity(bad.len());
    for (id, reason, stored) in &bad {
        let size = stored.len() as u64;
        verdicts.push(if size > room.up_to {
            too_large(*id, reason, size)
        } else if let Some(bytes) = beyond.get(id) {
            no_room(*id, reason, *bytes, room)
        } else {
            kept.push((*id, stored));
            Verdict::because(*id, reason.clone())
        });
    }
    limited(keep_all(&mut transaction, &kept)).await?;
    failpoint("park: bytes kept");
    let decided = limited(verdict::write(&mut transaction, token, &verdicts)).await?;
    failpoint("park: verdicts written");
    limited(transaction.commit()).await?;
    failpoint("park: committed");
    Ok(decided)
}

/// Parks a file whose bytes are not at hand: it is read from the bucket once more, part by part; or
/// holds it there, if that is what its reason leads to. One that was parked before keeps the bytes that
/// are there. Gives what became of it.
///
/// # Errors
/// When Postgres or the bucket is away, or refuses.
pub async fn park(
    pool: &Pool,
    bucket: &Bucket,
    token: Uuid,
    file: &File,
    reason: Reason,
    room: Room,
) -> Result<Vec<Decided>, Error> {
    if file.kept {
        // What would hold another file parks this one: there is nothing of it in the bucket.
        let parked = Verdict {
            state: State::Parked,
            ..Verdict::because(file.id, reason)
        };
        return decide(pool, token, vec![parked], Vec::new(), room).await;
    }
    if reason.cause.state() == State::Held {
        // There may be room, or a higher quota, some time.
        let held = Verdict {
            retry_in: Some(HELD_FOR),
            ..Verdict::because(file.id, reason)
        };
        return decide(pool, token, vec![held], Vec::new(), room).await;
    }
    if file.size > room.up_to {
        let held = too_large(file.id, &reason, file.size);
        return decide(pool, token, vec![held], Vec::new(), room).await;
    }
    let mut transaction = pool.begin().await?;
    if limited(verdict::lock(&mut transaction, token, &[file.id]))
        .await?
        .is_empty()
    {
        return Ok(Vec::new());
    }
    let beyond = limited(beyond(&mut transaction, &[file.id], room.quota)).await?;
    if let Some(taken) = beyond.get(&file.id) {
        limited(transaction.rollback()).await?;
        let held = no_room(file.id, &reason, *taken, room);
        return decide(pool, token, vec![held], Vec::new(), room).await;
    }
    let verdict = match copy_bytes(&mut transaction, bucket, file).await {
        Ok(()) => Verdict::because(file.id, reason),
        Err(Error::Bucket(error)) => {
            limited(transaction.rollback()).await?;
            let verdict = unread(file.id, error)?;
            return decide(pool, token, vec![verdict], Vec::new(), room).await;
        }
        Err(error) => return Err(error),
    };
    failpoint("park: bytes kept");
    let verdicts = [verdict];
    let decided = limited(verdict::write(&mut transaction, token, &verdicts)).await?;
    failpoint("park: verdicts written");
    limited(transaction.commit()).await?;
    failpoint("park: committed");
    Ok(decided)
}

/// It stays in the bucket until a person has looked, unless it is over by itself.
fn too_large(file: i64, reason: &Reason, size: u64) -> Verdict {
    let sentence = format!(
        "{}; its {size} bytes are too many to park: it stays in the bucket",
        reason.sentence
    );
    Verdict {
        state: State::Held,
        retry_in: over_in(reason),
        ..Verdict::because(file, Reason::new(reason.cause, sentence))
    }
}

/// It stays in the bucket until there is room, or until it is over by itself; then it is looked at again.
fn no_room(file: i64, reason: &Reason, taken: i64, room: Room) -> Verdict {
    let sentence = format!(
        "{}; it can't be parked, for {taken} of the {} bytes that [quota] parked gives its producer are taken: retry or drop some of what is parked",
        reason.sentence, room.quota
    );
    Verdict {
        retry_in: over_in(reason),
        ..Verdict::because(file, Reason::new(Cause::QuotaParked, sentence))
    }
}

/// When what would be loaded by itself, if it were parked, is tried again where it lies. An unknown type is asked
/// for each hour: only what is parked is found by the versions that have judged it.
fn over_in(reason: &Reason) -> Option<Duration> {
    if reason.cause == Cause::UnknownVersion {
        return Some(HELD_FOR);
    }
    reason.over_in
}

async fn copy_bytes(
    transaction: &mut PgTransaction<'_>,
    bucket: &Bucket,
    file: &File,
) -> Result<(), Error> {
    let mut stored = bucket.get_stream(&file.key, &file.etag).await?.boxed();
    let mut part = 0;
    let mut rest = Vec::with_capacity(PART);
    while let Some(piece) = stored.try_next().await? {
        rest.extend_from_slice(&piece);
        while rest.len() >= PART {
            let tail = rest.split_off(PART);
            limited(keep(transaction, file.id, part, &rest)).await?;
            rest = tail;
            part += 1;
        }
    }
    if !rest.is_empty() || part == 0 {
        limited(keep(transaction, file.id, part, &rest)).await?;
    }
    Ok(())
}
