//! Cursor jobs: what came since the last run, each row in exactly one result, or an error by name.

use std::fs;

use nightdrop_compose::{Database, MariaDb, Postgres};
use sqlx::{AssertSqlSafe, Executor};

use crate::message::Message;
use crate::server::{mysql, on_mysql, on_postgres, postgres, until};
use crate::site::{Ended, Site};

const START: &str = "2013-01-01T00:00:00.000000Z";
const QUERY: &str = "SELECT id FROM t WHERE at >= $1 AND at < $2 ORDER BY id";

/// A lag that any transaction of a test is shorter than, unless it is meant not to be.
fn keys(lag: &str) -> String {
    format!(
        "mode = \"append\"\ncursor = {{ start = \"{START}\", lag = \"{lag}\" }}\nparameters = [\"cursor.from\", \"cursor.to\"]"
    )
}

fn started(site: &Site, query: &str, keys: &str, start: &str) -> Ended {
    let mut command = site.command(&["run", "job", "--start", start], query, keys);
    command.output().unwrap().into()
}

/// What was dropped and not yet looked at: the interval and the rows of each result, in order.
fn taken(site: &Site) -> Vec<(String, String, Vec<i64>)> {
    let files = site.files("box");
    let mut results: Vec<_> = files
        .iter()
        .map(|file| {
            let message = Message::read(file);
            let said = message.header.parameters.clone().unwrap();
            let end = |name: &str| said[name].as_str().unwrap().to_owned();
            let ids = message
                .rows()
                .iter()
                .map(|row| row[0].as_i64().unwrap())
                .collect();
            fs::remove_file(file).unwrap();
            (end("cursor.from"), end("cursor.to"), ids)
        })
        .collect();
    results.sort();
    results
}

async fn table(database: &Database) {
    let sql = if database.url.starts_with("mysql") {
        "CREATE TABLE t (id bigint, at timestamp(6) NOT NULL)"
    } else {
        "CREATE TABLE t (id bigint, at timestamptz NOT NULL DEFAULT now())"
    };
    on(database, sql).await;
}

async fn on(database: &Database, sql: &str) {
    if database.url.starts_with("mysql") {
        on_mysql(database, sql).await;
    } else {
        on_postgres(database, sql).await;
    }
}

async fn each_row_is_in_one_result(database: &Database, query: &str) {
    table(database).await;
    on(
        database,
        "INSERT INTO t VALUES (1, '2012-12-31 23:59:59.999999'), (2, '2013-01-01 00:00:00'), (3, '2013-06-01 00:00:00')",
    )
    .await;
    let site = Site::on(database);
    let keys = keys("1s");
    let ended = started(&site, query, &keys, START);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let first = taken(&site);
    assert_eq!(first.len(), 1);
    let (from, to, ids) = &first[0];
    assert_eq!((from.as_str(), ids.as_slice()), (START, &[2, 3][..]));

    // Exactly on the seam, and around it.
    let seam = to.replace('T', " ").replace('Z', "");
    let before = "2013-06-02 00:00:00";
    on(
        database,
        &format!("INSERT INTO t VALUES (4, '{seam}'), (5, '{before}')"),
    )
    .await;
    let mut ended = site.run(query, &keys);
    // The source's clock must have passed the seam by the lag.
    while ended.code == Some(69) && ended.stderr.contains("nothing to read yet") {
        ended = site.run(query, &keys);
    }
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let second = taken(&site);
    assert_eq!(second.len(), 1);
    assert_eq!(&second[0].0, to);
    assert_eq!(
        second[0].2,
        [4],
        "5 came later than the lag allows, with a time of the first interval"
    );
}

#[tokio::test]
async fn each_row_of_postgres_is_in_one_result() {
    let database = Postgres::shared().unwrap().database().unwrap();
    on_postgres(
        &database,
        &format!("ALTER DATABASE {} SET timezone = 'UTC'", database.name()),
    )
    .await;
    each_row_is_in_one_result(&database, QUERY).await;
}

#[tokio::test]
async fn each_row_of_mysql_is_in_one_result() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    let query = "SELECT id FROM t WHERE at >= ? AND at < ? ORDER BY id";
    each_row_is_in_one_result(&database, query).await;
}

