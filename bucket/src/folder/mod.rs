//! A bucket that is a folder, for trying nightdrop without S3: the same promises, kept by one
//! machine's file system. Unix only, for its inodes. All who use it must have the rights to it;
//! there are no keys here.
//!
//! A key is a path below the root. The grammar of keys has no `..` and no empty part, so that none
//! can point outside.

mod delete;
mod get;
mod list;
mod put;
#[cfg(test)]
mod tests;

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use nightdrop_schema::Key;
use url::Url;

use crate::{Call, Error, Fault};

/// Where files are written before they have their name. In the root, so that a hard link reaches
/// it; outside the inbox, so that no listing shows half a file.
const STAGING: &str = ".staging";

/// A folder used as a bucket.
pub(crate) struct Folder {
    root: PathBuf,
    place: String,
}

impl Folder {
    pub(crate) fn open(url: &Url) -> Result<Self, Error> {
        let place = url.to_string();
        match url.to_file_path() {
            Ok(root) => Ok(Self { root, place }),
            Err(()) => Err(Error {
                place,
                call: Call::Open,
                key: None,
                fault: Fault::Settings,
                said: "url names another machine: write file:///folder".to_owned(),
                status: None,
            }),
        }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.to_string())
    }

    /// Runs `work` where it may block. A missing root is a missing bucket, whatever `work` made of
    /// it.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        about: impl Into<Option<String>>,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let folder = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            if folder.root.is_dir() {
                work(&folder).map_err(|e| (Fault::of_io(&e), e.to_string()))
            } else {
                Err((Fault::NoBucket, "there is no such folder".to_owned()))
            }
        });
        let (fault, said) = match done.await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
            Err(e) => (Fault::Io, e.to_string()),
        };
        Err(self.failed(call, about.into(), fault, said))
    }

    fn failed(&self, call: Call, about: Option<String>, fault: Fault, said: String) -> Error {
        Error {
            place: self.place.clone(),
            call,
            key: about,
            fault,
            said,
            status: None,
        }
    }
}

/// Changes when the content does: a file that is written again has another time, one that is
/// replaced another inode.
fn etag(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )
}

/// Makes the names in `folder` durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}
