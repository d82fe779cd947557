//! What `explain` reads of one job: its table, how fresh it is, what waits and what is wrong.

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::pool::Pool;

/// A file that a person should look at, or that told of a failed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its row.
    pub file: i64,
    /// `parked`, `held` or `noted`.
    pub state: String,
    /// A short name to group by.
    pub reason: String,
    /// The sentence.
    pub error: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The newest result of a job that is in the reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// Its row.
    pub file: i64,
    /// The instant that it is as of.
    pub as_of: DateTime<Utc>,
    /// When it was loaded.
    pub loaded_at: DateTime<Utc>,
    /// By when it promised the next one.
    pub next_by: Option<DateTime<Utc>>,
    /// What its query ran with, as JSON, where the ledger keeps it.
    pub parameters: Option<String>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobLook {
    /// Postgres's clock.
    pub now: DateTime<Utc>,
    /// Consumers that are connected to this database.
    pub consumers: i64,
    /// Files of it in the ledger, whatever became of them.
    pub files: i64,
    /// Its table, once it has one.
    pub table: Option<String>,
    /// Its mode, likewise.
    pub mode: Option<String>,
    /// Where the rows of its last ended life are, and when it was retired.
    pub retired: Option<(String, DateTime<Utc>)>,
    /// Until when it rests, and for what.
    pub rests: Option<(DateTime<Utc>, String)>,
    /// The newest result of its present life.
    pub newest: Option<Newest>,
    /// Files that wait.
    pub waiting: i64,
    /// Those of them that some consumer has claimed.
    pub claimed: i64,
    /// Files parked.
    pub parked: i64,
    /// Files held.
    pub held: i64,
    /// The last file that is parked or held, or told of a failed run.
    pub trouble: Option<Trouble>,
}

/// Looks at a job.
///
/// # Errors
/// When Postgres is away.
pub async fn job(pool: &Pool, producer: &Producer, job: &Job) -> Result<JobLook, sqlx::Error> {
    let row = sqlx::query(
        "WITH life AS (
             SELECT table_schema || '.' || table_name AS table, mode, created_at FROM nightdrop.job
             WHERE producer = $1 AND job = $2
         ), mine AS MATERIALIZED (
             SELECT id, state, reason, error, as_of, decided_at, next_by, parameters, lease_until FROM nightdrop.file
             WHERE producer = $1 AND job = $2
         ), count AS (
             SELECT count(*) AS files, count(*) FILTER (WHERE state = 'waiting') AS waiting,
                    count(*) FILTER (WHERE state = 'waiting' AND lease_until > now()) AS claimed,
                    count(*) FILTER (WHERE state = 'parked') AS parked,
                    count(*) FILTER (WHERE state = 'held') AS held
             FROM mine
         ), newest AS (
             SELECT id AS newest, as_of, decided_at AS loaded_at, next_by, parameters FROM mine
             WHERE state = 'loaded' AND decided_at >= (SELECT created_at FROM life)
             ORDER BY as_of DESC, id DESC LIMIT 1
         ), trouble AS (
             SELECT id AS trouble, state, reason, error AS sentence, decided_at AS since FROM mine
             WHERE state IN ('parked', 'held') OR (state = 'noted' AND reason = 'failed')
             ORDER BY decided_at DESC, id DESC LIMIT 1
         ), ended AS (
             SELECT table_schema || '.' || table_name AS was, retired_at FROM nightdrop.retired
             WHERE producer = $1 AND job = $2 ORDER BY retired_at DESC LIMIT 1
         ), rest AS (
             SELECT until, error FROM nightdrop.pause WHERE producer = $1 AND job = $2 AND until > now()
         )
         SELECT clock_timestamp() AS now,
                (SELECT count(DISTINCT application_name) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'nightdrop/%'
                   AND application_name <> current_setting('application_name')) AS consumers, *
         FROM count LEFT JOIN newest ON true LEFT JOIN trouble ON true LEFT JOIN life ON true
              LEFT JOIN ended ON true LEFT JOIN rest ON true",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_one(pool)
    .await?;
    look(&row)
}

fn look(row: &PgRow) -> Result<JobLook, sqlx::Error> {
    let newest: Option<i64> = row.try_get("newest")?;
    let trouble: Option<i64> = row.try_get("trouble")?;
    let was: Option<String> = row.try_get("was")?;
    let until: Option<DateTime<Utc>> = row.try_get("until")?;
    Ok(JobLook {
        now: row.try_get("now")?,
        consumers: row.try_get("consumers")?,
        files: row.try_get("files")?,
        table: row.try_get("table")?,
        mode: row.try_get("mode")?,
        retired: was.zip(row.try_get("retired_at")?),
        rests: until.zip(row.try_get("error")?),
        newest: newest
            .map(|file| {
                Ok::<_, sqlx::Error>(Newest {
                    file,
                    as_of: row.try_get("as_of")?,
                    loaded_at: row.try_get("loaded_at")?,
                    next_by: row.try_get("next_by")?,
                    parameters: row.try_get("parameters")?,
                })
            })
            .transpose()?,
        waiting: row.try_get("waiting")?,
        claimed: row.try_get("claimed")?,
        parked: row.try_get("parked")?,
        held: row.try_get("held")?,
        trouble: trouble
            .map(|file| {
                Ok::<_, sqlx::Error>(Trouble {
                    file,
                    state: row.try_get("state")?,
                    reason: row.try_get("reason")?,
                    error: row
                        .try_get::<Option<String>, _>("sentence")?
                        .unwrap_or_default(),
                    since: row.try_get("since")?,
                })
            })
            .transpose()?,
    })
}

/// The jobs of a producer that the ledger knows.
///
/// # Errors
/// When Postgres is away.
pub async fn jobs_of(pool: &Pool, producer: &Producer) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT job FROM nightdrop.file WHERE producer = $1
         UNION SELECT job FROM nightdrop.job WHERE producer = $1 ORDER BY 1 LIMIT 20",
    )
    .bind(producer.as_str())
    .fetch_all(pool)
    .await
}
