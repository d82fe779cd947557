//! SQLite: a file, opened read-only, read in one deferred transaction.
//!
//! By rusqlite, and row by row where SQLite has it: it is a library in this process, and by way of sqlx each value is
//! copied and each row goes from SQLite's thread to ours, which takes three times as long (`bench/`, work P).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use nightdrop_schema::{Type, Value};
use rusqlite::{
    Connection, OpenFlags, Row, Statement,
    types::{Value as Bound, ValueRef},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::{
    Error, Limits, Opening, Query, Sink, Unfit, described, instant, refused,
    sqlite_types::{Scratch, Stored, mapped},
};
use crate::parameters::{Parameter, Placeholder};

/// How many virtual machine instructions SQLite runs between two looks at the stop flag: well under
/// a millisecond's worth.
const INSTRUCTIONS: i32 = 10_000;

/// What a URL may say after its `?`: <https://sqlite.org/uri.html#recognized_query_parameters>
const KNOWN: [&str; 4] = ["cache", "immutable", "mode", "vfs"];

pub(super) fn run(
    url: &Url,
    query: &Query,
    sink: &mut impl Sink,
    limits: &Limits<'_>,
) -> Result<(), crate::Error> {
    let cut = Arc::new(AtomicBool::new(false));
    let _watch = {
        let (cut, stop, deadline) = (Arc::clone(&cut), limits.stop.clone(), limits.deadline);
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            cut.store(true, Ordering::Relaxed);
        }))
    };
    let outcome = tokio::task::block_in_place(|| {
        let connection = open(url, Arc::clone(&cut))?;
        read(&connection, query, sink)
    });
    match outcome {
        Err(crate::Error::Source(Error::Unreachable(_))) if cut.load(Ordering::Relaxed) => {
            Err(limits.over().into())
        }
        outcome => outcome,
    }
}

fn open(url: &Url, cut: Arc<AtomicBool>) -> Result<Connection, Error> {
    let wrong = |why: String| Error::Settings(format!("the SQLite URL is wrong: {why}"));
    if let Some((key, _)) = url.query_pairs().find(|(key, _)| !KNOWN.contains(&&**key)) {
        return Err(wrong(format!("{key:?} is none of {}", KNOWN.join(", "))));
    }
    // SQLite reads such a URI itself, from `file:` on: <https://sqlite.org/uri.html>
    let file = url.as_str().strip_prefix("sqlite:").unwrap_or_default();
    let uri = format!("file:{}", file.strip_prefix("//").unwrap_or(file));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(judged)?;
    connection
        .progress_handler(INSTRUCTIONS, Some(move || cut.load(Ordering::Relaxed)))
        .map_err(judged)?;
    Ok(connection)
}

