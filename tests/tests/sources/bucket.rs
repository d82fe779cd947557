//! The last step, on each S3 server of this machine: put with nothing but the right to put, and never lost.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
        let errors = ended.stderr.matches(" ERROR ").count();
        assert_eq!(errors, 1, "it is said once: {}", ended.stderr);
        assert!(
            ended.stderr.contains(" is safe in the spool at "),
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
async fn a_wrong_region_is_the_configurations_fault_and_says_where_to_look() {
    // SeaweedFS takes any.
    if !S3Kind::available().contains(&S3Kind::Minio) {
        return;
    }
    let inbox = S3::shared(S3Kind::Minio).unwrap().inbox().unwrap();
    let right = bucket(&inbox, &inbox.endpoint);
    let wrong = right.replace(&inbox.region, "eu-west-1");
    let mut site = site().await.dropping(&wrong);
    with_keys(&mut site, &inbox.producer("jfk").unwrap());
    let ended = site.run(QUERY, "");
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("look at `region`: `doctor` says which it is to be"),
        "{}",
        ended.stderr
    );
    assert_eq!(site.files("state/spool").len(), 1, "the result is safe");
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
                ended.stderr.contains(" is safe in the spool at "),
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

#[tokio::test]
async fn a_bucket_that_hangs_does_not_keep_the_query_from_being_asked() {
    let settings = |address: &str| {
        format!(
            "url = \"s3://reports-inbox\"\nendpoint = \"http://{address}\"\nregion = \"us-east-1\"\n\
             access_key = \"env:ACCESS_KEY\"\nsecret_key = \"env:SECRET_KEY\"\nput_for = \"0s\""
        )
    };
    // Nobody listens on port 1.
    let mut site = site().await.dropping(&settings("127.0.0.1:1"));
    site.set("ACCESS_KEY", "jfk");
    site.set("SECRET_KEY", "secret");
    for _ in 1..=2 {
        assert_eq!(site.run(QUERY, "").code, Some(74));
    }

    // The system takes connections, and nobody takes them from it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let site = site.dropping(&settings(&address));
    let mut run = site.command(&["run", "job"], QUERY, "").spawn().unwrap();
    let results = || {
        let files = site.files("state/spool/job");
        let is_draft = |file: &&PathBuf| file.extension().is_some_and(|end| end == "draft");
        files.len() - files.iter().filter(is_draft).count()
    };
    let began = Instant::now();
    // The answer to one PUT alone is waited for up to a minute.
    while results() < 3 && began.elapsed() < Duration::from_secs(50) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().unwrap();
    let ended = Ended::from(run.wait_with_output().unwrap());
    assert_eq!(results(), 3, "{ended:?}");
    assert!(
        ended.stderr.contains("the query is not to wait"),
        "{ended:?}"
    );
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
    let run = || {
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
        Ended::from(output)
    };
    let ended = run();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("is safe in the spool at "),
        "{}",
        ended.stderr
    );

    std::fs::create_dir(folder.path().join("box")).unwrap();
    let ended = run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let key = ended.stdout.trim();
    assert!(
        key.starts_with("inbox/lga/runways/20130101T050000Z-"),
        "{key}"
    );
    assert!(folder.path().join("box").join(key).exists());
}
