//! What a key may do in the bucket, tried out: each call that its program needs must work, and each that it must not
//! make must be refused.
//!
//! Nothing is left behind but a producer's probe (`nightdrop.probe.v1`), which the consumer notes and deletes: what is
//! deleted is a key that nobody has, what is read is something that lies there, and a PUT that must be refused could not
//! be done anyhow (`s3/probe.rs`). A refusal proves something only if the same key is let through elsewhere: servers say it of a key
//! that they don't know, too.
//!
//! `trial.rs` asks, `server.rs` says what the answers tell of the server, `judge.rs` what they tell of the key.

mod judge;
mod server;
mod trial;

use nightdrop_schema::Producer;

use self::trial::Trial;
use crate::{Bucket, Kind};

/// One line of what was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What should be so, in a few words that stay the same.
    pub line: &'static str,
    /// Whether it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where it isn't so.
    pub remedy: String,
}

/// Whether it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Holds,
    /// It is not.
    Fails(Matter),
    /// That could not be found out.
    Unproven(Matter),
}

/// Where to look for the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// The rights of the key.
    Rights,
    /// The configuration: of the program, the server or the machine.
    Settings,
    /// The server, or the way to it.
    Away,
}

impl Bucket {
    /// Tries out what a producer's key may do.
    pub async fn prove_producer(&self, producer: &Producer) -> Vec<Proof> {
        match &self.kind {
            Kind::S3(s3) => Trial::new(s3).producer(producer).await,
            Kind::Folder(_) => vec![folder()],
        }
    }

    /// Tries out what the consumer's key may do.
    pub async fn prove_consumer(&self) -> Vec<Proof> {
        match &self.kind {
            Kind::S3(s3) => Trial::new(s3).consumer().await,
            Kind::Folder(_) => vec![folder()],
        }
    }
}

fn folder() -> Proof {
    Proof {
        line: "bucket: rights",
        verdict: Verdict::Unproven(Matter::Rights),
        found: "a folder gives the same rights to all who can write in it".to_owned(),
        remedy: "use an S3 server where producers are not to be trusted".to_owned(),
    }
}
