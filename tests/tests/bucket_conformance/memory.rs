//! Memory does not grow with the file. Measured in a process of its own, which is this test's own program, started
//! again for the one ignored test below.

use std::process::{Command, Stdio};

use futures::TryStreamExt as _;
use nightdrop_bucket::{Bucket, Keys, Put, Settings};

use crate::place::{Place, key, only_object};

const SIZE: usize = 64 << 20;

/// What the child may need more than before it began, in bytes: buffers, TLS, threads. A file in memory is four times
/// as much.
const GROWTH: u64 = 16 << 20;

pub(crate) async fn a_put_and_a_get_stream_of_64_mib_take_constant_memory(place: &Place) {
    let settings = place.settings(None);
    let file = place.file(&vec![b'x'; SIZE]);
    let users = if place.is_folder() {
        None
    } else {
        Some((place.producer_keys("jfk"), place.inbox().reader()))
    };
    let child = |task: &str, keys: Option<&nightdrop_compose::Keys>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "memory::child", "--ignored", "--nocapture"])
            .env("TASK", task)
            .env("FILE", &file)
            .env("URL", settings.url.as_str())
            .stderr(Stdio::inherit());
        if let (Some(keys), Some(endpoint)) = (keys, &settings.endpoint) {
            command.envs([
                ("ENDPOINT", endpoint.as_str()),
                ("ACCESS_KEY", &keys.access_key),
                ("SECRET_KEY", &keys.secret_key),
            ]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{task}: {said}");
        let growth = said
            .split_once("grew by ")
            .unwrap()
            .1
            .lines()
            .next()
            .unwrap()
            .trim();
        growth.parse::<u64>().unwrap()
    };

    let grown = [
        child("put", users.as_ref().map(|(producer, _)| producer)),
        child("get", users.as_ref().map(|(_, reader)| reader)),
    ];
    eprintln!("put and get of {SIZE} bytes: the process grew by {grown:?}");
    assert!(grown.iter().all(|&bytes| bytes < GROWTH), "{grown:?}");
    assert_eq!(only_object(&place.reader()).await.size, SIZE as u64);
}

#[tokio::test]
#[ignore = "the process that is measured; started by the tests that name it"]
async fn child() {
    let told = |name: &str| std::env::var(name).ok();
    let bucket = Bucket::open(Settings {
        url: told("URL").unwrap().parse().unwrap(),
        endpoint: told("ENDPOINT").map(|endpoint| endpoint.parse().unwrap()),
        region: None,
        imds: false,
        keys: told("ACCESS_KEY")
            .zip(told("SECRET_KEY"))
            .map(|(access_key, secret_key)| {
                let keys = Keys {
                    access_key: access_key.into(),
                    secret_key: secret_key.into(),
                };
                std::sync::Arc::new(move || Ok(keys.clone())) as nightdrop_bucket::KeySource
            }),
    })
    .unwrap();
    let peak = || nightdrop_compose::peak_rss(std::process::id()).unwrap();
    let before = peak();
    if told("TASK").unwrap() == "put" {
        let file = told("FILE").unwrap();
        assert_eq!(
            bucket
                .put(&key("jfk", "departures", 1), file.as_ref())
                .await
                .unwrap(),
            Put::Created
        );
    } else {
        let object = only_object(&bucket).await;
        let stream = bucket.get_stream(&object.key, &object.etag).await.unwrap();
        let length = stream
            .try_fold(0, async |length, piece| Ok(length + piece.len()))
            .await
            .unwrap();
        assert_eq!(length, SIZE);
    }
    println!("grew by {}", peak() - before);
}
