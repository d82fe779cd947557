//! Up to where a cursor job has read: `state_dir/watermark/<job>.json`, one small file a job.
//!
//! It moves with the spool's commit, in three steps, each durable before the next:
//!
//! 1. the file announces: "if the spool has the entry E, I am at T";
//! 2. the draft is renamed to E: the run's commit, and in the same instant the watermark is T;
//! 3. the file says T, and nothing is announced.
//!
//! Only then is anything put or removed. Whoever takes the job's turn after a crash first does step
//! 3 if E is there, and forgets the announcement if it is not; so there is no moment at which an
//! interval could be left out or read again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nightdrop_runtime::exit::Code;
use nightdrop_schema::{Job, RunId, Timestamptz};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::identity::Fingerprint;
use self::identity::Place;
use crate::{failpoint::failpoint, spool};

mod identity;

/// Why there is no instant to read from.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no watermark, and none was given.
    #[error(
        "no watermark: there is no {}; if this is the job's first run, say where to begin: --start {}; if the state folder was lost, say where the newest result ended (`nightdrop-consumer explain PRODUCER/JOB` has its cursor.to): --start T; nothing was read", path.display(), start.map_or_else(|| "T".to_owned(), |start| start.to_string())
    )]
    Missing {
        /// The file that is not there.
        path: PathBuf,
        /// The job's `cursor.start`.
        start: Option<Timestamptz>,
    },
    /// The watermark is that of another question.
    #[error(
        "the {what} changed since the watermark was set, and what is before it was not asked like that; to go on where it stopped, run once with --start {at}; to begin earlier, with that instant; nothing was read"
    )]
    Changed {
        /// What is not as it was.
        what: &'static str,
        /// The watermark.
        at: Timestamptz,
    },
    /// The state folder is not the one that the watermark was written in.
    #[error(
        "the state folder was copied, restored or moved: its watermark was written {elsewhere}; if nobody else goes on from the original, and it is not older than the last result, run once with --start {at}; nothing was read"
    )]
    Moved {
        /// Where it was written.
        elsewhere: &'static str,
        /// The watermark.
        at: Timestamptz,
    },
    /// `--start`, where there is a watermark that holds.
    #[error(
        "--start {start} is not taken: the job goes on from its watermark, {at}; to read something again, or to leave something out, remove {} first", path.display()
    )]
    InTheWay {
        /// What was asked for.
        start: Timestamptz,
        /// The watermark.
        at: Timestamptz,
        /// Its file.
        path: PathBuf,
    },
}

impl Error {
    /// What this ends the process with.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } | Self::Changed { .. } | Self::Moved { .. } => Code::NoInput,
            Self::InTheWay { .. } => Code::Usage,
        }
    }
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    #[serde(with = "moment")]
    watermark: Timestamptz,
    /// Drawn when somebody said `--start`. Runs from one instant under one epoch have one id.
    epoch: String,
    of: Fingerprint,
    at: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    announced: Option<Announced>,
}

/// What the watermark is if the spool has an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    entry: String,
    #[serde(with = "moment")]
    watermark: Timestamptz,
}

mod moment {
    use nightdrop_schema::Timestamptz;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands a reference over"
    )]
    pub(super) fn serialize<S: Serializer>(
        moment: &Timestamptz,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(moment)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamptz, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A job's watermark file.
#[derive(Debug, Clone)]
pub(crate) struct Watermark {
    path: PathBuf,
    /// The job's folder in the spool.
    spool: PathBuf,
}

/// A watermark that holds for what is asked, and where the next will be written.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    file: Watermark,
    saved: Saved,
}

impl Watermark {
    pub(crate) fn new(state_dir: &Path, job: &Job) -> Self {
        Self {
            path: state_dir.join("watermark").join(format!("{job}.json")),
            spool: state_dir.join("spool").join(job.as_str()),
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn read(&self) -> Result<Option<Saved>, spool::Error> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(spool::Error::at(&self.path))?,
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|why| spool::Error::at(&self.path)(io::Error::other(why)))
    }

    /// What the file says, once what it announced is settled in mind; the disk stays as it is.
    fn settled(&self) -> Result<Option<Saved>, spool::Error> {
        Ok(self.read()?.map(|mut saved| {
            if let Some(announced) = saved.announced.take()
                && self.spool.join(&announced.entry).exists()
            {
                saved.watermark = announced.watermark;
            }
            saved
        }))
    }

