//! What `explain` reads of one result: its sightings, and what stands around them.

use chrono::{DateTime, Utc};
use nightdrop_schema::{Key, RunId};
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::breaker::{self, Kept};
use crate::pool::Pool;

/// So many sightings are shown at most.
pub const LIMIT: i64 = 50;

/// One sighting of an object, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// Its row, and the `_file` of its rows.
    pub file: i64,
    /// Its key in the bucket.
    pub key: String,
    /// Whose; none for a key outside the grammar.
    pub producer: Option<String>,
    /// Which job's.
    pub job: Option<String>,
    /// Which run.
    pub run: Option<String>,
    /// The instant that it is as of.
    pub as_of: Option<DateTime<Utc>>,
    /// Where it is.
    pub state: String,
    /// Whether it is one of the large ones, which go one by one.
    pub streamed: bool,
    /// Claims that ended, or may end, without a verdict.
    pub attempts: i16,
    /// Whether a claim is open.
    pub claimed: bool,
    /// Who claimed it last.
    pub worker: Option<String>,
    /// When.
    pub claimed_at: Option<DateTime<Utc>>,
    /// How long it is the worker's at least.
    pub lease_until: Option<DateTime<Utc>>,
    /// When it, or its DELETE, is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// How many rows are in it, once it has been read.
    pub rows: Option<i64>,
    /// `append`, `replace` or `upsert`, once it has been read.
    pub mode: Option<String>,
    /// What its query ran with, as JSON, where it was read and the ledger keeps it.
    pub parameters: Option<String>,
    /// A short name for what is wrong, or what was noted.
    pub reason: Option<String>,
    /// The sentence that goes with it.
    pub error: Option<String>,
    /// Whether its bytes are kept in Postgres.
    pub kept: bool,
    /// When a LIST showed it first.
    pub listed_at: DateTime<Utc>,
    /// When it came to its state, but for `waiting`.
    pub decided_at: Option<DateTime<Utc>>,
    /// When it was known to be no longer in the bucket.
    pub gone_at: Option<DateTime<Utc>>,
}

/// Which sightings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The row, and with it those of the same run.
    File(i64),
    /// All of a run.
    Run(RunId),
    /// All of a key, and of the key's run.
    Key(Box<Key>),
    /// All of a key that is none by our grammar, or of all keys with this in them.
    Part(String),
}

/// Finds them, newest first. Only what waits or is loaded has an index to be found by: this reads the
/// ledger from end to end.
///
/// # Errors
/// When Postgres is away.
pub async fn sightings(pool: &Pool, wanted: &Wanted) -> Result<Vec<Sighting>, sqlx::Error> {
    let (file, producer, run, key, part) = match wanted {
        Wanted::File(file) => (Some(*file), None, None, None, None),
        Wanted::Run(run) => (None, None, Some(*run.as_uuid()), None, None),
        Wanted::Key(key) => (
            None,
            Some(key.producer().as_str()),
            Some(*key.run().as_uuid()),
            Some(key.to_string()),
            None,
        ),
        Wanted::Part(part) => (None, None, None, None, Some(part.as_str())),
    };
    sqlx::query(
        "SELECT f.*, f.run_id::text AS run, f.token IS NOT NULL AS claimed FROM nightdrop.file f
         WHERE f.id = $1
            OR (f.producer, f.run_id) = (SELECT producer, run_id FROM nightdrop.file WHERE id = $1)
            OR (f.run_id = $3 AND f.producer = coalesce($2, f.producer))
            OR f.key = $4
            OR position($5 IN f.key) > 0
         ORDER BY f.id DESC LIMIT $6",
    )
    .bind(file)
    .bind(producer)
    .bind(run)
    .bind(key)
    .bind(part)
    .bind(LIMIT)
    .fetch_all(pool)
    .await?
    .iter()
    .map(sighting)
    .collect()
}

/// The one with this row, by its primary key.
///
/// # Errors
/// When Postgres is away.
pub async fn sighting_of(pool: &Pool, file: i64) -> Result<Option<Sighting>, sqlx::Error> {
    sqlx::query(
        "SELECT f.*, f.run_id::text AS run, f.token IS NOT NULL AS claimed FROM nightdrop.file f WHERE f.id = $1",
    )
    .bind(file)
    .fetch_optional(pool)
    .await?
    .map(|row| sighting(&row))
    .transpose()
}

