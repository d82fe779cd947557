//! Loads under way, each with a deadline that its consumer extends for as long as it moves. One that no
//! longer moves is ended by whoever sees it first.
//!
//! A consumer that hangs in the middle of a COPY keeps its locks for good: no time-out of Postgres ends it,
//! and of what one session may do to another only `pg_terminate_backend` does. Whom to end is looked up
//! here and not by `pg_blocking_pids`: that names whoever stands in the way, a slow load as well as a dead
//! one, and only of someone who waits for a lock, while files and jobs are skipped where they are locked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::interval;
use crate::pool::Pool;

/// A session of Postgres: its process, and since when, for process ids come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Postgres's process.
    pub pid: i32,
    /// When it began.
    pub start: DateTime<Utc>,
}

/// A load whose consumer was ended for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub worker: String,
    /// Postgres's process.
    pub pid: i32,
}

/// Writes down that a load begins in this session, through another one.
///
/// # Errors
/// When Postgres refuses or is away: the load must not go on then.
pub async fn begin(
    pool: &Pool,
    token: Uuid,
    worker: &str,
    session: Session,
    lease: Duration,
) -> Result<(), sqlx::Error> {
    // Nothing of it is logged, so that its commit waits for no disk.
    sqlx::query(
        "INSERT INTO nightdrop.load (token, worker, pid, backend_start, deadline)
         VALUES ($1, $2, $3, $4, clock_timestamp() + $5)
         ON CONFLICT (token) DO UPDATE
         SET pid = excluded.pid, backend_start = excluded.backend_start, deadline = excluded.deadline,
             ended_at = NULL",
    )
    .bind(token)
    .bind(worker)
    .bind(session.pid)
    .bind(session.start)
    .bind(interval(lease))
    .execute(pool)
    .await
    .map(drop)
}

/// Puts the deadline of a load off, if it moves: bytes have come for it, or Postgres is at work on a
/// statement of it, which is to say that its session doesn't wait for its client. Gives whether it did.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn extend(
    pool: &Pool,
    token: Uuid,
    moved: bool,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE nightdrop.load l SET deadline = clock_timestamp() + $3
         WHERE l.token = $1
           AND ($2 OR EXISTS (SELECT FROM pg_stat_activity a
                              WHERE a.pid = l.pid AND a.backend_start = l.backend_start
                                AND a.wait_event IS DISTINCT FROM 'ClientRead'))",
    )
    .bind(token)
    .bind(moved)
    .bind(interval(lease))
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Forgets a load that is over. Until then its session must do nothing else, for it may be ended.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn end(pool: &Pool, token: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM nightdrop.load WHERE token = $1")
        .bind(token)
        .execute(pool)
        .await
        .map(drop)
}

/// Ends the sessions of loads whose deadline has passed, and forgets those whose session is gone: what it
/// ended itself only after a lease more, for until then its consumer may give the files back.
///
/// A load's row stays locked meanwhile, so that a load that comes to its end just now can't give its
/// session to somebody else before that is ended.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn end_overdue(pool: &Pool, lease: Duration) -> Result<Vec<Ended>, sqlx::Error> {
    let rows = sqlx::query(
        "WITH overdue AS (
             SELECT token, worker, pid, backend_start, ended_at FROM nightdrop.load
             WHERE deadline < clock_timestamp() FOR UPDATE SKIP LOCKED
         ), ended AS MATERIALIZED (
             SELECT o.token, o.worker, o.pid, pg_terminate_backend(a.pid)
             FROM overdue o JOIN pg_stat_activity a ON a.pid = o.pid AND a.backend_start = o.backend_start
             WHERE a.usename = session_user AND a.application_name LIKE 'nightdrop/%'
         ), noted AS (
             UPDATE nightdrop.load l SET ended_at = clock_timestamp()
             FROM ended e WHERE l.token = e.token
         ), gone AS (
             DELETE FROM nightdrop.load l USING overdue o
             WHERE l.token = o.token AND o.token NOT IN (SELECT token FROM ended)
               AND (o.ended_at IS NULL OR o.ended_at < clock_timestamp() - $1)
         )
         SELECT worker, pid FROM ended",
    )
    .bind(interval(lease))
    .fetch_all(pool)
    .await?;
    let ended = |row: &PgRow| {
        Ok(Ended {
            worker: row.try_get("worker")?,
            pid: row.try_get("pid")?,
        })
    };
    rows.iter().map(ended).collect()
}
