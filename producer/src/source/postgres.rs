//! Postgres: a cursor in a read-only, repeatable-read transaction, fetched by the simple protocol,
//! which gives every type in the server's own text form.

use futures::TryStreamExt;
use nightdrop_runtime::postgres::options;
use nightdrop_schema::{Type, Value, copy};
use secrecy::SecretString;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, PgConnection, Row, Statement,
    ValueRef,
    encode::IsNull,
    error::BoxDynError,
    postgres::{
        PgArgumentBuffer, PgArguments, PgColumn, PgConnectOptions, PgRow, PgTypeInfo, Postgres,
        types::Oid,
    },
};
use url::Url;

use super::{
    Described, Error, Limits, Query, Sink, Unfit, breathe, described, instant, refused, utf8,
    was_cut,
};
use crate::{parameters::Parameter, text_form};

/// How many bytes of rows one FETCH aims at. The server keeps a FETCH's rows together before it
/// sends them, so more would be a burden there; fewer would cost round trips.
const FETCH_BYTES: usize = 4 << 20;
const FETCH_ROWS: std::ops::RangeInclusive<usize> = 100..=20_000;

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
    sqlx::raw_sql(AssertSqlSafe(settings(query)))
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    let clock = sqlx::raw_sql("SELECT transaction_timestamp()::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(judged)?;
    let as_of = instant(text(&clock, 0)?)?;

    let declare = format!(
        "DECLARE nightdrop NO SCROLL CURSOR WITHOUT HOLD FOR {}",
        query.sql
    );
    // With arguments, even none, this goes by the extended protocol, which takes one statement only.
    sqlx::query_with(AssertSqlSafe(declare), arguments(&query.parameters)?)
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
    sink.begin(as_of, &columns)?;

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
        let sql = AssertSqlSafe(format!("FETCH {fetch} FROM nightdrop"));
        let mut rows = sqlx::raw_sql(sql).fetch(&mut *connection);
        let mut count = 0;
        bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(judged)? {
            breathe().await;
            count += 1;
            bytes += taker.take(&row, sink)?;
        }
        if count < fetch {
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
    let milliseconds = i32::try_from(query.timeout.as_millis()).unwrap_or(i32::MAX);
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

/// How the text of a column's type is read.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// As a value of the column's type.
    Text,
    /// `\x` and hexadecimal digits.
    Bytea,
    /// The shortest digits of 32 bits.
    Real,
}

#[derive(Default)]
struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

impl Reader {
    fn read<'a>(
        self,
        ty: Type,
        found: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<Value<'a>, Unfit> {
        let text = utf8(found)?;
        match self {
            Self::Text => Ok(text_form::parse(ty, text, &mut scratch.text)?),
            Self::Bytea => {
                hex(text, &mut scratch.bytes)?;
                Ok(Value::Bytes(&scratch.bytes))
            }
            // Before Postgres 12 nine digits were written where fewer do.
            Self::Real => Ok(Value::Float64(match text {
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => {
                    text_form::widened(text.parse().map_err(|_| format!("{text:?} is no number"))?)
                }
            })),
        }
    }
}

fn hex(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    out.clear();
    let digits = text.strip_prefix("\\x").ok_or("is no bytea in hex form")?;
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = *pair else {
            return Err("has an odd number of hex digits".to_owned());
        };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err("has a digit that is not hexadecimal".to_owned());
        };
        out.push(high << 4 | low);
    }
    Ok(())
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
    let oids: Vec<u32> = found.iter().map(|column| oid(column.type_info())).collect();
    let names = type_names(connection, &oids).await?;
    let mapped = oids.iter().map(|oid| mapped(*oid));
    let found = found
        .iter()
        .zip(mapped)
        .zip(names)
        .map(|((column, ty), name)| (column.name().to_owned(), ty, name));
    let columns = described(found, &query.types)?;
    let reader = |oid: u32, ty: Type| match (oid, ty) {
        (BYTEA, Type::Bytes) => Reader::Bytea,
        (FLOAT4, Type::Float64) => Reader::Real,
        _ => Reader::Text,
    };
    Ok(columns
        .into_iter()
        .zip(oids)
        .map(|(described, oid)| {
            let reader = reader(oid, described.column.ty);
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

fn oid(ty: &PgTypeInfo) -> u32 {
    ty.oid().map_or(0, |Oid(oid)| oid)
}

// From Postgres's src/include/catalog/pg_type.dat. A domain comes as its base type: so says the
// server's RowDescription.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const DATE: u32 = 1082;
const TIME: u32 = 1083;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const NUMERIC: u32 = 1700;
const UUID: u32 = 2950;
const JSONB: u32 = 3802;

/// What a Postgres type travels as; `docs/sources.md` has the table for people.
fn mapped(oid: u32) -> Type {
    match oid {
        BOOL => Type::Bool,
        INT2 | INT4 | INT8 | OID => Type::Int64,
        NUMERIC => Type::Decimal,
        FLOAT4 | FLOAT8 => Type::Float64,
        BYTEA => Type::Bytes,
        DATE => Type::Date,
        TIME => Type::Time,
        TIMESTAMP => Type::Timestamp,
        TIMESTAMPTZ => Type::Timestamptz,
        UUID => Type::Uuid,
        JSON | JSONB => Type::Json,
        _ => Type::String,
    }
}

/// A parameter as Postgres's own binary form: the same bytes as in a binary COPY.
struct Bound<'a>(&'a Parameter);

impl sqlx::Type<Postgres> for Bound<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(TEXT))
    }
}

