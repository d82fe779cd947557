//! A table's columns, and the index that an upsert rests on: looked at, and made fit for a result.

use nightdrop_schema::Column;
use sqlx::PgTransaction;

use super::{Error, Settlement};
use crate::catalog::{self, Columns};
use crate::ledger::reason::{Cause, Reason};
use crate::table::{self, Name};

impl Settlement<'_> {
    /// The table's own columns, once they are of this result's types if nothing stands against that.
    pub(super) async fn columns(
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

    pub(super) fn too_many_columns(&self, name: &Name, missing: usize) -> Reason {
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
    pub(super) async fn extend(
        &self,
        transaction: &mut PgTransaction<'_>,
        name: &Name,
        missing: &[&Column],
    ) -> Result<(), Error> {
        let statements = table::add(name, missing).join("; ");
        self.execute_all(transaction, &format!("{statements}; COMMIT AND CHAIN"))
            .await
    }

    /// An upsert rests on a unique index over exactly the producer and the key.
    pub(super) async fn check_unique(
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
}
