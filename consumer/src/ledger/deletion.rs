//! Which objects may be deleted from the bucket, by a fresh read of the ledger each time.

use std::time::Duration;

use nightdrop_schema::Key;
use sqlx::{PgTransaction, Row};

use super::{CALENDAR, interval};

/// An object whose content is safe in Postgres, or proven not to be needed.
#[derive(Debug)]
pub struct Decided {
    /// Its row.
    pub id: i64,
    /// Where it lies.
    pub key: Key,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
}

/// At most `limit` objects to delete, their rows locked, so that no two consumers delete the same.
///
/// Each was decided longer than `after` ago. A key that is seen again, with content that nobody has read yet
/// or that was decided since, is not among them: a DELETE takes whatever lies there.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn decided(
    transaction: &mut PgTransaction<'_>,
    limit: i64,
    after: Duration,
) -> Result<Vec<Decided>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT f.id, f.key, f.traceparent FROM nightdrop.file f
         WHERE f.gone_at IS NULL AND f.decided_at <= now() - $2
           AND f.state IN ('loaded', 'superseded', 'duplicate', 'parked', 'noted', 'dropped')
           AND (f.retry_at IS NULL OR f.retry_at <= now())
           AND NOT EXISTS (SELECT FROM nightdrop.file other
                           WHERE other.key = f.key AND other.gone_at IS NULL
                             AND ((other.state IN ('waiting', 'held') AND NOT other.kept)
                                  OR other.decided_at > now() - $2))
         ORDER BY f.decided_at, f.id LIMIT $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(limit)
    .bind(interval(after.min(CALENDAR)))
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter()
        .map(|row| {
            let key: &str = row.try_get("key")?;
            Ok(Decided {
                id: row.try_get("id")?,
                key: key
                    .parse()
                    .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                traceparent: row.try_get("traceparent")?,
            })
        })
        .collect()
}

/// Writes down that these objects are gone from the bucket.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn confirm(transaction: &mut PgTransaction<'_>, gone: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE nightdrop.file SET gone_at = clock_timestamp() WHERE id = ANY($1)")
        .bind(gone)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// Objects that the bucket refused to delete are tried again in a minute: they don't hold up the rest.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn postpone(
    transaction: &mut PgTransaction<'_>,
    refused: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE nightdrop.file SET retry_at = now() + interval '1 min' WHERE id = ANY($1)")
        .bind(refused)
        .execute(&mut **transaction)
        .await
        .map(drop)
}
