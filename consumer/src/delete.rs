//! Deletes from the bucket what a fresh read of the ledger says is safe, in bulk, for as long as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures::future::try_join_all;
use nightdrop_bucket::Error as BucketError;
use nightdrop_schema::Key;

use crate::consumer::Consumer;
use crate::failpoint::failpoint;
use crate::ledger::deletion::{confirm, decided, postpone};
use crate::pool::limited;
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::traces;

/// Objects at once.
const LIMIT: i64 = 2000;

/// Keys in one bulk request: a server works on them one after the other, and on several requests at once.
const REQUEST: usize = 250;

/// Why nothing was deleted this time: it will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket is away, or refuses.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The ledger can't be read or written.
    #[error("ledger: {}", sqlstate::sentence(.0))]
    Ledger(#[from] sqlx::Error),
}

impl Error {
    /// What is to be done. A DELETE that is refused costs room in the bucket and nothing else.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Bucket(_) => Remedy::Retry,
            Self::Ledger(error) => sqlstate::remedy(error).for_everyone(),
        }
    }
}

/// Deletes up to 2,000 objects and gives how many there were to delete.
///
/// # Errors
/// When the bucket or Postgres is away: what was deleted is deleted once more later, which does no harm.
pub async fn pass(consumer: &Consumer) -> Result<usize, Error> {
    let mut transaction = consumer.pool().begin().await?;
    let after = consumer.config.bucket.delete_after;
    let objects = limited(decided(&mut transaction, LIMIT, after)).await?;
    if objects.is_empty() {
        return Ok(0);
    }
    failpoint("delete: ledger read");
    // Two sightings of one key are one object: MinIO has no proper answer for a key that is named twice.
    let keys: BTreeSet<&Key> = objects.iter().map(|object| &object.key).collect();
    let keys: Vec<Key> = keys.into_iter().cloned().collect();
    let begun = SystemTime::now();
    let requests: Vec<_> = keys
        .chunks(REQUEST)
        .map(|keys| consumer.bucket.delete(keys))
        .collect();
    let answers = try_join_all(requests).await?.into_iter().flatten();
    failpoint("delete: answered");
    let (mut gone, mut refused) = (Vec::with_capacity(objects.len()), Vec::new());
    let answers: BTreeMap<&Key, _> = keys.iter().zip(answers).collect();
    for object in &objects {
        match answers.get(&object.key) {
            // Never: every key that was asked for has its answer. What has none is deleted next time.
            None => {}
            Some(Ok(())) => {
                traces::deleted(object, begun);
                gone.push(object.id);
            }
            Some(Err(error)) => {
                tracing::warn!(key = %object.key, %error, "loaded, but not deleted yet: it is tried again");
                refused.push(object.id);
            }
        }
    }
    limited(confirm(&mut transaction, &gone)).await?;
    if !refused.is_empty() {
        limited(postpone(&mut transaction, &refused)).await?;
    }
    failpoint("delete: confirmed");
    limited(transaction.commit()).await?;
    let counts = consumer.metrics.counts();
    counts.deleted.inc_by(gone.len() as u64);
    counts.not_deleted.inc_by(refused.len() as u64);
    failpoint("delete: committed");
    Ok(objects.len())
}
