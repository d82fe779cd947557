//! Finds or makes the table that a result goes to, in a short transaction of its own before the load,
//! under an advisory lock on the table, and never waiting long for anyone who reads it.

use nightdrop_schema::{Column, Header, Job, Mode, Producer};
use sqlx::{AssertSqlSafe, PgTransaction, Row};

use crate::catalog::{self, Columns};
use crate::config::{Config, Quota, Route};
use crate::failpoint::failpoint;
use crate::ledger::job;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::pool::{LIMIT, Pool, no_answer};
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::table::{self, Name};

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
            // Somebody reads or changes the table: that is no reason for other jobs to wait.
            Self::Postgres { source, .. } if sqlstate::is_locked_out(source) => Remedy::Pause,
            // No row is at fault where none was written: what looks like data (a schema made twice at
            // the same time is 23505) is weather here.
            Self::Postgres { source, .. } => match sqlstate::remedy(source) {
                Remedy::Park => Remedy::Retry,
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

/// What the ledger says of a job.
struct Known {
    name: Name,
    mode: String,
    primary_key: Vec<String>,
    life: i64,
}

/// A table that results can go to.
struct Made {
    /// Whether it is a route's.
    routed: bool,
    /// Whether it was made just now.
    new: bool,
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
        if !fit.missing.is_empty() {
            self.extend(transaction, &name, &fit.missing).await?;
        }
        Ok(Destination { name, routed, life })
    }

    /// The table's own columns, once they are of this result's types if nothing stands against that.
    async fn columns(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
        routed: bool,
    ) -> Result<Columns, Error> {
        let mut columns = catalog::columns(transaction, name)
            .await
            .map_err(|source| self.postgres(source))?;
        for (service, ty) in table::SERVICE {
            if columns.remove(service).as_deref() != Some(ty) {
                return Err(Error::Blocked(format!(
                    "{name} has no column {service} of type {ty}, which every report table has; add it: ALTER TABLE {} ADD COLUMN {service} {ty}",
                    name.quoted()
                )));
            }
        }
        if !routed
            && table::fit(name, self.header, &columns, routed).is_err()
            && self.is_unused(transaction, name).await?
        {
            let statement = table::retype(name, self.header, &columns);
            self.execute(transaction, &statement).await?;
            for column in &self.header.columns {
                if let Some(ty) = columns.get_mut(column.name.as_str()) {
                    table::full_name(column.ty).clone_into(ty);
                }
            }
        }
        Ok(columns)
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

    fn too_many_columns(&self, name: &Name, missing: usize) -> Reason {
        Reason::new(
            Cause::QuotaColumns,
            format!(
                "it brings {missing} columns that {name} doesn't have, and one file may add {}; raise [quota] new_columns, or let the query give fewer: it is tried again every hour",
                self.quota.new_columns
            ),
        )
    }

    /// Adds columns, and commits. Everyone who reads the table waits from the first of these statements to
    /// the last, which are therefore one message: nobody waits for us.
    async fn extend(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
        missing: &[&Column],
    ) -> Result<(), Error> {
        let statements = table::add(name, missing).join("; ");
        self.execute_all(transaction, &format!("{statements}; COMMIT AND CHAIN"))
            .await
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

    async fn known(&self, transaction: &mut PgTransaction<'_>) -> Result<Option<Known>, Error> {
        let row = sqlx::query(
            "SELECT table_schema, table_name, mode, primary_key, life FROM nightdrop.job
             WHERE producer = $1 AND job = $2",
        )
        .bind(self.producer.as_str())
        .bind(self.job.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|source| self.postgres(source))?;
        row.map(|row| {
            Ok(Known {
                name: Name {
                    schema: row.try_get(0)?,
                    table: row.try_get(1)?,
                },
                mode: row.try_get(2)?,
                primary_key: row.try_get(3)?,
                life: row.try_get(4)?,
            })
        })
        .transpose()
        .map_err(|source| self.postgres(source))
    }

    /// A job keeps its mode and its key: rows that were loaded by one rule can't be judged by another.
    fn same_as_before(&self, known: &Known) -> Result<(), Reason> {
        let mode = self.header.mode.as_str();
        if known.mode != mode {
            return Err(Reason::new(
                Cause::ChangedMode,
                format!(
                    "mode is {mode} here and {} in every result of {}/{} before; give it its old mode again, or drop it as another job",
                    known.mode, self.producer, self.job,
                ),
            ));
        }
        let key = self.key();
        if known.primary_key != key {
            return Err(Reason::new(
                Cause::ChangedKey,
                format!(
                    "primary_key is ({}) here and ({}) in every result of {}/{} before; give it its old key again, or drop it as another job",
                    key.join(", "),
                    known.primary_key.join(", "),
                    self.producer,
                    self.job,
                ),
            ));
        }
        Ok(())
    }

    /// The columns that tell an upsert's rows apart; none for the other modes.
    fn key(&self) -> Vec<&str> {
        match &self.header.mode {
            Mode::Upsert { primary_key } => primary_key.iter().map(AsRef::as_ref).collect(),
            Mode::Append | Mode::Replace { .. } => Vec::new(),
        }
    }

    fn routed(&self) -> Option<Name> {
        let route = self
            .routes
            .iter()
            .find(|route| route.takes(self.producer, self.job))?;
        Some(route.table.clone())
    }

    async fn find_or_make(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
        known: Option<&Known>,
    ) -> Result<Made, Error> {
        if known.is_none() {
            catalog::lock_schema(transaction, &name.schema)
                .await
                .map_err(|source| self.postgres(source))?;
        }
        let catalog::Found {
            ours,
            schema_there,
            there,
        } = catalog::find(transaction, name)
            .await
            .map_err(|source| self.postgres(source))?;
        let routed = ours.unwrap_or_else(|| self.routed().as_ref() == Some(name));
        match (ours, there) {
            (Some(_), false) => {
                return Err(Error::Blocked(format!(
                    "{name} is gone, to which results were loaded before; bring it back"
                )));
            }
            (None, true) if !routed => {
                return Err(Error::Blocked(format!(
                    "{name} is there already and was not made for these results; rename it, or let it have them by a [[route]] with table = \"{name}\"",
                )));
            }
            _ => {}
        }
        if known.is_none() && !routed {
            self.check_tables(transaction).await?;
        }
        if !there {
            if !schema_there {
                let statement = format!("CREATE SCHEMA {}", table::identifier(&name.schema));
                self.execute(transaction, &statement).await?;
            }
            let origin = if routed {
                format!("Results of the job {}, loaded by Nightdrop.", self.job)
            } else {
                format!(
                    "Results of the job {} of {}, loaded by Nightdrop.",
                    self.job, self.producer
                )
            };
            for statement in table::create(name, self.header, &origin) {
                self.execute(transaction, &statement).await?;
            }
        }
        sqlx::query(
            "INSERT INTO nightdrop.destination (table_schema, table_name, routed) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(&name.schema)
        .bind(&name.table)
        .bind(routed)
        .execute(&mut **transaction)
        .await
        .map_err(|source| self.postgres(source))?;
        Ok(Made {
            routed,
            new: !there,
        })
    }

    /// A producer has so many tables and no more.
    async fn check_tables(&self, transaction: &mut PgTransaction<'_>) -> Result<(), Error> {
        let tables = job::tables(transaction, self.producer)
            .await
            .map_err(|source| self.postgres(source))?;
        if tables < i64::from(self.quota.tables) {
            return Ok(());
        }
        Err(Error::Unfit(Reason::new(
            Cause::QuotaTables,
            format!(
                "{} has {tables} tables, and may have {}; retire a job that is no longer wanted, or raise [quota] tables: this one is loaded then",
                self.producer, self.quota.tables
            ),
        )))
    }

    /// An upsert rests on a unique index over exactly the producer and the key.
    async fn check_unique(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
        routed: bool,
    ) -> Result<(), Error> {
        let key = self.key();
        let columns: Vec<&str> = ["_producer"]
            .into_iter()
            .chain(key.iter().copied())
            .collect();
        let there = catalog::has_unique_index(transaction, name, &columns)
            .await
            .map_err(|source| self.postgres(source))?;
        if there {
            return Ok(());
        }
        if !routed && self.is_unused(transaction, name).await? {
            let statement = table::index(name, &self.header.mode).unwrap_or_default();
            return self.execute(transaction, &statement).await;
        }
        Err(Error::Blocked(format!(
            "{name} has no unique index that tells the rows of an upsert apart; make it: CREATE UNIQUE INDEX ON {} ({})",
            name.quoted(),
            table::conflict_target(key.iter().copied()),
        )))
    }

    /// Gives the life that begins.
    async fn write_down(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
    ) -> Result<i64, Error> {
        let key = self.key();
        let done = sqlx::query(
            "INSERT INTO nightdrop.job (producer, job, table_schema, table_name, mode, primary_key)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING life",
        )
        .bind(self.producer.as_str())
        .bind(self.job.as_str())
        .bind(&name.schema)
        .bind(&name.table)
        .bind(self.header.mode.as_str())
        .bind(&key)
        .fetch_one(&mut **transaction)
        .await
        .and_then(|row| row.try_get(0));
        match done {
            Ok(life) => Ok(life),
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("job_one_a_table") => {
                Err(Error::Blocked(format!(
                    "another job of {} goes to {name} already; a table takes one job of a producer: route {} elsewhere",
                    self.producer, self.job
                )))
            }
            Err(source) => Err(self.postgres(source)),
        }
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
