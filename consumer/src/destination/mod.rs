//! Finds or makes the table that a result goes to, in a short transaction of its own before the load,
//! under an advisory lock on the table, and never waiting long for anyone who reads it.
//! `known.rs` reads and writes what the ledger says of the job, `make.rs` finds or makes the table, and
//! `columns.rs` makes it fit.

mod columns;
mod known;
mod make;

use nightdrop_schema::{Header, Job, Mode, Producer};
use sqlx::{AssertSqlSafe, PgTransaction};

use crate::catalog;
use crate::config::{Config, Quota, Route};
use crate::failpoint::failpoint;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::ledger::{job, shape};
use crate::pool::{LIMIT, Pool, no_answer};
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::table::{self, Name};
use known::Known;
use make::Made;

/// The table that a job's results go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub name: Name,
    /// Named by a route: its columns are its owner's.
    pub routed: bool,
    /// The job's life that this was settled for: a load for another one loads nothing.
    pub life: i64,
}

/// Why a result has no table to go to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This result can't go there: its file is parked, or held where a quota keeps it out.
    #[error("{}", .0.sentence)]
    Unfit(Reason),
    /// It differs from the job's first result, which is about to be loaded: that one's verdict tells.
    #[error("the first result of {0}/{1} is still to be loaded")]
    NotYet(Producer, Job),
    /// Nothing of this job can go there until a person has looked: the job rests.
    #[error("{0}")]
    Blocked(String),
    /// Postgres refused a statement, or is away.
    #[error("table for {producer}/{job}: {}", sqlstate::sentence(.source))]
    Postgres {
        /// Whose.
        producer: Producer,
        /// Which job's.
        job: Job,
        /// What Postgres says.
        source: sqlx::Error,
    },
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unfit(reason) if reason.cause.state() == State::Held => Remedy::Hold,
            Self::Unfit(_) => Remedy::Park,
            Self::NotYet(..) => Remedy::Retry,
            Self::Blocked(_) => Remedy::Pause,
            // Somebody reads or changes the table, or a look at it takes too long: that is no reason for
            // other jobs to wait.
            Self::Postgres { source, .. }
                if sqlstate::is_locked_out(source) || sqlstate::is_cancelled(source) =>
            {
                Remedy::Pause
            }
            // No row is at fault where none was written: what looks like data (an event trigger that raises,
            // a column's name that the database has no letters for, a schema that a person makes at the same
            // time) stands against this table, and against no other.
            Self::Postgres { source, .. } => match sqlstate::remedy(source) {
                Remedy::Park => Remedy::Pause,
                other => other,
            },
        }
    }
}

/// Finds the table of this producer's job and makes it fit for this result: made if there is none,
/// extended if it lacks columns and is the producer's own. As long as nothing of the job was ever loaded,
/// its mode, its key and its columns' types are those of the last result that came, unless one before it
/// is `pending`.
///
/// # Errors
/// When the result doesn't fit its table, the table isn't ours, or Postgres refuses.
pub async fn settle(
    pool: &Pool,
    producer: &Producer,
    job: &Job,
    header: &Header,
    pending: bool,
    config: &Config,
) -> Result<Destination, Error> {
    let settlement = Settlement {
        producer,
        job,
        header,
        pending,
        routes: &config.routes,
        quota: &config.quota,
    };
    // Each statement is short, and waits for no lock for long.
    tokio::time::timeout(LIMIT, settlement.run(pool))
        .await
        .unwrap_or_else(|_| Err(settlement.postgres(no_answer(LIMIT))))
}

struct Settlement<'a> {
    producer: &'a Producer,
    job: &'a Job,
    header: &'a Header,
    pending: bool,
    routes: &'a [Route],
    quota: &'a Quota,
}

