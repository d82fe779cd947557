//! What a process needs of memory, as Linux counts it.

use anyhow::{Context as _, Result};

/// The most resident memory that process `pid` has had so far, in bytes (`VmHWM` of proc(5)).
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn peak_rss(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

/// The resident memory of process `pid` now, in bytes (`VmRSS` of proc(5)).
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn rss(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// How much of that is files, the program itself above all (`RssFile` of proc(5)): the system takes it back at will.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn file_rss(pid: u32) -> Result<u64> {
    status(pid, "RssFile:")
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    let kib: u64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .with_context(|| format!("{path} has no {field}: the process has ended"))?;
    Ok(kib * 1024)
}
