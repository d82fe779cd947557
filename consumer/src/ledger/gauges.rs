//! What metrics show of the ledger: a few statements that stay cheap however much waits, or is in the history.
//! They jump from job to job in the indexes, and count no further than to a limit.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgTransaction, Row};

use super::interval;
use crate::pool::Pool;

/// Of one producer, and of what else is counted, files are counted no further than this. Of all producers together
/// five times as many are, so of each less where many have a backlog: of an index entry whose row was changed lately
/// Postgres looks at the row itself, which is slow.
const COUNTED: i64 = 10_000;

/// How many jobs are looked at.
const JOBS: i64 = 2_000;

/// How long Postgres works on one of the statements.
const STATEMENT: &str = "SET LOCAL statement_timeout = '2s'";

/// What the ledger said, at one moment. Instants are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Postgres's clock.
    pub at: f64,
    /// By producer.
    pub queues: Vec<Queue>,
    /// How far each of them was counted.
    pub counted: u32,
    /// Parked and held files by producer and reason.
    pub kept_out: Vec<KeptOut>,
    /// By producer and job.
    pub jobs: Vec<Job>,
    /// Objects that could be deleted by now, and are still there.
    pub undeleted: u32,
}

/// What waits of one producer.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Whose.
    pub producer: String,
    /// How many files.
    pub files: u32,
    /// When the one that waits longest was put.
    pub oldest: f64,
}

/// Files that are not in the reports, and won't be by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOut {
    /// Whose; nothing for keys outside the grammar.
    pub producer: String,
    /// `parked` or `held`.
    pub state: String,
    /// The short name to group by.
    pub reason: String,
    /// How many.
    pub files: u32,
}

/// A job that has a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Whose.
    pub producer: String,
    /// Which.
    pub job: String,
    /// What the newest result of its present life is as of.
    pub as_of: Option<f64>,
    /// Whether it rests, for its table refuses.
    pub paused: bool,
}

/// How a job stands, by the view `nightdrop.freshness`.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whose.
    pub producer: String,
    /// Which.
    pub job: String,
    /// By when its next result was promised, or is expected.
    pub next_by: Option<f64>,
    /// Whether that has passed, and none is in the reports.
    pub late: bool,
    /// Whether the last run that is heard of failed.
    pub failing: bool,
}

/// Reads how the jobs stand. This walks over all that waits: where that is much, it comes to nothing, and the rest of
/// what metrics show doesn't hang on it.
///
/// # Errors
/// When Postgres is away, or takes too long.
pub async fn standings(pool: &Pool) -> Result<Vec<Standing>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    begin(&mut transaction).await?;
    all(&mut transaction, STANDINGS, JOBS, standing).await
}

/// Reads all but that, from one snapshot.
///
/// # Errors
/// When Postgres is away, or takes too long.
pub async fn read(pool: &Pool, delete_after: Duration) -> Result<Gauges, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    begin(&mut transaction).await?;
    let connection = &mut *transaction;
    let row = sqlx::query(UNDELETED)
        .bind(interval(delete_after))
        .bind(COUNTED)
        .fetch_one(&mut *connection)
        .await?;
    let queues = all(connection, QUEUES, COUNTED, queue).await?;
    let counted = queues.first().map_or(COUNTED, |(_, up_to)| *up_to);
    Ok(Gauges {
        at: row.try_get("at")?,
        undeleted: number(&row, "files")?,
        queues: queues.into_iter().map(|(queue, _)| queue).collect(),
        counted: u32::try_from(counted).unwrap_or(u32::MAX),
        kept_out: all(connection, KEPT_OUT, COUNTED, kept_out).await?,
        jobs: all(connection, JOBS_OF_ALL, JOBS, job).await?,
    })
}

