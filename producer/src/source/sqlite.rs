//! SQLite: a file, opened read-only, read in one deferred transaction.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::TryStreamExt;
use nightdrop_schema::{Type, Value};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr,
    Sqlite, SqliteConnection, Statement, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteColumn, SqliteConnectOptions, SqliteRow},
};
use url::Url;

use super::{
    Error, Limits, Opening, Query, Sink, Unfit, breathe, described, instant, refused,
    sqlite_types::{Scratch, Stored, mapped},
    was_cut,
};
use crate::parameters::{Parameter, Placeholder};

/// How many virtual machine instructions SQLite runs between two looks at the stop flag: well under
/// a millisecond's worth.
const INSTRUCTIONS: i32 = 10_000;

pub(super) async fn run(
    url: &Url,
    query: &Query,
    sink: &mut impl Sink,
    limits: &Limits<'_>,
) -> Result<(), crate::Error> {
    let options = SqliteConnectOptions::from_str(url.as_str())
        .map_err(|why| Error::Settings(format!("the SQLite URL is wrong: {why}")))?
        .read_only(true)
        .create_if_missing(false)
        // Its log lines hold the statement, and a statement may hold a person's data.
        .disable_statement_logging();
    let cut = Arc::new(AtomicBool::new(false));
    let mut connection = limits.bound(connect(&options, Arc::clone(&cut))).await?;
    let outcome = limits.bound(stream(&mut connection, query, sink)).await;
    if outcome.as_ref().is_err_and(was_cut) {
        cut.store(true, Ordering::Relaxed);
    }
    // Waits until SQLite's thread is done with the query.
    let _ = connection.close().await;
    outcome
}

async fn connect(
    options: &SqliteConnectOptions,
    cut: Arc<AtomicBool>,
) -> Result<SqliteConnection, crate::Error> {
    let mut connection = options.connect().await.map_err(judged)?;
    connection
        .lock_handle()
        .await
        .map_err(judged)?
        .set_progress_handler(INSTRUCTIONS, move || !cut.load(Ordering::Relaxed));
    Ok(connection)
}

async fn stream(
    connection: &mut SqliteConnection,
    query: &Query,
    sink: &mut impl Sink,
) -> Result<(), crate::Error> {
    let clock = sqlx::query("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
        .fetch_one(&mut *connection)
        .await
        .map_err(judged)?;
    let as_of = instant(&clock.try_get_unchecked::<String, _>(0).map_err(judged)?)?;
    // Deferred: the first read takes the snapshot, and all that follow see it.
    sqlx::query("BEGIN DEFERRED")
        .execute(&mut *connection)
        .await
        .map_err(judged)?;

    let sql = || AssertSqlSafe(query.sql.clone()).into_sql_str();
    let statement = (&mut *connection).prepare(sql()).await.map_err(judged)?;
    let found: Vec<(String, Declared)> = declared(connection, statement.columns()).await?;
    if found.is_empty() {
        return Err(Error::Refused("it returns no rows; write a SELECT".to_owned()).into());
    }
    let asked = if query.is_window() {
        // A column without a declared type is not looked into: `types` says what it is.
        let types = found.iter().map(|(name, declared)| {
            (
                name.clone(),
                declared.ty.unwrap_or(Type::String),
                String::new(),
            )
        });
        query.asked(as_of, &described(types, &query.types)?)?
    } else {
        query.asked(as_of, &[])?
    };
    let bound = || arguments(&query.parameters, &asked.parameters);
    let types = undeclared(connection, query, &found, bound()?).await?;
    let columns = described(
        found
            .into_iter()
            .zip(types)
            .map(|((name, declared), ty)| (name, ty, declared.name)),
        &query.types,
    )?;
    sink.begin(&Opening {
        as_of,
        columns: &columns,
        parameters: &asked.parameters,
        interval: asked.interval.as_ref(),
        others_seen: query.since().map(|_| false),
    })?;

    #[expect(
        deprecated,
        reason = "`fetch` does not show where one statement ends and the next begins"
    )]
    let mut steps = sqlx::query_with(sql(), bound()?).fetch_many(connection);
    let mut row_number = 0;
    let mut ended = false;
    while let Some(step) = steps.try_next().await.map_err(judged)? {
        let sqlx::Either::Right(row) = step else {
            ended = true;
            continue;
        };
        if ended {
            // sqlx would run all that stand in the text, one after the other.
            return Err(
                Error::Refused("it has more than one statement; write one".to_owned()).into(),
            );
        }
        row_number += 1;
        breathe().await;
        for (index, column) in columns.iter().enumerate() {
            let mut scratch = Scratch::default();
            let value = cell(&row, index)
                .and_then(|stored| stored.read(column.column.ty, &mut scratch))
                .map_err(|unfit| refused(row_number, column, unfit))?;
            sink.value(value)?;
        }
    }
    Ok(())
}

/// What a column was declared as, in the table that it comes from.
struct Declared {
    /// For people.
    name: String,
    /// None of an expression, and of a column without a type.
    ty: Option<Type>,
}

