//! Results on disk that are not yet in the bucket.
//!
//! `state_dir/spool/<job>/<time>-<run>.json[.zst|.gz]`: an entry is named as its key ends, so the
//! name is all its metadata and one rename makes it visible as a whole. That rename is the run's
//! commit: before it, nothing happened; after it, the result will be dropped, by this run or a later.
//! A cursor job's watermark moves with it: `watermark` says how.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nightdrop_runtime::exit::Code;
use nightdrop_schema::{Compression, INBOX, Job, Key, Producer, Timestamptz};
use uuid::Uuid;

use crate::{
    encode::Encoder,
    failpoint::failpoint,
    lock::Lock,
    watermark::{Step, Watermark},
};

mod owner;
mod trial;

pub use self::owner::User;

/// What a file is called until it is an entry.
const DRAFT: &str = ".draft";

/// Why nothing can be kept in the state folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses something there.
    #[error("the state folder can't be written: {}: {source}; check state_dir: its room, its rights", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another producer's results lie there: they would be put under this one's name.
    #[error("the state folder {} is {theirs}'s, not {ours}'s; give each producer a state_dir of its own", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        theirs: String,
        /// Who wanted it.
        ours: Producer,
    },
    /// It is another user's, or something in it is.
    #[error("{} is {theirs}'s, and this runs as {ours}: what one of them makes in a state folder shuts the other out; {}", path.display(), owner::remedy(path, state_dir, theirs, ours))]
    OtherUser {
        /// The file or folder.
        path: PathBuf,
        /// The state folder that it is in.
        state_dir: PathBuf,
        /// Whose it is.
        theirs: User,
        /// Who runs.
        ours: User,
    },
    /// Another run of the job is under way.
    #[error("another run holds {}; wait until it ends", .0.display())]
    Locked(PathBuf),
}

impl Error {
    /// What this ends the process with.
    pub fn code(&self) -> Code {
        match self {
            Self::State { .. } | Self::Foreign { .. } | Self::OtherUser { .. } => Code::CantCreate,
            Self::Locked(_) => Code::TempFail,
        }
    }

    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::State { path, source }
    }
}

/// One producer's state folder.
#[derive(Debug, Clone)]
pub struct Spool {
    producer: Producer,
    state_dir: PathBuf,
}

/// The spool of one job, while no other run can touch it.
#[derive(Debug)]
pub struct Turn {
    producer: Producer,
    job: Job,
    folder: PathBuf,
    watermark: Watermark,
    _lock: Lock,
}

/// A whole result on disk, waiting to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes.
    pub key: Key,
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk, in bytes.
    pub size: u64,
}

/// A result that is being written. Dropped before [`Draft::commit`], it is as if it never was.
pub struct Draft<'a> {
    turn: &'a Turn,
    path: PathBuf,
    encoder: Option<Encoder>,
    written: Arc<AtomicU64>,
}

