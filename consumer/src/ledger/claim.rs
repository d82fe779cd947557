//! Taking files to work on: a token and a lease, renewed while the work goes on and given back when
//! it can't be done now. The row is not locked meanwhile; the load locks it, and only if the token
//! is still there.

use std::time::Duration;

use nightdrop_schema::Key;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::failpoint::failpoint;
use crate::pool::Pool;

/// A file that died with its consumer once is claimed alone; after dying alone so often it is parked.
pub const DEATHS_ALONE: i16 = 3;

/// Which files to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small files, many in one transaction, at most so many.
    Batch(u32),
    /// One file that the ledger says is large.
    Stream,
    /// One file whose last claim ended without a verdict: it may be what ended the consumer.
    Suspect,
}

/// Files that are this consumer's until the lease runs out.
#[derive(Debug)]
pub struct Claim {
    /// What the ledger knows the claim by.
    pub token: Uuid,
    /// Oldest first.
    pub files: Vec<File>,
}

/// One claimed file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its row in the ledger, and the `_file` of its rows.
    pub id: i64,
    /// Where it lies.
    pub key: Key,
    /// The version that was listed.
    pub etag: String,
    /// Stored bytes.
    pub size: u64,
    /// Claims so far, this one among them, that ended or may end without a verdict.
    pub attempts: i16,
    /// Its bytes are in Postgres: it was parked, and is tried again.
    pub kept: bool,
}

impl File {
    /// Whether it has ended a consumer so often that it is not tried again.
    pub fn is_deadly(&self) -> bool {
        self.attempts > DEATHS_ALONE + 1
    }
}

/// Claims waiting files, an equal share for each job that has any and isn't paused.
///
/// # Errors
/// When Postgres refuses or is away: nothing is claimed then.
pub async fn claim(
    pool: &Pool,
    lane: Lane,
    worker: &str,
    lease: Duration,
) -> Result<Claim, sqlx::Error> {
    let token = Uuid::now_v7();
    let (limit, streamed, suspect) = match lane {
        Lane::Batch(limit) => (i32::try_from(limit).unwrap_or(i32::MAX), Some(false), false),
        Lane::Stream => (1, Some(true), false),
        Lane::Suspect => (1, None, true),
    };
    let rows = sqlx::query(
        "WITH RECURSIVE job (producer, job) AS (
             (SELECT producer, job FROM nightdrop.file WHERE state = 'waiting' ORDER BY producer, job LIMIT 1)
             UNION ALL
             SELECT next.producer, next.job
             FROM job, LATERAL (SELECT producer, job FROM nightdrop.file f
                                WHERE f.state = 'waiting' AND (f.producer, f.job) > (job.producer, job.job)
                                ORDER BY producer, job LIMIT 1) next
         ), open AS (
             SELECT producer, job, count(*) OVER () AS jobs FROM job
             WHERE NOT EXISTS (SELECT FROM nightdrop.pause p
                               WHERE p.producer = job.producer AND p.job = job.job AND p.until > now())
         ), picked AS (
             SELECT file.id
             FROM open, LATERAL (
                 SELECT id FROM nightdrop.file f
                 WHERE f.producer = open.producer AND f.job = open.job AND f.state = 'waiting'
                   AND ($2::boolean IS NULL OR f.streamed = $2) AND (f.attempts > 0) = $3
                   AND (f.lease_until IS NULL OR f.lease_until < now())
                   AND (f.retry_at IS NULL OR f.retry_at <= now())
                 ORDER BY f.as_of, f.id
                 LIMIT greatest(1, $1 / open.jobs)
                 FOR UPDATE SKIP LOCKED) file
             LIMIT $1
         )
         UPDATE nightdrop.file f
         SET attempts = attempts + 1, token = $4, worker = $5, lease_until = now() + $6, claimed_at = now(),
             retry_at = NULL
         FROM picked WHERE f.id = picked.id
         RETURNING f.id, f.key, f.etag, f.size, f.attempts, f.kept",
    )
    .bind(limit)
    .bind(streamed)
    .bind(suspect)
    .bind(token)
    .bind(worker)
    .bind(interval(lease))
    .fetch_all(pool)
    .await?;
    if !rows.is_empty() {
        failpoint("claim: committed");
    }
    let mut files = rows.iter().map(file).collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(|file| (file.key.time(), file.id));
    Ok(Claim { token, files })
}

fn file(row: &PgRow) -> Result<File, sqlx::Error> {
    let key: &str = row.try_get("key")?;
    Ok(File {
        id: row.try_get("id")?,
        key: key
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        etag: row.try_get("etag")?,
        size: row.try_get::<i64, _>("size")?.unsigned_abs(),
        attempts: row.try_get("attempts")?,
        kept: row.try_get("kept")?,
    })
}

/// Puts the end of the lease off. A row that a load has locked has no need of it.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn renew(pool: &Pool, token: Uuid, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.file SET lease_until = now() + $2
         WHERE id IN (SELECT id FROM nightdrop.file WHERE token = $1 FOR UPDATE SKIP LOCKED)",
    )
    .bind(token)
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
pub async fn give_back(pool: &Pool, token: Uuid, wait: Duration) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "WITH free AS (
             SELECT id FROM nightdrop.file WHERE token = $1 FOR UPDATE SKIP LOCKED
         ), given AS (
             UPDATE nightdrop.file f
             SET attempts = attempts - 1, token = NULL, worker = NULL, lease_until = NULL,
                 retry_at = CASE WHEN $2 > interval '0' THEN now() + $2 END
             FROM free WHERE f.id = free.id
         )
         SELECT count(*) FROM nightdrop.file WHERE token = $1 AND id NOT IN (SELECT id FROM free)",
    )
    .bind(token)
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

/// Further back there is no calendar: what is taken from the clock is no longer than this.
pub(super) const CALENDAR: Duration = Duration::from_hours(24 * 365 * 1000);

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
