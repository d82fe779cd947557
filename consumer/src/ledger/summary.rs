//! What `status` shows: a look at the whole ledger, in a handful of statements.

use std::time::Duration;

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::redrive::{self, Overdue};
use crate::pool::Pool;

use super::breaker::{self, Kept};
use super::interval;

/// One job of one producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobSummary {
    /// Whose.
    pub producer: String,
    /// Which.
    pub job: String,
    /// Its table, once it has one.
    pub table: Option<String>,
    /// `append`, `replace` or `upsert`, once a result was loaded.
    pub mode: Option<String>,
    /// The newest instant that a loaded result of its present life is as of.
    pub as_of: Option<DateTime<Utc>>,
    /// When the last of them was loaded.
    pub loaded_at: Option<DateTime<Utc>>,
    /// Results loaded.
    pub loaded: i64,
    /// Rows loaded.
    pub rows: i64,
    /// Files waiting to be loaded.
    pub waiting: i64,
    /// Files parked.
    pub parked: i64,
    /// Files held in the bucket.
    pub held: i64,
    /// Why it rests, if it does.
    pub paused: Option<String>,
}

/// A file that is not in the reports and won't be by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its row in the ledger.
    pub file: i64,
    /// Its key in the bucket.
    pub key: String,
    /// `parked` or `held`.
    pub state: String,
    /// A short name to group by.
    pub reason: String,
    /// What is wrong and what to do.
    pub error: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// By producer, then job.
    pub jobs: Vec<JobSummary>,
    /// Objects that are decided, but not yet deleted from the bucket.
    pub to_delete: i64,
    /// Circuit breakers that are or were open.
    pub breakers: Vec<Kept>,
    /// The latest parked and held files, at most 20.
    pub troubles: Vec<Trouble>,
    /// What has been parked for longer than `[keep] parked`: the alarm.
    pub overdue: Option<Overdue>,
}

/// Reads the summary.
///
/// # Errors
/// When Postgres is away, or the ledger isn't there.
pub async fn read(pool: &Pool, keep_parked: Duration) -> Result<Summary, sqlx::Error> {
    let jobs = sqlx::query(
        "WITH file AS (
             SELECT producer, job,
                    max(as_of) FILTER (WHERE state = 'loaded' AND decided_at >= created_at) AS as_of,
                    max(decided_at) FILTER (WHERE state = 'loaded' AND decided_at >= created_at) AS loaded_at,
                    count(*) FILTER (WHERE state = 'loaded') AS loaded,
                    coalesce(sum(row_count) FILTER (WHERE state = 'loaded'), 0)::bigint AS rows,
                    count(*) FILTER (WHERE state = 'waiting') AS waiting,
                    count(*) FILTER (WHERE state = 'parked') AS parked,
                    count(*) FILTER (WHERE state = 'held') AS held
             FROM nightdrop.file LEFT JOIN nightdrop.job USING (producer, job)
             WHERE producer IS NOT NULL AND job <> 'nightdrop_probe' GROUP BY producer, job)
         SELECT f.*, j.table_schema || '.' || j.table_name AS table, j.mode, p.error AS paused
         FROM file f
         LEFT JOIN nightdrop.job j USING (producer, job)
         LEFT JOIN nightdrop.pause p ON p.producer = f.producer AND p.job = f.job AND p.until > now()
         ORDER BY f.producer, f.job",
    )
    .fetch_all(pool)
    .await?
    .iter()
    .map(job)
    .collect::<Result<_, _>>()?;
    let to_delete = sqlx::query(
        "SELECT count(*) FROM nightdrop.file WHERE gone_at IS NULL
           AND state IN ('loaded', 'superseded', 'duplicate', 'parked', 'noted', 'dropped')",
    )
    .fetch_one(pool)
    .await?
    .try_get(0)?;
    Ok(Summary {
        jobs,
        to_delete,
        breakers: breaker::all(pool).await?,
        troubles: kept_out(pool, 20).await?,
        overdue: redrive::overdue(pool, keep_parked).await?,
    })
}

