//! The lives of a job: one begins when its first result is settled, and ends with `retire`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use sqlx::postgres::PgRow;
use sqlx::{PgTransaction, Row};

use crate::pool::Pool;
use crate::table::Name;

/// Keeps these jobs from being retired until the transaction ends, and gives the lives that go on.
/// One that is not among them is over, or is being ended just now: nothing may be loaded by what is
/// known of it.
///
/// Loads don't hold each other up by this, nor a `replace` that has its job to itself.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn hold(
    transaction: &mut PgTransaction<'_>,
    jobs: &[(&Producer, &Job, i64)],
) -> Result<HashSet<i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT j.life FROM nightdrop.job j
         JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS known (producer, job, life)
           ON j.producer = known.producer AND j.job = known.job AND j.life = known.life
         FOR KEY SHARE OF j SKIP LOCKED",
    )
    .bind(
        jobs.iter()
            .map(|(producer, ..)| producer.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        jobs.iter()
            .map(|(_, job, _)| job.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(jobs.iter().map(|(.., life)| *life).collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// A job's present life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its table.
    pub name: Name,
    /// Whether a route named the table.
    pub routed: bool,
    /// Whether other jobs go there too.
    pub others: bool,
    /// Postgres's clock.
    pub now: DateTime<Utc>,
}

/// Looks at a job.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn find(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<Option<Life>, sqlx::Error> {
    sqlx::query(LIFE)
        .bind(producer.as_str())
        .bind(job.as_str())
        .fetch_optional(&mut **transaction)
        .await?
        .map(|row| life(&row))
        .transpose()
}

/// The same, once all loads of the job that are under way have ended; none begins from then on.
///
/// # Errors
/// When they take longer than the lock time-out, and as [`find`].
pub async fn lock(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<Option<Life>, sqlx::Error> {
    sqlx::query("SELECT FROM nightdrop.job WHERE producer = $1 AND job = $2 FOR UPDATE")
        .bind(producer.as_str())
        .bind(job.as_str())
        .execute(&mut **transaction)
        .await?;
    find(transaction, producer, job).await
}

const LIFE: &str = "
    SELECT j.table_schema, j.table_name, d.routed, clock_timestamp(),
           EXISTS (SELECT FROM nightdrop.job o
                   WHERE o.table_schema = j.table_schema AND o.table_name = j.table_name AND o.life <> j.life)
    FROM nightdrop.job j JOIN nightdrop.destination d USING (table_schema, table_name)
    WHERE j.producer = $1 AND j.job = $2";

fn life(row: &PgRow) -> Result<Life, sqlx::Error> {
    Ok(Life {
        name: name(row)?,
        routed: row.try_get(2)?,
        now: row.try_get(3)?,
        others: row.try_get(4)?,
    })
}

fn name(row: &PgRow) -> Result<Name, sqlx::Error> {
    Ok(Name {
        schema: row.try_get(0)?,
        table: row.try_get(1)?,
    })
}

/// Ends a job's life, and writes down what the table with its rows is called from now on. What the job
/// rested for was a matter of that life.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn end(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
    table: &Name,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH ended AS (
             DELETE FROM nightdrop.job WHERE producer = $1 AND job = $2 RETURNING *
         ), rested AS (
             DELETE FROM nightdrop.pause WHERE producer = $1 AND job = $2
         )
         INSERT INTO nightdrop.retired (producer, job, table_schema, table_name, mode, created_at)
         SELECT producer, job, $3, $4, mode, created_at FROM ended",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .bind(&table.schema)
    .bind(&table.table)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// No result goes to this table any more.
///
/// # Errors
/// When some job still goes there, and when Postgres refuses or is away.
pub async fn forget_table(
    transaction: &mut PgTransaction<'_>,
    name: &Name,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM nightdrop.destination WHERE table_schema = $1 AND table_name = $2")
        .bind(&name.schema)
        .bind(&name.table)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// Where the rows of the job's last ended life are, and when it ended.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn last(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<Option<(Name, DateTime<Utc>)>, sqlx::Error> {
    sqlx::query(
        "SELECT table_schema, table_name, retired_at FROM nightdrop.retired
         WHERE producer = $1 AND job = $2 ORDER BY retired_at DESC LIMIT 1",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_optional(&mut **transaction)
    .await?
    .map(|row| Ok((name(&row)?, row.try_get(2)?)))
    .transpose()
}

/// How many of a job's files are not in the reports yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// To be loaded.
    pub waiting: i64,
    /// Kept in Postgres.
    pub parked: i64,
    /// Left in the bucket.
    pub held: i64,
}

/// Forgets the runs that failed: a job that is no more fails no more. Of those whose files are still to be deleted
/// the rows stay, and no longer say that.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn forget_failures(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM nightdrop.file
         WHERE producer = $1 AND job = $2 AND state = 'noted' AND reason = 'failed' AND gone_at IS NOT NULL",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .execute(&mut **transaction)
    .await?;
    // One that is being deleted just now is waited for, and may be gone by then.
    sqlx::query(
        "UPDATE nightdrop.file SET reason = NULL
         WHERE producer = $1 AND job = $2 AND state = 'noted' AND reason = 'failed'",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Counts them.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn backlog(pool: &Pool, producer: &Producer, job: &Job) -> Result<Backlog, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'parked'),
                count(*) FILTER (WHERE state = 'held')
         FROM nightdrop.file
         WHERE producer = $1 AND job = $2 AND state IN ('waiting', 'parked', 'held')",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_one(pool)
    .await?;
    Ok(Backlog {
        waiting: row.try_get(0)?,
        parked: row.try_get(1)?,
        held: row.try_get(2)?,
    })
}
