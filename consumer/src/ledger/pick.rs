//! Parked and held files that a person picks: to look at them, to have them tried again, to be rid of them.
//!
//! Whoever deletes their objects from the bucket has their rows locked meanwhile. A verb waits for that, in
//! the same order of ids, and finds them as they are by then.

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgTransaction, Row};
use uuid::Uuid;

use crate::pool::Pool;

/// Which ones; an empty pick is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// By their rows in the ledger.
    pub ids: Vec<i64>,
    /// One producer's.
    pub producer: Option<Producer>,
    /// One job's, of any producer unless one is named.
    pub job: Option<Job>,
    /// Those that are there for this cause, by its name.
    pub reason: Option<String>,
}

impl Pick {
    /// Whether it names nothing, and so means everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file that is parked or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Picked {
    /// Its row in the ledger.
    pub id: i64,
    /// `parked` or `held`.
    pub state: String,
    /// Its key in the bucket.
    pub key: String,
    /// The version of the object that was listed.
    pub etag: String,
    /// Stored bytes.
    pub size: i64,
    /// Whose; none where the key is outside the grammar, as with the next three.
    pub producer: Option<String>,
    /// Which job's.
    pub job: Option<String>,
    /// The instant that it is as of.
    pub as_of: Option<DateTime<Utc>>,
    /// Which run's.
    pub run: Option<String>,
    /// A short name to group by.
    pub reason: String,
    /// What is wrong, where, and what to do.
    pub error: String,
    /// When it was first seen.
    pub listed_at: DateTime<Utc>,
    /// Since when it is parked or held.
    pub since: DateTime<Utc>,
    /// When a held one is tried again by itself.
    pub retry_at: Option<DateTime<Utc>>,
    /// When its object was deleted from the bucket.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The versions of the consumer that didn't know its type.
    pub judged_by: Vec<String>,
}

/// What all statements here pick by.
macro_rules! picked {
    () => {
        "state IN ('parked', 'held') AND ($1 = '{}' OR id = ANY($1)) AND ($2::text IS NULL OR producer = $2)
         AND ($3::text IS NULL OR job = $3) AND ($4::text IS NULL OR reason = $4)"
    };
}

/// Those that are picked, by id, at most `limit`; and how many there are.
///
/// # Errors
/// When Postgres is away.
pub async fn find(pool: &Pool, pick: &Pick, limit: i64) -> Result<(Vec<Picked>, i64), sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT id, state, key, etag, size, producer, job, as_of, run_id, reason, error, listed_at, decided_at,
                retry_at, gone_at, judged_by, count(*) OVER () AS all_picked
         FROM nightdrop.file WHERE ",
        picked!(),
        " ORDER BY id LIMIT $5"
    ))
    .bind(&pick.ids)
    .bind(pick.producer.as_ref().map(Producer::as_str))
    .bind(pick.job.as_ref().map(Job::as_str))
    .bind(&pick.reason)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let all = rows
        .first()
        .map_or(Ok(0), |row| row.try_get("all_picked"))?;
    let files = rows.iter().map(file).collect::<Result<_, _>>()?;
    Ok((files, all))
}

fn file(row: &PgRow) -> Result<Picked, sqlx::Error> {
    Ok(Picked {
        id: row.try_get("id")?,
        state: row.try_get("state")?,
        key: row.try_get("key")?,
        etag: row.try_get("etag")?,
        size: row.try_get("size")?,
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        as_of: row.try_get("as_of")?,
        run: row
            .try_get::<Option<Uuid>, _>("run_id")?
            .map(|run| run.to_string()),
        reason: row.try_get("reason")?,
        error: row.try_get("error")?,
        listed_at: row.try_get("listed_at")?,
        since: row.try_get("decided_at")?,
        retry_at: row.try_get("retry_at")?,
        deleted_at: row.try_get("gone_at")?,
        judged_by: row
            .try_get::<Option<Vec<String>>, _>("judged_by")?
            .unwrap_or_default(),
    })
}