fn sighting(row: &PgRow) -> Result<Sighting, sqlx::Error> {
    Ok(Sighting {
        file: row.try_get("id")?,
        key: row.try_get("key")?,
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        run: row.try_get("run")?,
        as_of: row.try_get("as_of")?,
        state: row.try_get("state")?,
        streamed: row.try_get("streamed")?,
        attempts: row.try_get("attempts")?,
        claimed: row.try_get("claimed")?,
        worker: row.try_get("worker")?,
        claimed_at: row.try_get("claimed_at")?,
        lease_until: row.try_get("lease_until")?,
        retry_at: row.try_get("retry_at")?,
        rows: row.try_get("row_count")?,
        mode: row.try_get("mode")?,
        parameters: row.try_get("parameters")?,
        reason: row.try_get("reason")?,
        error: row.try_get("error")?,
        kept: row.try_get("kept")?,
        listed_at: row.try_get("listed_at")?,
        decided_at: row.try_get("decided_at")?,
        gone_at: row.try_get("gone_at")?,
    })
}

/// Another file that a sentence speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its row.
    pub file: i64,
    /// When it was loaded; not known once it is pruned.
    pub loaded_at: Option<DateTime<Utc>>,
}

/// What stands around a sighting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Around {
    /// Postgres's clock.
    pub now: DateTime<Utc>,
    /// Consumers that are connected to this database.
    pub consumers: i64,
    /// Until when its job rests, and for what.
    pub rests: Option<(DateTime<Utc>, String)>,
    /// What some host leaves alone for now.
    pub breaker: Option<Kept>,
    /// Files of its job that come before it.
    pub ahead: i64,
    /// The table that its rows went to, as it is called now.
    pub table: Option<String>,
    /// Whether that table is its job's no more.
    pub retired: bool,
    /// The file that its run is loaded as.
    pub loaded: Option<Other>,
    /// The newest loaded result that covers what it says, or at least touches it.
    pub newer: Option<Other>,
}

