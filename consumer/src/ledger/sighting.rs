//! What a LIST showed, written down: new objects wait, changed ones make the old sighting `missing`,
//! and keys outside the grammar are held.

use chrono::{DateTime, Utc};
use nightdrop_bucket::{Object, Strange};

use super::instant;
use crate::failpoint::failpoint;
use crate::pool::Pool;

/// How many rows a page of a LIST made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Objects seen for the first time.
    pub new: u64,
    /// Waiting ones whose content is another by now.
    pub replaced: u64,
}

/// Postgres's clock: what is deleted after this instant may still be in a LIST that begins now.
///
/// # Errors
/// When Postgres is away.
pub async fn clock(pool: &Pool) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(pool)
        .await
}

/// Records one page of a LIST that had not begun before `begun`. Known sightings cost an index look-up each and no more.
///
/// # Errors
/// When Postgres refuses or is away: nothing of the page is recorded then.
pub async fn record(
    pool: &Pool,
    objects: &[Object],
    strange: &[Strange],
    stream_above: u64,
    begun: DateTime<Utc>,
) -> Result<Recorded, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut recorded = Recorded::default();
    if !objects.is_empty() {
        let keys: Vec<String> = objects
            .iter()
            .map(|object| object.key.to_string())
            .collect();
        let etags: Vec<&str> = objects.iter().map(|object| object.etag.as_str()).collect();
        recorded.replaced = sqlx::query(
            "UPDATE nightdrop.file f
             SET state = 'missing', decided_at = now(), gone_at = now(), token = NULL, lease_until = NULL,
                 reason = 'replaced', error = 'another object was put under this key before this one was loaded'
             WHERE f.id IN (
                 SELECT known.id FROM nightdrop.file known
                 JOIN unnest($1::text[], $2::text[]) AS listed (key, etag)
                   ON known.key = listed.key AND known.etag <> listed.etag
                 WHERE known.state IN ('waiting', 'held') AND known.gone_at IS NULL AND NOT known.kept
                 -- One that is being loaded right now has been read: its load decides.
                 FOR UPDATE OF known SKIP LOCKED)",
        )
        .bind(&keys)
        .bind(&etags)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        recorded.new = sqlx::query(
            "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id, streamed)
             SELECT listed.*
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],
                         $7::uuid[], $8::boolean[]) AS listed (key, etag)
             WHERE NOT EXISTS (SELECT FROM nightdrop.file f
                               WHERE f.key = listed.key AND f.etag = listed.etag AND f.gone_at IS NULL)
               AND NOT EXISTS (SELECT FROM nightdrop.file f
                               WHERE f.key = listed.key AND f.etag = listed.etag AND f.gone_at >= $9)
             ON CONFLICT (key, etag) WHERE gone_at IS NULL DO NOTHING",
        )
        .bind(&keys)
        .bind(&etags)
        .bind(objects.iter().map(|object| bytes(object.size)).collect::<Vec<_>>())
        .bind(objects.iter().map(|object| object.key.producer().as_str()).collect::<Vec<_>>())
        .bind(objects.iter().map(|object| object.key.job().as_str()).collect::<Vec<_>>())
        .bind(objects.iter().map(|object| instant(object.key.time())).collect::<Vec<_>>())
        .bind(objects.iter().map(|object| *object.key.run().as_uuid()).collect::<Vec<_>>())
        .bind(objects.iter().map(|object| object.size > stream_above).collect::<Vec<_>>())
        .bind(begun)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    }
    if !strange.is_empty() {
        recorded.new += hold_strange(&mut transaction, strange).await?;
    }
    failpoint("page: recorded");
    transaction.commit().await?;
    failpoint("page: committed");
    Ok(recorded)
}

/// A key outside the grammar is nobody's: it is written down once, and the object is left alone.
async fn hold_strange(
    transaction: &mut sqlx::PgTransaction<'_>,
    strange: &[Strange],
) -> Result<u64, sqlx::Error> {
    // Postgres's text has no U+0000; the escape keeps such a key apart from every other.
    let keys: Vec<String> = strange
        .iter()
        .map(|object| object.key.replace('\0', "%00"))
        .collect();
    let done = sqlx::query(
        "INSERT INTO nightdrop.file (key, etag, size, state, decided_at, reason, error)
         SELECT key, etag, size, 'held', now(), 'key', error
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS listed (key, etag, size, error)
         WHERE NOT EXISTS (SELECT FROM nightdrop.file f
                           WHERE f.key = listed.key AND f.etag = listed.etag AND f.gone_at IS NULL)
         ON CONFLICT (key, etag) WHERE gone_at IS NULL DO NOTHING",
    )
    .bind(&keys)
    .bind(strange.iter().map(|object| object.etag.as_str()).collect::<Vec<_>>())
    .bind(strange.iter().map(|object| bytes(object.size)).collect::<Vec<_>>())
    .bind(strange.iter().map(|object| object.why.replace('\0', "%00")).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected())
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
