//! Keeps what will never load: its bytes as they were stored, and the sentence that says why. What is
//! too large to keep stays in the bucket, held.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nightdrop_bucket::{Bucket, Error as BucketError};
use sqlx::PgTransaction;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::fetch::{Fetched, unread};
use crate::ledger::claim::File;
use crate::ledger::parked::{PART, keep};
use crate::ledger::reason::Reason;
use crate::ledger::state::State;
use crate::ledger::verdict::{self, Tally, Verdict};
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

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            // What the ledger's own tables refuse is no file's fault.
            Self::Postgres(error) => sqlstate::remedy(error).for_everyone(),
            Self::Bucket(error) => crate::fetch::remedy(error.fault()),
        }
    }
}

/// Writes verdicts that need no bytes, or whose bytes are at hand, in one commit, and counts them.
///
/// # Errors
/// When Postgres refuses or is away: none of them is written then.
pub async fn decide(
    pool: &PgPool,
    token: Uuid,
    mut verdicts: Vec<Verdict>,
    bad: Vec<(i64, Reason, Bytes)>,
) -> Result<Tally, Error> {
    let mut transaction = pool.begin().await?;
    let ids: Vec<i64> = verdicts
        .iter()
        .map(|verdict| verdict.file)
        .chain(bad.iter().map(|(id, ..)| *id))
        .collect();
    let ours = verdict::lock(&mut transaction, token, &ids).await?;
    verdicts.retain(|verdict| ours.contains(&verdict.file));
    for (id, reason, stored) in bad.into_iter().filter(|(id, ..)| ours.contains(id)) {
        for (part, bytes) in (0..).zip(stored.chunks(PART)) {
            keep(&mut transaction, id, part, bytes).await?;
        }
        verdicts.push(Verdict::because(id, reason));
    }
    verdict::write(&mut transaction, token, &verdicts).await?;
    transaction.commit().await?;
    Ok(Tally::of(&verdicts))
}

/// Parks a file whose bytes are not at hand: it is read from the bucket once more, part by part.
/// Gives what became of it.
///
/// # Errors
/// When Postgres or the bucket is away, or refuses.
pub async fn park(
    pool: &PgPool,
    bucket: &Bucket,
    token: Uuid,
    file: &File,
    reason: Reason,
    up_to: u64,
) -> Result<Tally, Error> {
    if file.size > up_to {
        let sentence = format!(
            "{}; its {} bytes are too many to park: it stays in the bucket",
            reason.sentence, file.size
        );
        let held = Verdict {
            state: State::Held,
            ..Verdict::because(file.id, Reason { sentence, ..reason })
        };
        return decide(pool, token, vec![held], Vec::new()).await;
    }
    let mut transaction = pool.begin().await?;
    if verdict::lock(&mut transaction, token, &[file.id])
        .await?
        .is_empty()
    {
        return Ok(Tally::default());
    }
    let verdict = match copy_bytes(&mut transaction, bucket, file).await {
        Ok(()) => Verdict::because(file.id, reason),
        Err(Error::Bucket(error)) => {
            transaction.rollback().await?;
            return match unread(file.id, error) {
                Fetched::Settled(verdict) => decide(pool, token, vec![*verdict], Vec::new()).await,
                Fetched::Away(_, error) => Err(error.into()),
                _ => Ok(Tally::default()),
            };
        }
        Err(error) => return Err(error),
    };
    let verdicts = [verdict];
    verdict::write(&mut transaction, token, &verdicts).await?;
    transaction.commit().await?;
    Ok(Tally::of(&verdicts))
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
            keep(transaction, file.id, part, &rest).await?;
            rest = tail;
            part += 1;
        }
    }
    if !rest.is_empty() || part == 0 {
        keep(transaction, file.id, part, &rest).await?;
    }
    Ok(())
}