fn read(connection: &Connection, query: &Query, sink: &mut impl Sink) -> Result<(), crate::Error> {
    let clock: String = connection
        .query_row("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')", [], |row| {
            row.get(0)
        })
        .map_err(judged)?;
    let as_of = instant(&clock)?;
    // Deferred: the first read takes the snapshot, and all that follow see it.
    connection.execute_batch("BEGIN DEFERRED").map_err(judged)?;

    let mut statement = connection.prepare(&query.sql).map_err(judged)?;
    let found: Vec<(String, Declared)> = declared(&statement);
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
    let bound = arguments(&query.parameters, &asked.parameters);
    let types = undeclared(&mut statement, query, &found, &bound)?;
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

    let mut rows = statement
        .query(rusqlite::params_from_iter(&bound))
        .map_err(judged)?;
    let mut row_number = 0;
    while let Some(row) = rows.next().map_err(judged)? {
        row_number += 1;
        for (index, column) in columns.iter().enumerate() {
            let mut scratch = Scratch::default();
            let value = cell(row, index)
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

fn declared(statement: &Statement<'_>) -> Vec<(String, Declared)> {
    let columns = statement.columns();
    columns
        .iter()
        .map(|column| {
            let declared = column.decl_type().unwrap_or_default();
            let name = if declared.is_empty() {
                "expression".to_owned()
            } else {
                declared.to_lowercase()
            };
            let ty = mapped(declared);
            (column.name().to_owned(), Declared { name, ty })
        })
        .collect()
}

/// The type of each column: as declared, and of those without a declaration as the first value that
/// is not null. The query runs twice then, but the second time only until all are known, and in the
/// same snapshot.
fn undeclared(
    statement: &mut Statement<'_>,
    query: &Query,
    found: &[(String, Declared)],
    bound: &[Bound],
) -> Result<Vec<Type>, crate::Error> {
    let mut types: Vec<Option<Type>> = found
        .iter()
        .map(|(name, declared)| query.types.get(name).copied().or(declared.ty))
        .collect();
    if types.iter().any(Option::is_none) {
        let mut rows = statement
            .query(rusqlite::params_from_iter(bound))
            .map_err(judged)?;
        while types.iter().any(Option::is_none)
            && let Some(row) = rows.next().map_err(judged)?
        {
            for (index, ty) in types.iter_mut().enumerate().filter(|(_, ty)| ty.is_none()) {
                *ty = cell(row, index).ok().and_then(Stored::travels_as);
            }
        }
    }
    Ok(types
        .into_iter()
        .map(|ty| ty.unwrap_or(Type::String))
        .collect())
}

fn cell<'a>(row: &'a Row<'_>, index: usize) -> Result<Stored<'a>, Unfit> {
    Ok(match row.get_ref(index).map_err(|why| why.to_string())? {
        ValueRef::Null => Stored::Null,
        ValueRef::Integer(number) => Stored::Integer(number),
        ValueRef::Real(number) => Stored::Real(number),
        ValueRef::Text(text) => Stored::Text(
            std::str::from_utf8(text).map_err(|_| "is TEXT but not UTF-8; CAST it to a BLOB")?,
        ),
        ValueRef::Blob(bytes) => Stored::Blob(bytes),
    })
}

/// Numbers and bytes as such, everything else as text: SQLite has no other classes.
fn arguments(placeholders: &[Placeholder], parameters: &[Parameter]) -> Vec<Bound> {
    let as_bound = |(placeholder, parameter): (&Placeholder, &Parameter)| {
        if matches!(placeholder, Placeholder::End(..)) {
            return Bound::Text(moment(parameter.text()));
        }
        match parameter.value(&mut String::new()) {
            Value::Bool(flag) => Bound::Integer(flag.into()),
            Value::Int64(number) => Bound::Integer(number),
            Value::Float64(number) => Bound::Real(number),
            Value::Bytes(bytes) => Bound::Blob(bytes.to_vec()),
            Value::Null
            | Value::Decimal(_)
            | Value::String(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp(_)
            | Value::Timestamptz(_)
            | Value::Uuid(_)
            | Value::Json(_) => Bound::Text(parameter.text().to_owned()),
        }
    };
    placeholders.iter().zip(parameters).map(as_bound).collect()
}

/// `2013-01-31 05:00:00`, as SQLite's own functions write moments, in UTC if it is an instant.
/// Compared as texts, two intervals that meet leave nothing out and share nothing, whatever digits of
/// a second a column has.
fn moment(text: &str) -> String {
    let text = text.trim_end_matches('Z').replace('T', " ");
    text.strip_suffix(".000000")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// By primary result code, the low byte: <https://sqlite.org/rescode.html>. What rusqlite says by itself may hold the
/// statement, and a statement may hold a person's data.
fn judged(error: rusqlite::Error) -> Error {
    let (code, said) = match error {
        rusqlite::Error::SqliteFailure(failure, said) => (
            failure.extended_code,
            said.unwrap_or_else(|| failure.to_string()),
        ),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error.extended_code, msg),
        rusqlite::Error::MultipleStatement => {
            return Error::Refused("it has more than one statement; write one".to_owned());
        }
        rusqlite::Error::NulError(_) => {
            return Error::Refused("it has a NUL character in it".to_owned());
        }
        other => return Error::Refused(other.to_string()),
    };
    match code & 0xff {
        // PERM, BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
        3 | 5..=7 | 9..=11 | 13..=15 | 26 => Error::Unreachable(said),
        _ => Error::Refused(said),
    }
}
