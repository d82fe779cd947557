//! Runs a future to its end from wherever the caller is.

use anyhow::{Context as _, Result, anyhow};

/// Runs `work` on a thread and a runtime of its own, and waits for it: works inside and outside of
/// an async test.
pub(crate) fn blocking<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("can't start a runtime")?
                .block_on(work)
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the thread that talks to the server panicked")))
    })
}
