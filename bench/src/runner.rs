//! `nightdrop-consumer run`, beside the bench, on a database of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nightdrop_compose::{Database, peak_rss};

use crate::contender;
use crate::measure;
use crate::stack::Stack;

/// How long is waited for anything that the consumer has to do.
const PATIENCE: Duration = Duration::from_mins(5);

/// A consumer that runs; it ends with this.
pub struct Runner {
    child: Child,
    folder: PathBuf,
}

impl Runner {
    /// Starts it on the bench's bucket; `extra` comes behind its configuration.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(stack: &Stack, database: &Database, extra: &str, log: &Path) -> Result<Self> {
        let folder = nightdrop_compose::folder("runner")?;
        let config = contender::consumer_config(stack, database, &folder, extra)?;
        Self::with(stack, &config, folder, "run", log)
    }

    /// Starts it with a configuration that lies in `folder`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn with(
        stack: &Stack,
        config: &Path,
        folder: PathBuf,
        verb: &str,
        log: &Path,
    ) -> Result<Self> {
        let file = File::create(log)?;
        let child = Command::new(&stack.consumer)
            .arg(verb)
            .arg("-c")
            .arg(config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self { child, folder })
    }

    /// Its most memory so far, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak(&self) -> Result<u64> {
        peak_rss(self.child.id())
    }

    /// Its processor time so far, in seconds.
    pub fn cpu(&self) -> f64 {
        measure::cpu(self.child.id())
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it takes too long, or fails.
    pub async fn ended(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("nightdrop-consumer ended with {status}");
            }
            if since.elapsed() > PATIENCE {
                bail!("nightdrop-consumer doesn't end");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Asks again and again until `answer` says yes.
///
/// # Errors
/// When that takes too long.
pub async fn until(
    what: &str,
    every: Duration,
    mut answer: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let since = Instant::now();
    while !answer().await? {
        if since.elapsed() > PATIENCE {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(every).await;
    }
    Ok(())
}