/// What a verb did to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its row.
    pub id: i64,
    /// Where it is now.
    pub state: String,
    /// Its key in the bucket.
    pub key: String,
}

/// Lets them wait again. One whose key is outside the grammar can't: it is not among those that are given
/// back. One that ended its consumers is claimed alone again, and may end three more.
///
/// # Errors
/// When Postgres refuses or is away: none waits again then.
pub async fn retry(pool: &Pool, pick: &Pick) -> Result<Vec<Moved>, sqlx::Error> {
    let mut transaction = begin(pool).await?;
    let moved = moved(
        &mut transaction,
        pick,
        concat!(
            "WITH picked AS (SELECT id FROM nightdrop.file WHERE ",
            picked!(),
            " AND producer IS NOT NULL ORDER BY id FOR UPDATE)
             UPDATE nightdrop.file f
             SET state = 'waiting', decided_at = NULL, retry_at = NULL, reason = NULL, error = NULL,
                 attempts = CASE reason WHEN 'deadly' THEN 1 ELSE 0 END
             FROM picked WHERE f.id = picked.id RETURNING f.id, f.state, f.key"
        ),
    )
    .await?;
    transaction.commit().await?;
    Ok(moved)
}

/// Drops them, with the bytes that were kept: their objects, where there are any, are deleted like those of
/// loaded files. One whose key is outside the grammar is forgotten (`missing`), for nothing of ours can delete it.
///
/// # Errors
/// When Postgres refuses or is away: none is dropped then.
pub async fn drop(pool: &Pool, pick: &Pick) -> Result<Vec<Moved>, sqlx::Error> {
    let mut transaction = begin(pool).await?;
    let moved = moved(
        &mut transaction,
        pick,
        concat!(
            "WITH picked AS (SELECT id FROM nightdrop.file WHERE ",
            picked!(),
            " ORDER BY id FOR UPDATE),
             bytes AS (DELETE FROM nightdrop.parked p USING picked WHERE p.file = picked.id)
             UPDATE nightdrop.file f
             SET state = CASE WHEN f.producer IS NULL THEN 'missing' ELSE 'dropped' END,
                 gone_at = CASE WHEN f.producer IS NULL THEN now() ELSE f.gone_at END,
                 decided_at = now(), retry_at = NULL, kept = false
             FROM picked WHERE f.id = picked.id RETURNING f.id, f.state, f.key"
        ),
    )
    .await?;
    transaction.commit().await?;
    Ok(moved)
}

/// A person waits as long as it takes to delete a thousand objects, and for as many files as there are.
async fn begin(pool: &Pool) -> Result<PgTransaction<'static>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "SELECT set_config('lock_timeout', '2min', true), set_config('statement_timeout', '1h', true)",
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction)
}

async fn moved(
    transaction: &mut PgTransaction<'_>,
    pick: &Pick,
    statement: &'static str,
) -> Result<Vec<Moved>, sqlx::Error> {
    let rows = sqlx::query(statement)
        .bind(&pick.ids)
        .bind(pick.producer.as_ref().map(Producer::as_str))
        .bind(pick.job.as_ref().map(Job::as_str))
        .bind(&pick.reason)
        .fetch_all(&mut **transaction)
        .await?;
    let mut moved = rows
        .iter()
        .map(|row| {
            Ok(Moved {
                id: row.try_get(0)?,
                state: row.try_get(1)?,
                key: row.try_get(2)?,
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    moved.sort_by_key(|moved| moved.id);
    Ok(moved)
}

/// The states of these files, by id; those that the ledger doesn't have are not among them.
///
/// # Errors
/// When Postgres is away.
pub async fn states(pool: &Pool, ids: &[i64]) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query("SELECT id, state FROM nightdrop.file WHERE id = ANY($1) ORDER BY id")
        .bind(ids)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
