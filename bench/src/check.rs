//! What a contender loaded against what was dropped, in SQL.

use anyhow::{Context as _, Result};
use nightdrop_compose::Database;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::table::{Column, Table};

/// Where all contenders load to.
pub const TABLE: &str = "reports.departures";

/// How many rows, and sums over hashes of what is in them. No order changes them, and a row that is there twice does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Rows.
    rows: i64,
    /// Of the rows as wholes, then of each column.
    sums: Vec<Sum>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    hashes: String,
    nulls: i64,
}

/// A connection whose time zone is not UTC: an instant that lost its zone on the way is another one here.
///
/// # Errors
/// When Postgres doesn't let us in.
pub async fn connect(database: &Database) -> Result<PgConnection> {
    let options: PgConnectOptions = database.with_password().parse()?;
    let options = options.options([("TimeZone", "America/New_York")]);
    Ok(PgConnection::connect_with(&options).await?)
}

/// What is in a table. A cell whose column has another type than it should is brought to that by its text.
///
/// # Errors
/// When the table isn't there, or a cell is not of its type.
pub async fn content(
    connection: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<Content> {
    let cells = cells(connection, table, columns).await?;
    let mut lists = vec![cells.join(", ")];
    lists.extend(cells);
    sums(connection, table, &lists).await
}

/// What is wrong with a table that should have `expected` in it, if anything.
///
/// # Errors
/// As [`content`].
pub async fn difference(
    connection: &mut PgConnection,
    table: &str,
    columns: &[Column],
    expected: &Content,
) -> Result<Option<String>> {
    let whole = [cells(connection, table, columns).await?.join(", ")];
    let found = sums(connection, table, &whole).await?;
    if expected.rows != found.rows {
        return Ok(Some(format!("{} rows of {}", found.rows, expected.rows)));
    }
    if expected.sums[0] == found.sums[0] {
        return Ok(None);
    }
    let found = content(connection, table, columns).await?;
    let sums = expected.sums.iter().zip(&found.sums).skip(1);
    let wrong: Vec<String> = columns
        .iter()
        .zip(sums)
        .filter(|(_, (expected, found))| expected != found)
        .map(
            |(column, (expected, found))| match (expected.nulls, found.nulls) {
                (expected, found) if expected == found => column.name.to_owned(),
                (expected, found) => format!("{} ({found} nulls, not {expected})", column.name),
            },
        )
        .collect();
    Ok(Some(if wrong.is_empty() {
        "values in other rows".to_owned()
    } else {
        format!("other values in {}", wrong.join(", "))
    }))
}

/// The columns of `table`, each as an expression of the type that it should have.
async fn cells(
    connection: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<Vec<String>> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let types: Vec<&str> = columns.iter().map(|column| column.ty.postgres()).collect();
    let right: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest($2::text[], $3::text[]) should (name, ty)
         JOIN pg_attribute ON attname = name AND atttypid = ty::regtype AND attrelid = $1::text::regclass",
    )
    .bind(table)
    .bind(names)
    .bind(types)
    .fetch_all(connection)
    .await?;
    let cell = |column: &Column| {
        let (name, ty) = (column.name, column.ty.postgres());
        if right.iter().any(|right| right == name) {
            format!("\"{name}\"")
        } else {
            format!("\"{name}\"::text::{ty}")
        }
    };
    Ok(columns.iter().map(cell).collect())
}

async fn sums(connection: &mut PgConnection, table: &str, lists: &[String]) -> Result<Content> {
    let sums: Vec<String> = lists
        .iter()
        .map(|list| {
            format!(
                "coalesce(sum(hash_record_extended(ROW({list}), 0)::numeric), 0)::text,
                 count(*) FILTER (WHERE ROW({list}) IS NULL)"
            )
        })
        .collect();
    let query = format!("SELECT count(*), {} FROM {table}", sums.join(", "));
    let row = sqlx::query(AssertSqlSafe(query))
        .fetch_one(connection)
        .await?;
    let sum = |place: usize| {
        Ok(Sum {
            hashes: row.try_get(2 * place + 1)?,
            nulls: row.try_get(2 * place + 2)?,
        })
    };
    Ok(Content {
        rows: row.try_get(0)?,
        sums: (0..lists.len()).map(sum).collect::<Result<_>>()?,
    })
}

/// Makes the table with its schema.
///
/// # Errors
/// When Postgres refuses.
pub async fn create(connection: &mut PgConnection, name: &str, table: &Table) -> Result<()> {
    let schema = name.split('.').next().unwrap_or_default();
    let statements = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {name} ({})",
        table.definition()
    );
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await?;
    Ok(())
}

/// Copies a CSV into a table.
///
/// # Errors
/// When Postgres refuses.
pub async fn copy(
    connection: &mut PgConnection,
    name: &str,
    table: &Table,
    csv: &[u8],
) -> Result<()> {
    let statement = format!("COPY {name} ({}) FROM STDIN (FORMAT csv)", table.names());
    let mut copy = connection.copy_in_raw(&statement).await?;
    for part in csv.chunks(1 << 20) {
        copy.send(part).await?;
    }
    copy.finish()
        .await
        .with_context(|| format!("COPY {name}"))?;
    Ok(())
}
