//! What grows with a backlog, and what does not.

mod bucket;
mod queue;
mod together;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nightdrop_compose::Database;
use serde::Serialize;

use crate::bench::Options;
use crate::stack::{Stack, secret};
use crate::stub::Stub;
use crate::table::Table;

pub use bucket::{Listing, Requests};
pub use queue::{Beside, Claiming, Statement};
pub use together::{Ledger, Together};

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Scale {
    /// At several sizes of the queue.
    pub claims: Vec<Claiming>,
    /// At the largest.
    pub beside: Beside,
    /// Of a real bucket.
    pub listing: Listing,
    /// 1, 2 and 4.
    pub together: Vec<Together>,
    /// After a backlog was loaded.
    pub ledger: Ledger,
    /// Idle and busy.
    pub requests: Vec<Requests>,
}

/// Measures all of it.
///
/// # Errors
/// When something doesn't answer.
pub async fn measure(
    options: &Options,
    stack: &Stack,
    narrow: &Table,
    logs: &Path,
) -> Result<Scale> {
    let (claims, beside) = queue::measure(options, stack, logs).await?;
    let listing = bucket::listing(options, stack, narrow).await?;
    let mut together = Vec::new();
    let mut ledger = None;
    for consumers in [1, 2, 4] {
        let (row, bytes) = together::measure(options, stack, narrow, consumers, logs).await?;
        together.push(row);
        ledger = Some(bytes);
    }
    let requests = bucket::requests(options, stack, logs).await?;
    Ok(Scale {
        claims,
        beside,
        listing,
        together,
        ledger: ledger.context("there were backlogs")?,
        requests,
    })
}

/// A configuration as a site's own, but for the server of the bucket.
fn stub_config(stub: &Stub, database: &Database, folder: &Path) -> Result<PathBuf> {
    let key = secret(folder, "key", "nobody")?;
    let password = secret(folder, "postgres", &database.password)?;
    let text = format!(
        "[bucket]\nurl = \"s3://stub\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\naccess_key = \"{key}\"\nsecret_key = \"{key}\"\n\
         [postgres]\nurl = \"{}\"\npassword = \"{password}\"\n[http]\nlisten = \"127.0.0.1:0\"\n",
        stub.endpoint, database.url,
    );
    let path = folder.join("consumer.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn migrate(stack: &Stack, config: &Path) -> Result<()> {
    let output = std::process::Command::new(&stack.consumer)
        .arg("migrate")
        .arg("-c")
        .arg(config)
        .output()?;
    ensure!(
        output.status.success(),
        "migrate failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
