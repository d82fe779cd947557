//! The last step, on each S3 server of this machine: put with nothing but the right to put, and never lost.

use std::fs::File;

use nightdrop_bucket::{Bucket, Settings};
use nightdrop_compose::{Inbox, Keys, S3, S3Kind};

use crate::site::{Ended, Site};

/// A SQLite file: what the bucket does has nothing to do with the source.
async fn site() -> Site {
    use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
    let site = Site::reading("");
    let file = site.folder.path().join("ops.db");
    let connection = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    connection.close().await.unwrap();
    let source = format!("url = \"sqlite://{}\"", file.display());
    Site::reading(&source).keeping(site.folder)
}

pub(crate) fn bucket(inbox: &Inbox, endpoint: &str) -> String {
    format!(
        "url = \"{}\"\nendpoint = \"{endpoint}\"\nregion = \"{}\"\naccess_key = \"env:ACCESS_KEY\"\n\
         secret_key = \"env:SECRET_KEY\"\nput_for = \"1s\"",
        inbox.url(),
        inbox.region
    )
}

pub(crate) fn with_keys(site: &mut Site, keys: &Keys) {
    site.set("ACCESS_KEY", &keys.access_key);
    site.set("SECRET_KEY", &keys.secret_key);
}

/// How many objects the reader sees.
async fn dropped(inbox: &Inbox) -> usize {
    reader(inbox)
        .list("inbox/", None)
        .await
        .unwrap()
        .objects
        .len()
}

/// The bucket, as the reader may use it.
pub(crate) fn reader(inbox: &Inbox) -> Bucket {
    let keys = inbox.reader();
    Bucket::open(Settings {
        url: inbox.url().parse().unwrap(),
        endpoint: Some(inbox.endpoint.parse().unwrap()),
        region: Some(inbox.region.clone()),
        imds: false,
        keys: Some(std::sync::Arc::new(move || {
            Ok(nightdrop_bucket::Keys {
                access_key: keys.access_key.clone().into(),
                secret_key: keys.secret_key.clone().into(),
            })
        })),
    })
    .unwrap()
}

const QUERY: &str = "SELECT 1 AS one";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_put_with_nothing_but_the_right_to_put() {
    for kind in S3Kind::available() {
        let inbox = S3::shared(kind).unwrap().inbox().unwrap();
        let mut site = site().await.dropping(&bucket(&inbox, &inbox.endpoint));
        with_keys(&mut site, &inbox.producer("jfk").unwrap());
        let ended = site.run(QUERY, "");
        assert_eq!(ended.code, Some(0), "{kind:?}: {}", ended.stderr);
        assert_eq!(dropped(&inbox).await, 1);
        assert!(site.files("state/spool").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_refused_end_with_77_and_the_result_waits_for_better_ones() {
    for kind in S3Kind::available() {
        let inbox = S3::shared(kind).unwrap().inbox().unwrap();
        let mut site = site().await.dropping(&bucket(&inbox, &inbox.endpoint));
        // Another producer's keys: known, and without the right.
        with_keys(&mut site, &inbox.producer("lga").unwrap());
        let ended = site.run(QUERY, "");
        assert_eq!(ended.code, Some(77), "{kind:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("the result is safe in the spool at "),
            "{}",
            ended.stderr
        );
        assert_eq!(site.files("state/spool").len(), 1);

        with_keys(&mut site, &inbox.producer("jfk").unwrap());
        let ended = Ended::from(site.command(&["drain"], QUERY, "").output().unwrap());
        assert_eq!(ended.code, Some(0), "{kind:?}: {}", ended.stderr);
        assert_eq!(dropped(&inbox).await, 1);
        assert!(site.files("state/spool").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_away_costs_nothing_but_time() {
    for kind in S3Kind::available() {
        let inbox = S3::shared(kind).unwrap().inbox().unwrap();
        // Nobody listens on port 1.
        let mut site = site().await.dropping(&bucket(&inbox, "http://127.0.0.1:1"));
        with_keys(&mut site, &inbox.producer("jfk").unwrap());
        for waiting in 1..=3 {
            let ended = site.run(QUERY, "");
            assert_eq!(ended.code, Some(74), "{kind:?}: {}", ended.stderr);
            assert!(
                ended.stderr.contains("the result is safe in the spool at "),
                "{}",
                ended.stderr
            );
            assert_eq!(site.files("state/spool").len(), waiting);
        }
        let site = site.dropping(&bucket(&inbox, &inbox.endpoint));
        let ended = site.run(QUERY, "");
        assert_eq!(ended.code, Some(0), "{kind:?}: {}", ended.stderr);
        assert!(
            ended.stdout.trim_end().ends_with("(and 3 earlier results)"),
            "{}",
            ended.stdout
        );
        assert_eq!(dropped(&inbox).await, 4);
        assert!(site.files("state/spool").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_refused_does_not_block_the_ones_behind_it() {
    for kind in S3Kind::available() {
        let inbox = S3::shared(kind).unwrap().inbox().unwrap();
        let mut site = site().await.dropping(&bucket(&inbox, &inbox.endpoint));
        with_keys(&mut site, &inbox.producer("jfk").unwrap());
        // Larger than one PUT takes; it occupies no disk.
        let spool = site.folder.path().join("state/spool/job");
        std::fs::create_dir_all(&spool).unwrap();
        let refused = spool.join("20130101T000000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json");
        File::create(&refused)
            .unwrap()
            .set_len(nightdrop_bucket::LARGEST + 1)
            .unwrap();

        let ended = site.run(QUERY, "");
        assert_eq!(ended.code, Some(74), "{kind:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(&refused.display().to_string()),
            "{}",
            ended.stderr
        );
        assert_eq!(dropped(&inbox).await, 1, "the one behind it went");
        assert_eq!(site.files("state/spool"), [refused]);
    }
}

#[test]
fn a_program_can_write_its_own_producer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("box")).unwrap();
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--package",
            "nightdrop-producer",
            "--example",
            "own_source",
            "--",
        ])
        .arg(format!("file://{}/box", folder.path().display()))
        .arg(folder.path().join("state"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let ended = Ended::from(output);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let key = ended.stdout.trim();
    assert!(
        key.starts_with("inbox/lga/runways/20130101T050000Z-"),
        "{key}"
    );
    assert!(folder.path().join("box").join(key).exists());
}
