//! Rows into report tables and verdicts into the ledger, in one commit. `batch.rs` loads many small
//! files at once, those of each job by `group.rs`, and `stream.rs` one large file; `append`, `replace` and
//! `upsert` are what the two have in common. Nothing here reads the bucket.

mod append;
pub mod batch;
mod copy;
mod extent;
mod group;
mod replace;
pub mod stream;
mod upsert;
mod watch;
mod widen;

use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use nightdrop_schema::{Header, Job, Producer, Timestamptz};
use sqlx::{PgConnection, PgTransaction, Row};
use std::time::Duration;

pub use copy::Interrupted;
pub use group::{Group, Ready};
pub use watch::Watch;

use crate::catalog::{self, Columns};
use crate::destination::Destination;
use crate::failpoint::failpoint;
use crate::ledger::instant;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::watch::Session;
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::table::{self, Fit, Widening};

/// Rows in binary COPY format, on their way to a table.
pub type Rows<'a> = BoxStream<'a, Result<Vec<u8>, Interrupted>>;

/// A load that came to nothing. The transaction is gone, and so is its connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or went away.
    #[error("{}", sqlstate::sentence(.0))]
    Postgres(#[from] sqlx::Error),
    /// The rows ended before their end.
    #[error("the rows stopped coming")]
    Interrupted,
    /// It could not be seen to move, by us or by anybody.
    #[error("given up: its lease could not be renewed for {} s", .0.as_secs_f32())]
    Lost(Duration),
    /// The table is no longer as it was when the rows were prepared for it.
    #[error("the table was changed meanwhile")]
    Changed,
}

impl From<copy::Error> for Error {
    fn from(error: copy::Error) -> Self {
        match error {
            copy::Error::Postgres(error) => Self::Postgres(error),
            copy::Error::Interrupted => Self::Interrupted,
        }
    }
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Postgres(error) => sqlstate::remedy(error),
            Self::Interrupted | Self::Lost(_) | Self::Changed => Remedy::Retry,
        }
    }
}

/// What is to be done about an error of one job's rows. A table that somebody else has locked is no
/// reason for other jobs to wait.
fn of_its_table(error: &Error) -> Remedy {
    match error {
        Error::Postgres(error) if sqlstate::is_locked_out(error) => Remedy::Pause,
        error => error.remedy(),
    }
}

/// Settings of the transaction that loads: durable at its commit, and a COPY takes as long as it takes,
/// under the eyes of others. Gives Postgres's clock.
async fn begin(
    transaction: &mut PgTransaction<'_>,
    watch: &Watch,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT clock_timestamp(), pid, backend_start,
                set_config('synchronous_commit', 'on', true), set_config('statement_timeout', '0', true)
         FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    )
    .fetch_one(&mut **transaction)
    .await?;
    let (pid, start) = (row.try_get(1)?, row.try_get(2)?);
    watch.begin(Session { pid, start }).await?;
    failpoint("load: begun");
    row.try_get(0)
}

/// A `replace` or an `upsert` has its job to itself. Gives false where another consumer has it now. That
/// the job goes on ([`crate::ledger::life::hold`]) is known before; this lock lets others hold that, too.
async fn lock_job(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<bool, sqlx::Error> {
    let locked = sqlx::query(
        "SELECT FROM nightdrop.job WHERE producer = $1 AND job = $2 FOR NO KEY UPDATE SKIP LOCKED",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .fetch_optional(&mut **transaction)
    .await?
    .is_some();
    if locked {
        failpoint("load: job locked");
    }
    Ok(locked)
}

/// A result from the future would keep everything that comes after it from counting.
fn not_ahead(as_of: Timestamptz, now: DateTime<Utc>, skew: Duration) -> Result<(), Reason> {
    let ahead = (instant(as_of) - now).to_std().unwrap_or_default();
    if ahead <= skew {
        return Ok(());
    }
    let sentence = format!(
        "time is {as_of}, {} s ahead of Postgres's clock; set the source's clock right: this one is loaded once that time has come",
        ahead.as_secs()
    );
    Err(Reason {
        over_in: Some(ahead),
        ..Reason::new(Cause::Future, sentence)
    })
}

/// The same run with other content: one of the two is wrong, and nobody but a person can tell which.
fn other_content() -> Reason {
    Reason::new(
        Cause::RunReused,
        "this run (source, id) is loaded already, with other content; give each run an id of its own",
    )
}

/// What one load writes to, and what it knows of the result.
#[derive(Clone, Copy)]
struct Target<'a> {
    producer: &'a Producer,
    job: &'a Job,
    destination: &'a Destination,
    header: &'a Header,
    watch: &'a Watch,
}

/// A table that nobody changes any more while this transaction goes on.
struct Open {
    columns: Columns,
    widened: Vec<Widening>,
}

/// Keeps the table as it is from here on, and looks at what it is: a COPY in binary takes eight bytes
/// for whatever the column's type has in eight bytes.
async fn open(connection: &mut PgConnection, target: Target<'_>) -> Result<Open, Error> {
    let Destination { name, routed, .. } = target.destination;
    let columns = catalog::lock_columns(connection, name).await?;
    match table::fit(name, target.header, &columns, *routed) {
        Ok(Fit { missing, widened }) if missing.is_empty() => Ok(Open { columns, widened }),
        _ => Err(Error::Changed),
    }
}

/// A statement whose names went through [`crate::table::identifier`].
async fn execute(connection: &mut PgConnection, statement: String) -> Result<u64, sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(|done| done.rows_affected())
}
