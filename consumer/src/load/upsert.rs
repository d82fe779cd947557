//! `upsert`: row by row, a row yields only to a later row of the same key.

use nightdrop_schema::{Header, Mode};
use sqlx::{AssertSqlSafe, PgTransaction, Row};

use super::{Rows, Target, copy, execute};
use crate::catalog::Columns;
use crate::failpoint::failpoint;
use crate::ledger::reason::{Cause, Reason};
use crate::table;

/// Loads rows of any number of files with one header, through a stage. Their job is locked, and their
/// table is kept as it is: `there` names all of its columns, those too that another consumer has added
/// since this one settled it.
///
/// Gives the files in which a key comes more than once: none of their rows is loaded.
pub(super) async fn load(
    transaction: &mut PgTransaction<'_>,
    target: Target<'_>,
    there: &Columns,
    rows: Rows<'_>,
) -> Result<Vec<i64>, copy::Error> {
    let Mode::Upsert { primary_key } = &target.header.mode else {
        return Ok(Vec::new());
    };
    let name = target.destination.name.quoted();
    let columns = table::copy_columns(target.header);
    let key = table::identifiers(primary_key.iter().map(AsRef::as_ref));
    let conflict = table::conflict_target(primary_key.iter().map(AsRef::as_ref));

    execute(
        transaction,
        format!("CREATE TEMP TABLE nightdrop_stage ON COMMIT DROP AS SELECT {columns} FROM {name} WITH NO DATA"),
    )
    .await?;
    copy::copy(
        transaction,
        "pg_temp.nightdrop_stage",
        &columns,
        rows,
        target.watch,
    )
    .await?;
    let repeated = sqlx::query(AssertSqlSafe(format!(
        "SELECT DISTINCT _file FROM (SELECT _file FROM pg_temp.nightdrop_stage GROUP BY _file, {key} HAVING count(*) > 1) r"
    )))
    .fetch_all(&mut **transaction)
    .await?
    .iter()
    .map(|row| row.try_get(0))
    .collect::<Result<Vec<i64>, _>>()?;

    let set = updates(target, there).join(", ");
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO {name} AS t ({columns})
         SELECT DISTINCT ON ({key}) {columns} FROM pg_temp.nightdrop_stage
         WHERE _file <> ALL ($1) ORDER BY {key}, _as_of DESC, _file DESC
         ON CONFLICT ({conflict}) DO UPDATE SET {set}
         WHERE (t._as_of, t._file) < (excluded._as_of, excluded._file)"
    )))
    .bind(&repeated)
    .execute(&mut **transaction)
    .await?;
    failpoint("upsert: merged");
    execute(transaction, "DROP TABLE pg_temp.nightdrop_stage".to_owned()).await?;
    Ok(repeated)
}

/// A later row takes the place of an earlier one whole: a column that this result has lost becomes
/// null. Where the table is a route's, columns that we don't know are its owner's and stay.
fn updates(target: Target<'_>, there: &Columns) -> Vec<String> {
    let service = table::SERVICE.iter().map(|(name, _)| *name);
    let own = target
        .header
        .columns
        .iter()
        .map(|column| column.name.as_str());
    let taken: Vec<&str> = service.chain(own).collect();
    let lost = there
        .keys()
        .filter(|known| !target.destination.routed && !taken.contains(&known.as_str()))
        .map(|column| format!("{} = NULL", table::identifier(column)));
    let set = |column: &&str| {
        let column = table::identifier(column);
        format!("{column} = excluded.{column}")
    };
    taken.iter().map(set).chain(lost).collect()
}

/// The sentence for a file in which a key comes more than once.
pub(super) fn repeated_key(header: &Header) -> Reason {
    let key = match &header.mode {
        Mode::Upsert { primary_key } => primary_key
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>()
            .join(", "),
        Mode::Append | Mode::Replace { .. } => String::new(),
    };
    Reason::new(
        Cause::RepeatedKey,
        format!(
            "two rows have the same primary_key ({key}); which one counts can't be told: make the query give one row a key"
        ),
    )
}
