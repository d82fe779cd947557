//! A claim while the work goes on: its lease is renewed, and what can't be done now is given back.

use std::time::Duration;

use uuid::Uuid;

use super::interval;
use crate::pool::Pool;

/// A claim as the ledger knows it. The files' ids find its rows: an index of tokens would be written
/// twice for each file. Of a claim that was never answered they are not known, and looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub(super) token: Uuid,
    pub(super) files: Vec<i64>,
}

impl Taken {
    /// A claim that may have been made, for all we know.
    pub fn unanswered(token: Uuid) -> Self {
        Self {
            token,
            files: Vec::new(),
        }
    }
}

/// Puts the end of the lease off. A row that a load has locked has no need of it.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn renew(pool: &Pool, taken: &Taken, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.file SET lease_until = now() + $3
         WHERE id IN (SELECT id FROM nightdrop.file WHERE id = ANY($2) AND token = $1 FOR UPDATE SKIP LOCKED)",
    )
    .bind(taken.token)
    .bind(&taken.files)
    .bind(interval(lease))
    .execute(pool)
    .await
    .map(drop)
}

/// Gives back what of a claim has no verdict: to be taken again after `wait`, with no attempt used up.
/// Gives how many files are still locked by a load of ours whose end Postgres hasn't noticed yet: nobody
/// waits for that.
///
/// # Errors
/// When Postgres refuses or is away; the lease runs out by itself then.
pub async fn give_back(pool: &Pool, taken: &Taken, wait: Duration) -> Result<i64, sqlx::Error> {
    let found: Vec<i64>;
    let files = if taken.files.is_empty() {
        found = sqlx::query_scalar("SELECT id FROM nightdrop.file WHERE token = $1")
            .bind(taken.token)
            .fetch_all(pool)
            .await?;
        &found
    } else {
        &taken.files
    };
    sqlx::query_scalar(
        "WITH free AS (
             SELECT id FROM nightdrop.file WHERE id = ANY($2) AND token = $1 FOR UPDATE SKIP LOCKED
         ), given AS (
             UPDATE nightdrop.file f
             SET attempts = attempts - 1, token = NULL, worker = NULL, lease_until = NULL,
                 retry_at = CASE WHEN $3 > interval '0' THEN now() + $3 END
             FROM free WHERE f.id = free.id
         )
         SELECT count(*) FROM nightdrop.file
         WHERE id = ANY($2) AND token = $1 AND id NOT IN (SELECT id FROM free)",
    )
    .bind(taken.token)
    .bind(files)
    .bind(interval(wait))
    .fetch_one(pool)
    .await
}

/// Gives some files of a claim back, to be taken again after `wait`, with no attempt used up: whoever
/// comes meanwhile finds those beside them.
///
/// # Errors
/// When Postgres refuses or is away; the lease runs out by itself then.
pub async fn put_off(
    pool: &Pool,
    token: Uuid,
    files: &[i64],
    wait: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.file
         SET attempts = attempts - 1, token = NULL, worker = NULL, lease_until = NULL, retry_at = now() + $3
         WHERE token = $1 AND id = ANY($2)",
    )
    .bind(token)
    .bind(files)
    .bind(interval(wait))
    .execute(pool)
    .await
    .map(drop)
}

/// Sends files to the lane of streams: they turned out to be larger than they looked.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn send_to_stream(pool: &Pool, token: Uuid, files: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.file
         SET streamed = true, attempts = attempts - 1, token = NULL, worker = NULL, lease_until = NULL
         WHERE token = $1 AND id = ANY($2)",
    )
    .bind(token)
    .bind(files)
    .execute(pool)
    .await
    .map(drop)
}
