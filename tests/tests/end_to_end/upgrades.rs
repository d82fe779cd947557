//! A binary on a ledger that is older than itself says what to do; on a newer one it works.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;

use crate::message::departures;
use crate::site::{Site, on_one};

/// The migrations there are, oldest first: version and file.
fn migrations() -> Vec<(i64, std::path::PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            (
                name.split('_').next().unwrap().parse().unwrap(),
                path.clone(),
            )
        })
        .collect();
    all.sort();
    all
}

/// Brings the ledger to where the first `count` migrations leave it, as a binary of that time did.
fn apply(site: &Site, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    for (_, path) in &migrations()[..count] {
        std::fs::copy(path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut migrator = Migrator::new(folder.path()).await.unwrap();
        migrator.create_schema("nightdrop");
        migrator.dangerous_set_table_name("nightdrop.migration");
        let mut connection = sqlx::PgConnection::connect(&site.database.with_password())
            .await
            .unwrap();
        migrator
            .run_direct(None, &mut connection, false)
            .await
            .unwrap();
    });
}

#[test]
fn on_an_older_ledger_it_names_the_migration_that_is_pending_and_once_applied_goes_on() {
    let all = migrations();
    for count in 0..all.len() {
        let mut site = Site::unprepared();
        if count > 0 {
            apply(&site, count);
            // What lies in the ledger of that time is there afterwards.
            site.execute(
                "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
                 VALUES ('inbox/jfk/fleet/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json', '\"e\"', 1,
                         'jfk', 'fleet', '2013-01-31T05:00:00Z', '01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11')",
            );
        }
        site.drop(&departures("2013-01-31T05:00:00Z"));
        let pending = all[count].0;
        site.in_postgres = "migrate = false\n".to_owned();
        for verb in [&["once"][..], &["run"], &["status"]] {
            let ended = site.consumer(verb);
            assert_eq!(ended.code, Some(78), "{count}: {ended:?}");
            let sentence =
                format!("migration {pending} is pending; run `nightdrop-consumer migrate`");
            assert!(ended.stderr.contains(&sentence), "{count}: {ended:?}");
        }
        let page = site.consumer(&["doctor"]);
        assert!(
            page.stdout
                .contains("FAIL             Postgres: migrations"),
            "{count}: {page:?}"
        );

        let applied = site.consumer(&["migrate"]);
        assert_eq!(applied.code, Some(0), "{count}: {applied:?}");
        assert_eq!(applied.stdout.lines().count(), all.len() - count);
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
        // There never was such an object: a LIST without it says so.
        let old = site.rows("SELECT state FROM nightdrop.file WHERE job = 'fleet'");
        assert_eq!(old.len(), usize::from(count > 0));
    }
}

#[test]
fn on_a_newer_ledger_it_works_and_leaves_alone_what_it_does_not_know() {
    on_one(|site| {
        site.drop(&departures("2013-01-31T05:00:00Z"));
        site.once();
        site.administer(
            "ALTER TABLE nightdrop.file ADD COLUMN tomorrow text DEFAULT 'new';
             CREATE TABLE nightdrop.tomorrow (a bigint);
             INSERT INTO nightdrop.migration (version, description, success, checksum, execution_time)
             VALUES (9999, 'tomorrow', true, '\\x00', 0)",
        );
        site.drop(&departures("2013-01-31T06:00:00Z"));
        site.once();
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["4"]);
        assert_eq!(site.consumer(&["migrate"]).stdout, "nothing is pending\n");
        assert_eq!(site.consumer(&["status"]).code, Some(0));
        assert_eq!(
            site.rows("SELECT DISTINCT tomorrow FROM nightdrop.file"),
            ["new"]
        );
    });
}
