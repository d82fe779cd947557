//! A result is of one instant, whatever is written while it is read.

use nightdrop_compose::{MariaDb, Postgres};
use nightdrop_schema::Timestamptz;
use sqlx::{Executor, Row};

use crate::message::Message;
use crate::server::{mysql, on_mysql, on_postgres, postgres, until};
use crate::site::{Ended, Site};

/// More than the first fetch takes.
const ROWS: i64 = 5000;

#[tokio::test]
async fn what_is_committed_while_postgres_is_read_is_not_in_the_result() {
    let database = Postgres::shared().unwrap().database().unwrap();
    on_postgres(
        &database,
        &format!("CREATE TABLE t AS SELECT g AS id, 0 AS v FROM generate_series(1, {ROWS}) g"),
    )
    .await;
    let mut other = postgres(&database).await;
    // The query stops at row 2500, after several fetches, until this lock is given back.
    other.execute("SELECT pg_advisory_lock(42)").await.unwrap();
    let site = Site::on(&database);
    let query = "SELECT id, v, CASE WHEN id = 2500 THEN pg_advisory_xact_lock_shared(42)::text END AS l \
                 FROM t ORDER BY id";
    let child = site.command(&["run", "job"], query, "").spawn().unwrap();
    until(
        &database,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
        1,
    )
    .await;
    let written = other
        .fetch_one(
            "UPDATE t SET v = 1; INSERT INTO t VALUES (0, 1); SELECT clock_timestamp()::text AS c",
        )
        .await;
    drop(written);
    let micros: i64 =
        sqlx::query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(&mut other)
            .await
            .unwrap()
            .get(0);
    other
        .execute("SELECT pg_advisory_unlock(42)")
        .await
        .unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let message = Message::read(&site.files("box")[0]);
    assert_eq!(message.rows().len(), usize::try_from(ROWS).unwrap());
    assert!(message.rows().iter().all(|row| row[1] == 0));
    assert!(message.envelope.time < Timestamptz::from_unix_micros(micros).unwrap());
}

#[tokio::test]
async fn what_is_committed_while_mysql_is_read_is_not_in_the_result() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    on_mysql(
        &database,
        &format!("CREATE TABLE t AS SELECT seq AS id, 0 AS v FROM seq_1_to_{ROWS}"),
    )
    .await;
    let mut other = mysql(&database).await;
    let lock = format!("{}_lock", database.name());
    let taken: i64 = sqlx::query("SELECT GET_LOCK(?, 0)")
        .bind(&lock)
        .fetch_one(&mut other)
        .await
        .unwrap()
        .get(0);
    assert_eq!(taken, 1);
    let site = Site::on(&database);
    // The lock is asked for when the first rows are read; the table itself comes after it.
    let query = format!(
        "SELECT l.l, t.id, t.v FROM (SELECT GET_LOCK('{lock}', 60) AS l) l LEFT JOIN t ON l.l IS NOT NULL ORDER BY t.id"
    );
    let child = site.command(&["run", "job"], &query, "").spawn().unwrap();
    let waiting = "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND state = 'User lock'";
    until(&database, waiting, 1).await;
    on_mysql(&database, "UPDATE t SET v = 1; INSERT INTO t VALUES (0, 1)").await;
    sqlx::query("SELECT RELEASE_LOCK(?)")
        .bind(&lock)
        .execute(&mut other)
        .await
        .unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let message = Message::read(&site.files("box")[0]);
    assert_eq!(message.rows().len(), usize::try_from(ROWS).unwrap());
    assert!(message.rows().iter().all(|row| row[2] == 0));
}
