//! Keeps a claim ours while we work on it.

use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::ledger::claim;
use crate::pool::Pool;

/// Renews a claim's lease until it is dropped.
pub(super) struct Lease(JoinHandle<()>);

impl Lease {
    /// Renews three times in the length of a lease, so that one lost renewal does no harm.
    pub(super) fn keep(pool: &Pool, token: Uuid, lease: Duration) -> Self {
        let pool = pool.clone();
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(lease / 3).await;
                // If Postgres is away, so is everyone who could take the claim over; and a load
                // writes nothing once its token is gone.
                if let Err(error) = claim::renew(&pool, token, lease).await {
                    tracing::debug!(%error, "a lease could not be renewed");
                }
            }
        }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.abort();
    }
}
