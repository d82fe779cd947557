//! What a LIST showed, written down: new objects wait, changed ones make the old sighting `missing`,
//! and keys outside the grammar are held.

use chrono::{DateTime, Utc};
use nightdrop_bucket::{Object, Page, Strange};
use sqlx::Row;

use super::instant;
use crate::failpoint::failpoint;
use crate::pool::Pool;

/// What a page of a LIST came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Objects seen for the first time.
    pub new: u64,
    /// Waiting ones whose content is another by now.
    pub replaced: u64,
    /// Producers of which not all is written down, for they have as much there as they may.
    pub left_out: Vec<String>,
    /// Folders with more keys outside the grammar than are written down.
    pub left_out_strange: Vec<String>,
    /// Keys outside the grammar that were written down just now, and why.
    pub held: Vec<(String, String)>,
    /// The rows of all keys outside the grammar that are on this page.
    pub shown: Vec<i64>,
}

/// What of one producer, or under one strange name, is written down at most.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Files that wait.
    pub waiting: u32,
    /// Files that are held. While there are more, none is written down that would wait.
    pub held: u32,
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
    page: &Page,
    stream_above: u64,
    room: Room,
    begun: DateTime<Utc>,
) -> Result<Recorded, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut recorded = Recorded::default();
    if !page.objects.is_empty() {
        recorded.replaced = replaced(&mut transaction, &page.objects).await?;
        let (new, left_out) =
            await_loading(&mut transaction, &page.objects, stream_above, room, begun).await?;
        recorded.new = new;
        recorded.left_out = left_out;
    }
    if !page.strange.is_empty() {
        hold_strange(&mut transaction, &page.strange, room, &mut recorded).await?;
    }
    failpoint("page: recorded");
    transaction.commit().await?;
    failpoint("page: committed");
    Ok(recorded)
}

/// What waits while another object lies under its key can't be loaded any more.
async fn replaced(
    transaction: &mut sqlx::PgTransaction<'_>,
    objects: &[Object],
) -> Result<u64, sqlx::Error> {
    sqlx::query(
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
    .bind(objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.etag.as_str()).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(|done| done.rows_affected())
}

/// New objects wait, as many of each producer as there is room for.
async fn await_loading(
    transaction: &mut sqlx::PgTransaction<'_>,
    objects: &[Object],
    stream_above: u64,
    room: Room,
    begun: DateTime<Utc>,
) -> Result<(u64, Vec<String>), sqlx::Error> {
    let row = sqlx::query(
        "WITH fresh AS MATERIALIZED (
             SELECT listed.*, row_number() OVER (PARTITION BY producer ORDER BY at) AS nth
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],
                         $7::uuid[], $8::boolean[], $12::timestamptz[]) WITH ORDINALITY
                  AS listed (key, etag, size, producer, job, as_of, run_id, streamed, put_at, at)
             WHERE NOT EXISTS (SELECT FROM nightdrop.file f
                               WHERE f.key = listed.key AND f.etag = listed.etag AND f.gone_at IS NULL)
               AND NOT EXISTS (SELECT FROM nightdrop.file f
                               WHERE f.key = listed.key AND f.etag = listed.etag AND f.gone_at >= $9)
               -- Listed and never to be got: each look would find it missing anew.
               AND NOT EXISTS (SELECT FROM nightdrop.file f
                               WHERE f.key = listed.key AND f.etag = listed.etag AND f.state = 'missing'
                                 AND f.reason = 'gone' AND f.gone_at > now() - interval '1 h')
         ), room AS (
             SELECT producer,
                    CASE WHEN nightdrop.held(producer, $11 + 1) > $11 THEN 0
                         ELSE $10 - nightdrop.waiting(producer, $10) END AS room
             FROM (SELECT DISTINCT producer FROM fresh) listed
         ), new AS (
             INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id, streamed, put_at)
             SELECT key, etag, size, producer, job, as_of, run_id, streamed, put_at
             FROM fresh JOIN room USING (producer) WHERE nth <= room ORDER BY at
             ON CONFLICT (key, etag) WHERE gone_at IS NULL DO NOTHING
             RETURNING 1
         )
         SELECT (SELECT count(*) FROM new),
                ARRAY(SELECT DISTINCT producer FROM fresh JOIN room USING (producer) WHERE nth > room)",
    )
    .bind(objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.etag.as_str()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| bytes(object.size)).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.key.producer().as_str()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.key.job().as_str()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| instant(object.key.time())).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| *object.key.run().as_uuid()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.size > stream_above).collect::<Vec<_>>())
    .bind(begun)
    .bind(i64::from(room.waiting))
    .bind(i64::from(room.held))
    .bind(objects.iter().map(|object| object.modified.map(DateTime::<Utc>::from)).collect::<Vec<_>>())
    .fetch_one(&mut **transaction)
    .await?;
    Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), row.try_get(1)?))
}

