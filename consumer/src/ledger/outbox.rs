//! What targets were told, and what is on its way to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgTransaction, Row};
use uuid::Uuid;

use super::interval;
use crate::pool::Pool;

/// What is kept for a target that no configuration names any more: another consumer's may still.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(7 * 24);

/// Something wrong that a target was told of. Producer and job are both empty where it is nobody's.
/// Without a job it is of several of the producer's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alarm {
    /// `late`, `failing`, `parked` or `held`.
    pub kind: String,
    /// Whose.
    pub producer: String,
    /// Which job's.
    pub job: String,
    /// Since when it was wrong.
    pub since: DateTime<Utc>,
}

impl Alarm {
    /// What it is known by: since when may move.
    pub fn name(&self) -> (&str, &str, &str) {
        (&self.kind, &self.producer, &self.job)
    }
}

/// What is to be told, with the body of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something is wrong.
    Started(Alarm, String),
    /// It is no more.
    Ended(Alarm, String),
}

/// Takes the right to compare and to write, until the transaction ends. Gives false where another has it.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn lock(transaction: &mut PgTransaction<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('nightdrop.outbox', 0))")
        .fetch_one(&mut **transaction)
        .await
}

/// What a target was told of, and not the end of.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn told(connection: &mut PgConnection, target: &str) -> Result<Vec<Alarm>, sqlx::Error> {
    sqlx::query(
        "SELECT kind, producer, job, since FROM nightdrop.alarm WHERE target = $1 ORDER BY producer, job, kind",
    )
    .bind(target)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        Ok(Alarm {
            kind: row.try_get(0)?,
            producer: row.try_get(1)?,
            job: row.try_get(2)?,
            since: row.try_get(3)?,
        })
    })
    .collect()
}

/// Writes down that a target is told, and what. What has started and ended before it was told of is not told: so
/// there are two messages of one alarm at most, and one of them is being told.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn write(
    transaction: &mut PgTransaction<'_>,
    target: &str,
    news: &[News],
) -> Result<(), sqlx::Error> {
    for one in news {
        let (change, alarm, body) = match one {
            News::Started(alarm, body) => (
                "INSERT INTO nightdrop.alarm (target, kind, producer, job, since) VALUES ($1, $2, $3, $4, $5)",
                alarm,
                body,
            ),
            News::Ended(alarm, body) => (
                "DELETE FROM nightdrop.alarm
                 WHERE target = $1 AND kind = $2 AND producer = $3 AND job = $4 AND $5::timestamptz IS NOT NULL",
                alarm,
                body,
            ),
        };
        sqlx::query(change)
            .bind(target)
            .bind(&alarm.kind)
            .bind(&alarm.producer)
            .bind(&alarm.job)
            .bind(alarm.since)
            .execute(&mut **transaction)
            .await?;
        // Of those that wait it can only be the opposite. What was tried may have come.
        let opposite = sqlx::query(
            "DELETE FROM nightdrop.outbox
             WHERE target = $1 AND kind = $2 AND producer = $3 AND job = $4 AND attempts = 0",
        )
        .bind(target)
        .bind(&alarm.kind)
        .bind(&alarm.producer)
        .bind(&alarm.job)
        .execute(&mut **transaction)
        .await?;
        if opposite.rows_affected() > 0 {
            continue;
        }
        // After those of its producer, and beside the first of all: however much one has to tell, the others wait
        // for one message of it.
        sqlx::query(
            "INSERT INTO nightdrop.outbox (target, kind, producer, job, body, turn)
             SELECT $1, $2, $3, $4, $5, 1 + coalesce(max(turn) FILTER (WHERE producer = $3), min(turn), 0)
             FROM nightdrop.outbox WHERE target = $1 AND NOT refused",
        )
        .bind(target)
        .bind(&alarm.kind)
        .bind(&alarm.producer)
        .bind(&alarm.job)
        .bind(body)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Forgets targets that have not been named for long.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn forget(
    transaction: &mut PgTransaction<'_>,
    targets: &[String],
) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM nightdrop.alarm WHERE target <> ALL($1) AND told_at < now() - $2",
        "DELETE FROM nightdrop.outbox WHERE target <> ALL($1) AND created_at < now() - $2",
    ] {
        sqlx::query(statement)
            .bind(targets)
            .bind(interval(FORGOTTEN_AFTER))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// Messages that a target does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untold {
    /// So many wait.
    pub messages: i64,
    /// Since the first of them was written.
    pub since: DateTime<Utc>,
    /// What the last attempt came to.
    pub error: String,
}

/// Those that wait for a target whose last attempt failed.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn untold(pool: &Pool) -> Result<Option<Untold>, sqlx::Error> {
    sqlx::query(
        "SELECT count(*) AS messages, min(created_at) AS since,
                (array_agg(error ORDER BY tried_at DESC) FILTER (WHERE error IS NOT NULL))[1] AS error
         FROM nightdrop.outbox
         WHERE target IN (SELECT target FROM nightdrop.outbox WHERE error IS NOT NULL) HAVING count(*) > 0",
    )
    .fetch_optional(pool)
    .await?
    .map(|row| {
        Ok(Untold {
            messages: row.try_get("messages")?,
            since: row.try_get("since")?,
            error: row.try_get("error")?,
        })
    })
    .transpose()
}

