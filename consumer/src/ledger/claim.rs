//! Taking files to work on: a token and a lease, which `taken.rs` renews while the work goes on and gives
//! back when it can't be done now. The row is not locked meanwhile; the load locks it, and only if the
//! token is still there.

use std::collections::HashMap;
use std::time::Duration;

use nightdrop_schema::{Job, Key, Producer};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::interval;
use super::taken::Taken;
use crate::failpoint::failpoint;
use crate::pool::Pool;

/// A file that died with its consumer once is claimed alone; after dying alone so often it is parked.
pub const DEATHS_ALONE: i16 = 3;

/// So many files one statement takes at most: it is short however many a batch takes, and wait.
pub const AT_ONCE: u32 = 250;

/// Which files to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane<'a> {
    /// Small files, many in one transaction, at most so many.
    Batch(u32),
    /// One file that the ledger says is large, of none of these producers.
    Stream(&'a [Producer]),
    /// One file whose last claim ended without a verdict: it may be what ended the consumer.
    Suspect,
}

impl Lane<'_> {
    /// Its name, in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Batch(_) => "batch",
            Self::Stream(_) => "stream",
            Self::Suspect => "suspect",
        }
    }
}

/// Files that are this consumer's until the lease runs out.
#[derive(Debug)]
pub struct Claim {
    /// What the ledger knows the claim by.
    pub token: Uuid,
    /// By producer and job, oldest first.
    pub files: Vec<File>,
}

impl Claim {
    /// What to give back or renew it by.
    pub fn taken(&self) -> Taken {
        Taken {
            token: self.token,
            files: self.files.iter().map(|file| file.id).collect(),
        }
    }
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

/// Claims waiting files: an equal share for each producer, and of that for each of its jobs, and what
/// they leave goes to those that have more. Jobs that rest are left out, and so are those whose results
/// must be loaded one after the other while another consumer, or another batch of this one, has some of them.
///
/// # Errors
/// When Postgres refuses or is away: what may be claimed then is to be given back by its token.
pub async fn claim(
    pool: &Pool,
    token: Uuid,
    lane: Lane<'_>,
    worker: &str,
    lease: Duration,
) -> Result<Claim, sqlx::Error> {
    let mut claim = Claim {
        token,
        files: Vec::new(),
    };
    let mut room = match lane {
        Lane::Batch(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Lane::Stream(_) | Lane::Suspect => 1,
    };
    while room > 0 {
        let limit = room.min(usize::try_from(AT_ONCE).unwrap_or(usize::MAX));
        let (files, more) = take(pool, lane, limit, claim.token, worker, lease).await?;
        room -= files.len();
        claim.files.extend(files);
        if !more {
            break;
        }
    }
    claim.files.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(claim)
}

/// What is put off or leased no longer can be claimed again. A file comes back as a suspect if its
/// consumer let the lease run out; for as long as a lease after a start of Postgres nobody is blamed,
/// for nobody could renew.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn bring_back(pool: &Pool, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH abandoned AS (
             SELECT id FROM nightdrop.file f
             WHERE token IS NOT NULL AND lease_until < now() AND pg_postmaster_start_time() < now() - $1
               -- A load that has just failed, or was ended as overdue, is given back by its own consumer,
               -- if that is alive.
               AND NOT EXISTS (SELECT FROM nightdrop.load l
                               WHERE l.token = f.token
                                 AND greatest(l.deadline, l.ended_at) > clock_timestamp() - $1)
             LIMIT 1000 FOR UPDATE SKIP LOCKED
         ), due AS (
             SELECT id FROM nightdrop.file
             WHERE state = 'waiting' AND token IS NULL AND retry_at <= now()
             LIMIT 1000 FOR UPDATE SKIP LOCKED
         )
         UPDATE nightdrop.file f SET token = NULL, lease_until = NULL, retry_at = NULL
         FROM (SELECT id FROM abandoned UNION ALL SELECT id FROM due) back
         WHERE f.id = back.id",
    )
    .bind(interval(lease))
    .execute(pool)
    .await
    .map(drop)
}

/// Takes up to so many files, and tells whether a job may have more than was its share.
async fn take(
    pool: &Pool,
    lane: Lane<'_>,
    room: usize,
    token: Uuid,
    worker: &str,
    lease: Duration,
) -> Result<(Vec<File>, bool), sqlx::Error> {
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let without: Vec<&str> = match lane {
        Lane::Stream(without) => without.iter().map(Producer::as_str).collect(),
        Lane::Batch(_) | Lane::Suspect => Vec::new(),
    };
    let rows = match lane {
        Lane::Batch(_) | Lane::Stream(_) => sqlx::query(FRESH)
            .bind(room)
            .bind(token)
            .bind(worker)
            .bind(interval(lease))
            .bind(matches!(lane, Lane::Stream(_)))
            .bind(without),
        Lane::Suspect => sqlx::query(SUSPECT)
            .bind(room)
            .bind(token)
            .bind(worker)
            .bind(interval(lease)),
    }
    .fetch_all(pool)
    .await?;
    if !rows.is_empty() {
        failpoint("claim: committed");
    }
    let mut counts: HashMap<(Producer, Job), i64> = HashMap::new();
    let (mut files, mut more) = (Vec::with_capacity(rows.len()), false);
    for row in &rows {
        let file = file(row)?;
        let whose = (file.key.producer().clone(), file.key.job().clone());
        let count = counts.entry(whose).or_default();
        *count += 1;
        more |= *count == row.try_get::<i64, _>("share")?;
        files.push(file);
    }
    Ok((files, more))
}

