//! The project's own programs, built when first asked for.

use std::collections::HashMap;
use std::io::{BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::Message;

/// The program `name` (`nightdrop-producer`, `nightdrop-consumer`), built from this checkout in the dev profile, or,
/// where `NIGHTDROP_BIN_DIR` is set, from that folder. On a terminal one sees it being built.
///
/// # Errors
/// When it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

    if let Some(folder) = std::env::var_os("NIGHTDROP_BIN_DIR") {
        return Ok(Path::new(&folder).join(name));
    }
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(name) {
        return Ok(path.clone());
    }
    let path = build(name).with_context(|| format!("can't build {name}"))?;
    built.insert(name.to_owned(), path.clone());
    Ok(path)
}

fn build(name: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--package", name, "--bin", name])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if !std::io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    let mut cargo = cargo.spawn().context("can't start cargo")?;
    let mut executable = None;
    for message in Message::parse_stream(BufReader::new(cargo.stdout.take().context("piped")?)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.is_bin()
            && artifact.target.name == name
        {
            executable = artifact.executable;
        }
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(executable
        .context("cargo built no program of that name")?
        .into())
}
