//! The folder that this process's servers live in, and who clears it away.
//!
//! Statics are never dropped and a killed process drops nothing, so the folder has a janitor: a
//! shell that waits for the other end of its stdin to be closed, which the kernel does however this
//! process ends. Then it ends what is still running and removes the folder.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::once::{Once, once};

struct Home {
    folder: PathBuf,
    /// Holds the pipe whose end is the janitor's sign; never written to.
    _janitor: Child,
}

/// A new, empty folder, `<name>-<number>` below this process's own, which is removed when the
/// process ends.
///
/// # Errors
/// When it can't be made.
pub fn folder(name: &str) -> Result<PathBuf> {
    static HOME: Once<Home> = Once::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let home = once(&HOME, open)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = home.folder.join(format!("{name}-{number}"));
    fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    Ok(folder)
}

/// Where the server of `folder` notes its process id and the signal that ends it. It lies outside
/// that folder, which belongs to the server's user: what the janitor, maybe root, will kill is not
/// for another user to say.
pub(crate) fn run_file(folder: &Path) -> PathBuf {
    folder.with_extension("run")
}

fn open() -> Result<Home> {
    let folder = tempfile::Builder::new()
        .prefix("nightdrop-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in(place()?)
        .context("can't make a temporary folder; set TMPDIR to one that can be written")?
        .keep();
    let janitor = Command::new("sh")
        .args(["-c", include_str!("janitor.sh"), "nightdrop-janitor"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C goes to the whole group of the terminal; the janitor has to outlive it.
        .process_group(0)
        .spawn()
        .context("can't start `sh`")?;
    Ok(Home {
        folder,
        _janitor: janitor,
    })
}

/// The system's folder for temporary files; for root one that other users can pass through, because
/// some servers refuse root and run as `nobody`.
fn place() -> Result<PathBuf> {
    let asked = std::env::temp_dir();
    if !is_root() {
        return Ok(asked);
    }
    for place in [asked, PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        let reachable = |folder: &Path| fs::metadata(folder).is_ok_and(|is| is.mode() & 0o001 != 0);
        if place.ancestors().all(reachable) {
            return Ok(place);
        }
    }
    bail!("no folder for temporary files that the user nobody can pass through; set TMPDIR to one")
}

/// Whether this process runs as root, whom PostgreSQL and MariaDB refuse.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group ids of `nobody`.
pub(crate) fn nobody() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?;
    users
        .lines()
        .find_map(|line| {
            let mut fields = line.strip_prefix("nobody:")?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .context("there is no user nobody in /etc/passwd; PostgreSQL refuses to run as root")
}

/// What the server of `folder` says.
pub(crate) fn log_file(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

/// Opens a file of ours beside a server's folder, readable by us alone.
pub(crate) fn create(path: &Path, append: bool) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options()
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("can't write {}", path.display()))
}