/// The latest files that are parked or held, each state by its own index.
///
/// # Errors
/// When Postgres is away.
pub async fn kept_out(pool: &Pool, limit: i64) -> Result<Vec<Trouble>, sqlx::Error> {
    sqlx::query(
        "SELECT id, key, state, reason, error, decided_at FROM (
             (SELECT * FROM nightdrop.file WHERE state = 'parked' ORDER BY decided_at DESC LIMIT $1)
             UNION ALL
             (SELECT * FROM nightdrop.file WHERE state = 'held' ORDER BY decided_at DESC LIMIT $1)) file
         ORDER BY decided_at DESC, id DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?
    .iter()
    .map(trouble)
    .collect()
}

/// The same of one job.
///
/// # Errors
/// When Postgres is away.
pub async fn kept_out_of(
    pool: &Pool,
    producer: &Producer,
    job: &Job,
    limit: i64,
) -> Result<Vec<Trouble>, sqlx::Error> {
    sqlx::query(
        "SELECT id, key, state, reason, error, decided_at FROM (
             (SELECT * FROM nightdrop.file
              WHERE state = 'parked' AND kept AND producer = $1 AND job = $2 ORDER BY decided_at DESC LIMIT $3)
             UNION ALL
             (SELECT * FROM nightdrop.file
              WHERE state = 'held' AND nightdrop.folder(key) = $1 AND job = $2 ORDER BY decided_at DESC LIMIT $3)) file
         ORDER BY decided_at DESC, id DESC LIMIT $3",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .bind(limit)
    .fetch_all(pool)
    .await?
    .iter()
    .map(trouble)
    .collect()
}

/// What the last run of a job that failed said, whenever that was.
///
/// # Errors
/// When Postgres is away.
pub async fn last_failure(
    pool: &Pool,
    producer: &Producer,
    job: &Job,
) -> Result<Option<Trouble>, sqlx::Error> {
    sqlx::query(
        "SELECT id, key, state, reason, coalesce(error, '') AS error, decided_at FROM nightdrop.file
         WHERE state = 'noted' AND reason = 'failed' AND producer = $1 AND job = $2
         ORDER BY as_of DESC, id DESC LIMIT 1",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_optional(pool)
    .await?
    .map(|row| trouble(&row))
    .transpose()
}

fn job(row: &PgRow) -> Result<JobSummary, sqlx::Error> {
    Ok(JobSummary {
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        table: row.try_get("table")?,
        mode: row.try_get("mode")?,
        as_of: row.try_get("as_of")?,
        loaded_at: row.try_get("loaded_at")?,
        loaded: row.try_get("loaded")?,
        rows: row.try_get("rows")?,
        waiting: row.try_get("waiting")?,
        parked: row.try_get("parked")?,
        held: row.try_get("held")?,
        paused: row.try_get("paused")?,
    })
}

fn trouble(row: &PgRow) -> Result<Trouble, sqlx::Error> {
    Ok(Trouble {
        file: row.try_get("id")?,
        key: row.try_get("key")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        error: row.try_get("error")?,
        since: row.try_get("decided_at")?,
    })
}

/// Whether a file waits that can be claimed within this time: none that its job's pause keeps back.
///
/// # Errors
/// When Postgres is away.
pub async fn is_waiting(pool: &Pool, within: Duration) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        // Each by the index that it is in: a history of millions is not walked for it.
        "SELECT EXISTS (
             SELECT FROM (
                 SELECT producer, job FROM nightdrop.file
                 WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0
                 UNION ALL
                 SELECT producer, job FROM nightdrop.file
                 WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts > 0
                 UNION ALL
                 SELECT producer, job FROM nightdrop.file
                 WHERE state = 'waiting' AND token IS NULL AND retry_at <= now() + $1
                 UNION ALL
                 SELECT producer, job FROM nightdrop.file
                 WHERE token IS NOT NULL AND lease_until <= now() + $1) f
             WHERE NOT EXISTS (SELECT FROM nightdrop.pause p
                               WHERE p.producer = f.producer AND p.job = f.job AND p.until > now()))",
    )
    .bind(interval(within))
    .fetch_one(pool)
    .await
}