/// A key outside the grammar is nobody's: it is written down once, and the object is left alone. Of those
/// under one name no more are written down than a producer may have held.
async fn hold_strange(
    transaction: &mut sqlx::PgTransaction<'_>,
    strange: &[Strange],
    room: Room,
    recorded: &mut Recorded,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "WITH listed AS MATERIALIZED (
             SELECT listed.*, f.id, nightdrop.folder(listed.key) AS folder
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) WITH ORDINALITY
                  AS listed (key, etag, size, error, at)
             LEFT JOIN nightdrop.file f ON f.key = listed.key AND f.etag = listed.etag AND f.gone_at IS NULL
         ), fresh AS MATERIALIZED (
             SELECT listed.*, row_number() OVER (PARTITION BY folder ORDER BY at) AS nth
             FROM listed WHERE id IS NULL
         ), room AS (
             SELECT folder, $5 - nightdrop.held(folder, $5) AS room
             FROM (SELECT DISTINCT folder FROM fresh) listed
         ), new AS (
             INSERT INTO nightdrop.file (key, etag, size, state, decided_at, reason, error)
             SELECT key, etag, size, 'held', now(), 'key', error
             FROM fresh JOIN room USING (folder) WHERE nth <= room ORDER BY at
             ON CONFLICT (key, etag) WHERE gone_at IS NULL DO NOTHING
             RETURNING id, key, error
         )
         SELECT id, NULL AS key, NULL AS error, NULL AS left_out FROM listed WHERE id IS NOT NULL
         UNION ALL SELECT id, key, error, NULL FROM new
         UNION ALL SELECT NULL, NULL, NULL, folder
                   FROM (SELECT DISTINCT folder FROM fresh JOIN room USING (folder) WHERE nth > room) full_ones",
    )
    .bind(strange.iter().map(|object| storable(&object.key)).collect::<Vec<_>>())
    .bind(strange.iter().map(|object| object.etag.as_str()).collect::<Vec<_>>())
    .bind(strange.iter().map(|object| bytes(object.size)).collect::<Vec<_>>())
    .bind(strange.iter().map(|object| storable(&object.why)).collect::<Vec<_>>())
    .bind(i64::from(room.held))
    .fetch_all(&mut **transaction)
    .await?;
    for row in rows {
        recorded.shown.extend(row.try_get::<Option<i64>, _>("id")?);
        recorded
            .left_out_strange
            .extend(row.try_get::<Option<String>, _>("left_out")?);
        let key: Option<String> = row.try_get("key")?;
        recorded
            .held
            .extend(key.zip(row.try_get::<Option<String>, _>("error")?));
    }
    recorded.new += recorded.held.len() as u64;
    Ok(())
}

/// Postgres's text has no U+0000; the escape keeps such a key apart from every other.
fn storable(text: &str) -> String {
    text.replace('\0', "%00")
}

/// Which of these have as many files waiting as they may, or more held than they may.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn full(pool: &Pool, folders: &[String], room: Room) -> Result<Vec<String>, sqlx::Error> {
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "SELECT folder FROM unnest($1::text[], $2::text[]) AS listed (folder, stored)
         WHERE nightdrop.waiting(stored, $3) >= $3 OR nightdrop.held(stored, $4 + 1) > $4",
    )
    .bind(folders)
    .bind(
        folders
            .iter()
            .map(|folder| storable(folder))
            .collect::<Vec<_>>(),
    )
    .bind(i64::from(room.waiting))
    .bind(i64::from(room.held))
    .fetch_all(pool)
    .await
}

/// Keys outside the grammar that a whole LIST, begun at this instant, no longer shows are missing. Those
/// in these folders were not all looked at.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn vanished(
    pool: &Pool,
    begun: DateTime<Utc>,
    shown: &[i64],
    not_looked_at: &[String],
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.file
         SET state = 'missing', decided_at = now(), gone_at = now(), reason = 'gone',
             error = 'it is no longer in the bucket; nobody of ours deletes such a key'
         WHERE state = 'held' AND reason = 'key' AND listed_at < $1 AND id <> ALL ($2)
           AND nightdrop.folder(key) <> ALL ($3)",
    )
    .bind(begun)
    .bind(shown)
    .bind(not_looked_at)
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
