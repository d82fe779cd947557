//! What becomes of entries and of time, by what the bucket says or does not say.

use std::io::Write;

use nightdrop_bucket::Settings;
use nightdrop_schema::{Compression, Key};

use super::*;
use crate::spool::Spool;

mod silence;

struct Drop {
    folder: tempfile::TempDir,
    turn: Turn,
    stop: CancellationToken,
}

impl Drop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new("jfk".parse().unwrap(), folder.path().join("state"));
        let turn = spool.lock(&"departures".parse().unwrap()).unwrap();
        Self {
            folder,
            turn,
            stop: CancellationToken::new(),
        }
    }

    fn entry(&self, time: &str, content: &[u8]) -> Entry {
        let key: Key = format!("inbox/jfk/departures/{time}-{}.json", uuid::Uuid::now_v7())
            .parse()
            .unwrap();
        let mut draft = self.turn.draft(Compression::None).unwrap();
        draft.write_all(content).unwrap();
        draft.commit(&key).unwrap()
    }

    /// Nobody listens on port 1.
    fn dead_bucket() -> Bucket {
        Self::bucket_at("http://127.0.0.1:1")
    }

    fn bucket_at(endpoint: &str) -> Bucket {
        Bucket::open(Settings {
            url: "s3://reports-inbox".parse().unwrap(),
            endpoint: Some(endpoint.parse().unwrap()),
            region: None,
            imds: false,
            keys: Some(std::sync::Arc::new(|| {
                Ok(bucket::Keys {
                    access_key: "a".into(),
                    secret_key: "b".into(),
                })
            })),
        })
        .unwrap()
    }

    fn folder_bucket(&self) -> Bucket {
        let path = self.folder.path().join("box");
        std::fs::create_dir_all(&path).unwrap();
        let url = format!("file://{}", path.display()).parse().unwrap();
        Bucket::open(Settings {
            url,
            endpoint: None,
            region: None,
            imds: false,
            keys: None,
        })
        .unwrap()
    }

    fn dropped(&self, entry: &Entry) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("box").join(entry.key.to_string())).ok()
    }
}

#[tokio::test]
async fn what_waits_is_put_oldest_first_and_leaves_the_spool() {
    let drop = Drop::new();
    let late = drop.entry("20130201T000000Z", b"late");
    let early = drop.entry("20130101T000000Z", b"early");
    let gone = drain(
        &drop.turn,
        &drop.folder_bucket(),
        Duration::ZERO,
        &drop.stop,
    )
    .await
    .unwrap();
    assert_eq!(gone, [early.clone(), late.clone()]);
    assert_eq!(drop.turn.entries().unwrap(), []);
    assert_eq!(drop.dropped(&early).unwrap(), b"early");
    assert_eq!(drop.dropped(&late).unwrap(), b"late");
}

#[tokio::test]
async fn an_entry_that_is_in_the_bucket_already_is_done() {
    let drop = Drop::new();
    let entry = drop.entry("20130101T000000Z", b"x");
    let bucket = drop.folder_bucket();
    // A run that died between PUT and remove.
    bucket.put(&entry.key, &entry.path).await.unwrap();
    let gone = drain(&drop.turn, &bucket, Duration::ZERO, &drop.stop)
        .await
        .unwrap();
    assert_eq!(gone, [entry]);
    assert_eq!(drop.turn.entries().unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_nobody_answers_for_leaves_all_in_the_spool_and_ends_with_74() {
    let drop = Drop::new();
    let entry = drop.entry("20130101T000000Z", b"x");
    let late = drop.entry("20130201T000000Z", b"late");
    let bucket = Drop::dead_bucket();
    let error = drain(&drop.turn, &bucket, Duration::from_millis(1), &drop.stop)
        .await
        .unwrap_err();
    assert_eq!(error.code(), nightdrop_runtime::exit::Code::Io);
    let said = error.to_string();
    assert!(
        said.ends_with(&format!(
            "; the result is safe in the spool at {}, so is one more, and the next run or `drain` puts them",
            entry.path.display()
        )),
        "{said}"
    );
    assert_eq!(drop.turn.entries().unwrap(), [entry, late]);
}

#[tokio::test]
async fn once_nobody_answered_for_put_for_what_comes_after_is_tried_once() {
    let drop = Drop::new();
    let bucket = Drop::dead_bucket();
    drop.entry("20130101T000000Z", b"x");
    let mut patience = Patience::new(Duration::from_millis(1));
    assert!(
        patience
            .drain(&drop.turn, &bucket, &drop.stop)
            .await
            .is_err()
    );
    assert_eq!(patience.put_for, Duration::ZERO);

    // A bucket that refuses does so at once, and is no reason.
    std::fs::write(drop.folder.path().join("box"), "a file").unwrap();
    let url = format!("file://{}/box", drop.folder.path().display());
    let refusing = Bucket::open(Settings {
        url: url.parse().unwrap(),
        endpoint: None,
        region: None,
        imds: false,
        keys: None,
    })
    .unwrap();
    let mut patience = Patience::new(Duration::from_millis(1));
    let ended = patience.drain(&drop.turn, &refusing, &drop.stop);
    assert!(ended.await.is_err());
    assert_eq!(patience.put_for, Duration::from_millis(1));
}

#[tokio::test]
async fn what_is_said_names_the_file_once_and_no_key() {
    let drop = Drop::new();
    let entry = drop.entry("20130101T000000Z", b"x");
    let bucket = Drop::dead_bucket();
    let ended = drain(&drop.turn, &bucket, Duration::ZERO, &drop.stop).await;
    let said = ended.unwrap_err().to_string();
    let name = entry.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(said.matches(name).count(), 1, "{said}");
}

#[tokio::test]
async fn a_stop_ends_the_waiting_and_loses_nothing() {
    let drop = Drop::new();
    let entry = drop.entry("20130101T000000Z", b"x");
    let bucket = Drop::dead_bucket();
    drop.stop.cancel();
    let error = drain(&drop.turn, &bucket, Duration::from_hours(1), &drop.stop)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::StoppedPutting));
    assert_eq!(drop.turn.entries().unwrap(), [entry]);
}

#[test]
fn waits_grow_up_to_a_minute() {
    assert_eq!(longest(0), Duration::from_millis(500));
    assert_eq!(longest(3), Duration::from_secs(4));
    assert_eq!(longest(7), LONGEST_WAIT);
    assert_eq!(longest(u32::MAX), LONGEST_WAIT);
}
