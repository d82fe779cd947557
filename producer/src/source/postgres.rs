//! Postgres: a cursor in a read-only, repeatable-read transaction, fetched by the simple protocol,
//! which gives every type in the server's own text form.

use futures::TryStreamExt;
use nightdrop_runtime::postgres::options;
use nightdrop_schema::Value;
use secrecy::SecretString;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, PgConnection, Row,
    SqlSafeStr, Statement, ValueRef,
    postgres::{PgColumn, PgConnectOptions, PgRow, PgTypeInfo, types::Oid},
};
use url::Url;

use super::{
    Described, Error, Limits, Opening, Query, Sink, breathe, described, instant, postgres_open,
    postgres_types::{Reader, Scratch, arguments, mapped, type_before},
    refused, was_cut,
};

/// How many bytes of rows one FETCH aims at. The server keeps a FETCH's rows together before it
/// sends them; what fits into the socket's buffers lets it go on with the next.
const FETCH_BYTES: usize = 512 << 10;
const FETCH_ROWS: std::ops::RangeInclusive<usize> = 10..=5_000;

/// So many of them are asked for at once: the server reads on while we write what it sent.
const FETCHES: usize = 16;

pub(super) async fn run(
    url: &Url,
    password: Option<&SecretString>,
    query: &Query,
    sink: &mut impl Sink,
    limits: &Limits<'_>,
) -> Result<(), crate::Error> {
    let options = options(url, password, "nightdrop-producer")
        .map_err(|why| Error::Settings(why.to_string()))?;
    let (mut connection, pid) = limits.bound(connect(&options)).await?;
    let outcome = limits.bound(stream(&mut connection, query, sink)).await;
    match &outcome {
        Ok(()) => {
            // Everything was read: how the goodbye goes changes nothing.
            let _ = connection.close().await;
        }
        Err(error) if was_cut(error) => terminate(&options, pid).await,
        // A connection that is dropped ends its transaction with it.
        Err(_) => {}
    }
    outcome
}

async fn connect(options: &PgConnectOptions) -> Result<(PgConnection, i32), crate::Error> {
    let mut connection = options.connect().await.map_err(judged)?;
    let pid = sqlx::raw_sql("SELECT pg_backend_pid()::text")
        .fetch_one(&mut connection)
        .await
        .map_err(judged)
        .and_then(|row| Ok(text(&row, 0)?.parse().unwrap_or_default()))?;
    Ok((connection, pid))
}

/// Ends our own session on the server from a second one. A cancel request would be lost if it came
/// between two fetches; a terminated session is gone whatever it was doing.
async fn terminate(options: &PgConnectOptions, pid: i32) {
    let ended = async {
        let mut second = options.connect().await?;
        sqlx::query("SELECT pg_terminate_backend($1)")
            .bind(pid)
            .execute(&mut second)
            .await?;
        // Until it is gone, the query may still hold locks: the caller is told that it is cancelled.
        let gone = "SELECT FROM pg_stat_activity WHERE pid = $1";
        while sqlx::query(gone)
            .bind(pid)
            .fetch_optional(&mut second)
            .await?
            .is_some()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        second.close().await
    };
    match tokio::time::timeout(std::time::Duration::from_secs(10), ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(
            "cannot end the query on the server, its statement_timeout will: {error}"
        ),
        Err(_) => tracing::warn!(
            "the server does not say that the query ended; its statement_timeout will end it"
        ),
    }
}

async fn stream(
    connection: &mut PgConnection,
    query: &Query,
    sink: &mut impl Sink,
) -> Result<(), crate::Error> {
    let before = match query.since() {
        Some(since) => Some(postgres_open::look(connection, since).await?),
        None => None,
    };
    sqlx::raw_sql(AssertSqlSafe(settings(query)))
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    let clock = sqlx::raw_sql("SELECT transaction_timestamp()::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(judged)?;
    let as_of = instant(text(&clock, 0)?)?;
    let asked = if query.is_window() {
        let described = columns_before(connection, query).await?;
        query.asked(as_of, &described)?
    } else {
        query.asked(before.as_ref().map_or(as_of, |before| before.clock), &[])?
    };

    let declare = format!(
        "DECLARE nightdrop NO SCROLL CURSOR WITHOUT HOLD FOR {}",
        query.sql
    );
    // With arguments, even none, this goes by the extended protocol, which takes one statement only.
    sqlx::query_with(AssertSqlSafe(declare), arguments(&asked.parameters)?)
        .persistent(false)
        .execute(&mut *connection)
        .await
        .map_err(judged)?;

    // One row first: with it come the columns.
    let first = sqlx::raw_sql("FETCH 1 FROM nightdrop")
        .fetch_optional(&mut *connection)
        .await
        .map_err(judged)?;
    let found = match &first {
        Some(row) => row.columns().to_vec(),
        None => columns_of_nothing(connection).await?,
    };
    let (columns, readers): (Vec<Described>, Vec<Reader>) = columns(connection, &found, query)
        .await?
        .into_iter()
        .unzip();
    sink.begin(&Opening {
        as_of,
        columns: &columns,
        parameters: &asked.parameters,
        interval: asked.interval.as_ref(),
        others_seen: before.map(|before| before.others_seen),
    })?;

    let mut taker = Taker {
        columns,
        readers,
        scratch: Scratch::default(),
        rows: 0,
    };
    let Some(first) = first else { return Ok(()) };
    let mut bytes = taker.take(&first, sink)?;
    let mut fetch = fetch_rows(bytes);
    loop {
        let sql = format!("FETCH {fetch} FROM nightdrop;").repeat(FETCHES);
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(&mut *connection);
        let mut count = 0;
        bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(judged)? {
            breathe().await;
            count += 1;
            bytes += taker.take(&row, sink)?;
        }
        if count < fetch * FETCHES {
            return Ok(());
        }
        fetch = fetch_rows(bytes / count);
    }
}

/// How many rows of this many bytes make a fetch.
fn fetch_rows(bytes: usize) -> usize {
    (FETCH_BYTES / bytes.max(1)).clamp(*FETCH_ROWS.start(), *FETCH_ROWS.end())
}

/// Hands rows on, value by value.
struct Taker {
    columns: Vec<Described>,
    readers: Vec<Reader>,
    scratch: Scratch,
    rows: u64,
}

impl Taker {
    /// Gives the row's size.
    fn take(&mut self, row: &PgRow, sink: &mut impl Sink) -> Result<usize, crate::Error> {
        self.rows += 1;
        let mut bytes = 0;
        for (index, (column, reader)) in self.columns.iter().zip(&self.readers).enumerate() {
            let raw = row.try_get_raw(index).map_err(judged)?;
            if raw.is_null() {
                sink.value(Value::Null)?;
                continue;
            }
            let found = raw
                .as_bytes()
                .map_err(|why| Error::Unreachable(why.to_string()))?;
            bytes += found.len();
            let value = reader
                .read(column.column.ty, found, &mut self.scratch)
                .map_err(|unfit| refused(self.rows, column, unfit))?;
            sink.value(value)?;
        }
        Ok(bytes)
    }
}

/// The transaction and how its session writes values. Every setting is local to the transaction,
/// so that a pooler in between hands nothing on.
fn settings(query: &Query) -> String {
    let milliseconds = i32::try_from(query.timeout_on_server().as_millis()).unwrap_or(i32::MAX);
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL DateStyle = 'ISO, YMD'; \
         SET LOCAL IntervalStyle = 'postgres'; \
         SET LOCAL extra_float_digits = 3; \
         SET LOCAL bytea_output = 'hex'; \
         SET LOCAL lc_monetary = 'C'; \
         SET LOCAL cursor_tuple_fraction = 1.0; \
         SET LOCAL statement_timeout = {milliseconds}; \
         SELECT set_config(name, '10s', true) FROM pg_settings WHERE name = 'client_connection_check_interval'"
    )
}

