//! Whether the state folder is of use, tried out: what `doctor` asks.

use std::{fs, io::Write as _, path::Path};

use rustix::fs::statvfs;

use super::{DRAFT, Error, Spool, names, owner, sync_folder};

impl Spool {
    /// Writes a file as an entry is written: synced, renamed, its folder synced. It is removed again. Gives the bytes
    /// that are free.
    ///
    /// # Errors
    /// The folder isn't there, is another producer's, or the system refuses something in it.
    pub(crate) fn try_out(&self) -> Result<u64, Error> {
        let folder = &self.state_dir;
        self.is_owned()?;
        self.is_ours_with_all_inside()?;
        let mut draft = tempfile::Builder::new()
            .prefix("doctor")
            .suffix(DRAFT)
            .tempfile_in(folder)
            .map_err(Error::at(folder))?;
        draft
            .write_all(&[b' '; 4096])
            .and_then(|()| draft.as_file().sync_all())
            .map_err(Error::at(draft.path()))?;
        let name = folder.join(format!("doctor-{}", std::process::id()));
        let entry = draft
            .persist(&name)
            .map_err(|error| Error::at(&name)(error.error))?;
        let synced = sync_folder(folder);
        drop(entry);
        fs::remove_file(&name).map_err(Error::at(&name))?;
        synced?;
        let disk = statvfs(folder).map_err(|error| Error::at(folder)(error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The folder, those in it and what is in these: what one run by another user would have left.
    fn is_ours_with_all_inside(&self) -> Result<(), Error> {
        let is_ours = |path: &Path| owner::are_ours(&self.state_dir, [path]);
        self.is_ours()?;
        is_ours(&self.state_dir.join("textfile.lock"))?;
        for folder in ["lock", "spool", "watermark"] {
            let folder = self.state_dir.join(folder);
            is_ours(&folder)?;
            for name in names(&folder)? {
                is_ours(&folder.join(name))?;
            }
        }
        Ok(())
    }
}