impl Spool {
    /// The spool of a producer. Nothing is touched before [`Spool::lock`].
    pub fn new(producer: Producer, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            producer,
            state_dir: state_dir.into(),
        }
    }

    /// Takes a job's turn. What an earlier run left half-written is removed, and a watermark that it
    /// left behind its entry is brought to it.
    ///
    /// # Errors
    /// [`Error::Locked`] if another run has it; [`Error::State`] if the folder can't be used;
    /// [`Error::OtherUser`] if it is another user's.
    pub fn lock(&self, job: &Job) -> Result<Turn, Error> {
        let locks = self.state_dir.join("lock");
        let folder = self.state_dir.join("spool").join(job.as_str());
        let lock = locks.join(format!("{job}.lock"));
        owner::are_ours(
            &self.state_dir,
            [self.state_dir.as_path(), &locks, &lock, &folder],
        )?;
        durable_folder(&locks)?;
        durable_folder(&folder)?;
        self.own()?;
        let turn = Turn {
            producer: self.producer.clone(),
            job: job.clone(),
            _lock: Lock::take(&lock)?,
            watermark: self.watermark(job),
            folder,
        };
        turn.remove_drafts()?;
        turn.watermark.settle()?;
        Ok(turn)
    }

    /// Whether the folder, if it is there, is the user's who runs.
    pub(crate) fn is_ours(&self) -> Result<(), Error> {
        owner::are_ours(&self.state_dir, [self.state_dir.as_path()])
    }

    /// A folder is one producer's for good: the first that uses it writes its name there.
    fn own(&self) -> Result<(), Error> {
        if self.is_owned()? {
            return Ok(());
        }
        // The first runs of several jobs may come at once: one of them writes, and the others see what it wrote.
        let locks = self.state_dir.join("lock");
        let only_one = File::open(&locks).map_err(Error::at(&locks))?;
        only_one.lock().map_err(Error::at(&locks))?;
        if self.is_owned()? {
            return Ok(());
        }
        let path = self.owner();
        let draft = self.state_dir.join(format!("producer{DRAFT}"));
        // A name without its content after a power cut would be nobody's folder for good.
        let mut file = File::create(&draft).map_err(Error::at(&draft))?;
        file.write_all(self.producer.as_str().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::at(&draft))?;
        failpoint("owner: synced");
        fs::rename(&draft, &path).map_err(Error::at(&path))?;
        failpoint("owner: renamed");
        sync_folder(&self.state_dir)
    }

    /// Whether the folder is this producer's, and not yet nobody's.
    fn is_owned(&self) -> Result<bool, Error> {
        let path = self.owner();
        match fs::read_to_string(&path) {
            Ok(name) if name == self.producer.as_str() => Ok(true),
            Ok(theirs) => Err(Error::Foreign {
                path: self.state_dir.clone(),
                theirs,
                ours: self.producer.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::State { path, source }),
        }
    }

    fn owner(&self) -> PathBuf {
        self.state_dir.join("producer")
    }

    /// Where a job's watermark is. To look at it takes no turn.
    pub(crate) fn watermark(&self, job: &Job) -> Watermark {
        Watermark::new(&self.state_dir, job)
    }

    /// A file without a name on the spool's disk: it is gone with the process, however that ends.
    pub(crate) fn nameless(&self) -> Result<File, Error> {
        self.is_ours()?;
        durable_folder(&self.state_dir)?;
        tempfile::tempfile_in(&self.state_dir).map_err(Error::at(&self.state_dir))
    }

    /// The jobs that have a folder in the spool, in the order of their names. A folder that no job
    /// can be called is none of ours.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn jobs(&self) -> Result<Vec<Job>, Error> {
        let folder = self.state_dir.join("spool");
        let mut jobs: Vec<Job> = names(&folder)?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        jobs.sort();
        Ok(jobs)
    }

    /// How many entries a job has waiting, without taking its turn.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn waiting(&self, job: &Job) -> Result<usize, Error> {
        let names = names(&self.state_dir.join("spool").join(job.as_str()))?;
        Ok(names
            .iter()
            .filter(|name| key(&self.producer, job, name).is_some())
            .count())
    }
}

impl Turn {
    /// Begins a result.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn draft(&self, compression: Compression) -> Result<Draft<'_>, Error> {
        let path = self.folder.join(format!("{}{DRAFT}", Uuid::now_v7()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::at(&path))?;
        let mut draft = Draft {
            turn: self,
            path,
            encoder: None,
            written: Arc::default(),
        };
        draft.encoder = Some(Encoder::new(file, compression).map_err(Error::at(&draft.path))?);
        failpoint("draft: begun");
        Ok(draft)
    }