#[tokio::test]
async fn each_row_of_sqlite_is_in_one_result() {
    use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ops.db");
    let mut connection: SqliteConnection = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    connection
        .execute("CREATE TABLE t (id INTEGER, at TEXT); INSERT INTO t VALUES (1, '2012-12-31 23:59:59'), (2, '2013-01-01 00:00:00'), (3, datetime('now', '-1 hour'))")
        .await
        .unwrap();
    let site = Site::reading(&format!("url = \"sqlite://{}\"", file.display()));
    let query = "SELECT id FROM t WHERE at >= ? AND at < ? ORDER BY id";
    let ended = started(&site, query, &keys("1s"), START);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let first = taken(&site);
    assert_eq!(first[0].2, [2, 3]);
    let seam = first[0].1.replace('T', " ").replace('Z', "");
    connection
        .execute(AssertSqlSafe(format!("INSERT INTO t VALUES (4, '{seam}')")))
        .await
        .unwrap();
    connection.close().await.unwrap();
    let ended = site.run(query, &keys("1s"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let second = taken(&site);
    assert_eq!((&second[0].0, &second[0].2[..]), (&first[0].1, &[4][..]));
}

#[tokio::test]
async fn without_a_watermark_nothing_is_guessed() {
    let database = Postgres::shared().unwrap().database().unwrap();
    table(&database).await;
    let site = Site::on(&database);
    let keys = keys("1ms");
    let ended = site.run(QUERY, &keys);
    assert_eq!(ended.code, Some(66), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&format!("--start {START}")),
        "{}",
        ended.stderr
    );
    assert_eq!(started(&site, QUERY, &keys, START).code, Some(0));
    assert_eq!(site.run(QUERY, &keys).code, Some(0));

    // Another question, another place, no place at all.
    let other = QUERY.replace("id FROM", "id + 1 AS id FROM");
    let ended = site.run(&other, &keys);
    assert_eq!(ended.code, Some(66), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the query changed"),
        "{}",
        ended.stderr
    );
    assert_eq!(site.files("box").len(), 2);

    let watermark = site.folder.path().join("state/watermark");
    let kept = site.folder.path().join("state/kept");
    fs::rename(&watermark, &kept).unwrap();
    fs::create_dir(&watermark).unwrap();
    assert_eq!(site.run(QUERY, &keys).code, Some(66), "it is lost");
    fs::copy(kept.join("job.json"), watermark.join("job.json")).unwrap();
    let ended = site.run(QUERY, &keys);
    assert_eq!(ended.code, Some(66), "{}", ended.stderr);
    assert!(ended.stderr.contains("was copied"), "{}", ended.stderr);
    assert_eq!(site.files("box").len(), 2);
}

#[tokio::test]
async fn start_is_for_a_job_that_has_no_watermark_and_a_cursor() {
    let database = Postgres::shared().unwrap().database().unwrap();
    table(&database).await;
    let site = Site::on(&database);
    assert_eq!(started(&site, QUERY, &keys("1ms"), START).code, Some(0));
    let ended = started(&site, QUERY, &keys("1ms"), START);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("goes on from its watermark"),
        "{}",
        ended.stderr
    );
    let ended = started(&site, "SELECT 1 AS one", "", START);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("has no cursor to start"),
        "{}",
        ended.stderr
    );
    assert_eq!(site.files("box").len(), 1);
}

#[tokio::test]
async fn a_dry_run_shows_the_interval_and_moves_nothing() {
    let database = Postgres::shared().unwrap().database().unwrap();
    table(&database).await;
    let site = Site::on(&database);
    let ended: Ended = site
        .command(
            &["run", "job", "--dry-run", "--start", START],
            QUERY,
            &keys("5m"),
        )
        .output()
        .unwrap()
        .into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains(&format!("reads [{START}, 2")),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("lag   5m: what a transaction commits that takes longer is never read"),
        "{}",
        ended.stdout
    );
    assert_eq!(site.run(QUERY, &keys("5m")).code, Some(66));
}

/// `DEFAULT now()` is when a transaction began, however late it writes and commits.
#[tokio::test]
async fn a_transaction_that_is_open_for_longer_than_the_lag_fails_the_run_by_name() {
    let database = Postgres::shared().unwrap().database().unwrap();
    table(&database).await;
    let site = Site::on(&database);
    let keys = keys("1ms");
    let mut writer = postgres(&database).await;
    writer
        .execute("BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let aged = "SELECT (now() - xact_start > interval '1ms')::int::bigint FROM pg_stat_activity \
                WHERE datname = current_database() AND state = 'idle in transaction'";
    until(&database, aged, 1).await;
    let ended = started(&site, QUERY, &keys, START);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("a transaction has been open since"),
        "{}",
        ended.stderr
    );
    writer.execute("COMMIT").await.unwrap();
    let ended = started(&site, QUERY, &keys, START);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(taken(&site)[0].2, [1]);
}

#[tokio::test]
async fn a_transaction_of_mysql_that_is_open_for_too_long_fails_the_run_by_name() {
    if !MariaDb::available() {
        return;
    }
    let server = MariaDb::shared().unwrap();
    let database = server.database().unwrap();
    table(&database).await;
    let mut writer = mysql(&database).await;
    // A wall clock of its own: the server's tells how old a transaction is.
    writer.execute("SET time_zone = '-05:00'").await.unwrap();
    writer.execute("BEGIN").await.unwrap();
    writer
        .execute("INSERT INTO t VALUES (1, now())")
        .await
        .unwrap();
    let site = Site::on(&database);
    let query = "SELECT id FROM t WHERE at >= ? AND at < ? ORDER BY id";

    // Who may not look is told so, and the job runs.
    let mut dry = site.command(
        &["run", "job", "--dry-run", "--start", START],
        query,
        &keys("1ms"),
    );
    let ended: Ended = dry.output().unwrap().into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("can't see in full"),
        "{}",
        ended.stdout
    );

    let user = format!("{}@'127.0.0.1'", database.name());
    on_mysql(
        server.superuser(),
        &format!("GRANT PROCESS ON *.* TO {user}"),
    )
    .await;
    let aged = "SELECT count(*) FROM information_schema.innodb_trx \
                JOIN information_schema.processlist ON id = trx_mysql_thread_id \
                WHERE db = database() AND trx_started < now() - interval 1 second";
    until(&database, aged, 1).await;
    let ended = started(&site, query, &keys("1ms"), START);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("a transaction has been open since"),
        "{}",
        ended.stderr
    );
    writer.execute("COMMIT").await.unwrap();
}
