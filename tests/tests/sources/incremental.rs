//! A cursor job over a table that grows, and the account of what it dropped: each row once, no gap between two
//! intervals, no overlap.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::message::Message;
use crate::site::{Ended, Site};

pub(crate) const START: &str = "2013-01-01T00:00:00.000000Z";
const QUERY: &str = "SELECT id, note FROM t WHERE at >= ? AND at < ? ORDER BY id";
const KEYS: &str =
    "mode = \"append\"\ncursor = { lag = \"1ms\" }\nparameters = [\"cursor.from\", \"cursor.to\"]";

pub(crate) struct Incremental {
    pub(crate) site: Site,
    source: TempDir,
    pub(crate) rows: i64,
}

impl Incremental {
    pub(crate) async fn new() -> Self {
        let source = TempDir::new().unwrap();
        let file = source.path().join("ops.db");
        let mut incremental = Self {
            site: Site::reading(&format!("url = \"sqlite://{}\"", file.display())),
            source,
            rows: 0,
        };
        let mut connection = incremental.database().await;
        sqlx::raw_sql("CREATE TABLE t (id INTEGER, at TEXT, note TEXT)")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        incremental.grow().await;
        incremental
    }

    async fn database(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.source.path().join("ops.db"))
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// One row more, of now.
    pub(crate) async fn grow(&mut self) {
        self.rows += 1;
        let mut connection = self.database().await;
        sqlx::query("INSERT INTO t VALUES (?, strftime('%Y-%m-%d %H:%M:%f', 'now'), 'note')")
            .bind(self.rows)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.site.command(words, QUERY, KEYS)
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.command(words).output().unwrap().into()
    }

    /// Runs the job, from the start if there is no watermark yet.
    pub(crate) fn go_on(&self) {
        let mut ended = self.run(&["run", "job"]);
        if ended.code == Some(66) {
            ended = self.run(&["run", "job", "--start", START]);
        }
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    /// Goes on until the newest row is dropped: it must be older than the lag.
    pub(crate) fn catch_up(&self) {
        let begun = Instant::now();
        loop {
            self.go_on();
            let dropped = self.dropped();
            if dropped.iter().any(|(_, _, ids)| ids.contains(&self.rows)) {
                return;
            }
            let newest = dropped.iter().map(|(_, to, _)| to).max();
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "row {} is in none, up to {newest:?}",
                self.rows
            );
        }
    }

    /// The results in the box, in the order of their intervals.
    pub(crate) fn dropped(&self) -> Vec<(String, String, Vec<i64>)> {
        account(&self.site.files("box"))
    }

    /// Each row is in one result, intervals meet, nothing waits or lies about.
    pub(crate) fn check(&self) {
        whole(&self.dropped(), self.rows);
        assert!(self.site.files("state/spool").is_empty());
        let watermark: Vec<PathBuf> = self.site.files("state/watermark");
        assert_eq!(watermark.len(), 1, "{watermark:?}");
        let text = fs::read_to_string(&watermark[0]).unwrap();
        assert!(!text.contains("announced"), "{text}");
    }
}

/// The interval and the rows of each result, in the order of their intervals.
pub(crate) fn account(files: &[PathBuf]) -> Vec<(String, String, Vec<i64>)> {
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
            (end("cursor.from"), end("cursor.to"), ids)
        })
        .collect();
    results.sort();
    results
}

/// Each row up to `rows` is in one result, and where one interval ends the next begins.
pub(crate) fn whole(results: &[(String, String, Vec<i64>)], rows: i64) {
    assert_eq!(results[0].0, START);
    for pair in results.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "{results:?}");
    }
    let ids: Vec<i64> = results.iter().flat_map(|(_, _, ids)| ids.clone()).collect();
    assert_eq!(ids, (1..=rows).collect::<Vec<_>>(), "{results:?}");
}
