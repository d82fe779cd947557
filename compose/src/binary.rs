//! The project's own programs, built when first asked for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context as _, Result};

/// The program `name` (`nightdrop-producer`, `nightdrop-consumer`), built from this checkout in the dev profile, or,
/// where `NIGHTDROP_BIN_DIR` is set, from that folder.
///
/// # Errors
/// When it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

    if let Some(folder) = std::env::var_os("NIGHTDROP_BIN_DIR") {
        return Ok(PathBuf::from(folder).join(name));
    }
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(name) {
        return Ok(path.clone());
    }
    let path = escargot::CargoBuild::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .package(name)
        .bin(name)
        .run()
        .with_context(|| format!("can't build {name}"))?
        .path()
        .to_owned();
    built.insert(name.to_owned(), path.clone());
    Ok(path)
}
