//! What a load and whoever renews its lease tell each other: that it moves, and that it is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Error;
use crate::ledger::watch::{self, Session};
use crate::pool::{Lent, Pool, within};

/// One claim's load, as far as it has begun.
#[derive(Debug)]
pub struct Watch {
    /// The claim's.
    pub token: Uuid,
    pool: Pool,
    worker: String,
    lease: Duration,
    moved: AtomicBool,
    /// When its deadline was last put off; none before it begins and after it has ended.
    extended: Mutex<Option<Instant>>,
    lost: CancellationToken,
}

impl Watch {
    /// Of a load that hasn't begun.
    pub fn new(pool: &Pool, token: Uuid, worker: &str, lease: Duration) -> Self {
        Self {
            token,
            pool: pool.clone(),
            worker: worker.to_owned(),
            lease,
            moved: AtomicBool::new(false),
            extended: Mutex::new(None),
            lost: CancellationToken::new(),
        }
    }

    /// Bytes have come for it.
    pub fn moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// It begins in this session.
    pub(super) async fn begin(&self, session: Session) -> Result<(), sqlx::Error> {
        watch::begin(&self.pool, self.token, &self.worker, session, self.lease).await?;
        self.note(Some(Instant::now()));
        Ok(())
    }

    /// Puts its deadline off, if it has begun and still moves. Tried for two leases in vain, it is lost:
    /// it is cut off from Postgres, or waits for bytes that don't come, and others take it for dead.
    pub async fn extend(&self) {
        let last = *self.extended.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = last else { return };
        let moved = self.moved.swap(false, Ordering::Relaxed);
        let extended = within(
            self.lease / 3,
            watch::extend(&self.pool, self.token, moved, self.lease),
        );
        match extended.await {
            // However long ago the last time was: the process itself may have been stopped.
            Ok(true) => return self.note(Some(Instant::now())),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, "the deadline of a load could not be put off");
                if moved {
                    self.moved();
                }
            }
        }
        if last.elapsed() > self.lease * 2 {
            self.lost.cancel();
        }
    }

    fn note(&self, at: Option<Instant>) {
        *self.extended.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Does the work of the load, unless it is lost meanwhile.
    pub(super) async fn unless_lost<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.lost.cancelled() => Err(Error::Lost(self.lease * 2)),
        }
    }

    /// It is over, and all is well: others may have its connection, once nobody takes it for the load's.
    pub(super) async fn end(&self, connection: Lent) {
        self.note(None);
        match watch::end(&self.pool, self.token).await {
            Ok(()) => connection.give_back(),
            Err(error) => tracing::debug!(%error, "the end of a load could not be written down"),
        }
    }
}