async fn begin(transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
    for statement in [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        STATEMENT,
    ] {
        sqlx::query(statement).execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn all<T>(
    connection: &mut PgConnection,
    statement: &'static str,
    limit: i64,
    one: fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, sqlx::Error> {
    let rows = sqlx::query(statement)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(one).collect()
}

/// The oldest of a job is taken to be the one that is next in line: nearly always it is.
const QUEUES: &str = "
WITH RECURSIVE job (streamed, producer, job) AS (
    (SELECT streamed, producer, job FROM nightdrop.file
     WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0
     ORDER BY streamed, producer, job LIMIT 1)
    UNION ALL
    SELECT next.streamed, next.producer, next.job
    FROM job, LATERAL (
        SELECT f.streamed, f.producer, f.job FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts = 0
          AND (f.streamed, f.producer, f.job) > (job.streamed, job.producer, job.job)
        ORDER BY f.streamed, f.producer, f.job LIMIT 1) next
), oldest (producer, since) AS (
    SELECT job.producer, next.since
    FROM (SELECT * FROM job LIMIT 2000) job, LATERAL (
        SELECT coalesce(f.put_at, f.listed_at) AS since FROM nightdrop.file f
        WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL AND f.attempts = 0
          AND f.streamed = job.streamed AND f.producer = job.producer AND f.job = job.job
        ORDER BY f.as_of, f.id LIMIT 1) next
    UNION ALL
    (SELECT producer, coalesce(put_at, listed_at) FROM nightdrop.file WHERE token IS NOT NULL LIMIT $1)
    UNION ALL
    (SELECT producer, coalesce(put_at, listed_at) FROM nightdrop.file
     WHERE state = 'waiting' AND token IS NULL AND retry_at IS NOT NULL LIMIT $1)
    UNION ALL
    (SELECT producer, coalesce(put_at, listed_at) FROM nightdrop.file
     WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts > 0 LIMIT $1)
), queue AS MATERIALIZED (
    SELECT producer, min(since) AS since FROM oldest GROUP BY producer ORDER BY producer LIMIT 1000
), counted AS MATERIALIZED (
    SELECT least($1, $1 * 5 / nullif(count(*), 0)) AS up_to FROM queue
)
SELECT producer, extract(epoch FROM since)::float8 AS oldest, up_to,
       least(up_to, nightdrop.waiting(producer, up_to)
             + (SELECT count(*) FROM (SELECT FROM nightdrop.file f
                                      WHERE f.state = 'waiting' AND f.token IS NULL AND f.retry_at IS NULL
                                        AND f.attempts > 0 AND f.producer = queue.producer LIMIT $1) suspect)) AS files
FROM queue, counted ORDER BY producer";

fn queue(row: &PgRow) -> Result<(Queue, i64), sqlx::Error> {
    let queue = Queue {
        producer: row.try_get("producer")?,
        files: number(row, "files")?,
        oldest: row.try_get("oldest")?,
    };
    Ok((queue, row.try_get("up_to")?))
}

const KEPT_OUT: &str = "
SELECT producer, state, reason, count(*) AS files
FROM ((SELECT coalesce(producer, '') AS producer, state, reason FROM nightdrop.file
       WHERE state = 'parked' ORDER BY decided_at LIMIT $1)
      UNION ALL
      (SELECT coalesce(producer, ''), state, reason FROM nightdrop.file WHERE state = 'held' LIMIT $1)) file
GROUP BY producer, state, reason ORDER BY producer, state, reason LIMIT 1000";

fn kept_out(row: &PgRow) -> Result<KeptOut, sqlx::Error> {
    Ok(KeptOut {
        producer: row.try_get("producer")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        files: number(row, "files")?,
    })
}

const JOBS_OF_ALL: &str = "
SELECT j.producer, j.job, extract(epoch FROM last.as_of)::float8 AS as_of,
       EXISTS (SELECT FROM nightdrop.pause p
               WHERE p.producer = j.producer AND p.job = j.job AND p.until > now()) AS paused
FROM nightdrop.job j LEFT JOIN LATERAL (
    SELECT f.as_of FROM nightdrop.file f
    WHERE f.producer = j.producer AND f.job = j.job AND f.state = 'loaded' AND f.decided_at >= j.created_at
    ORDER BY f.as_of DESC, f.id DESC LIMIT 1) last ON true
ORDER BY j.producer, j.job LIMIT $1";

fn job(row: &PgRow) -> Result<Job, sqlx::Error> {
    Ok(Job {
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        as_of: row.try_get("as_of")?,
        paused: row.try_get("paused")?,
    })
}

const STANDINGS: &str = "
SELECT producer, job, extract(epoch FROM next_by)::float8 AS next_by, late, failing
FROM nightdrop.freshness ORDER BY producer, job LIMIT $1";

fn standing(row: &PgRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        next_by: row.try_get("next_by")?,
        late: row.try_get("late")?,
        failing: row.try_get("failing")?,
    })
}

const UNDELETED: &str = "
SELECT extract(epoch FROM now())::float8 AS at,
       (SELECT count(*) FROM (
            SELECT FROM nightdrop.file
            WHERE gone_at IS NULL AND decided_at <= now() - $1
              AND state IN ('loaded', 'superseded', 'duplicate', 'parked', 'noted', 'dropped')
            LIMIT $2) file) AS files";

fn number(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    let count: i64 = row.try_get(column)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
