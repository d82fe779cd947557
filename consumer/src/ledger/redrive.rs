//! Parked and held files that wait again, each in the row that it has: it keeps its place in the order.
//! What is here happens by itself; what a person asks for is in `pick.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row;

use super::verdict::VERSION;
use super::{CALENDAR, interval};
use crate::pool::Pool;

/// So many at once of each sort; the next look takes the next.
const LIMIT: i64 = 1000;

/// Lets wait again: what was held for a time that is over; what was parked for a time that has come, by
/// Postgres's clock; and what was parked for its type by other versions of this program, but not by this
/// one. Gives how many. Where there is nothing to do, it costs a look into three small indexes.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn release(pool: &Pool) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "WITH RECURSIVE judged (by) AS (
             -- Each set of versions once, however many files they have judged.
             (SELECT coalesce(judged_by, '{}') FROM nightdrop.file
              WHERE state = 'parked' AND reason = 'unknown_version' ORDER BY coalesce(judged_by, '{}') LIMIT 1)
             UNION ALL
             SELECT next.by
             FROM judged, LATERAL (SELECT coalesce(judged_by, '{}') AS by FROM nightdrop.file
                                   WHERE state = 'parked' AND reason = 'unknown_version'
                                     AND coalesce(judged_by, '{}') > judged.by
                                   ORDER BY coalesce(judged_by, '{}') LIMIT 1) next
         ), unknown AS (
             SELECT file.id
             FROM judged, LATERAL (SELECT id FROM nightdrop.file
                                   WHERE state = 'parked' AND reason = 'unknown_version'
                                     AND coalesce(judged_by, '{}') = judged.by
                                   ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) file
             WHERE $1 <> ALL (judged.by)
             LIMIT $2
         ), future AS (
             -- Parked by its key, which is cut to the second.
             SELECT id FROM nightdrop.file
             WHERE state = 'parked' AND reason = 'future' AND as_of <= now() - interval '1 s'
             ORDER BY as_of LIMIT $2 FOR UPDATE SKIP LOCKED
         ), held AS (
             SELECT id FROM nightdrop.file
             WHERE state = 'held' AND retry_at <= now()
             ORDER BY retry_at LIMIT $2 FOR UPDATE SKIP LOCKED
         ), due AS (
             SELECT id FROM unknown UNION ALL SELECT id FROM future UNION ALL SELECT id FROM held
         )
         UPDATE nightdrop.file f
         SET state = 'waiting', decided_at = NULL, retry_at = NULL, reason = NULL, error = NULL
         FROM due WHERE f.id = due.id",
    )
    .bind(VERSION)
    .bind(LIMIT)
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// Lets those files wait again, oldest first, that were held because their producer had no room for more
/// parked bytes, as far as it has room now. Gives how many.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn release_into_room(pool: &Pool, quota: u64) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "WITH held AS (
             SELECT id, producer, sum(size) OVER (PARTITION BY producer ORDER BY id) AS so_far
             FROM nightdrop.file WHERE state = 'held' AND reason = 'quota_parked'
         ), taken AS MATERIALIZED (
             SELECT producer, (SELECT coalesce(sum(size), 0) FROM nightdrop.file kept
                               WHERE kept.kept AND kept.producer = held.producer) AS bytes
             FROM (SELECT DISTINCT producer FROM held) held
         ), due AS (
             SELECT file.id
             FROM nightdrop.file file
             JOIN held USING (id) JOIN taken ON taken.producer = held.producer
             WHERE taken.bytes + held.so_far <= $1 AND file.state = 'held'
             FOR UPDATE OF file SKIP LOCKED
         )
         UPDATE nightdrop.file f
         SET state = 'waiting', decided_at = NULL, retry_at = NULL, reason = NULL, error = NULL
         FROM due WHERE f.id = due.id",
    )
    .bind(i64::try_from(quota).unwrap_or(i64::MAX))
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// Files that have been parked for longer than anybody should let them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overdue {
    /// How many.
    pub files: i64,
    /// Their stored bytes.
    pub bytes: i64,
    /// Since when the oldest is parked.
    pub since: DateTime<Utc>,
}

/// What has been parked for longer than `keep`, if anything has.
///
/// # Errors
/// When Postgres is away.
pub async fn overdue(pool: &Pool, keep: Duration) -> Result<Option<Overdue>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes, min(decided_at) AS since
         FROM nightdrop.file WHERE state = 'parked' AND decided_at < now() - $1",
    )
    .bind(interval(keep.min(CALENDAR)))
    .fetch_one(pool)
    .await?;
    let since: Option<DateTime<Utc>> = row.try_get("since")?;
    since
        .map(|since| {
            Ok(Overdue {
                files: row.try_get("files")?,
                bytes: row.try_get("bytes")?,
                since,
            })
        })
        .transpose()
}