/// Jobs that have suspects and of which this worker may take one: not while they rest, nor while another
/// worker has files of a job whose results must be loaded one after the other.
macro_rules! suspects {
    ($worker:literal) => {
        concat!(
            "
WITH RECURSIVE job (attempts, producer, job) AS (
    (SELECT attempts, producer, job FROM nightdrop.file
     WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts > 0
     ORDER BY attempts, producer, job LIMIT 1)
    UNION ALL
    SELECT next.attempts, next.producer, next.job
    FROM job, LATERAL (
        SELECT f.attempts, f.producer, f.job FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts > 0
          AND (f.attempts, f.producer, f.job) > (job.attempts, job.producer, job.job)
        ORDER BY f.attempts, f.producer, f.job LIMIT 1) next
), open AS (
    SELECT attempts, producer, job
    FROM job
    WHERE NOT EXISTS (SELECT FROM nightdrop.pause p
                      WHERE p.producer = job.producer AND p.job = job.job AND p.until > now())
      AND NOT (EXISTS (SELECT FROM nightdrop.job j
                       WHERE j.producer = job.producer AND j.job = job.job AND j.mode <> 'append')
               AND EXISTS (SELECT FROM nightdrop.file f
                           WHERE f.token IS NOT NULL AND f.producer = job.producer AND f.job = job.job
                             AND f.lease_until > now() AND f.worker <> ",
            $worker,
            "))
)
"
        )
    };
}

/// Whether a file waits whose consumer ended without a verdict, and which this one could claim now.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn is_any_suspect(pool: &Pool, worker: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(concat!(suspects!("$1"), "SELECT EXISTS (SELECT FROM open)"))
        .bind(worker)
        .fetch_one(pool)
        .await
}

/// Jobs are found by jumping from one to the next in the index, so that a million files of one cost no
/// more than one file. Their order is drawn by lot, one job of each producer before the second of any:
/// where there are more jobs than room, none is always first and none always last.
const FRESH: &str = "
WITH RECURSIVE job (producer, job) AS (
    (SELECT producer, job FROM nightdrop.file
     WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0 AND streamed = $5
     ORDER BY producer, job LIMIT 1)
    UNION ALL
    SELECT next.producer, next.job
    FROM job, LATERAL (
        SELECT f.producer, f.job FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts = 0
          AND f.streamed = $5 AND (f.producer, f.job) > (job.producer, job.job)
        ORDER BY f.producer, f.job LIMIT 1) next
), open AS (
    SELECT producer, job, count(*) OVER (PARTITION BY producer) AS jobs,
           row_number() OVER (PARTITION BY producer ORDER BY random()) AS turn
    FROM job
    WHERE producer <> ALL ($6::text[])
      AND NOT EXISTS (SELECT FROM nightdrop.pause p
                      WHERE p.producer = job.producer AND p.job = job.job AND p.until > now())
      AND NOT (EXISTS (SELECT FROM nightdrop.job j
                       WHERE j.producer = job.producer AND j.job = job.job AND j.mode <> 'append')
               AND EXISTS (SELECT FROM nightdrop.file f
                           WHERE f.token IS NOT NULL AND f.producer = job.producer AND f.job = job.job
                             AND f.lease_until > now() AND (f.worker <> $3 OR NOT (f.streamed OR $5))))
), share AS (
    SELECT producer, job,
           ceil($1::float8 / ((SELECT count(DISTINCT producer) FROM open) * jobs))::bigint AS share
    FROM open ORDER BY turn, random()
), picked AS (
    SELECT file.id, share.share
    FROM share, LATERAL (
        SELECT f.id FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts = 0
          AND f.streamed = $5 AND f.producer = share.producer AND f.job = share.job
        ORDER BY f.as_of, f.id LIMIT share.share FOR UPDATE SKIP LOCKED) file
    LIMIT $1
)
UPDATE nightdrop.file f
SET attempts = attempts + 1, token = $2, worker = $3, lease_until = now() + $4, claimed_at = now()
FROM picked WHERE f.id = picked.id
RETURNING f.id, f.key, f.etag, f.size, f.attempts, f.kept, picked.share";

/// Those that were there at the fewest deaths come first: what was only near a killer is cleared before
/// the killer is tried again. Among equals as above.
const SUSPECT: &str = concat!(
    suspects!("$3"),
    ", picked AS (
    SELECT file.id
    FROM (SELECT attempts, producer, job,
                 row_number() OVER (PARTITION BY attempts, producer ORDER BY random()) AS turn
          FROM open ORDER BY attempts, turn, random()) job, LATERAL (
        SELECT f.id FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts > 0
          AND f.attempts = job.attempts AND f.producer = job.producer AND f.job = job.job
        ORDER BY f.as_of, f.id LIMIT 1 FOR UPDATE SKIP LOCKED) file
    LIMIT $1
)
UPDATE nightdrop.file f
SET attempts = attempts + 1, token = $2, worker = $3, lease_until = now() + $4, claimed_at = now()
FROM picked WHERE f.id = picked.id
RETURNING f.id, f.key, f.etag, f.size, f.attempts, f.kept, 1::bigint AS share"
);

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
