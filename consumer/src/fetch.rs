//! A small file out of the bucket and decoded, or word of what kept it from being so. One that was parked
//! before comes out of Postgres instead.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use nightdrop_bucket::{Bucket, Error as BucketError, Fault};
use nightdrop_schema::{Caps, Compression};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::decode::{self, Decoded, Whole};
use crate::failpoint::failpoint;
use crate::ledger::claim::File;
use crate::ledger::parked;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::verdict::Verdict;
use crate::load::Ready;
use crate::pool::Pool;
use crate::remedy::Remedy;
use crate::sqlstate;
use crate::traces;

/// How long a file that the bucket won't give waits before it is asked for again.
pub const HELD_FOR: Duration = Duration::from_hours(1);

/// Stored bytes of small files in memory at once, in KiB.
pub const STORED_KIB: usize = 16 * 1024;

/// Connections to Postgres that read parked bytes at once: the other lanes need some too.
pub const READERS: usize = 3;

/// Why a file can't be read just now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket is away, or refuses.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Postgres, where its bytes are kept, is away.
    #[error("reading what was parked: {}", sqlstate::sentence(.0))]
    Kept(#[from] sqlx::Error),
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Bucket(error) => remedy(error.fault()),
            Self::Kept(error) => sqlstate::remedy(error).for_everyone(),
        }
    }
}

/// What came of fetching a file.
#[derive(Debug)]
pub enum Fetched {
    /// It can be loaded.
    Ready(Box<Ready>),
    /// It carries no rows.
    Note(Box<Verdict>),
    /// It is bad: to be parked, with its bytes at hand.
    Bad(i64, Reason, Bytes),
    /// It can't be read, or is no longer there; or it is bad, and its bytes are kept already.
    Settled(Box<Verdict>),
    /// More rows than a batch holds: a matter for the lane of streams.
    Large(i64),
    /// Where its bytes are is away: nothing is known of this file.
    Away(i64, Error),
}

impl Fetched {
    /// How much memory is held by what is to be loaded or parked.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ready(ready) => ready.bytes(),
            Self::Bad(_, _, stored) => stored.len(),
            Self::Note(_) | Self::Settled(_) | Self::Large(_) | Self::Away(..) => 0,
        }
    }
}

/// What fetching needs. Cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    /// The drop box.
    pub bucket: Bucket,
    /// Where the bytes of parked files are.
    pub pool: Pool,
    /// Permits for connections that read those.
    pub readers: Arc<Semaphore>,
    /// What a file may ask for.
    pub caps: Caps,
    /// Permits for stored bytes in memory, in KiB.
    pub memory: Arc<Semaphore>,
    /// How many bytes of rows a batch takes of one file.
    pub whole: usize,
    /// Permits for files that are inflated and decoded at once.
    pub decoding: Arc<Semaphore>,
}

/// What a batch inflates of one file, in bytes: a few KiB can become gigabytes, and many files are read at once.
const INFLATED: u64 = 4 * 1024 * 1024;

/// Up to so many stored bytes a file is decoded where it arrives: a thread of its own costs more than that.
const TINY: u64 = 64 * 1024;

/// The same for compressed ones, each of which may inflate to all that a batch inflates.
const TINY_COMPRESSED: u64 = 4 * 1024;

/// The longest row that a batch reads, in bytes.
const ROW: usize = 1024 * 1024;

