//! MySQL and MariaDB: one prepared statement in a read-only transaction with a consistent snapshot.
//!
//! Prepared, because only the binary protocol gives floats exactly (text rounds a FLOAT to six
//! digits), and because in the text protocol a row whose first cell is 16 MiB long looks like the
//! end of the result.

use std::str::FromStr;

use futures::TryStreamExt;
use nightdrop_schema::{Timestamptz, Value};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, MySql,
    MySqlConnection, Row, SqlSafeStr, Statement,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow, MySqlSslMode, MySqlTypeInfo},
};
use url::Url;

use super::{
    Described, Error, Limits, Opening, Query, Sink, Unfit, breathe, described, instant,
    is_loopback,
    mysql_cell::{Kind, Scratch},
    refused, was_cut,
};
use crate::{cursor::Since, parameters::Parameter};

pub(super) async fn run(
    url: &Url,
    password: Option<&SecretString>,
    query: &Query,
    sink: &mut impl Sink,
    limits: &Limits<'_>,
) -> Result<(), crate::Error> {
    let options = options(url, password)?;
    let (mut connection, id) = limits.bound(connect(&options)).await?;
    let outcome = limits.bound(stream(&mut connection, query, sink)).await;
    match &outcome {
        Ok(()) => {
            // Everything was read: how the goodbye goes changes nothing.
            let _ = connection.close().await;
        }
        Err(error) if was_cut(error) => kill(&options, id).await,
        // The server notices a connection that was dropped when it next sends a row.
        Err(_) => {}
    }
    outcome
}

/// As for Postgres: loopback and sockets may be without TLS, everything else verifies.
pub(super) fn options(
    url: &Url,
    password: Option<&SecretString>,
) -> Result<MySqlConnectOptions, Error> {
    let mut options = MySqlConnectOptions::from_str(url.as_str())
        .map_err(|why| Error::Settings(format!("the MySQL URL is wrong: {why}")))?
        // sqlx would change what `||` means in the job's query.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .charset("utf8mb4")
        .timezone("+00:00".to_owned())
        // Its log lines hold the statement, and a statement may hold a person's data.
        .disable_statement_logging();
    let says = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    if !says("sslmode") && !says("ssl-mode") {
        let local = options.get_socket().is_some() || is_loopback(options.get_host());
        options = options.ssl_mode(if local {
            MySqlSslMode::Preferred
        } else {
            MySqlSslMode::VerifyIdentity
        });
    }
    if let Some(password) = password {
        options = options.password(password.expose_secret());
    }
    Ok(options)
}

async fn connect(options: &MySqlConnectOptions) -> Result<(MySqlConnection, u64), crate::Error> {
    let mut connection = options.connect().await.map_err(judged)?;
    let row = sqlx::query("SELECT CONNECTION_ID()")
        .fetch_one(&mut connection)
        .await
        .map_err(judged)?;
    let id = row.try_get_unchecked::<u64, _>(0).map_err(judged)?;
    Ok((connection, id))
}

/// Ends our own session on the server from a second one: with it goes its query.
async fn kill(options: &MySqlConnectOptions, id: u64) {
    let ended = async {
        let mut second = options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("KILL CONNECTION {id}")))
            .execute(&mut second)
            .await?;
        let gone = "SELECT 1 FROM information_schema.processlist WHERE id = ?";
        while sqlx::query(gone)
            .bind(id)
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
        Ok(Err(error)) => {
            tracing::warn!("cannot end the query on the server, its time limit will: {error}");
        }
        Err(_) => tracing::warn!(
            "the server does not say that the query ended; its time limit will end it"
        ),
    }
}

