//! What the ledger says of a producer's jobs and their tables.

use nightdrop_schema::{Job, Producer};
use sqlx::{PgConnection, PgTransaction};

use crate::pool::Pool;

/// How many tables a producer has of its own: those that routes give it are not counted.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn tables(
    connection: &mut PgConnection,
    producer: &Producer,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) FROM nightdrop.job JOIN nightdrop.destination d USING (table_schema, table_name)
         WHERE producer = $1 AND NOT d.routed",
    )
    .bind(producer.as_str())
    .fetch_one(connection)
    .await
}

/// Whether a result of the job was ever loaded, as far as the history goes. Its row is locked: no load
/// that came first is still under way.
///
/// # Errors
/// When such a load takes longer than the lock time-out, and when Postgres refuses or is away.
pub async fn has_loaded(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<bool, sqlx::Error> {
    sqlx::query("SELECT FROM nightdrop.job WHERE producer = $1 AND job = $2 FOR UPDATE")
        .bind(producer.as_str())
        .bind(job.as_str())
        .execute(&mut **transaction)
        .await?;
    // A statement of its own: it has to see what was committed while the lock was waited for.
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM nightdrop.file f JOIN nightdrop.job j USING (producer, job)
                        WHERE producer = $1 AND job = $2 AND state = 'loaded' AND decided_at >= j.created_at)",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_one(&mut **transaction)
    .await
}

/// Forgets the mode and the key of a job whose lock [`has_loaded`] took.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn forget(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM nightdrop.job WHERE producer = $1 AND job = $2")
        .bind(producer.as_str())
        .bind(job.as_str())
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// Files that were held for want of a table wait again, of each producer that may have one more.
/// Gives how many. Costs a look at an index as long as there are none.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn release(pool: &Pool, tables: u32) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "WITH RECURSIVE held (producer) AS (
             (SELECT producer FROM nightdrop.file WHERE state = 'held' AND reason = 'quota_tables'
              ORDER BY producer LIMIT 1)
             UNION ALL
             SELECT next.producer
             FROM held, LATERAL (SELECT producer FROM nightdrop.file f
                                 WHERE f.state = 'held' AND f.reason = 'quota_tables' AND f.producer > held.producer
                                 ORDER BY producer LIMIT 1) next
         ), roomy AS (
             SELECT producer FROM held
             WHERE (SELECT count(*) FROM nightdrop.job j
                    WHERE j.producer = held.producer
                      -- One look into an index for each, where a join would read all tables of all producers.
                      AND NOT (SELECT routed FROM nightdrop.destination d
                               WHERE d.table_schema = j.table_schema AND d.table_name = j.table_name)) < $1
         )
         UPDATE nightdrop.file f
         SET state = 'waiting', decided_at = NULL, retry_at = NULL, reason = NULL, error = NULL
         FROM roomy
         WHERE f.producer = roomy.producer AND f.state = 'held' AND f.reason = 'quota_tables'",
    )
    .bind(i64::from(tables))
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}
