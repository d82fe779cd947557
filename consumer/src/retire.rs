//! `retire`: a job's table, mode and key are forgotten, and its next result settles them anew. Nothing
//! that was loaded is lost: a table of its own is kept under another name, a shared one stays as it is.

use std::fmt;

use chrono::{DateTime, Utc};
use nightdrop_schema::{Job, Producer};
use sqlx::{AssertSqlSafe, PgTransaction};

use crate::catalog;
use crate::columns;
use crate::ledger::life::{self, Backlog, Life};
use crate::pool::{Pool, limited};
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::table::{self, Name};

/// How long a load of the job that is under way is waited for.
const LOADS: &str = "SET LOCAL lock_timeout = '10s'";

/// How long those who read the table are waited for, and others wait behind us.
const READERS: &str = "SET LOCAL lock_timeout = '2s'";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    producer: Producer,
    job: Job,
    table: Table,
    backlog: Backlog,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Table {
    /// The job had none; where its earlier life's rows are, if it had one.
    None(Option<(Name, DateTime<Utc>)>),
    /// It is called otherwise now.
    Kept { was: Name, is: Name },
    /// Others' rows are in it too.
    Shared(Name),
    /// It was there no more.
    Gone(Name),
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A load of the job is under way, and takes long.
    #[error(
        "a result of {0}/{1} is being loaded just now; nothing was changed: try again when it is done"
    )]
    Loading(Producer, Job),
    /// Somebody reads the table, and takes long.
    #[error(
        "somebody has {0} in use, and it can't be renamed; nothing was changed: try again, or end their session (pg_stat_activity shows it)"
    )]
    InUse(Name),
    /// It was retired and settled again while we looked.
    #[error("{0}/{1} was settled anew just now; nothing was changed: look again")]
    Moved(Producer, Job),
    /// Postgres refuses, or is away.
    #[error("retiring: {}", sqlstate::sentence(.0))]
    Postgres(#[from] sqlx::Error),
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Loading(..) | Self::InUse(_) | Self::Moved(..) => Remedy::Retry,
            Self::Postgres(error) => sqlstate::remedy(error).for_everyone(),
        }
    }
}

/// Retires a job. Safe to repeat: a job that has no table stays as it is.
///
/// # Errors
/// When a load of the job or a reader of its table can't be waited for, or Postgres refuses: nothing is
/// changed then.
pub async fn retire(pool: &Pool, producer: &Producer, job: &Job) -> Result<Retired, Error> {
    let table = limited(async {
        let mut transaction = pool.begin().await?;
        let table = steps(&mut transaction, producer, job).await?;
        transaction.commit().await?;
        Ok::<_, Error>(table)
    })
    .await?;
    Ok(Retired {
        producer: producer.clone(),
        job: job.clone(),
        table,
        backlog: life::backlog(pool, producer, job).await?,
    })
}

async fn steps(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
) -> Result<Table, Error> {
    run(transaction, LOADS).await?;
    life::forget_failures(transaction, producer, job).await?;
    let Some(Life { name, .. }) = life::find(transaction, producer, job).await? else {
        return Ok(Table::None(life::last(transaction, producer, job).await?));
    };
    let loading = |error: sqlx::Error| match error {
        error if sqlstate::is_locked_out(&error) => Error::Loading(producer.clone(), job.clone()),
        error => error.into(),
    };
    // The same locks in the same order as whoever settles a job: the table, then the job.
    catalog::lock(transaction, &name).await.map_err(loading)?;
    let life = life::lock(transaction, producer, job)
        .await
        .map_err(loading)?;
    let Some(life) = life.filter(|life| life.name == name) else {
        return Err(Error::Moved(producer.clone(), job.clone()));
    };
    let shared = life.routed || life.others;
    let there = catalog::find(transaction, &name).await?.there;
    let table = match (shared, there) {
        (true, _) => Table::Shared(name.clone()),
        (false, false) => Table::Gone(name.clone()),
        (false, true) => {
            let is = Name {
                table: table::retired(&name.table, life.now),
                ..name.clone()
            };
            run(transaction, READERS).await?;
            for statement in table::retire(&name, &is, &kept(producer, job, life.now)) {
                run(transaction, &statement)
                    .await
                    .map_err(|error| match error {
                        error if sqlstate::is_locked_out(&error) => Error::InUse(name.clone()),
                        error => error.into(),
                    })?;
            }
            Table::Kept {
                was: name.clone(),
                is,
            }
        }
    };
    let now_called = match &table {
        Table::Kept { is, .. } => is,
        Table::None(_) | Table::Shared(_) | Table::Gone(_) => &name,
    };
    life::end(transaction, producer, job, now_called).await?;
    if !shared {
        life::forget_table(transaction, &name).await?;
    }
    Ok(table)
}

