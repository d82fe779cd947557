//! How every job stands now: what `check`, alarms, metrics and the status page are made of, in one statement.
//! The facts are those of the view `nightdrop.freshness`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};

/// One job of one producer that is known in any way: by a result, an expectation, a failed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobNow {
    /// Whose.
    pub producer: String,
    /// Which.
    pub job: String,
    /// Its table, once it has one.
    pub table: Option<String>,
    /// `append`, `replace` or `upsert`, likewise.
    pub mode: Option<String>,
    /// The instant that the newest result in the reports is as of.
    pub as_of: Option<DateTime<Utc>>,
    /// When that was committed.
    pub committed_at: Option<DateTime<Utc>>,
    /// Its rows.
    pub rows: Option<i64>,
    /// By when a newer one was promised, or is expected.
    pub next_by: Option<DateTime<Utc>>,
    /// Whether that has passed, and none is in the reports.
    pub late: bool,
    /// Files that wait.
    pub waiting: i64,
    /// Files parked.
    pub parked: i64,
    /// Since when the first of them is.
    pub parked_since: Option<DateTime<Utc>>,
    /// Files held.
    pub held: i64,
    /// Since when the first of them is.
    pub held_since: Option<DateTime<Utc>>,
    /// Whether the last run that is heard of failed.
    pub failing: bool,
    /// When its last failed run failed, by the producer's clock; when word of it was listed, if that is earlier.
    pub failed_at: Option<DateTime<Utc>>,
    /// What that was about: `source`, `contract`, `timeout` or `config`.
    pub failed_kind: Option<String>,
    /// Where it is failing: what the run said of it.
    pub failure: Option<String>,
}

/// A bucket that a consumer can't use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Away {
    /// The consumer's host.
    pub host: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What it said, or what the way to it said.
    pub error: String,
}

/// All jobs at one instant. [`Now::troubles`] says what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Now {
    /// Postgres's clock.
    pub at: DateTime<Utc>,
    /// Consumers that are connected to this database.
    pub consumers: i64,
    /// The bucket, where a consumer can't use it: then nothing is loaded by that one, and nothing of what comes is known.
    pub away: Option<Away>,
    /// By producer, then job.
    pub jobs: Vec<JobNow>,
    /// Keys in the inbox that are none of results.
    pub strange: i64,
    /// Since when the first of them is there.
    pub strange_since: Option<DateTime<Utc>>,
}

impl Now {
    /// Looks. Who is `at_work` loads files itself, and so is one of the consumers that are connected.
    ///
    /// # Errors
    /// When Postgres is away, or the ledger isn't there.
    pub async fn read(postgres: impl PgExecutor<'_>, at_work: bool) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT o.at, o.consumers, o.strange, o.strange_since,
                    away.host AS away_host, away.since AS away_since, away.error AS away_error,
                    f.producer, f.job, f.table, f.mode, f.as_of, f.committed_at, f.rows, f.next_by, f.late,
                    f.waiting, f.parked, f.parked_since, f.held, f.held_since,
                    f.failing, f.failed_at, f.failed_kind, failure.error AS failure
             FROM (SELECT now() AS at,
                          (SELECT count(DISTINCT application_name) FROM pg_stat_activity
                           WHERE datname = current_database() AND application_name LIKE 'nightdrop/%'
                             AND application_name <> current_setting('application_name')) AS consumers,
                          (SELECT count(*) FROM nightdrop.file WHERE state = 'held' AND producer IS NULL) AS strange,
                          (SELECT min(decided_at) FROM nightdrop.file
                           WHERE state = 'held' AND producer IS NULL) AS strange_since) o
             -- What a host has said that asks no more, is no news.
             LEFT JOIN LATERAL (
                 SELECT b.host, b.since, b.error FROM nightdrop.breaker b
                 WHERE b.server = 'bucket' AND b.state <> 'closed'
                   AND coalesce(b.ask_at, b.since) > now() - interval '15 min'
                 ORDER BY b.since, b.host LIMIT 1) away ON true
             LEFT JOIN nightdrop.freshness f ON true
             LEFT JOIN LATERAL (
                 SELECT n.error FROM nightdrop.file n
                 WHERE f.failing AND n.producer = f.producer AND n.job = f.job
                   AND n.state = 'noted' AND n.reason = 'failed'
                 ORDER BY least(n.as_of, n.listed_at) DESC, n.as_of DESC LIMIT 1) failure ON true
             ORDER BY f.producer, f.job",
        )
        .fetch_all(postgres)
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self {
            at: first.try_get("at")?,
            consumers: first.try_get::<i64, _>("consumers")? + i64::from(at_work),
            away: away(first)?,
            strange: first.try_get("strange")?,
            strange_since: first.try_get("strange_since")?,
            jobs: rows
                .iter()
                .filter_map(|row| job(row).transpose())
                .collect::<Result<_, _>>()?,
        })
    }
}

fn away(row: &PgRow) -> Result<Option<Away>, sqlx::Error> {
    let Some(host) = row.try_get("away_host")? else {
        return Ok(None);
    };
    Ok(Some(Away {
        host,
        since: row.try_get("away_since")?,
        error: row.try_get("away_error")?,
    }))
}

/// None where there is no job at all.
fn job(row: &PgRow) -> Result<Option<JobNow>, sqlx::Error> {
    let Some(producer) = row.try_get("producer")? else {
        return Ok(None);
    };
    Ok(Some(JobNow {
        producer,
        job: row.try_get("job")?,
        table: row.try_get("table")?,
        mode: row.try_get("mode")?,
        as_of: row.try_get("as_of")?,
        committed_at: row.try_get("committed_at")?,
        rows: row.try_get("rows")?,
        next_by: row.try_get("next_by")?,
        late: row.try_get("late")?,
        waiting: row.try_get("waiting")?,
        parked: row.try_get("parked")?,
        parked_since: row.try_get("parked_since")?,
        held: row.try_get("held")?,
        held_since: row.try_get("held_since")?,
        failing: row.try_get("failing")?,
        failed_at: row.try_get("failed_at")?,
        failed_kind: row.try_get("failed_kind")?,
        failure: row.try_get("failure")?,
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A job that is known, and no more: nothing of it has come, and nothing is expected.
    pub(crate) fn unheard_of(producer: &str, job: &str) -> JobNow {
        JobNow {
            producer: producer.to_owned(),
            job: job.to_owned(),
            table: None,
            mode: None,
            as_of: None,
            committed_at: None,
            rows: None,
            next_by: None,
            late: false,
            waiting: 0,
            parked: 0,
            parked_since: None,
            held: 0,
            held_since: None,
            failing: false,
            failed_at: None,
            failed_kind: None,
            failure: None,
        }
    }

    /// These jobs, with one consumer at work and the bucket there.
    pub(crate) fn at(at: &str, jobs: Vec<JobNow>) -> Now {
        Now {
            at: at.parse().unwrap(),
            consumers: 1,
            away: None,
            jobs,
            strange: 0,
            strange_since: None,
        }
    }
}
