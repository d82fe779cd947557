//! One bucket with its users.

use anyhow::Result;

use super::{Answer, Keys, REGION, S3, S3Kind, minio, seaweedfs, signed};
use crate::database::random_word;

/// A bucket of its own, with a reader, and with producers as they are asked for.
#[derive(Clone)]
pub struct Inbox {
    /// The server's address: `http://127.0.0.1:` and a port.
    pub endpoint: String,
    /// The server's region.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    kind: S3Kind,
    pub(super) root: Keys,
    reader: Keys,
}

impl Inbox {
    pub(super) fn new(s3: &S3) -> Result<Self> {
        let bucket = format!("inbox-{}", random_word());
        let mut inbox = Self {
            endpoint: s3.endpoint.clone(),
            region: REGION.to_owned(),
            reader: s3.root.clone(),
            root: s3.root.clone(),
            kind: s3.kind,
            bucket,
        };
        inbox.reader = match inbox.kind {
            S3Kind::SeaweedFs => seaweedfs::bucket(&inbox)?,
            S3Kind::Minio => minio::bucket(&inbox)?,
        };
        Ok(inbox)
    }

    /// The bucket as it stands in a config file: `s3://` and its name.
    pub fn url(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    /// The keys of the reader: list, get and delete below `inbox/`, by what
    /// `nightdrop-consumer policy` prints.
    pub fn reader(&self) -> Keys {
        self.reader.clone()
    }

    /// The keys of a new user who may put below `inbox/<producer>/` and nothing else, by what
    /// `nightdrop-producer policy` prints. Ask once for each producer.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn producer(&self, producer: &str) -> Result<Keys> {
        match self.kind {
            S3Kind::SeaweedFs => seaweedfs::producer(self, producer),
            S3Kind::Minio => minio::producer(self, producer),
        }
    }

    /// The keys of a new user with a policy of one's own: for showing what comes of other rights than the two
    /// programs print. On SeaweedFS not one that may list the whole bucket.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn user(&self, name: &str, policy: &str) -> Result<Keys> {
        match self.kind {
            S3Kind::SeaweedFs => seaweedfs::user(self, name, policy),
            S3Kind::Minio => minio::set_up(self, name, policy),
        }
    }

    /// The keys of the server's owner: only for arranging what a test needs.
    pub fn root(&self) -> Keys {
        self.root.clone()
    }

    /// Sends one signed request to the bucket as a user would with any client. `path` comes after
    /// the bucket's name, percent-encoded, with its query: `inbox/jfk/x/1.json`, or
    /// `?list-type=2&prefix=inbox%2F`.
    ///
    /// # Errors
    /// When the server does not answer; a refusal is an answer.
    pub fn request(&self, keys: &Keys, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.request_with(keys, method, path, &[], body)
    }

    /// The same, with headers.
    ///
    /// # Errors
    /// When the server does not answer; a refusal is an answer.
    pub fn request_with(
        &self,
        keys: &Keys,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let path = format!("/{}/{path}", self.bucket);
        signed::request(&self.endpoint, keys, "s3", method, &path, headers, body)
    }
}
