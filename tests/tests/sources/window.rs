//! Window jobs: the last whole slot that has ended, or those of a backfill, each as a result of its own.

use nightdrop_compose::{Database, MariaDb, Postgres};

use crate::message::Message;
use crate::server::{on_mysql, on_postgres};
use crate::site::{Ended, Site};

const QUERY: &str = "SELECT id, at FROM t WHERE at >= $1 AND at < $2 ORDER BY id";

fn keys(every: &str, timezone: &str) -> String {
    format!(
        "mode = \"replace\"\nwindow = {{ every = \"{every}\", column = \"at\" }}\ntimezone = \"{timezone}\"\n\
         parameters = [\"window.from\", \"window.to\"]"
    )
}

fn backfill(site: &Site, query: &str, keys: &str, from: &str, to: &str) -> Ended {
    site.command(&["run", "job", "--from", from, "--to", to], query, keys)
        .output()
        .unwrap()
        .into()
}

/// The range that each result replaces, and its rows, in order.
fn results(site: &Site) -> Vec<(String, String, Vec<i64>)> {
    let mut results: Vec<_> = site
        .files("box")
        .iter()
        .map(|file| {
            let message = Message::read(file);
            let range = &message.json["data"]["range"];
            assert_eq!(range["column"], "at");
            let end = |name: &str| range[name].as_str().unwrap().to_owned();
            let ids = message
                .rows()
                .iter()
                .map(|row| row[0].as_i64().unwrap())
                .collect();
            (end("from"), end("to"), ids)
        })
        .collect();
    results.sort();
    results
}

async fn on(ty: &str, rows: &str) -> Database {
    let database = Postgres::shared().unwrap().database().unwrap();
    on_postgres(
        &database,
        &format!("CREATE TABLE t (id bigint, at {ty}); INSERT INTO t VALUES {rows}"),
    )
    .await;
    database
}

fn expect(ended: &Ended, code: i32) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn a_backfill_of_days_is_one_result_a_day() {
    let database = on(
        "date",
        "(1, '2013-01-30'), (2, '2013-01-31'), (3, '2013-01-31'), (4, '2013-02-02')",
    )
    .await;
    let site = Site::on(&database);
    let ended = backfill(
        &site,
        QUERY,
        &keys("1d", "America/New_York"),
        "2013-01-30",
        "2013-02-02",
    );
    expect(&ended, 0);
    let day = |from: &str, to: &str, ids: &[i64]| (from.to_owned(), to.to_owned(), ids.to_vec());
    assert_eq!(
        results(&site),
        [
            day("2013-01-30", "2013-01-31", &[1]),
            day("2013-01-31", "2013-02-01", &[2, 3]),
            day("2013-02-01", "2013-02-02", &[]),
        ]
    );
    assert_eq!(ended.stdout.lines().count(), 3);
}

#[tokio::test]
async fn the_day_that_clocks_are_set_has_23_hours_for_instants_and_24_for_wall_clocks() {
    let rows = "(1, '2013-03-10 04:59:59+00'), (2, '2013-03-10 05:00:00+00'), (3, '2013-03-11 03:59:59+00'), (4, '2013-03-11 04:00:00+00')";
    let database = on("timestamptz", rows).await;
    let site = Site::on(&database);
    let keys = keys("1d", "America/New_York");
    expect(
        &backfill(&site, QUERY, &keys, "2013-03-10", "2013-03-11"),
        0,
    );
    assert_eq!(
        results(&site),
        [(
            "2013-03-10T05:00:00.000000Z".to_owned(),
            "2013-03-11T04:00:00.000000Z".to_owned(),
            vec![2, 3]
        )]
    );

    let rows = "(1, '2013-03-09 23:59:59'), (2, '2013-03-10 00:00:00'), (3, '2013-03-10 23:59:59'), (4, '2013-03-11 00:00:00')";
    let database = on("timestamp", rows).await;
    let site = Site::on(&database);
    expect(
        &backfill(&site, QUERY, &keys, "2013-03-10", "2013-03-11"),
        0,
    );
    assert_eq!(
        results(&site),
        [(
            "2013-03-10T00:00:00.000000".to_owned(),
            "2013-03-11T00:00:00.000000".to_owned(),
            vec![2, 3]
        )]
    );
}

#[tokio::test]
async fn the_last_slot_that_has_ended_is_by_the_source_s_clock() {
    let database = on("timestamptz", "(1, date_trunc('hour', now(), 'UTC') - interval '1 minute'), (2, date_trunc('hour', now(), 'UTC') + interval '59 minutes')").await;
    let site = Site::on(&database);
    expect(&site.run(QUERY, &keys("1h", "UTC")), 0);
    // The hour may have passed between the two.
    let [(from, to, ids)] = &results(&site)[..] else {
        panic!("one result")
    };
    assert!(from < to);
    assert!(ids == &[1] || ids == &[2], "{ids:?}");

    // Nothing is kept: the same again.
    expect(&site.run(QUERY, &keys("1h", "UTC")), 0);
    assert_eq!(results(&site).len(), 2);
    assert!(site.files("state/watermark").is_empty());
}

