//! Where a drop box lies, and who comes to it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nightdrop_bucket::{Bucket, KeySource, Keys, Object, Settings};
use nightdrop_compose::{Inbox, S3, S3Kind};
use nightdrop_schema::Key;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::TempDir;

/// What Signature Version 4 encodes in a path.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// An empty drop box, one test's alone.
pub(crate) struct Place {
    /// `None`: a folder.
    lent: Option<Lent>,
    scratch: TempDir,
    /// Whether there may be something in it that our own calls can't delete.
    planted: AtomicBool,
}

/// A bucket with its users. To make one takes a server seconds, so that the next test has it after this one.
struct Lent {
    kind: S3Kind,
    inbox: Inbox,
    producers: Mutex<HashMap<String, nightdrop_compose::Keys>>,
}

static IDLE: Mutex<Vec<Lent>> = Mutex::new(Vec::new());

impl Place {
    pub(crate) fn folder() -> Self {
        let place = Self::new(None);
        std::fs::create_dir(place.root()).unwrap();
        place
    }

    /// `None` where this machine has no such server.
    pub(crate) async fn s3(kind: S3Kind) -> Option<Self> {
        if !S3Kind::available().contains(&kind) {
            eprintln!(
                "not run: {kind} is not installed; `go install github.com/minio/minio@latest` and \
                 `go install github.com/minio/mc@latest` do it"
            );
            return None;
        }
        let idle = {
            let mut idle = IDLE.lock().unwrap();
            idle.iter()
                .position(|lent| lent.kind == kind)
                .map(|n| idle.swap_remove(n))
        };
        let lent = idle.unwrap_or_else(|| {
            let inbox = S3::shared(kind).unwrap().inbox().unwrap();
            Lent {
                kind,
                inbox,
                producers: Mutex::default(),
            }
        });
        let place = Self::new(Some(lent));
        let reader = place.reader();
        loop {
            let rest = reader.list("inbox/", None).await.unwrap().objects;
            if rest.is_empty() {
                return Some(place);
            }
            let keys: Vec<_> = rest.into_iter().map(|object| object.key).collect();
            delete(&reader, &keys).await;
        }
    }

    fn new(lent: Option<Lent>) -> Self {
        Self {
            lent,
            scratch: tempfile::tempdir().unwrap(),
            planted: AtomicBool::new(false),
        }
    }

    /// The drop box as the producer of this name opens it.
    pub(crate) fn producer(&self, name: &str) -> Bucket {
        self.open((!self.is_folder()).then(|| fixed(&self.producer_keys(name))))
    }

    pub(crate) fn producer_keys(&self, name: &str) -> nightdrop_compose::Keys {
        let lent = self.lent();
        let mut producers = lent.producers.lock().unwrap();
        let made = || lent.inbox.producer(name).unwrap();
        producers
            .entry(name.to_owned())
            .or_insert_with(made)
            .clone()
    }

    /// The drop box as the reader opens it.
    pub(crate) fn reader(&self) -> Bucket {
        self.open((!self.is_folder()).then(|| fixed(&self.inbox().reader())))
    }

    pub(crate) fn open(&self, keys: Option<KeySource>) -> Bucket {
        Bucket::open(self.settings(keys)).unwrap()
    }

    pub(crate) fn settings(&self, keys: Option<KeySource>) -> Settings {
        let (url, endpoint) = if self.is_folder() {
            (url::Url::from_directory_path(self.root()).unwrap(), None)
        } else {
            let inbox = self.inbox();
            (
                inbox.url().parse().unwrap(),
                Some(inbox.endpoint.parse().unwrap()),
            )
        };
        Settings {
            url,
            endpoint,
            region: None,
            imds: false,
            keys,
        }
    }

    /// The same place, but for the bucket, which is not there; as its owner would open it.
    pub(crate) fn without_bucket(&self) -> Bucket {
        let mut settings;
        if self.is_folder() {
            settings = self.settings(None);
            let none = self.scratch.path().join("none");
            settings.url = url::Url::from_directory_path(none).unwrap();
        } else {
            settings = self.settings(Some(fixed(&self.inbox().root())));
            settings.url = "s3://there-is-no-such-bucket".parse().unwrap();
        }
        Bucket::open(settings).unwrap()
    }

    fn lent(&self) -> &Lent {
        self.lent.as_ref().expect("a folder has no server")
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.lent().inbox
    }

    pub(crate) fn is(&self, wanted: S3Kind) -> bool {
        !self.is_folder() && self.lent().kind == wanted
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.lent.is_none()
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("bucket")
    }

    /// Puts something under any key at all, over what is there, as only its owner can. Says whether the place takes
    /// such a key.
    pub(crate) fn plant(&self, raw: &str, content: &str) -> bool {
        self.planted.store(true, Ordering::Relaxed);
        if self.is_folder() {
            let path = self.root().join(raw);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            return std::fs::write(path, content).is_ok();
        }
        let (inbox, path) = (self.inbox(), utf8_percent_encode(raw, RESERVED).to_string());
        inbox
            .request(&inbox.root(), "PUT", &path, content)
            .unwrap()
            .status
            == 200
    }

    /// A file with this content, to be put.
    pub(crate) fn file(&self, content: &[u8]) -> PathBuf {
        let (_, path) = tempfile::NamedTempFile::new_in(self.scratch.path())
            .unwrap()
            .keep()
            .unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.planted.load(Ordering::Relaxed) {
            IDLE.lock().unwrap().extend(self.lent.take());
        }
    }
}

/// Keys that stay as they are.
pub(crate) fn fixed(keys: &nightdrop_compose::Keys) -> KeySource {
    let keys = Keys {
        access_key: keys.access_key.clone().into(),
        secret_key: keys.secret_key.clone().into(),
    };
    Arc::new(move || Ok(keys.clone()))
}

/// The `n`th key of a job.
pub(crate) fn key(producer: &str, job: &str, n: usize) -> Key {
    format!("inbox/{producer}/{job}/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-{n:012x}.json")
        .parse()
        .unwrap()
}

/// The one object that there is.
pub(crate) async fn only_object(bucket: &Bucket) -> Object {
    let page = bucket.list("inbox/", None).await.unwrap();
    assert_eq!(
        (page.objects.len(), page.strange.len(), page.next),
        (1, 0, None)
    );
    page.objects.into_iter().next().unwrap()
}

/// Deletes these, or fails.
pub(crate) async fn delete(bucket: &Bucket, keys: &[Key]) {
    let verdicts = bucket.delete(keys).await.unwrap();
    assert_eq!(verdicts.len(), keys.len());
    for verdict in verdicts {
        verdict.unwrap();
    }
}