/// Looks the declared types up: sqlx knows some of them only, and a `DECIMAL(10,2)` is none of those.
async fn declared(
    connection: &mut SqliteConnection,
    columns: &[SqliteColumn],
) -> Result<Vec<(String, Declared)>, crate::Error> {
    let mut tables: HashMap<String, HashMap<String, String>> = HashMap::new();
    let mut found = Vec::with_capacity(columns.len());
    for column in columns {
        let declared = match column.origin() {
            sqlx::ColumnOrigin::Table(origin) => {
                let table = origin.table.to_string();
                if !tables.contains_key(&table) {
                    tables.insert(table.clone(), table_types(connection, &table).await?);
                }
                // The rowid of a table that does not name it is always an integer.
                tables[&table]
                    .get(&*origin.name)
                    .cloned()
                    .unwrap_or_else(|| "INTEGER".to_owned())
            }
            sqlx::ColumnOrigin::Expression | sqlx::ColumnOrigin::Unknown => String::new(),
        };
        let ty = mapped(&declared);
        let name = if declared.is_empty() {
            "expression".to_owned()
        } else {
            declared.to_lowercase()
        };
        found.push((column.name().to_owned(), Declared { name, ty }));
    }
    Ok(found)
}

async fn table_types(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<HashMap<String, String>, crate::Error> {
    let (schema, name) = table.split_once('.').unwrap_or(("main", table));
    let rows =
        sqlx::query_as::<_, (String, String)>("SELECT name, type FROM pragma_table_xinfo(?1, ?2)")
            .bind(name)
            .bind(schema)
            .fetch_all(connection)
            .await
            .map_err(judged)?;
    Ok(rows.into_iter().collect())
}

/// The type of each column: as declared, and of those without a declaration as the first value that
/// is not null. The query runs twice then, but the second time only until all are known, and in the
/// same snapshot.
async fn undeclared(
    connection: &mut SqliteConnection,
    query: &Query,
    found: &[(String, Declared)],
    arguments: SqliteArguments,
) -> Result<Vec<Type>, crate::Error> {
    let mut types: Vec<Option<Type>> = found
        .iter()
        .map(|(name, declared)| query.types.get(name).copied().or(declared.ty))
        .collect();
    if types.iter().any(Option::is_none) {
        let sql = AssertSqlSafe(query.sql.clone());
        let mut rows = sqlx::query_with(sql, arguments).fetch(connection);
        while types.iter().any(Option::is_none)
            && let Some(row) = rows.try_next().await.map_err(judged)?
        {
            breathe().await;
            for (index, ty) in types.iter_mut().enumerate().filter(|(_, ty)| ty.is_none()) {
                *ty = cell(&row, index).ok().and_then(Stored::travels_as);
            }
        }
    }
    Ok(types
        .into_iter()
        .map(|ty| ty.unwrap_or(Type::String))
        .collect())
}

fn cell(row: &SqliteRow, index: usize) -> Result<Stored<'_>, Unfit> {
    let say = |why: sqlx::Error| why.to_string();
    let raw = row.try_get_raw(index).map_err(say)?;
    // The type that sqlx gives a null is the column's, not the value's.
    if raw.is_null() {
        return Ok(Stored::Null);
    }
    let class = raw.type_info().name().to_owned();
    Ok(match class.as_str() {
        "INTEGER" => Stored::Integer(row.try_get_unchecked(index).map_err(say)?),
        "REAL" => Stored::Real(row.try_get_unchecked(index).map_err(say)?),
        "TEXT" => Stored::Text(
            <&str as Decode<Sqlite>>::decode(raw)
                .map_err(|_| "is TEXT but not UTF-8; CAST it to a BLOB")?,
        ),
        _ => Stored::Blob(<&[u8] as Decode<Sqlite>>::decode(raw).map_err(|why| why.to_string())?),
    })
}

/// Numbers and bytes as such, everything else as text: SQLite has no other classes.
fn arguments(
    placeholders: &[Placeholder],
    parameters: &[Parameter],
) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    for (placeholder, parameter) in placeholders.iter().zip(parameters) {
        let mut scratch = String::new();
        if matches!(placeholder, Placeholder::End(..)) {
            sqlx::Arguments::add(&mut arguments, moment(parameter.text()))
                .map_err(|why| Error::Refused(why.to_string()))?;
            continue;
        }
        let added = match parameter.value(&mut scratch) {
            Value::Bool(flag) => sqlx::Arguments::add(&mut arguments, flag),
            Value::Int64(number) => sqlx::Arguments::add(&mut arguments, number),
            Value::Float64(number) => sqlx::Arguments::add(&mut arguments, number),
            Value::Bytes(bytes) => sqlx::Arguments::add(&mut arguments, bytes.to_vec()),
            Value::Null
            | Value::Decimal(_)
            | Value::String(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp(_)
            | Value::Timestamptz(_)
            | Value::Uuid(_)
            | Value::Json(_) => sqlx::Arguments::add(&mut arguments, parameter.text().to_owned()),
        };
        added.map_err(|why| Error::Refused(why.to_string()))?;
    }
    Ok(arguments)
}

/// `2013-01-31 05:00:00`, as SQLite's own functions write moments, in UTC if it is an instant.
/// Compared as texts, two intervals that meet leave nothing out and share nothing, whatever digits of
/// a second a column has.
fn moment(text: &str) -> String {
    let text = text.trim_end_matches('Z').replace('T', " ");
    text.strip_suffix(".000000")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// By primary result code, the low byte: <https://sqlite.org/rescode.html>
fn judged(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, |code| {
        match code.parse::<u32>().unwrap_or_default() & 0xff {
            // PERM, BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
            3 | 5..=7 | 9..=11 | 13..=15 | 26 => Error::Unreachable,
            _ => Error::Refused,
        }
    })
}