impl Fetch {
    /// Waits until there is room in memory for so many stored bytes.
    pub async fn room_for(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        // A file that is larger than all memory takes all of it, instead of waiting for more for ever.
        let wanted = usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX);
        let wanted = u32::try_from(wanted.clamp(1, STORED_KIB)).unwrap_or(u32::MAX);
        // Never closed.
        self.memory.acquire_many(wanted).await.ok()
    }

    /// Fetches and decodes one file.
    pub async fn run(&self, file: File) -> Fetched {
        let _permit = self.room_for(file.size).await;
        let begun = SystemTime::now();
        let stored = match self.stored(&file).await {
            Ok(stored) => stored,
            Err(Error::Bucket(error)) => {
                return match unread(file.id, error) {
                    Ok(verdict) => Fetched::Settled(Box::new(verdict)),
                    Err(error) => Fetched::Away(file.id, error.into()),
                };
            }
            Err(error @ Error::Kept(_)) => return Fetched::Away(file.id, error),
        };
        failpoint("file: fetched");
        let length = stored.len() as u64;
        let limit = self.whole;
        let caps = Caps {
            file: self.caps.file.min(INFLATED),
            row: self.caps.row.min(ROW),
            ..self.caps.clone()
        };
        let tiny = match file.key.compression() {
            Compression::None => TINY,
            Compression::Gzip | Compression::Zstd => TINY_COMPRESSED,
        };
        let decode = move || {
            let mut whole = Whole {
                limit,
                ..Whole::default()
            };
            let decoded = decode::decode(&file, &stored[..], &caps, &mut whole);
            (file, stored, whole.rows, decoded)
        };
        let (file, stored, rows, mut decoded) = if length <= tiny {
            decode()
        } else {
            // Never closed.
            let _decoding = self.decoding.acquire().await;
            match tokio::task::spawn_blocking(decode).await {
                Ok(done) => done,
                // A panic is a bug of ours; the file must not vanish with it.
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        };
        failpoint("file: decoded");
        if let Ok(decoded) = &mut decoded {
            let trace = &mut decoded.content.trace;
            let span = traces::fetched(&file, trace.as_ref(), begun);
            *trace = trace.take().or_else(|| span.parent());
        }
        sort(file, stored, rows, decoded)
    }

    async fn stored(&self, file: &File) -> Result<Bytes, Error> {
        if !file.kept {
            return Ok(self.bucket.get(&file.key, &file.etag).await?);
        }
        // Never closed.
        let _reader = self.readers.acquire().await;
        Ok(parked::whole(&self.pool, file.id).await?)
    }
}

fn sort(
    file: File,
    stored: Bytes,
    rows: Vec<u8>,
    decoded: Result<Decoded, decode::Error>,
) -> Fetched {
    match decoded {
        Ok(Decoded {
            content,
            note: Some(note),
            ..
        }) => Fetched::Note(Box::new(Verdict::noted(file.id, content, note))),
        Ok(Decoded {
            content,
            header,
            note: None,
        }) => match header {
            Some(header) => Fetched::Ready(Box::new(Ready {
                file,
                content,
                header,
                rows,
            })),
            None => Fetched::Large(file.id),
        },
        // Of what exceeds a batch's own caps only a stream knows whether it exceeds those of the configuration.
        Err(decode::Error::Bad(reason)) if reason.cause == Cause::TooLarge => {
            Fetched::Large(file.id)
        }
        // As it was before: what is kept of it stays as it is.
        Err(decode::Error::Bad(reason)) if file.kept => {
            Fetched::Settled(Box::new(Verdict::because(file.id, reason)))
        }
        Err(decode::Error::Bad(reason)) => Fetched::Bad(file.id, reason, stored),
        Err(decode::Error::Large | decode::Error::Unwanted) => Fetched::Large(file.id),
    }
}

/// What is to be done about a GET that failed.
pub fn remedy(fault: Fault) -> Remedy {
    match fault {
        Fault::Unreachable | Fault::TimedOut | Fault::Busy | Fault::Io => Remedy::Retry,
        Fault::NotFound | Fault::Changed => Remedy::Park,
        Fault::Forbidden | Fault::Refused => Remedy::Hold,
        Fault::Unauthenticated | Fault::NoBucket | Fault::Settings => Remedy::Halt,
    }
}

/// A GET that failed: the object is gone, or is refused, and has its verdict; or the bucket is away.
///
/// # Errors
/// The same error, where nothing is known of the file.
pub fn unread(file: i64, error: BucketError) -> Result<Verdict, BucketError> {
    match (error.fault(), remedy(error.fault())) {
        (Fault::NotFound, _) => Ok(Verdict::because(
            file,
            Reason::new(
                Cause::Gone,
                "it is no longer in the bucket, though nobody of ours deleted it",
            ),
        )),
        (Fault::Changed, _) => Ok(Verdict::because(
            file,
            Reason::new(
                Cause::Replaced,
                "another object was put under this key before this one was loaded",
            ),
        )),
        (_, Remedy::Hold) => {
            tracing::warn!(file, %error, "can't be read: held in the bucket, and tried again in an hour");
            let reason = Reason::new(Cause::Unreadable, error.said());
            Ok(Verdict {
                retry_in: Some(HELD_FOR),
                ..Verdict::because(file, reason)
            })
        }
        _ => Err(error),
    }
}
