//! LIST: a sorted walk, in pages, as S3 does it.

use std::{fs, io, path::Path, sync::Arc};

use super::{Folder, STAGING, etag};
use crate::{Call, Error, PAGE, Page, Strange};

impl Folder {
    pub(crate) async fn list(
        self: &Arc<Self>,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Page, Error> {
        let mut walk = Walk {
            prefix: prefix.to_owned(),
            after: after.unwrap_or_default().to_owned(),
            last: String::new(),
            page: Page::default(),
        };
        self.blocking(Call::List, prefix.to_owned(), move |folder| {
            walk.folder(&folder.root, "")?;
            Ok(walk.page)
        })
        .await
    }
}

struct Walk {
    prefix: String,
    after: String,
    /// The key that was added last.
    last: String,
    page: Page,
}

impl Walk {
    /// Adds what is in `folder`, whose keys begin with `base`, in the order of their bytes. Stops
    /// when the page is full.
    fn folder(&mut self, folder: &Path, base: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let mut key = format!("{base}{}", entry.file_name().to_string_lossy());
            // Of the entry itself: a link to a folder is no folder.
            let is_folder = entry.file_type()?.is_dir();
            if is_folder {
                // A folder stands where its first key would: "a.json" comes before "a/b.json".
                key.push('/');
            }
            entries.push((key, is_folder, entry.path()));
        }
        entries.sort();
        for (key, is_folder, path) in entries {
            if self.page.next.is_some() {
                break;
            }
            if is_folder {
                if self.may_hold(&key) && !(base.is_empty() && path.ends_with(STAGING)) {
                    match self.folder(&path, &key) {
                        // Removed since it was seen.
                        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                        // One folder that somebody locked hides no other.
                        Err(e) if key.starts_with(&self.prefix) => self.locked(key, &e),
                        done => done?,
                    }
                }
            } else if key.starts_with(&self.prefix) && key > self.after {
                self.file(key, &path)?;
            }
        }
        Ok(())
    }

    /// Whether a folder may hold keys that are asked for.
    fn may_hold(&self, folder: &str) -> bool {
        (folder.starts_with(&self.prefix) || self.prefix.starts_with(folder))
            && (folder > self.after.as_str() || self.after.starts_with(folder))
    }

    fn file(&mut self, key: String, path: &Path) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            // Deleted since its folder was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        if !self.room_for(&key) {
            return Ok(());
        }
        let kind = metadata.file_type();
        if kind.is_file() {
            let modified = metadata.modified().ok();
            self.page
                .add(key, etag(&metadata), metadata.len(), modified);
        } else {
            let why = if kind.is_symlink() {
                "it is a symbolic link, and those are not followed"
            } else {
                "it is no regular file"
            };
            self.page.strange.push(Strange {
                key,
                etag: etag(&metadata),
                size: metadata.len(),
                why: why.to_owned(),
            });
        }
        Ok(())
    }

    fn locked(&mut self, key: String, error: &io::Error) {
        if key > self.after && self.room_for(&key) {
            self.page.strange.push(Strange {
                key,
                etag: String::new(),
                size: 0,
                why: format!("the folder can't be read: {error}"),
            });
        }
    }

    /// Whether the page takes one more. If not there is a next one, after the last one's key.
    fn room_for(&mut self, key: &str) -> bool {
        if self.page.objects.len() + self.page.strange.len() == PAGE {
            self.page.next = Some(self.last.clone());
            return false;
        }
        key.clone_into(&mut self.last);
        true
    }
}