/// One message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    id: i64,
    /// The same at each attempt.
    pub message: Uuid,
    /// As it is sent.
    pub body: String,
    /// Which attempt this is, from 1.
    pub attempts: i32,
}

/// Takes the first message for a target, if its time has come: until `lease` has passed nobody else does. None
/// behind it is taken before it, unless it is refused: that is tried again when there is no other, and only what is
/// of the same alarm waits for it.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn take(
    pool: &Pool,
    target: &str,
    lease: Duration,
) -> Result<Option<Letter>, sqlx::Error> {
    // Of two who find the same row, the second waits for the first, and then finds that its time has not come.
    sqlx::query(
        "UPDATE nightdrop.outbox SET attempts = attempts + 1, tried_at = now(), retry_at = now() + $2
         WHERE id = coalesce(
             (SELECT id FROM (
                  SELECT o.id, o.retry_at FROM nightdrop.outbox o
                  WHERE o.target = $1 AND NOT o.refused
                    AND NOT EXISTS (
                        SELECT FROM nightdrop.outbox before
                        WHERE before.target = $1 AND before.refused AND before.id < o.id
                          AND (before.kind, before.producer, before.job) = (o.kind, o.producer, o.job))
                  ORDER BY o.turn, o.id LIMIT 1) first
              WHERE retry_at <= now()),
             (SELECT id FROM nightdrop.outbox
              WHERE target = $1 AND refused AND retry_at <= now() ORDER BY retry_at, id LIMIT 1))
           AND retry_at <= now()
         RETURNING id, message, body, attempts",
    )
    .bind(target)
    .bind(interval(lease))
    .fetch_optional(pool)
    .await?
    .map(|row| {
        Ok(Letter {
            id: row.try_get(0)?,
            message: row.try_get(1)?,
            body: row.try_get(2)?,
            attempts: row.try_get(3)?,
        })
    })
    .transpose()
}

/// The target has it.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn taken(pool: &Pool, letter: &Letter) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM nightdrop.outbox WHERE id = $1")
        .bind(letter.id)
        .execute(pool)
        .await
        .map(drop)
}

/// The target has not taken it: it is tried again, by whoever comes first then.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn put_off(
    pool: &Pool,
    letter: &Letter,
    wait: Duration,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE nightdrop.outbox SET retry_at = now() + $3, error = $4 WHERE id = $1 AND attempts = $2")
        .bind(letter.id)
        .bind(letter.attempts)
        .bind(interval(wait))
        .bind(error.replace('\0', "\u{FFFD}"))
        .execute(pool)
        .await
        .map(drop)
}

/// The target refuses it: others may pass. Where the opposite waits behind it, neither is told: the target never
/// knew.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn pass(
    pool: &Pool,
    letter: &Letter,
    wait: Duration,
    error: &str,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Nobody takes away what waits behind it meanwhile.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('nightdrop.outbox', 0))")
        .execute(&mut *transaction)
        .await?;
    let both = sqlx::query(
        "DELETE FROM nightdrop.outbox o USING nightdrop.outbox this
         WHERE this.id = $1 AND this.attempts = $2
           AND (o.target, o.kind, o.producer, o.job) = (this.target, this.kind, this.producer, this.job)
           AND EXISTS (SELECT FROM nightdrop.outbox after
                       WHERE (after.target, after.kind, after.producer, after.job)
                           = (this.target, this.kind, this.producer, this.job) AND after.id > this.id)",
    )
    .bind(letter.id)
    .bind(letter.attempts)
    .execute(&mut *transaction)
    .await?;
    if both.rows_affected() == 0 {
        sqlx::query(
            "UPDATE nightdrop.outbox SET refused = true, retry_at = now() + $3, error = $4 WHERE id = $1 AND attempts = $2",
        )
        .bind(letter.id)
        .bind(letter.attempts)
        .bind(interval(wait))
        .bind(error.replace('\0', "\u{FFFD}"))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
