//! What a watermark holds for: one question to one source, asked from one place.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{parameters::Placeholder, spool};

/// What a watermark is a watermark of: digests, for a query may hold what is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    query: String,
    parameters: String,
    source: String,
}

impl Fingerprint {
    /// Of a query's text, what is bound to it, and the URL of its source.
    pub fn new(sql: &str, parameters: &[Placeholder], source: &str) -> Self {
        Self {
            query: digest(sql),
            parameters: digest(&format!("{parameters:?}")),
            source: digest(source),
        }
    }

    /// What is not as it was.
    pub(super) fn difference(&self, before: &Self) -> Option<&'static str> {
        if self.query != before.query {
            Some("query")
        } else if self.parameters != before.parameters {
            Some("query's parameters")
        } else if self.source != before.source {
            Some("source's url")
        } else {
            None
        }
    }
}

/// Where a watermark was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// A digest of this system's machine-id, if it has one. A restored image, too, has its own
    /// where it was made to be another machine.
    pub(super) machine: Option<String>,
    /// The inode of the folder: a copy, and what comes out of a backup, has another.
    pub(super) folder: u64,
}

impl Place {
    pub(super) fn of(folder: &Path) -> Result<Self, spool::Error> {
        let folder_inode = fs::metadata(folder)
            .map_err(spool::Error::at(folder))?
            .ino();
        // Not the id itself, which is to be kept confidential: machine-id(5).
        let machine = fs::read_to_string("/etc/machine-id")
            .ok()
            .filter(|id| !id.trim().is_empty())
            .map(|id| digest(&format!("nightdrop {}", id.trim())));
        Ok(Self {
            machine,
            folder: folder_inode,
        })
    }

    pub(super) fn difference(&self, before: &Self) -> Option<&'static str> {
        match (&self.machine, &before.machine) {
            (Some(here), Some(there)) if here != there => return Some("on another machine"),
            _ => {}
        }
        (self.folder != before.folder).then_some("in another folder")
    }
}

fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String can't fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