    /// Where its entries are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whose turn it is.
    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    /// The job's watermark, settled.
    pub(crate) fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// What waits, oldest first.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for name in names(&self.folder)? {
            let Some(key) = key(&self.producer, &self.job, &name) else {
                tracing::warn!(
                    "{} is no entry of the spool; it is left alone",
                    self.folder.join(name).display()
                );
                continue;
            };
            let path = self.folder.join(&name);
            let size = fs::metadata(&path).map_err(Error::at(&path))?.len();
            entries.push(Entry { key, path, size });
        }
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(entries)
    }

    /// Forgets an entry that is in the bucket. Were it to come back after a crash, its PUT would
    /// find the key taken, so the folder needs no fsync.
    ///
    /// # Errors
    /// The file can't be removed.
    pub fn remove(&self, entry: &Entry) -> Result<(), Error> {
        fs::remove_file(&entry.path).map_err(Error::at(&entry.path))
    }

    fn remove_drafts(&self) -> Result<(), Error> {
        for name in names(&self.folder)?
            .iter()
            .filter(|name| name.ends_with(DRAFT))
        {
            let path = self.folder.join(name);
            fs::remove_file(&path).map_err(Error::at(&path))?;
        }
        Ok(())
    }
}

impl Draft<'_> {
    /// The producer whose result it is.
    pub fn producer(&self) -> &Producer {
        &self.turn.producer
    }

    /// The job whose result it is.
    pub fn job(&self) -> &Job {
        &self.turn.job
    }

    /// Counts the bytes that were written to it, before they are compressed.
    pub(crate) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// Makes the draft an entry: the file is durable, then it gets its name, then the name is durable.
    ///
    /// # Errors
    /// The disk refuses; then there is no entry.
    pub fn commit(self, key: &Key) -> Result<Entry, Error> {
        self.commit_with(key, None)
    }

    /// The same, and in the same instant the job's watermark moves.
    ///
    /// # Errors
    /// The disk refuses. Then there is no entry, or there is one and the job's next turn moves the
    /// watermark, before anything else.
    pub(crate) fn commit_with(
        mut self,
        key: &Key,
        moves: Option<(&Step, Timestamptz)>,
    ) -> Result<Entry, Error> {
        let encoder = self
            .encoder
            .take()
            .ok_or_else(closed)
            .map_err(Error::at(&self.path))?;
        let file = encoder.finish().map_err(Error::at(&self.path))?;
        failpoint("draft: written");
        file.sync_all().map_err(Error::at(&self.path))?;
        let size = file.metadata().map_err(Error::at(&self.path))?.len();
        failpoint("draft: synced");
        let name = file_name(key);
        let path = self.turn.folder.join(&name);
        if let Some((step, to)) = moves {
            step.announce(&name, to)?;
            failpoint("watermark: announced");
        }
        fs::rename(&self.path, &path).map_err(Error::at(&path))?;
        failpoint("entry: renamed");
        sync_folder(&self.turn.folder)?;
        failpoint("entry: synced");
        if let Some((step, to)) = moves {
            step.save(to)?;
            failpoint("watermark: saved");
        }
        Ok(Entry {
            key: key.clone(),
            path,
            size,
        })
    }
}

impl Write for Draft<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encoder.as_mut().ok_or_else(closed)?.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.as_mut().ok_or_else(closed)?.flush()
    }
}

fn closed() -> io::Error {
    io::Error::other("the draft is closed")
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // Gone already if it was committed; and what stays behind, the next turn removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// The last part of a key.
fn file_name(key: &Key) -> String {
    let key = key.to_string();
    key.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The key that a file's name is the last part of.
fn key(producer: &Producer, job: &Job, name: &str) -> Option<Key> {
    format!("{INBOX}{producer}/{job}/{name}").parse().ok()
}

/// The names in a folder; none if there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at(folder)(error)),
    };
    entries
        .map(|entry| {
            Ok(entry
                .map_err(Error::at(folder))?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}

/// Makes a folder and those above it, for its owner only (results are nobody else's business), each
/// durable before the next.
pub(crate) fn durable_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        durable_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::at(path)(error));
        }
        _ => {}
    }
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::at(path))
}

#[cfg(test)]
mod tests;
