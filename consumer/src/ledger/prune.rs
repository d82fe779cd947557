//! Old history leaves the ledger; of what was loaded, run and hash go to `nightdrop.seen`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{CALENDAR, interval};
use crate::pool::Pool;

/// A place among the old rows, by when their objects were gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    gone_at: DateTime<Utc>,
    id: i64,
}

/// What became of some old rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// So many left the ledger.
    pub removed: i64,
    /// The last that was looked at, if there may be more.
    pub next: Option<Mark>,
}

/// Looks at the next `limit` rows that were decided, and their objects gone, longer than `history` ago.
///
/// Those leave on which nothing rests any more:
/// - A `replace` stays for as long as no newer one of its job begins where it begins and ends no earlier:
///   whatever comes late is superseded by what newer results cover ([`super::verdict::newer`]), and with
///   one that is covered so nothing of that is lost. Once its job was retired, nothing rests on it.
/// - The newest loaded result of a job stays, of its present life: how fresh the reports are is read from
///   it, and that anything was loaded by its mode, key and types. So does its promise, which may be older.
/// - What is parked, held or waiting is nobody's history yet.
///
/// Run and hash go to `nightdrop.seen` in the same statement, so that whoever looks finds them in one of
/// the two. Two consumers take different rows.
///
/// # Errors
/// When Postgres refuses or is away: nothing is removed then.
pub async fn prune(
    pool: &Pool,
    history: Duration,
    after: Option<Mark>,
    limit: i64,
) -> Result<Pruned, sqlx::Error> {
    let row = sqlx::query(
        "WITH old AS MATERIALIZED (
             SELECT id, gone_at FROM nightdrop.file
             WHERE gone_at < now() - $1 AND ($2::timestamptz IS NULL OR (gone_at, id) > ($2, $3))
             ORDER BY gone_at, id LIMIT $4
         ), free AS MATERIALIZED (
             SELECT f.id FROM old JOIN nightdrop.file f USING (id) LEFT JOIN nightdrop.job j USING (producer, job)
             WHERE f.decided_at < now() - $1 AND NOT f.kept
               AND f.state IN ('loaded', 'superseded', 'duplicate', 'noted', 'dropped', 'missing')
               AND (f.state <> 'loaded' OR CASE WHEN f.mode = 'replace' AND f.decided_at >= j.created_at
                   THEN EXISTS (SELECT FROM nightdrop.file newer
                                WHERE newer.producer = f.producer AND newer.job = f.job AND newer.state = 'loaded'
                                  AND newer.mode = 'replace' AND newer.range_column IS NULL
                                  AND (newer.as_of, newer.id) > (f.as_of, f.id) AND newer.decided_at >= j.created_at)
                     OR EXISTS (SELECT FROM nightdrop.file newer
                                WHERE newer.producer = f.producer AND newer.job = f.job AND newer.state = 'loaded'
                                  AND newer.mode = 'replace' AND newer.range_column = f.range_column
                                  AND newer.range_from = f.range_from AND newer.range_to >= f.range_to
                                  AND (newer.as_of, newer.id) > (f.as_of, f.id) AND newer.decided_at >= j.created_at)
                   ELSE EXISTS (SELECT FROM nightdrop.file newer
                                WHERE newer.producer = f.producer AND newer.job = f.job AND newer.state = 'loaded'
                                  AND (newer.as_of, newer.id) > (f.as_of, f.id)
                                  AND (j.created_at IS NULL OR f.decided_at < j.created_at OR newer.decided_at >= j.created_at))
                   END)
               AND (f.state <> 'loaded' OR f.next_by IS NULL OR (f.decided_at >= j.created_at) IS NOT TRUE
                    OR EXISTS (SELECT FROM nightdrop.file newer
                               WHERE newer.producer = f.producer AND newer.job = f.job AND newer.state = 'loaded'
                                 AND (newer.next_by IS NOT NULL OR newer.range_column IS NULL)
                                 AND (newer.as_of, newer.id) > (f.as_of, f.id) AND newer.decided_at >= j.created_at))
             FOR UPDATE OF f SKIP LOCKED
         ), removed AS (
             DELETE FROM nightdrop.file f USING free WHERE f.id = free.id
             RETURNING f.id, f.state, f.producer, f.run_id, f.body_hash
         ), remembered AS (
             INSERT INTO nightdrop.seen (producer, run_id, body_hash, file)
             SELECT producer, run_id, body_hash, id FROM removed WHERE state = 'loaded'
         )
         SELECT (SELECT count(*) FROM removed) AS removed, (SELECT count(*) FROM old) AS looked_at, last.*
         FROM (SELECT 1) one LEFT JOIN LATERAL (
             SELECT gone_at, id FROM old ORDER BY gone_at DESC, id DESC LIMIT 1) last ON true",
    )
    .bind(interval(history.min(CALENDAR)))
    .bind(after.map(|mark| mark.gone_at))
    .bind(after.map(|mark| mark.id))
    .bind(limit)
    .fetch_one(pool)
    .await?;
    let last: Option<(DateTime<Utc>, i64)> = row
        .try_get::<Option<DateTime<Utc>>, _>("gone_at")?
        .zip(row.try_get::<Option<i64>, _>("id")?);
    let whole = row.try_get::<i64, _>("looked_at")? == limit;
    Ok(Pruned {
        removed: row.try_get("removed")?,
        next: last
            .filter(|_| whole)
            .map(|(gone_at, id)| Mark { gone_at, id }),
    })
}
