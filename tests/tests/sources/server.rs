//! A test's own hand in the databases.

use std::time::{Duration, Instant};

use nightdrop_compose::Database;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn postgres(database: &Database) -> PgConnection {
    PgConnection::connect(&database.with_password())
        .await
        .unwrap()
}

pub(crate) async fn mysql(database: &Database) -> MySqlConnection {
    MySqlConnection::connect(&database.with_password())
        .await
        .unwrap()
}

pub(crate) async fn on_postgres(database: &Database, sql: &str) {
    let mut connection = postgres(database).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
}

pub(crate) async fn on_mysql(database: &Database, sql: &str) {
    let mut connection = mysql(database).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
}

/// A number that a query gives.
pub(crate) async fn count(database: &Database, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    if database.url.starts_with("mysql") {
        sqlx::query(sql)
            .fetch_one(&mut mysql(database).await)
            .await
            .unwrap()
            .get(0)
    } else {
        sqlx::query(sql)
            .fetch_one(&mut postgres(database).await)
            .await
            .unwrap()
            .get(0)
    }
}

/// Waits until a query gives a number.
pub(crate) async fn until(database: &Database, sql: &str, wanted: i64) {
    let begun = Instant::now();
    while count(database, sql).await != wanted {
        assert!(begun.elapsed() < PATIENCE, "{sql} never gave {wanted}");
    }
}