#[tokio::test]
async fn a_row_outside_the_slot_fails_by_name_and_drops_nothing() {
    let database = on("date", "(1, '2013-01-31'), (2, '2013-02-01')").await;
    let site = Site::on(&database);
    let wide = "SELECT id, at FROM t WHERE at >= $1 AND at <= $2 ORDER BY id";
    let keys = keys("1d", "UTC");
    let ended = backfill(&site, wide, &keys, "2013-01-31", "2013-02-01");
    expect(&ended, 65);
    assert!(
        ended
            .stderr
            .contains("row 2: at is 2013-02-01, outside [2013-01-31, 2013-02-01)"),
        "{}",
        ended.stderr
    );
    let null = "SELECT id, nullif(at, $1) AS at FROM t WHERE at < $2";
    let ended = backfill(&site, null, &keys, "2013-01-31", "2013-02-01");
    expect(&ended, 65);
    assert!(
        ended.stderr.contains("row 1: at is null"),
        "{}",
        ended.stderr
    );
    assert!(site.files("box").is_empty());
    assert!(site.files("state/spool").is_empty());
    // A dry run says so, too.
    let mut dry = site.command(
        &[
            "run",
            "job",
            "--dry-run",
            "--from",
            "2013-01-31",
            "--to",
            "2013-02-01",
        ],
        wide,
        &keys,
    );
    expect(&dry.output().unwrap().into(), 65);
    let mut dry = site.command(
        &[
            "run",
            "job",
            "--dry-run",
            "--from",
            "2013-01-31",
            "--to",
            "2013-02-01",
        ],
        QUERY,
        &keys,
    );
    let ended: Ended = dry.output().unwrap().into();
    expect(&ended, 0);
    assert!(
        ended
            .stdout
            .contains("slot  [2013-01-31, 2013-02-01) of at, the clock of UTC"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn what_does_not_fit_a_window_is_refused_by_name() {
    let database = on("date", "(1, '2013-01-31')").await;
    let site = Site::on(&database);
    let says = |ended: &Ended, code: i32, text: &str| {
        expect(ended, code);
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    };
    let ended = backfill(&site, "SELECT 1 AS one", "", "2013-01-31", "2013-02-01");
    says(&ended, 64, "[job.job] has no window");
    let keys_1d = keys("1d", "UTC");
    let ended = backfill(&site, QUERY, &keys_1d, "9999-01-01", "9999-01-02");
    says(&ended, 64, "has not ended");
    says(
        &site.run(QUERY, &keys("1h", "UTC")),
        78,
        "at travels as date",
    );
    let gone = "SELECT id FROM t WHERE at >= $1 AND at < $2";
    says(
        &site.run(gone, &keys_1d),
        78,
        "the result has no column at; it has id",
    );
}

#[tokio::test]
async fn mysql_is_asked_for_days_wall_clock_times_and_instants_too() {
    if !MariaDb::available() {
        return;
    }
    let query = "SELECT id, at FROM t WHERE at >= ? AND at < ? ORDER BY id";
    for (ty, rows, from) in [
        (
            "date",
            "(1, '2013-03-09'), (2, '2013-03-10'), (3, '2013-03-11')",
            "2013-03-10",
        ),
        (
            "datetime(6)",
            "(1, '2013-03-09 23:59:59'), (2, '2013-03-10 23:59:59'), (3, '2013-03-11 00:00:00')",
            "2013-03-10T00:00:00.000000",
        ),
        (
            "timestamp(6)",
            "(1, '2013-03-10 04:59:59'), (2, '2013-03-11 03:59:59'), (3, '2013-03-11 04:00:00')",
            "2013-03-10T05:00:00.000000Z",
        ),
    ] {
        let database = MariaDb::shared().unwrap().database().unwrap();
        let sql = format!(
            "SET time_zone = '+00:00'; CREATE TABLE t (id bigint, at {ty} NOT NULL); INSERT INTO t VALUES {rows}"
        );
        on_mysql(&database, &sql).await;
        let site = Site::on(&database);
        expect(
            &backfill(
                &site,
                query,
                &keys("1d", "America/New_York"),
                "2013-03-10",
                "2013-03-11",
            ),
            0,
        );
        let [(found, _, ids)] = &results(&site)[..] else {
            panic!("one result")
        };
        assert_eq!((found.as_str(), &ids[..]), (from, &[2][..]), "{ty}");
    }
}
