//! What `[[expect]]` says, where everybody sees it.

use sqlx::Row;

use super::{CALENDAR, interval};
use crate::config::Expect;
use crate::pool::{Pool, limited};

/// Has the ledger expect these jobs and no others. A job that was expected before keeps since when. Gives those
/// that are expected no longer.
///
/// # Errors
/// When Postgres refuses or is away: nothing is changed then.
pub async fn write(pool: &Pool, expected: &[Expect]) -> Result<Vec<String>, sqlx::Error> {
    let producers: Vec<&str> = expected.iter().map(|one| one.producer.as_str()).collect();
    let jobs: Vec<&str> = expected.iter().map(|one| one.job.as_str()).collect();
    let every: Vec<_> = expected
        .iter()
        .map(|one| interval(one.every.min(CALENDAR)))
        .collect();
    limited(async {
        let mut transaction = pool.begin().await?;
        // Consumers that start together would wait for each other's rows in different orders.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('nightdrop.expectation', 0))")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO nightdrop.expectation AS e (producer, job, every)
             SELECT producer, job, min(every) FROM unnest($1::text[], $2::text[], $3::interval[])
                  AS expected (producer, job, every) GROUP BY producer, job
             ON CONFLICT (producer, job) DO UPDATE SET every = excluded.every WHERE e.every <> excluded.every",
        )
        .bind(&producers)
        .bind(&jobs)
        .bind(&every)
        .execute(&mut *transaction)
        .await?;
        let gone = sqlx::query(
            "DELETE FROM nightdrop.expectation e
             WHERE NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS expected (producer, job)
                               WHERE expected.producer = e.producer AND expected.job = e.job)
             RETURNING producer || '/' || job",
        )
        .bind(&producers)
        .bind(&jobs)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        gone.iter().map(|row| row.try_get(0)).collect()
    })
    .await
}
