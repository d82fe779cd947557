//! PUT: staged, fsynced, then linked under its name, which fails if the name exists.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use nightdrop_schema::Key;

use super::{Folder, STAGING, sync_folder};
use crate::{Call, Error, Fault, Put};

/// How old a staged file is before it counts as left behind by a process that died. No copy takes
/// as long.
const ABANDONED: Duration = Duration::from_hours(24);

impl Folder {
    pub(crate) async fn put(self: &Arc<Self>, key: &Key, file: &Path) -> Result<Put, Error> {
        let target = self.path(key);
        let about = key.to_string();
        // Opened here, so that a spool file that can't be read is not taken for a missing object.
        let source = tokio::fs::File::open(file).await.map_err(|e| {
            let said = format!("the file {} can't be read: {e}", file.display());
            self.failed(Call::Put, Some(about.clone()), Fault::Io, said)
        })?;
        let source = source.into_std().await;
        self.blocking(Call::Put, about, move |folder| folder.link(source, &target))
            .await
    }

    fn link(&self, mut source: File, target: &Path) -> io::Result<Put> {
        let staging = self.root.join(STAGING);
        fs::create_dir_all(&staging)?;
        sweep(&staging, SystemTime::now());
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;

        let mut staged = tempfile::Builder::new()
            // Whoever reads the bucket is somebody else; the umask still counts.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&staging)?;
        io::copy(&mut source, &mut staged)?;
        staged.as_file().sync_all()?;
        let put = match fs::hard_link(staged.path(), target) {
            Ok(()) => Put::Created,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Put::AlreadyThere,
            Err(e) => return Err(e),
        };
        // Also where it was there: whoever linked it may have died before this.
        for folder in parent.ancestors().take_while(|f| f.starts_with(&self.root)) {
            sync_folder(folder)?;
        }
        Ok(put)
    }
}

/// Removes what a process that died has left. Best effort: it only costs room.
fn sweep(staging: &Path, now: SystemTime) {
    for entry in fs::read_dir(staging).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|m| m.modified())
            .map(|modified| now.duration_since(modified).unwrap_or_default());
        if age.is_ok_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