async fn stream(
    connection: &mut MySqlConnection,
    query: &Query,
    sink: &mut impl Sink,
) -> Result<(), crate::Error> {
    let (as_of, others_seen) = begin(connection, query).await?;

    // A result without rows comes without columns; the prepared statement has them.
    let statement = (&mut *connection)
        .prepare(AssertSqlSafe(query.sql.clone()).into_sql_str())
        .await
        .map_err(judged)?;
    let prepared: Vec<Found> = statement.columns().iter().map(found).collect();
    if prepared.is_empty() {
        return Err(Error::Refused("it returns no rows; write a SELECT".to_owned()).into());
    }
    let asked = if query.is_window() {
        query.asked(as_of, &described_as(&prepared, query)?)?
    } else {
        query.asked(as_of, &[])?
    };
    let arguments = arguments(&asked.parameters)?;
    let mut rows = statement.query_with(arguments).fetch(connection);

    let mut row = rows.try_next().await.map_err(judged)?;
    // What a placeholder is typed as is known only now.
    let found = row
        .as_ref()
        .map_or(prepared, |row| row.columns().iter().map(found).collect());
    let kinds: Vec<Kind> = found.iter().map(|found| found.kind).collect();
    let columns = described_as(&found, query)?;
    sink.begin(&Opening {
        as_of,
        columns: &columns,
        parameters: &asked.parameters,
        interval: asked.interval.as_ref(),
        others_seen,
    })?;

    let mut scratch = Scratch::default();
    let mut row_number = 0;
    while let Some(current) = row {
        row_number += 1;
        breathe().await;
        for (index, (column, kind)) in columns.iter().zip(&kinds).enumerate() {
            let value = cell(&current, index, *kind, column, &mut scratch)
                .map_err(|unfit| refused(row_number, column, unfit))?;
            sink.value(value)?;
        }
        row = rows.try_next().await.map_err(judged)?;
    }
    Ok(())
}

