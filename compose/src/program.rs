//! Finding the programs that a machine has.

use std::path::{Path, PathBuf};

/// The first folder on PATH, or else of `more`, that holds all of `programs`.
pub(crate) fn folder_with(programs: &[&str], more: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(more.iter().cloned())
        .find(|folder| {
            programs
                .iter()
                .all(|program| is_program(&folder.join(program)))
        })
}

/// Where `program` is, on PATH or else in one of `more`.
pub(crate) fn find(program: &str, more: &[PathBuf]) -> Option<PathBuf> {
    folder_with(&[program], more).map(|folder| folder.join(program))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|is| is.is_file() && is.permissions().mode() & 0o111 != 0)
}
