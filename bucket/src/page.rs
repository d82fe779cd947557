//! What a listing says: the objects that are ours, and those that are not.

use std::time::SystemTime;

use nightdrop_schema::Key;

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The objects whose key is in the grammar, in the bucket's order.
    pub objects: Vec<Object>,
    /// The others: somebody put them there, nothing here addresses them.
    pub strange: Vec<Strange>,
    /// What to give [`list`](crate::Bucket::list) as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// An object of ours, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: Key,
    /// Changes when the content does. Opaque; on S3 with its quotes.
    pub etag: String,
    /// In bytes, as stored.
    pub size: u64,
    /// When it was put, by the server's clock.
    pub modified: Option<SystemTime>,
}

/// Something else that lies in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strange {
    /// Its key, as raw as text can be: what is not UTF-8 in it is U+FFFD.
    pub key: String,
    /// As [`Object::etag`].
    pub etag: String,
    /// In bytes, as stored.
    pub size: u64,
    /// What is wrong with it, as a sentence.
    pub why: String,
}

impl Page {
    /// Adds what was listed as `raw` to the side where it belongs.
    pub(crate) fn add(
        &mut self,
        raw: String,
        etag: String,
        size: u64,
        modified: Option<SystemTime>,
    ) {
        match raw.parse::<Key>() {
            Ok(key) => self.objects.push(Object {
                key,
                etag,
                size,
                modified,
            }),
            Err(why) => self.strange.push(Strange {
                key: raw,
                etag,
                size,
                why: why.to_string(),
            }),
        }
    }
}
