//! Keeps a claim ours while we work on it, and its load from being taken for dead.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::consumer::Consumer;
use crate::ledger::claim::Claim;
use crate::ledger::taken;
use crate::load::Watch;
use crate::pool::within;

/// Renews a claim's lease until it is dropped.
pub(super) struct Lease {
    task: JoinHandle<()>,
    /// What its load has to know.
    pub(super) watch: Arc<Watch>,
}

impl Lease {
    /// Renews three times in the length of a lease, so that one lost renewal does no harm.
    pub(super) fn keep(consumer: &Consumer, claim: &Claim) -> Self {
        let (pool, lease) = (consumer.pool().clone(), consumer.config.load.lease);
        let taken = claim.taken();
        let watch = Arc::new(Watch::new(&pool, claim.token, &consumer.worker, lease));
        let load = Arc::clone(&watch);
        let task = tokio::spawn(async move {
            let each: Duration = lease / 3;
            loop {
                tokio::time::sleep(each).await;
                // Rows that the load has locked are left out; it has a deadline of its own.
                if let Err(error) = within(each, taken::renew(&pool, &taken, lease)).await {
                    tracing::debug!(%error, "a lease could not be renewed");
                }
                load.extend().await;
            }
        });
        Self { task, watch }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}
