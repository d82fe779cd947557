//! Circuit breakers that have been open, one for each host and server, so that `status` can tell of them
//! and a consumer that is restarted goes on as it left off.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::breaker::{Breaker, State};
use crate::pool::Pool;

/// One of them, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The host of the consumers that ask.
    pub host: String,
    /// `bucket` or `postgres`.
    pub server: String,
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Where it is open: when the server is asked again.
    pub ask_at: Option<DateTime<Utc>>,
    /// What opened it last.
    pub error: String,
}

/// Writes one down that is or was open.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn write(
    pool: &Pool,
    host: &str,
    server: &str,
    breaker: &Breaker,
) -> Result<(), sqlx::Error> {
    let ask_at = match breaker.state {
        State::Open(until) => Some(until),
        State::Closed(_) | State::HalfOpen(_) => None,
    };
    sqlx::query(
        "INSERT INTO nightdrop.breaker (host, server, state, since, ask_at, error)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (host, server) DO UPDATE
         SET state = excluded.state, since = excluded.since, ask_at = excluded.ask_at, error = excluded.error",
    )
    .bind(host)
    .bind(server)
    .bind(breaker.state.as_str())
    .bind(breaker.since)
    .bind(ask_at)
    .bind(breaker.error.as_deref().unwrap_or_default().replace('\0', "\u{FFFD}"))
    .execute(pool)
    .await
    .map(drop)
}

/// All of them, by host and server, but for those of hosts that ask no more: who has an open one asks again when its
/// time has come, and writes down what came of that.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn all(pool: &Pool) -> Result<Vec<Kept>, sqlx::Error> {
    sqlx::query(
        "SELECT host, server, state, since, ask_at, error FROM nightdrop.breaker
         WHERE state = 'closed' OR coalesce(ask_at, since) > now() - interval '15 min'
         ORDER BY host, server",
    )
    .fetch_all(pool)
    .await?
    .iter()
    .map(kept)
    .collect()
}

/// Forgets those that nobody has written for a week: many a host has a name that never comes again.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn forget(pool: &Pool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM nightdrop.breaker WHERE greatest(since, ask_at) < now() - interval '7 days'",
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The one that stays open for longest, if any is open.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn open(pool: &Pool) -> Result<Option<Kept>, sqlx::Error> {
    sqlx::query(
        "SELECT host, server, state, since, ask_at, error FROM nightdrop.breaker
         WHERE state = 'open' AND ask_at > now() ORDER BY ask_at DESC LIMIT 1",
    )
    .fetch_optional(pool)
    .await?
    .map(|row| kept(&row))
    .transpose()
}

fn kept(row: &PgRow) -> Result<Kept, sqlx::Error> {
    Ok(Kept {
        host: row.try_get("host")?,
        server: row.try_get("server")?,
        state: row.try_get("state")?,
        since: row.try_get("since")?,
        ask_at: row.try_get("ask_at")?,
        error: row.try_get("error")?,
    })
}

impl Kept {
    /// The breaker to go on with.
    pub fn breaker(self) -> Breaker {
        let state = match (self.state.as_str(), self.ask_at) {
            ("open", Some(until)) => State::Open(until),
            ("half_open", _) => State::HalfOpen(0),
            _ => State::Closed(0),
        };
        Breaker {
            state,
            since: self.since,
            error: Some(self.error),
        }
    }
}