/// Looks around a sighting.
///
/// # Errors
/// When Postgres is away.
pub async fn around(pool: &Pool, file: i64) -> Result<Around, sqlx::Error> {
    let row = sqlx::query(
        "SELECT clock_timestamp() AS now,
                (SELECT count(DISTINCT application_name) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'nightdrop/%'
                   AND application_name <> current_setting('application_name')) AS consumers,
                p.until, p.error,
                -- Each by the index that it is in: others' queues and the history are not walked for it.
                (SELECT count(*) FROM (
                     SELECT o.as_of, o.id FROM nightdrop.file o
                     WHERE o.state = 'waiting' AND o.token IS NULL AND o.retry_at IS NULL AND o.attempts = 0
                       AND NOT o.streamed AND o.producer = f.producer AND o.job = f.job
                     UNION ALL
                     SELECT o.as_of, o.id FROM nightdrop.file o
                     WHERE o.state = 'waiting' AND o.token IS NULL AND o.retry_at IS NULL AND o.attempts = 0
                       AND o.streamed AND o.producer = f.producer AND o.job = f.job
                     UNION ALL
                     SELECT o.as_of, o.id FROM nightdrop.file o
                     WHERE o.state = 'waiting' AND o.token IS NULL AND o.retry_at IS NULL AND o.attempts > 0
                       AND o.producer = f.producer AND o.job = f.job
                     UNION ALL
                     SELECT o.as_of, o.id FROM nightdrop.file o
                     WHERE o.state = 'waiting' AND o.token IS NULL AND o.retry_at IS NOT NULL
                       AND o.producer = f.producer AND o.job = f.job
                     UNION ALL
                     SELECT o.as_of, o.id FROM nightdrop.file o
                     WHERE o.token IS NOT NULL AND o.producer = f.producer AND o.job = f.job) o
                 WHERE f.state = 'waiting' AND (o.as_of, o.id) < (f.as_of, f.id)) AS ahead,
                life.*, run.*, newer.*
         FROM nightdrop.file f
         LEFT JOIN nightdrop.job j USING (producer, job)
         LEFT JOIN nightdrop.pause p ON p.producer = f.producer AND p.job = f.job AND p.until > now()
         LEFT JOIN LATERAL (
             SELECT table_schema || '.' || table_name AS table_name, retired FROM (
                 SELECT j.table_schema, j.table_name, false AS retired, NULL::timestamptz AS retired_at
                 WHERE j.created_at <= coalesce(f.decided_at, 'infinity')
                 UNION ALL
                 SELECT r.table_schema, r.table_name, true, r.retired_at FROM nightdrop.retired r
                 WHERE r.producer = f.producer AND r.job = f.job AND f.decided_at BETWEEN r.created_at AND r.retired_at
             ) lives ORDER BY retired_at NULLS LAST LIMIT 1) life ON true
         LEFT JOIN LATERAL (
             SELECT id AS run_file, decided_at AS run_at FROM nightdrop.file o
             WHERE o.producer = f.producer AND o.run_id = f.run_id AND o.state = 'loaded'
             UNION ALL
             SELECT s.file, NULL FROM nightdrop.seen s WHERE s.producer = f.producer AND s.run_id = f.run_id
             LIMIT 1) run ON true
         LEFT JOIN LATERAL (
             SELECT o.id AS newer_file, o.decided_at AS newer_at FROM nightdrop.file o
             WHERE f.mode = 'replace' AND o.mode = 'replace' AND o.producer = f.producer AND o.job = f.job
               AND o.state = 'loaded' AND (o.as_of, o.id) > (f.as_of, f.id)
               AND (o.range_column IS NULL OR (o.range_from < f.range_to AND o.range_to > f.range_from))
               AND (j.created_at IS NULL OR (o.decided_at >= j.created_at) = (f.decided_at >= j.created_at))
             ORDER BY o.as_of DESC, o.id DESC LIMIT 1) newer ON true
         WHERE f.id = $1",
    )
    .bind(file)
    .fetch_one(pool)
    .await?;
    let until: Option<DateTime<Utc>> = row.try_get("until")?;
    let error: Option<String> = row.try_get("error")?;
    let other = |file: &str, at: &str| -> Result<Option<Other>, sqlx::Error> {
        let loaded_at = row.try_get(at)?;
        let file: Option<i64> = row.try_get(file)?;
        Ok(file.map(|file| Other { file, loaded_at }))
    };
    Ok(Around {
        now: row.try_get("now")?,
        consumers: row.try_get("consumers")?,
        rests: until.zip(error),
        breaker: breaker::open(pool).await?,
        ahead: row.try_get("ahead")?,
        table: row.try_get("table_name")?,
        retired: row.try_get::<Option<bool>, _>("retired")?.unwrap_or(false),
        loaded: other("run_file", "run_at")?,
        newer: other("newer_file", "newer_at")?,
    })
}

/// A loaded run that was pruned from the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Whose.
    pub producer: String,
    /// Which run.
    pub run: String,
    /// The `_file` of its rows.
    pub file: i64,
}

/// Looks for the wanted among what was pruned.
///
/// # Errors
/// When Postgres is away.
pub async fn pruned(pool: &Pool, wanted: &Wanted) -> Result<Option<Pruned>, sqlx::Error> {
    let (file, producer, run) = match wanted {
        Wanted::File(file) => (Some(*file), None, None),
        Wanted::Run(run) => (None, None, Some(*run.as_uuid())),
        Wanted::Key(key) => (
            None,
            Some(key.producer().as_str()),
            Some(*key.run().as_uuid()),
        ),
        Wanted::Part(_) => return Ok(None),
    };
    sqlx::query(
        "SELECT producer, run_id::text, file FROM nightdrop.seen
         WHERE file = $1 OR (run_id = $3 AND producer = coalesce($2, producer)) LIMIT 1",
    )
    .bind(file)
    .bind(producer)
    .bind(run)
    .fetch_optional(pool)
    .await?
    .map(|row| pruned_run(&row))
    .transpose()
}

/// The one whose rows have this `_file`, by its index.
///
/// # Errors
/// When Postgres is away.
pub async fn pruned_of(pool: &Pool, file: i64) -> Result<Option<Pruned>, sqlx::Error> {
    sqlx::query("SELECT producer, run_id::text, file FROM nightdrop.seen WHERE file = $1 LIMIT 1")
        .bind(file)
        .fetch_optional(pool)
        .await?
        .map(|row| pruned_run(&row))
        .transpose()
}

fn pruned_run(row: &PgRow) -> Result<Pruned, sqlx::Error> {
    Ok(Pruned {
        producer: row.try_get(0)?,
        run: row.try_get(1)?,
        file: row.try_get(2)?,
    })
}