/// Opens the snapshot. The session's settings end with the session: nothing is pooled.
async fn begin(
    connection: &mut MySqlConnection,
    query: &Query,
) -> Result<(Timestamptz, Option<bool>), crate::Error> {
    let row = sqlx::query("SELECT VERSION()")
        .fetch_one(&mut *connection)
        .await
        .map_err(judged)?;
    let version: String = row.try_get_unchecked(0).map_err(judged)?;
    let on_server = query.timeout_on_server();
    let limit = if version.contains("MariaDB") {
        format!("max_statement_time = {}", on_server.as_secs_f64())
    } else {
        format!("max_execution_time = {}", on_server.as_millis())
    };
    // A slow disk here must not make the server give up within its 60 s.
    let settings = format!("SET SESSION {limit}, SESSION net_write_timeout = 3600");
    sqlx::raw_sql(AssertSqlSafe(settings))
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    let clock = sqlx::query("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
        .fetch_one(&mut *connection)
        .await
        .map_err(judged)?;
    let clock = instant(&clock.try_get_unchecked::<String, _>(0).map_err(judged)?)?;
    // Before the snapshot: what is open then is looked at, or it is committed and seen.
    let others_seen = match query.since() {
        Some(since) => Some(no_older_transaction(connection, since).await?),
        None => None,
    };
    sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        .execute(&mut *connection)
        .await
        .map_err(judged)?;
    Ok((clock, others_seen))
}

/// Fails if a transaction has been open for longer than `lag`. Gives whether the user may look.
async fn no_older_transaction(
    connection: &mut MySqlConnection,
    since: Since,
) -> Result<bool, crate::Error> {
    // In whole seconds of the server's own wall clock, whatever the session's: an age below zero is
    // that of a clock that was set back, and nobody knows. What is read-only writes nothing.
    let sql = "SELECT CAST(trx_started AS CHAR), CAST(trx_mysql_thread_id AS CHAR) FROM (\
                 SELECT trx_started, trx_mysql_thread_id, \
                        TIMESTAMPDIFF(MICROSECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', 'SYSTEM')) AS age \
                 FROM information_schema.innodb_trx \
                 WHERE trx_is_read_only = 0 AND trx_mysql_thread_id <> CONNECTION_ID()) AS open \
               WHERE age > ? OR age < 0 ORDER BY trx_started LIMIT 1";
    let lag = u64::try_from(since.lag.as_micros()).unwrap_or(u64::MAX);
    match sqlx::query(sql)
        .bind(lag)
        .fetch_optional(connection)
        .await
        .map_err(judged)
    {
        Ok(None) => Ok(true),
        Ok(Some(row)) => Err(Error::OpenTransaction {
            since: row.try_get_unchecked(0).map_err(judged)?,
            who: format!(
                "connection {}",
                row.try_get_unchecked::<String, _>(1).map_err(judged)?
            ),
            lag: since.lag,
        }
        .into()),
        // Only who has the right PROCESS may look.
        Err(Error::Credentials(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn described_as(found: &[Found], query: &Query) -> Result<Vec<Described>, Error> {
    described(
        found.iter().map(|found| {
            (
                found.name.clone(),
                found.kind.travels_as(),
                found.source_type.clone(),
            )
        }),
        &query.types,
    )
}

struct Found {
    name: String,
    kind: Kind,
    source_type: String,
}

fn found(column: &sqlx::mysql::MySqlColumn) -> Found {
    let ty: &MySqlTypeInfo = column.type_info();
    let kind = Kind::of(ty);
    Found {
        name: column.name().to_owned(),
        kind,
        source_type: kind.name(ty),
    }
}

fn cell<'a>(
    row: &'a MySqlRow,
    index: usize,
    kind: Kind,
    column: &Described,
    scratch: &'a mut Scratch,
) -> Result<Value<'a>, Unfit> {
    let raw = row.try_get_raw(index).map_err(|why| why.to_string())?;
    // `is_null` would call a zero date null; the bytes are there only if it is none.
    match <&[u8] as Decode<MySql>>::decode(raw) {
        Ok(bytes) => kind.read(bytes, column.column.ty, scratch),
        Err(_) => Ok(Value::Null),
    }
}

/// A number as such, everything else in its text form, which MySQL takes for any type.
fn arguments(parameters: &[Parameter]) -> Result<MySqlArguments, Error> {
    let mut arguments = MySqlArguments::default();
    for parameter in parameters {
        let mut scratch = String::new();
        let added = match parameter.value(&mut scratch) {
            Value::Bool(flag) => sqlx::Arguments::add(&mut arguments, flag),
            Value::Int64(number) => sqlx::Arguments::add(&mut arguments, number),
            Value::Float64(number) => sqlx::Arguments::add(&mut arguments, number),
            Value::Bytes(bytes) => sqlx::Arguments::add(&mut arguments, bytes.to_vec()),
            Value::Timestamp(_) | Value::Timestamptz(_) => {
                let text = moment(&parameter.value(&mut scratch));
                sqlx::Arguments::add(&mut arguments, text)
            }
            Value::Null
            | Value::Decimal(_)
            | Value::String(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Uuid(_)
            | Value::Json(_) => sqlx::Arguments::add(&mut arguments, parameter.text().to_owned()),
        };
        added.map_err(|why| Error::Refused(why.to_string()))?;
    }
    Ok(arguments)
}

/// `2013-01-31 05:00:00.000000`, in UTC as the session is.
fn moment(value: &Value<'_>) -> String {
    let text = match value {
        Value::Timestamp(moment) => moment.to_string(),
        Value::Timestamptz(instant) => instant.to_string(),
        _ => String::new(),
    };
    text.trim_end_matches('Z').replace('T', " ")
}

/// By error number: <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
/// <https://mariadb.com/kb/en/mariadb-error-codes/>. sqlx gives the SQLSTATE, which says less.
pub(super) fn judged(error: sqlx::Error) -> Error {
    let number = match &error {
        sqlx::Error::Database(said) => said
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map_or(0, sqlx::mysql::MySqlDatabaseError::number),
        _ => 0,
    };
    Error::from_sqlx(error, |_| match number {
        1044 | 1045 | 1227 | 1698 | 1862 => Error::Credentials,
        1049 => Error::Settings,
        // Too many connections, shutdown, resources, locks, interrupted, time limits, killed.
        1040
        | 1041
        | 1042
        | 1053
        | 1077
        | 1079
        | 1129
        | 1130
        | 1152..=1161
        | 1184
        | 1203
        | 1205
        | 1206
        | 1213
        | 1226
        | 1317
        | 1927
        | 1969
        | 3024
        | 2000..=2999 => Error::Unreachable,
        _ => Error::Refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> MySqlSslMode {
        options(&url.parse().unwrap(), None).unwrap().get_ssl_mode()
    }

    #[test]
    fn loopback_may_be_without_tls_and_every_other_host_verifies() {
        assert!(matches!(
            mode("mysql://localhost/x"),
            MySqlSslMode::Preferred
        ));
        assert!(matches!(
            mode("mysql://db1/x?socket=/run/mysqld.sock"),
            MySqlSslMode::Preferred
        ));
        assert!(matches!(
            mode("mysql://db1/x"),
            MySqlSslMode::VerifyIdentity
        ));
        assert!(matches!(
            mode("mysql://db1/x?ssl-mode=REQUIRED"),
            MySqlSslMode::Required
        ));
    }

    #[test]
    fn a_moment_is_bound_in_the_session_s_time_zone() {
        let instant = Timestamptz::parse("2013-01-31T05:00:00-05:00").unwrap();
        assert_eq!(
            moment(&Value::Timestamptz(instant)),
            "2013-01-31 10:00:00.000000"
        );
    }
}
