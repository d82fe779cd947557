//! What only a folder can get wrong. What it has in common with S3 is in the conformance suite.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use nightdrop_schema::Key;
use tempfile::TempDir;
use url::Url;

use super::{Folder, STAGING};
use crate::{Fault, Put};

struct Fixture {
    folder: Arc<Folder>,
    root: PathBuf,
    scratch: TempDir,
}

fn fixture() -> Fixture {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("bucket");
    fs::create_dir(&root).unwrap();
    let folder = Folder::open(&Url::from_directory_path(&root).unwrap()).unwrap();
    Fixture {
        folder: Arc::new(folder),
        root,
        scratch,
    }
}

impl Fixture {
    async fn put(&self, key: &Key, content: &str) -> Put {
        let file = self.scratch.path().join("file");
        fs::write(&file, content).unwrap();
        self.folder.put(key, &file).await.unwrap()
    }
}

fn key() -> Key {
    "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json"
        .parse()
        .unwrap()
}

#[tokio::test]
async fn links_and_sockets_are_reported_and_never_followed() {
    let f = fixture();
    f.put(&key(), "good").await;
    let outside = f.scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.json"), "secret").unwrap();
    let job = f.root.join("inbox/jfk/departures");
    let linked: Key = key().to_string().replace("9a11", "9a12").parse().unwrap();
    symlink(outside.join("secret.json"), f.root.join(linked.to_string())).unwrap();
    symlink(&outside, f.root.join("inbox/linked")).unwrap();
    let _socket = UnixListener::bind(job.join("socket")).unwrap();
    fs::write(job.join(OsStr::from_bytes(b"\xff.json")), "").unwrap();

    let page = f.folder.list("inbox/", None).await.unwrap();
    assert_eq!(
        page.objects.iter().map(|o| &o.key).collect::<Vec<_>>(),
        [&key()]
    );
    let strange: Vec<_> = page
        .strange
        .iter()
        .map(|s| (s.key.as_str(), s.why.as_str()))
        .collect();
    let link = "it is a symbolic link, and those are not followed";
    assert_eq!(strange[0], (linked.to_string().as_str(), link));
    assert_eq!(
        strange[1],
        ("inbox/jfk/departures/socket", "it is no regular file")
    );
    assert_eq!(strange[2].0, "inbox/jfk/departures/\u{fffd}.json");
    assert_eq!(strange[3], ("inbox/linked", link));
    assert_eq!(strange.len(), 4);

    let failure = f
        .folder
        .get(&linked, &page.strange[0].etag)
        .await
        .unwrap_err();
    assert_eq!(failure.fault(), Fault::Changed);
}

#[tokio::test]
async fn a_pipe_under_a_key_is_not_waited_for() {
    let f = fixture();
    let pipe = f.root.join(key().to_string());
    fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let key = key();
    let get = f.folder.get(&key, "\"etag\"");
    let answer = tokio::time::timeout(Duration::from_secs(5), get).await;
    // Lets go whoever waits for a writer, so that this test can end.
    let both = fs::OpenOptions::new().read(true).write(true).open(&pipe);
    assert_eq!(answer.unwrap().unwrap_err().fault(), Fault::Changed);
    drop(both);
}

#[tokio::test]
async fn names_come_in_the_order_of_their_bytes_as_on_s3() {
    let f = fixture();
    let names = [
        "inbox/a-b/x",
        "inbox/a.json",
        "inbox/a/b/c",
        "inbox/a/c",
        "inbox/a0",
        "inbox/b",
    ];
    for name in names {
        let path = f.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    for (n, after) in std::iter::once(None).chain(names.map(Some)).enumerate() {
        let page = f.folder.list("inbox/", after).await.unwrap();
        let listed: Vec<_> = page.strange.iter().map(|s| s.key.as_str()).collect();
        assert_eq!(listed, names[n..], "after {after:?}");
    }
    let some = f.folder.list("inbox/a/", None).await.unwrap();
    assert_eq!(some.strange.len(), 2);
}

#[tokio::test]
async fn a_staged_file_that_a_crash_has_left_is_not_listed_and_goes_after_a_day() {
    let f = fixture();
    let staging = f.root.join(STAGING);
    fs::create_dir(&staging).unwrap();
    for (name, hours) in [("yesterdays", 25), ("todays", 1)] {
        let file = fs::File::create(staging.join(name)).unwrap();
        let then = SystemTime::now() - Duration::from_hours(hours);
        file.set_modified(then).unwrap();
    }
    assert_eq!(f.put(&key(), "good").await, Put::Created);

    for prefix in ["inbox/", ""] {
        let page = f.folder.list(prefix, None).await.unwrap();
        assert_eq!((page.objects.len(), page.strange.len()), (1, 0));
    }
    let left: Vec<_> = fs::read_dir(&staging)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["todays"]);
}

#[tokio::test]
async fn a_file_written_over_with_as_many_bytes_is_changed() {
    let f = fixture();
    f.put(&key(), "one").await;
    let listed = f
        .folder
        .list("inbox/", None)
        .await
        .unwrap()
        .objects
        .remove(0);
    let path = f.root.join(key().to_string());
    fs::write(&path, "two").unwrap();
    // As coarse as some file systems are.
    let later = listed.modified.unwrap() + Duration::from_millis(10);
    fs::File::open(&path).unwrap().set_modified(later).unwrap();
    let failure = f.folder.get(&key(), &listed.etag).await.unwrap_err();
    assert_eq!(failure.fault(), Fault::Changed);
}

#[tokio::test]
async fn what_is_put_is_as_readable_as_any_new_file() {
    let f = fixture();
    f.put(&key(), "good").await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
    let any = f.scratch.path().join("file");
    assert_eq!(mode(f.root.join(key().to_string())), mode(any));
}

#[test]
fn a_folder_on_another_machine_is_no_folder() {
    let url = "file://server/share".parse().unwrap();
    let Err(failure) = Folder::open(&url) else {
        panic!("accepted")
    };
    assert_eq!(failure.fault(), Fault::Settings);
}
