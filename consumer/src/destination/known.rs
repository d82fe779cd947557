//! What the ledger says of a job: its table, and the rules that its rows are loaded by.

use nightdrop_schema::Mode;
use sqlx::{PgTransaction, Row};

use super::{Error, Settlement};
use crate::ledger::reason::{Cause, Reason};
use crate::table::Name;

/// What the ledger says of a job.
pub(super) struct Known {
    pub(super) name: Name,
    mode: String,
    primary_key: Vec<String>,
    pub(super) life: i64,
}

impl Settlement<'_> {
    pub(super) async fn known(
        &self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<Option<Known>, Error> {
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
    pub(super) fn same_as_before(&self, known: &Known) -> Result<(), Reason> {
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
    pub(super) fn key(&self) -> Vec<&str> {
        match &self.header.mode {
            Mode::Upsert { primary_key } => primary_key.iter().map(AsRef::as_ref).collect(),
            Mode::Append | Mode::Replace { .. } => Vec::new(),
        }
    }

    /// Gives the life that begins.
    pub(super) async fn write_down(
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
}
