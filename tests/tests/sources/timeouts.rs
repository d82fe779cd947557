//! After a timeout or a signal, no query of ours runs on the server.

use std::process::Command;

use nightdrop_compose::{Database, MariaDb, Postgres};

use crate::server::{count, until};
use crate::site::{Ended, Site};

const POSTGRES: (&str, &str) = (
    "SELECT pg_sleep(600) AS slept /* not for ever */",
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'nightdrop-producer' AND state <> 'idle'",
);
/// Not a sleep: a sleep is cancelled by anything.
const POSTGRES_BUSY: &str =
    "SELECT count(*) AS n FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b";
const MYSQL: (&str, &str) = (
    "SELECT count(*) AS n FROM seq_1_to_100000000 a, seq_1_to_100000000 b",
    "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND info LIKE concat('%seq', '_1_to%') \
     AND id <> connection_id()",
);

fn database_of(name: &str) -> Option<Database> {
    match name {
        "mysql" if !MariaDb::available() => None,
        "mysql" => Some(MariaDb::shared().unwrap().database().unwrap()),
        _ => Some(Postgres::shared().unwrap().database().unwrap()),
    }
}

async fn a_timeout_ends_it(source: &str, query: &str, running: &str) {
    let Some(database) = database_of(source) else {
        return;
    };
    let site = Site::on(&database);
    let ended = site.run(query, "timeout = \"500ms\"");
    assert_eq!(ended.code, Some(69));
    assert!(
        ended
            .stderr
            .contains("the query was cancelled after 500ms; let it do less, or raise timeout"),
        "{}",
        ended.stderr
    );
    assert_eq!(count(&database, running).await, 0);
    assert!(site.files("state/spool").is_empty());
}

async fn a_signal_ends_it(source: &str, query: &str, running: &str) {
    let Some(database) = database_of(source) else {
        return;
    };
    let site = Site::on(&database);
    let child = site.command(&["run", "job"], query, "").spawn().unwrap();
    until(
        &database,
        &running.replace("SELECT count(*)", "SELECT least(count(*), 1)"),
        1,
    )
    .await;
    let status = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(status.success());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("stopped by a signal"),
        "{}",
        ended.stderr
    );
    assert_eq!(count(&database, running).await, 0);
    assert!(site.files("state/spool").is_empty());
}

#[tokio::test]
async fn a_timeout_ends_a_query_on_postgres() {
    a_timeout_ends_it("postgres", POSTGRES.0, POSTGRES.1).await;
    a_timeout_ends_it("postgres", POSTGRES_BUSY, POSTGRES.1).await;
}

#[tokio::test]
async fn a_timeout_ends_a_query_on_mysql() {
    a_timeout_ends_it("mysql", MYSQL.0, MYSQL.1).await;
}

#[tokio::test]
async fn a_signal_ends_a_query_on_postgres() {
    a_signal_ends_it("postgres", POSTGRES.0, POSTGRES.1).await;
}

#[tokio::test]
async fn a_signal_ends_a_query_on_mysql() {
    a_signal_ends_it("mysql", MYSQL.0, MYSQL.1).await;
}

/// Each fetch may be fast: it is the whole that takes too long.
#[tokio::test]
async fn a_result_that_only_trickles_is_timed_out_too() {
    let database = database_of("postgres").unwrap();
    let site = Site::on(&database);
    let query = "SELECT g, pg_sleep(0.001)::text AS s FROM generate_series(1, 1000000) g";
    let ended = site.run(query, "timeout = \"1s\"");
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert_eq!(count(&database, POSTGRES.1).await, 0);
    assert!(site.files("state/spool").is_empty());
}