/// What the kept table says of itself.
fn kept(producer: &Producer, job: &Job, now: DateTime<Utc>) -> String {
    format!(
        "Results of the job {job} of {producer} up to {}, kept when it was retired. Nightdrop writes here no more.",
        columns::at(now)
    )
}

/// A statement whose names went through [`table::identifier`].
async fn run(transaction: &mut PgTransaction<'_>, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut **transaction)
        .await
        .map(drop)
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            producer,
            job,
            table,
            backlog,
        } = self;
        match table {
            Table::None(None) => writeln!(
                f,
                "{producer}/{job} has no table: nothing of it was ever loaded"
            )?,
            Table::None(Some((name, since))) => writeln!(
                f,
                "{producer}/{job} is retired already, since {}; what was loaded before is in {name}",
                columns::at(*since)
            )?,
            Table::Kept { was, is } => writeln!(
                f,
                "{producer}/{job} is retired: its table {was} is called {is} now, and is written no more (views of it show it still)"
            )?,
            Table::Shared(name) => writeln!(
                f,
                "{producer}/{job} is retired: {name} is not its own and stays as it is, with the rows of {producer}; if they are to go: DELETE FROM {} WHERE _producer = '{producer}'",
                name.quoted()
            )?,
            Table::Gone(name) => writeln!(
                f,
                "{producer}/{job} is retired: its table {name} was gone already"
            )?,
        }
        f.write_str("its next result settles table, mode and key anew")?;
        match backlog.waiting {
            0 => {}
            1 => f.write_str("; one waits, and will be it")?,
            waiting => write!(f, "; {waiting} wait, and the oldest will be it")?,
        }
        if backlog.parked + backlog.held > 0 {
            write!(
                f,
                "\n{} parked, {} held: `nightdrop-consumer parked retry --producer {producer} --job {job}` has them loaded by what is settled then",
                backlog.parked, backlog.held
            )?;
            if let Table::Shared(name) = table {
                write!(
                    f,
                    "; a `replace` among them takes the place of rows that stay in {name}, though these be newer: look at each first (`parked list`)"
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retired(table: Table, backlog: Backlog) -> String {
        Retired {
            producer: "jfk".parse().unwrap(),
            job: "departures".parse().unwrap(),
            table,
            backlog,
        }
        .to_string()
    }

    #[test]
    fn it_says_what_it_did_and_what_comes_next() {
        let name: Name = "jfk.departures".parse().unwrap();
        let kept = Table::Kept {
            was: name.clone(),
            is: "jfk.departures_retired_20261121t010203".parse().unwrap(),
        };
        let backlog = Backlog {
            waiting: 2,
            parked: 3,
            held: 0,
        };
        insta::assert_snapshot!(retired(kept, backlog), @r"
        jfk/departures is retired: its table jfk.departures is called jfk.departures_retired_20261121t010203 now, and is written no more (views of it show it still)
        its next result settles table, mode and key anew; 2 wait, and the oldest will be it
        3 parked, 0 held: `nightdrop-consumer parked retry --producer jfk --job departures` has them loaded by what is settled then
        ");
        let shared = retired(Table::Shared(name.clone()), backlog);
        insta::assert_snapshot!(shared.lines().last().unwrap(), @"3 parked, 0 held: `nightdrop-consumer parked retry --producer jfk --job departures` has them loaded by what is settled then; a `replace` among them takes the place of rows that stay in jfk.departures, though these be newer: look at each first (`parked list`)");
        insta::assert_snapshot!(retired(Table::Shared(name), Backlog::default()), @r#"
        jfk/departures is retired: jfk.departures is not its own and stays as it is, with the rows of jfk; if they are to go: DELETE FROM "jfk"."departures" WHERE _producer = 'jfk'
        its next result settles table, mode and key anew
        "#);
    }
}