    /// Finishes what a run that died had begun: nothing may be put or removed before.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub(crate) fn settle(&self) -> Result<(), spool::Error> {
        match self.read()? {
            Some(saved) if saved.announced.is_some() => {
                // The run may have died before the entry's name was durable.
                spool::sync_folder(&self.spool)?;
                let Some(settled) = self.settled()? else {
                    return Ok(());
                };
                self.write(&settled)
            }
            _ => Ok(()),
        }
    }

    /// The instant to read from: the watermark, if it is one of this very question, or `start`.
    ///
    /// # Errors
    /// [`Error`] if there is none; or the file can't be read.
    pub(crate) fn step(
        &self,
        of: &Fingerprint,
        start: Option<Timestamptz>,
        proposed: Option<Timestamptz>,
    ) -> Result<Step, crate::Error> {
        let saved = self.settled()?;
        spool::durable_folder(self.folder())?;
        let here = Place::of(self.folder())?;
        let anew = |watermark| Saved {
            watermark,
            epoch: Uuid::now_v7().to_string(),
            of: of.clone(),
            at: here.clone(),
            announced: None,
        };
        let saved = match (saved, start) {
            (None, None) => {
                return Err(Error::Missing {
                    path: self.path.clone(),
                    start: proposed,
                }
                .into());
            }
            (None, Some(start)) => anew(start),
            (Some(saved), start) => {
                let at = saved.watermark;
                let differs = match (of.difference(&saved.of), here.difference(&saved.at)) {
                    (Some(what), _) => Some(Error::Changed { what, at }),
                    (None, Some(elsewhere)) => Some(Error::Moved { elsewhere, at }),
                    (None, None) => None,
                };
                match (differs, start) {
                    (Some(error), None) => return Err(error.into()),
                    // Where it stopped: what a run from there was called, it is still called.
                    (Some(_), Some(start)) if start == at => Saved {
                        epoch: saved.epoch,
                        ..anew(at)
                    },
                    (Some(_), Some(start)) => anew(start),
                    (None, Some(start)) if start != at => {
                        return Err(Error::InTheWay {
                            start,
                            at,
                            path: self.path.clone(),
                        }
                        .into());
                    }
                    (None, _) => saved,
                }
            }
        };
        Ok(Step {
            file: self.clone(),
            saved,
        })
    }

    /// Writes the file beside itself, makes it durable, puts it in its place, makes that durable.
    fn write(&self, saved: &Saved) -> Result<(), spool::Error> {
        let at = spool::Error::at;
        spool::durable_folder(self.folder())?;
        let draft = self.path.with_extension("draft");
        let text = serde_json::to_vec_pretty(saved)
            .map_err(|why| at(&self.path)(io::Error::other(why)))?;
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(at(&draft))?;
        file.write_all(&text).map_err(at(&draft))?;
        failpoint("watermark: written");
        file.sync_all().map_err(at(&draft))?;
        failpoint("watermark: synced");
        fs::rename(&draft, &self.path).map_err(at(&self.path))?;
        failpoint("watermark: renamed");
        spool::sync_folder(self.folder())
    }
}

impl Step {
    /// The watermark: where the interval begins.
    pub(crate) fn from(&self) -> Timestamptz {
        self.saved.watermark
    }

    /// The id of the run that reads on from here. Another run from the same instant, of a state
    /// folder that went back in time, has the same: the consumer then has the same run with other
    /// content, and parks it with an alarm, where it would load rows twice.
    pub(crate) fn run_id(&self) -> RunId {
        let from = self.from();
        let millis = from.unix_micros().unwrap_or_default() / 1000;
        let hash = Sha256::new()
            .chain_update(&self.saved.epoch)
            .chain_update(from.raw().to_be_bytes())
            .finalize();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash[..10]);
        RunId::from(
            uuid::Builder::from_unix_timestamp_millis(
                u64::try_from(millis).unwrap_or_default(),
                &bytes,
            )
            .into_uuid(),
        )
    }

    /// "If the spool has this entry, the watermark is `to`."
    pub(crate) fn announce(&self, entry: &str, to: Timestamptz) -> Result<(), spool::Error> {
        self.file.write(&Saved {
            announced: Some(Announced {
                entry: entry.to_owned(),
                watermark: to,
            }),
            ..self.saved.clone()
        })
    }

    /// The entry is there: the watermark is `to`.
    pub(crate) fn save(&self, to: Timestamptz) -> Result<(), spool::Error> {
        self.file.write(&Saved {
            watermark: to,
            ..self.saved.clone()
        })
    }
}

#[cfg(test)]
mod tests;
