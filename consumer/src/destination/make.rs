//! Finds the table that a job's results go to, or makes it.

use sqlx::PgTransaction;

use super::known::Known;
use super::{Error, Settlement};
use crate::catalog;
use crate::ledger::job;
use crate::ledger::reason::{Cause, Reason};
use crate::table::{self, Name};

/// A table that results can go to.
pub(super) struct Made {
    /// Whether it is a route's.
    pub(super) routed: bool,
    /// Whether it was made just now.
    pub(super) new: bool,
}

impl Settlement<'_> {
    pub(super) async fn find_or_make(
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
}