/// The columns that a query will have, before anything is bound to it: the ends of a window are of
/// the type of one of them.
async fn columns_before(
    connection: &mut PgConnection,
    query: &Query,
) -> Result<Vec<Described>, Error> {
    let types: Vec<PgTypeInfo> = query.parameters.iter().map(type_before).collect();
    let sql = AssertSqlSafe(query.sql.clone()).into_sql_str();
    let found = (&mut *connection)
        .prepare_with(sql, &types)
        .await
        .map_err(judged)?
        .columns()
        .to_vec();
    sqlx::raw_sql("DEALLOCATE ALL")
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    let columns = columns(connection, &found, query).await?;
    Ok(columns
        .into_iter()
        .map(|(described, _)| described)
        .collect())
}

/// The columns of the open cursor, if it has no rows: describing a FETCH says them.
async fn columns_of_nothing(connection: &mut PgConnection) -> Result<Vec<PgColumn>, Error> {
    let fetch = (&mut *connection)
        .prepare(sqlx::SqlStr::from_static("FETCH 0 FROM nightdrop"))
        .await
        .map_err(judged)?;
    // A pooler would hand the named statement on to whoever comes next.
    sqlx::raw_sql("DEALLOCATE ALL")
        .execute(connection)
        .await
        .map_err(judged)?;
    Ok(fetch.columns().to_vec())
}

async fn columns(
    connection: &mut PgConnection,
    found: &[PgColumn],
    query: &Query,
) -> Result<Vec<(Described, Reader)>, Error> {
    let oids: Vec<u32> = found
        .iter()
        .map(|column| column.type_info().oid().map_or(0, |Oid(oid)| oid))
        .collect();
    let names = type_names(connection, &oids).await?;
    let mapped = oids.iter().map(|oid| mapped(*oid));
    let found = found
        .iter()
        .zip(mapped)
        .zip(names)
        .map(|((column, ty), name)| (column.name().to_owned(), ty, name));
    let columns = described(found, &query.types)?;
    Ok(columns
        .into_iter()
        .zip(oids)
        .map(|(described, oid)| {
            let reader = Reader::of(oid, described.column.ty);
            (described, reader)
        })
        .collect())
}

/// What people call these types. sqlx knows only the built-in ones, and asks the server for the
/// rest in a way that fails for some.
async fn type_names(connection: &mut PgConnection, oids: &[u32]) -> Result<Vec<String>, Error> {
    let list: Vec<String> = oids.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT format_type(oid, NULL) FROM unnest('{{{}}}'::oid[]) WITH ORDINALITY AS t (oid, n) ORDER BY n",
        list.join(",")
    );
    let rows = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(judged)?;
    rows.iter()
        .map(|row| Ok(text(row, 0)?.to_owned()))
        .collect()
}

pub(super) fn text(row: &PgRow, index: usize) -> Result<&str, Error> {
    let raw = row.try_get_raw(index).map_err(judged)?;
    raw.as_str()
        .map_err(|why| Error::Unreachable(why.to_string()))
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn judged(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, |code| match code {
        // No such database, as good as a wrong URL.
        "3D000" => Error::Settings,
        _ if code.starts_with("28") => Error::Credentials,
        // As many parameters as the query has placeholders: the job's own matter.
        "08P01" => Error::Refused,
        // The connection, a deadlock, resources, the operator (statement_timeout too), the system.
        _ if ["08", "40", "53", "57", "58", "XX"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Error::Unreachable
        }
        _ => Error::Refused,
    })
}
