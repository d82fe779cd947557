//! The project's own programs, built when first asked for.

use std::collections::HashMap;
use std::io::{BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::Message;

use crate::once::{Once, once};

/// The program `name` (`nightdrop-producer`, `nightdrop-consumer`), built from this checkout in the
/// dev profile, or, where `NIGHTDROP_BIN_DIR` is set, from that folder. On a terminal one sees it
/// being built.
///
/// # Errors
/// When it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: Once<HashMap<String, PathBuf>> = Once::new();

    if let Some(folder) = std::env::var_os("NIGHTDROP_BIN_DIR") {
        return Ok(Path::new(&folder).join(name));
    }
    once(&BUILT, || {
        build(&["--bin", "nightdrop-producer", "--bin", "nightdrop-consumer"])
    })
    .context("can't build our own programs")?
    .get(name)
    .cloned()
    .with_context(|| format!("there is no program {name}"))
}

/// The same as it is shipped, built in the release profile: what is measured.
///
/// # Errors
/// When it does not build.
pub fn release_binary(name: &str) -> Result<PathBuf> {
    static BUILT: Once<HashMap<String, PathBuf>> = Once::new();

    once(&BUILT, || {
        build(&[
            "--release",
            "--bin",
            "nightdrop-producer",
            "--bin",
            "nightdrop-consumer",
        ])
    })
    .context("can't build our own programs")?
    .get(name)
    .cloned()
    .with_context(|| format!("there is no program {name}"))
}

/// The same with the places in it at which a test ends it: `FAILPOINTS="entry: renamed=return"` names
/// one. From `NIGHTDROP_BIN_DIR`, where that is set, too.
///
/// # Errors
/// When it does not build.
pub fn binary_with_fail_points(name: &str) -> Result<PathBuf> {
    static BUILT: Once<HashMap<String, PathBuf>> = Once::new();
    const PROGRAMS: [&str; 2] = [
        "nightdrop-producer-failpoints",
        "nightdrop-consumer-failpoints",
    ];

    let name = format!("{name}-failpoints");
    if let Some(folder) = std::env::var_os("NIGHTDROP_BIN_DIR") {
        return Ok(Path::new(&folder).join(name));
    }
    once(&BUILT, || {
        let features = "nightdrop-producer/failpoints,nightdrop-consumer/failpoints";
        let [producer, consumer] = PROGRAMS;
        build(&["--bin", producer, "--bin", consumer, "--features", features])
    })
    .context("can't build our own programs with fail points")?
    .get(&name)
    .cloned()
    .with_context(|| format!("there is no program {name}"))
}

/// Builds programs at once, without naming their packages: then the whole workspace decides on the
/// features of what they share, as it does for `cargo demo`, and nothing is built twice.
fn build(which: &[&str]) -> Result<HashMap<String, PathBuf>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .arg("build")
        .args(which)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if !std::io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    let mut cargo = cargo.spawn().context("can't start cargo")?;
    let mut built = HashMap::new();
    for message in Message::parse_stream(BufReader::new(cargo.stdout.take().context("piped")?)) {
        if let Message::CompilerArtifact(artifact) = message?
            && let Some(executable) = artifact.executable
        {
            built.insert(artifact.target.name, executable.into());
        }
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(built)
}
