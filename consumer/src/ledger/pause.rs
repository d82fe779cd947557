//! Jobs whose report table refuses: they rest a while, longer each time, and everyone else goes on.

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use sqlx::{PgTransaction, Row};

use crate::pool::Pool;

/// Lets a job rest: 5 s after its first failure, twice as long after each further one, at most 15 minutes.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn pause(
    pool: &Pool,
    producer: &Producer,
    job: &Job,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO nightdrop.pause AS p (producer, job, until, error)
         VALUES ($1, $2, now() + interval '5 s', $3)
         ON CONFLICT (producer, job) DO UPDATE
         SET failures = p.failures + 1, error = excluded.error,
             until = now() + least(interval '15 min', interval '5 s' * 2 ^ least(p.failures, 10))",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .bind(error)
    .execute(pool)
    .await
    .map(drop)
}

/// Jobs that load again have nothing to rest for.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn end(
    transaction: &mut PgTransaction<'_>,
    jobs: &[(&Producer, &Job)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM nightdrop.pause p USING unnest($1::text[], $2::text[]) AS loaded (producer, job)
         WHERE p.producer = loaded.producer AND p.job = loaded.job",
    )
    .bind(jobs.iter().map(|(producer, _)| producer.as_str()).collect::<Vec<_>>())
    .bind(jobs.iter().map(|(_, job)| job.as_str()).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// A job that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Whose.
    pub producer: String,
    /// Which.
    pub job: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// What its table refuses.
    pub error: String,
}

/// Those that rest now.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn resting(pool: &Pool, limit: i64) -> Result<Vec<Rest>, sqlx::Error> {
    sqlx::query(
        "SELECT producer, job, until, error FROM nightdrop.pause
         WHERE until > now() ORDER BY producer, job LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?
    .iter()
    .map(|row| {
        Ok(Rest {
            producer: row.try_get("producer")?,
            job: row.try_get("job")?,
            until: row.try_get("until")?,
            error: row.try_get("error")?,
        })
    })
    .collect()
}