impl Settlement<'_> {
    async fn run(&self, pool: &Pool) -> Result<Destination, Error> {
        let mut transaction = pool.begin().await.map_err(|source| self.postgres(source))?;
        let destination = self.steps(&mut transaction).await?;
        failpoint("table: settled");
        transaction
            .commit()
            .await
            .map_err(|source| self.postgres(source))?;
        failpoint("table: committed");
        Ok(destination)
    }

    async fn steps(&self, transaction: &mut PgTransaction<'_>) -> Result<Destination, Error> {
        self.execute(transaction, "SET LOCAL lock_timeout = '2s'")
            .await?;
        let (name, mut known) = self.lock(transaction).await?;
        if let Some(before) = &known
            && let Err(reason) = self.same_as_before(before)
        {
            if !self.is_unused(transaction, &name).await? {
                return Err(Error::Unfit(reason));
            }
            // What was parked and never loaded says nothing of what comes after it.
            job::forget(transaction, self.producer, self.job)
                .await
                .map_err(|source| self.postgres(source))?;
            known = None;
        }
        let Made { routed, new } = self
            .find_or_make(transaction, &name, known.as_ref())
            .await?;
        let columns = self.columns(transaction, &name, routed).await?;
        let fit = table::fit(&name, self.header, &columns, routed).map_err(Error::Unfit)?;
        if !new && fit.missing.len() > self.quota.new_columns as usize {
            return Err(Error::Unfit(
                self.too_many_columns(&name, fit.missing.len()),
            ));
        }
        if matches!(self.header.mode, Mode::Upsert { .. }) {
            self.check_unique(transaction, &name, routed).await?;
        }
        let life = match known {
            Some(known) => known.life,
            None => self.write_down(transaction, &name).await?,
        };
        shape::write_down(transaction, self.producer, self.job, self.header)
            .await
            .map_err(|source| self.postgres(source))?;
        if !fit.missing.is_empty() {
            self.extend(transaction, &name, &fit.missing).await?;
        }
        Ok(Destination { name, routed, life })
    }

    /// Whether no result of this job was ever loaded, so that its table is as a parked file left it.
    async fn is_unused(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
    ) -> Result<bool, Error> {
        let loaded = job::has_loaded(transaction, self.producer, self.job)
            .await
            .map_err(|source| self.postgres(source))?;
        if loaded {
            return Ok(false);
        }
        // The history is not kept for ever.
        let rows = catalog::has_rows_of(transaction, name, self.producer.as_str())
            .await
            .map_err(|source| self.postgres(source))?;
        if self.pending && !rows {
            return Err(Error::NotYet(self.producer.clone(), self.job.clone()));
        }
        Ok(!rows)
    }

    /// Locks the table that the job goes to, and gives what the ledger says of the job from then on.
    async fn lock(
        &self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<(Name, Option<Known>), Error> {
        let mut name = self.name(self.known(transaction).await?.as_ref());
        loop {
            catalog::lock(transaction, &name)
                .await
                .map_err(|source| self.postgres(source))?;
            // While we waited another consumer may have settled it, or a person retired it.
            let known = self.known(transaction).await?;
            let now = self.name(known.as_ref());
            if now == name {
                return Ok((name, known));
            }
            name = now;
        }
    }

    fn name(&self, known: Option<&Known>) -> Name {
        match known {
            Some(known) => known.name.clone(),
            None => self
                .routed()
                .unwrap_or_else(|| Name::of(self.producer, self.job)),
        }
    }

    fn routed(&self) -> Option<Name> {
        let route = self
            .routes
            .iter()
            .find(|route| route.takes(self.producer, self.job))?;
        Some(route.table.clone())
    }

    /// Runs a statement whose names went through [`table::identifier`].
    async fn execute(
        &self,
        transaction: &mut PgTransaction<'_>,
        statement: &str,
    ) -> Result<(), Error> {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&mut **transaction)
            .await
            .map(drop)
            .map_err(|source| self.refused(source))
    }

    /// The same with several statements in one message.
    async fn execute_all(
        &self,
        transaction: &mut PgTransaction<'_>,
        statements: &str,
    ) -> Result<(), Error> {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut **transaction)
            .await
            .map(drop)
            .map_err(|source| self.refused(source))
    }

    fn refused(&self, source: sqlx::Error) -> Error {
        if sqlstate::is_beyond_limits(&source) {
            return Error::Unfit(Reason::new(
                Cause::TooWide,
                format!(
                    "Postgres has no room for this result in its table: {}",
                    sqlstate::sentence(&source)
                ),
            ));
        }
        self.postgres(source)
    }

    fn postgres(&self, source: sqlx::Error) -> Error {
        Error::Postgres {
            producer: self.producer.clone(),
            job: self.job.clone(),
            source,
        }
    }
}
