//! Two runs of one job never overlap: one file a job, locked by the system as long as the process
//! lives, and so never stale.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::spool::Error;

/// Holds a job's lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who else has it. The file stays behind: to remove it would let two
    /// processes lock two files of one name.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let state = |source| Error::State {
            path: path.to_path_buf(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(state)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(path.to_path_buf())),
            Err(TryLockError::Error(source)) => Err(state(source)),
        }
    }
}
