#![doc = include_str!("../README.md")]

mod error;
mod fault;
mod folder;
mod observer;
mod page;
pub mod policy;
pub mod probe;
mod s3;
mod settings;

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use nightdrop_schema::Key;

pub use crate::{
    error::{Call, Error},
    fault::Fault,
    observer::Observer,
    page::{Object, Page, Strange},
    settings::{KeySource, Keys, Settings},
};
use crate::{folder::Folder, s3::S3};

/// The most objects that one [`Page`] holds: S3's own limit.
pub const PAGE: usize = 1000;

/// The largest file, in bytes, that one PUT takes: 5 GiB, S3's own limit
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
pub const LARGEST: u64 = 5 << 30;

/// How long a request may take, besides the time for its body.
pub const WAIT: Duration = Duration::from_mins(1);

/// What became of a [`Bucket::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Put {
    /// The object is there now, and durable.
    Created,
    /// The key was taken before. What it holds was not touched.
    ///
    /// For a caller whose key is its own (a run id makes it so) this is success: an earlier attempt
    /// whose answer was lost had landed.
    AlreadyThere,
}

/// A drop box: an S3 bucket or, for trying it without one, a folder. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    kind: Kind,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Clone)]
enum Kind {
    S3(Arc<S3>),
    Folder(Arc<Folder>),
}

impl Bucket {
    /// Opens what `settings.url` names. Says nothing to any server yet: a bucket that is down, or
    /// credentials that are wrong, show at the first call.
    ///
    /// # Errors
    /// [`Fault::Settings`]: the settings can't work, and the sentence says which one to correct.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let kind = match settings.url.scheme() {
            "s3" => Kind::S3(Arc::new(S3::open(settings, s3::Limits::default())?)),
            "file" => Kind::Folder(Arc::new(Folder::open(&settings.url)?)),
            other => {
                return Err(error::settings(
                    &settings,
                    format!("url is {other}:, write s3://bucket or file:///folder"),
                ));
            }
        };
        Ok(Self {
            kind,
            observer: None,
        })
    }

    /// The same bucket, whose requests `observer` hears of.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// Tells the observer of a request, before it and where it fails.
    async fn seen<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if let Some(observer) = &self.observer {
            observer.asked(call);
        }
        request.await.inspect_err(|error| self.failed(call, error))
    }

    fn failed(&self, call: Call, error: &Error) {
        if let Some(observer) = &self.observer {
            observer.failed(call, error.fault());
        }
    }

    /// Puts `file` under `key`, unless the key is taken. One request and one attempt, in constant
    /// memory: the file is read twice, first for its checksum. Whoever calls retries; after a
    /// failure that left it open whether the object landed (a timeout, a lost connection), the next
    /// attempt's [`Put::AlreadyThere`] is success.
    ///
    /// The time it may take grows with the file: 60 s, and a second more for each megabyte.
    ///
    /// # Errors
    /// Any [`Fault`] but `NotFound` and `Changed`. `Io` is about `file` (or the disk behind a
    /// `file://` bucket); `Refused` also where the file is larger than [`LARGEST`], before anything
    /// is sent.
    pub async fn put(&self, key: &Key, file: &Path) -> Result<Put, Error> {
        self.put_within(WAIT, key, file).await
    }

    /// The same as [`put`](Self::put), with `wait` instead of its 60 s. A folder has no limit.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_within(&self, wait: Duration, key: &Key, file: &Path) -> Result<Put, Error> {
        self.seen(Call::Put, async {
            match &self.kind {
                Kind::S3(s3) => s3.put_within(wait, key, file).await,
                Kind::Folder(folder) => folder.put(key, file).await,
            }
        })
        .await
    }

    /// Lists up to [`PAGE`] objects whose key begins with `prefix` and, in the bucket's order,
    /// comes after `after`, which need not exist.
    ///
    /// # Errors
    /// Any [`Fault`] but `NotFound` and `Changed`. A key that is not one of ours is no error: it is
    /// among [`Page::strange`] and hides nothing.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        self.seen(Call::List, async {
            match &self.kind {
                Kind::S3(s3) => s3.list(prefix, after).await,
                Kind::Folder(folder) => folder.list(prefix, after).await,
            }
        })
        .await
    }

    /// The whole object, if it is still the one that was listed with `etag` (as listed, quotes
    /// included).
    ///
    /// # Errors
    /// [`Fault::Changed`]: there is another object under the key now; [`Fault::NotFound`]: it is
    /// gone; or any other.
    pub async fn get(&self, key: &Key, etag: &str) -> Result<Bytes, Error> {
        self.seen(Call::Get, async {
            match &self.kind {
                Kind::S3(s3) => s3.get(key, etag).await,
                Kind::Folder(folder) => folder.get(key, etag).await,
            }
        })
        .await
    }

    /// The same as [`get`](Self::get), piece by piece. There is a limit to the wait for each piece
    /// (60 s), none to the whole.
    ///
    /// # Errors
    /// As [`get`](Self::get). What fails half-way comes as the stream's last item: an object that
    /// was cut never ends as if it were whole.
    pub async fn get_stream(
        &self,
        key: &Key,
        etag: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let pieces = self
            .seen(Call::Get, async {
                match &self.kind {
                    Kind::S3(s3) => s3.get_stream(key, etag).await,
                    Kind::Folder(folder) => folder.get_stream(key, etag).await,
                }
            })
            .await?;
        let bucket = self.clone();
        Ok(pieces
            .inspect_err(move |error| bucket.failed(Call::Get, error))
            .boxed())
    }

    /// Deletes the objects under `keys`, 1,000 a request, and says for each, in their order,
    /// whether it is gone. One that was gone before is `Ok`.
    ///
    /// # Errors
    /// A request that failed as a whole ends the call. What requests before it deleted stays
    /// deleted; to ask again for all of them does no harm.
    pub async fn delete(&self, keys: &[Key]) -> Result<Vec<Result<(), Error>>, Error> {
        self.seen(Call::Delete, async {
            match &self.kind {
                Kind::S3(s3) => s3.delete(keys).await,
                Kind::Folder(folder) => folder.delete(keys).await,
            }
        })
        .await
    }
}

impl std::fmt::Display for Bucket {
    /// Where it is, without any credential: `s3://reports-inbox at https://s3.example.com`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.kind {
            Kind::S3(s3) => s3.place(),
            Kind::Folder(folder) => folder.place(),
        })
    }
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({self})")
    }
}
