//! The last results of jobs that were loaded: what their charts are drawn from.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::pool::Pool;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Its row.
    pub file: i64,
    /// The instant that it is as of.
    pub as_of: DateTime<Utc>,
    /// When its rows were committed.
    pub committed_at: DateTime<Utc>,
    /// How many there were.
    pub rows: i64,
    /// Its size as it was stored, in bytes.
    pub size: i64,
}

impl Recent {
    /// How old the news was. Two machines' clocks are compared: what seems to come early took no time.
    pub fn lag(&self) -> TimeDelta {
        (self.committed_at - self.as_of).max(TimeDelta::zero())
    }
}

/// The newest results of each of these jobs, by producer and job; of each the oldest first. Each is found by an
/// index, however long the history is.
///
/// # Errors
/// When Postgres is away.
pub async fn of(
    pool: &Pool,
    jobs: &[(&str, &str)],
    each: i64,
) -> Result<HashMap<(String, String), Vec<Recent>>, sqlx::Error> {
    let (producers, names): (Vec<&str>, Vec<&str>) = jobs.iter().copied().unzip();
    let rows = sqlx::query(
        "SELECT wanted.producer, wanted.job, f.id, f.as_of, f.decided_at, f.row_count, f.size
         FROM unnest($1::text[], $2::text[]) AS wanted (producer, job), LATERAL (
             SELECT * FROM nightdrop.file f
             WHERE f.producer = wanted.producer AND f.job = wanted.job AND f.state = 'loaded'
             ORDER BY f.as_of DESC, f.id DESC LIMIT $3) f
         ORDER BY f.as_of, f.id",
    )
    .bind(producers)
    .bind(names)
    .bind(each)
    .fetch_all(pool)
    .await?;
    let mut found: HashMap<_, Vec<Recent>> = HashMap::new();
    for row in &rows {
        let whose = (row.try_get("producer")?, row.try_get("job")?);
        found.entry(whose).or_default().push(recent(row)?);
    }
    Ok(found)
}

fn recent(row: &PgRow) -> Result<Recent, sqlx::Error> {
    Ok(Recent {
        file: row.try_get("id")?,
        as_of: row.try_get("as_of")?,
        committed_at: row.try_get("decided_at")?,
        rows: row.try_get("row_count")?,
        size: row.try_get("size")?,
    })
}