const TEXT: u32 = 25;

impl sqlx::Encode<'_, Postgres> for Bound<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        const LENGTH: usize = 4;
        let mut bytes = Vec::new();
        copy::encode(&self.0.value(&mut String::new()), &mut bytes);
        buffer.extend_from_slice(&bytes[LENGTH..]);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(match self.0.ty() {
            Type::Bool => BOOL,
            Type::Int64 => INT8,
            Type::Decimal => NUMERIC,
            Type::Float64 => FLOAT8,
            Type::String => TEXT,
            Type::Bytes => BYTEA,
            Type::Date => DATE,
            Type::Time => TIME,
            Type::Timestamp => TIMESTAMP,
            Type::Timestamptz => TIMESTAMPTZ,
            Type::Uuid => UUID,
            Type::Json => JSONB,
        })))
    }
}

fn arguments(parameters: &[Parameter]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for parameter in parameters {
        sqlx::Arguments::add(&mut arguments, Bound(parameter))
            .map_err(|why| Error::Refused(why.to_string()))?;
    }
    Ok(arguments)
}

fn text(row: &PgRow, index: usize) -> Result<&str, Error> {
    let raw = row.try_get_raw(index).map_err(judged)?;
    raw.as_str()
        .map_err(|why| Error::Unreachable(why.to_string()))
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn judged(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, |code| match code {
        // No such database, as good as a wrong URL.
        "3D000" => Error::Settings,
        _ if code.starts_with("28") => Error::Credentials,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: Reader, ty: Type, found: &str) -> String {
        match reader.read(ty, found.as_bytes(), &mut Scratch::default()) {
            Ok(value) => format!("{value:?}"),
            Err(unfit) => unfit.sentence,
        }
    }

    #[test]
    fn bytea_is_read_from_its_hex_form() {
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "\\x00ff10"),
            "Bytes([0, 255, 16])"
        );
        assert_eq!(read(Reader::Bytea, Type::Bytes, "\\x"), "Bytes([])");
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "abc"),
            "is no bytea in hex form"
        );
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "\\x0"),
            "has an odd number of hex digits"
        );
    }

    #[test]
    fn a_real_keeps_its_shortest_digits_whatever_the_server_writes() {
        assert_eq!(read(Reader::Real, Type::Float64, "1.1"), "Float64(1.1)");
        assert_eq!(
            read(Reader::Real, Type::Float64, "1.10000002"),
            "Float64(1.1)"
        );
        assert_eq!(
            read(Reader::Real, Type::Float64, "-Infinity"),
            "Float64(-inf)"
        );
        assert_eq!(read(Reader::Real, Type::Float64, "NaN"), "Float64(NaN)");
    }

    #[test]
    fn a_parameter_is_bound_with_its_own_type() {
        let parameter = Parameter::new(Type::Date, "2000-01-02").unwrap();
        let mut arguments = PgArguments::default();
        sqlx::Arguments::add(&mut arguments, Bound(&parameter)).unwrap();
        let bound = Bound(&parameter);
        assert_eq!(
            sqlx::Encode::produces(&bound).and_then(|ty| ty.oid()),
            Some(Oid(DATE))
        );
    }
}
