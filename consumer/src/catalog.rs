//! What Postgres's catalog says of a report table.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::pool::Pool;
use crate::table::Name;

/// One at a time makes, changes or retires a table. Held until the transaction ends.
///
/// # Errors
/// When another has it for longer than the lock time-out, or Postgres is away.
pub(crate) async fn lock(connection: &mut PgConnection, name: &Name) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended('nightdrop table ' || $1 || '.' || $2, 0))",
    )
    .bind(&name.schema)
    .bind(&name.table)
    .execute(connection)
    .await
    .map(drop)
}

/// One at a time makes a table in a schema, and the schema with the first. Whoever only changes a table,
/// and may have to wait for those who read it, holds up no other table by this. After [`lock`], and until
/// the transaction ends.
///
/// # Errors
/// When another has it for longer than the lock time-out, or Postgres is away.
pub(crate) async fn lock_schema(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('nightdrop schema ' || $1, 0))")
        .bind(schema)
        .execute(connection)
        .await
        .map(drop)
}

/// Whether a table has rows of this producer.
///
/// # Errors
/// When the table is not there or may not be read, or Postgres is away.
pub(crate) async fn has_rows_of(
    connection: &mut PgConnection,
    name: &Name,
    producer: &str,
) -> Result<bool, sqlx::Error> {
    let statement = format!(
        "SELECT EXISTS (SELECT FROM {} WHERE _producer = $1)",
        name.quoted()
    );
    sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(producer)
        .fetch_one(connection)
        .await
}

/// Whether a table is there, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether it is a route's; none if results never went there.
    pub(crate) ours: Option<bool>,
    /// Whether its schema is there.
    pub(crate) schema_there: bool,
    /// Whether anything of its name is there: a table, or a view, or an index.
    pub(crate) there: bool,
}

/// Looks for a table.
///
/// # Errors
/// When Postgres is away.
pub(crate) async fn find(connection: &mut PgConnection, name: &Name) -> Result<Found, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT routed FROM nightdrop.destination d WHERE d.table_schema = $1 AND d.table_name = $2),
                EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = $1 AND c.relname = $2)",
    )
    .bind(&name.schema)
    .bind(&name.table)
    .fetch_one(connection)
    .await?;
    Ok(Found {
        ours: row.try_get(0)?,
        schema_there: row.try_get(1)?,
        there: row.try_get(2)?,
    })
}

/// A table's columns, without generated ones: name to type, as `format_type` writes it, with its
/// precision and length.
pub(crate) type Columns = BTreeMap<String, String>;

const COLUMNS: &str =
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attrelid = ";

/// A table's columns.
///
/// # Errors
/// When the table is not there, or Postgres is away.
pub(crate) async fn columns(
    connection: &mut PgConnection,
    name: &Name,
) -> Result<Columns, sqlx::Error> {
    let statement = format!("{COLUMNS} {}", name.class());
    of_rows(
        &sqlx::raw_sql(AssertSqlSafe(statement))
            .fetch_all(connection)
            .await?,
    )
}

/// A column as a person reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// As `format_type` writes it.
    pub(crate) ty: String,
    pub(crate) description: Option<String>,
}

/// The columns of a job's table in their order, with what they are said to be; none where it has no table. As many as
/// Postgres allows is the most that there can be.
///
/// # Errors
/// When Postgres is away.
pub(crate) async fn described(
    pool: &Pool,
    producer: &str,
    job: &str,
) -> Result<Vec<Described>, sqlx::Error> {
    sqlx::query(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
         FROM nightdrop.job j
         JOIN pg_namespace n ON n.nspname = j.table_schema
         JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = j.table_name
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE j.producer = $1 AND j.job = $2 ORDER BY a.attnum",
    )
    .bind(producer)
    .bind(job)
    .fetch_all(pool)
    .await?
    .iter()
    .map(|row| {
        Ok(Described {
            name: row.try_get(0)?,
            ty: row.try_get(1)?,
            description: row.try_get(2)?,
        })
    })
    .collect()
}

/// A table's columns, which nobody changes from here to the transaction's end; rows can still be read
/// and written by everyone.
///
/// # Errors
/// When the table is not there or may not be written, somebody else has it locked, or Postgres is away.
pub(crate) async fn lock_columns(
    connection: &mut PgConnection,
    name: &Name,
) -> Result<Columns, sqlx::Error> {
    let statement = format!(
        "LOCK TABLE {} IN ROW EXCLUSIVE MODE; {COLUMNS} {}",
        name.quoted(),
        name.class()
    );
    of_rows(
        &sqlx::raw_sql(AssertSqlSafe(statement))
            .fetch_all(connection)
            .await?,
    )
}

fn of_rows(rows: &[PgRow]) -> Result<Columns, sqlx::Error> {
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Whether a unique index is there over exactly these columns, in whatever order, and over all rows.
///
/// # Errors
/// When Postgres is away.
pub(crate) async fn has_unique_index(
    connection: &mut PgConnection,
    name: &Name,
    columns: &[&str],
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "SELECT EXISTS (
             SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
               AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
                    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey))
                 = (SELECT array_agg(w ORDER BY w) FROM unnest($3::text[]) w))",
    )
    .bind(&name.schema)
    .bind(&name.table)
    .bind(columns)
    .fetch_one(connection)
    .await?
    .try_get(0)
}
