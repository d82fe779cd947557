//! The work itself, from a claim to its verdicts: `batch.rs` takes small files many at a time
//! (how many, says `size.rs`; in which order, `queue.rs`),
//! `stream.rs` one large one (which `reading.rs` reads), each in a lane of its own so that neither waits for the other.
//! `suspect.rs` takes a file that may have ended a consumer, while nothing else goes on (`company.rs`);
//! `unfit.rs` parks what a batch turned out not to be able to load.

pub mod batch;
pub mod company;
mod lease;
mod queue;
mod reading;
pub mod size;
pub mod stream;
pub mod suspect;
mod unfit;

use std::time::Duration;

use nightdrop_bucket::Error as BucketError;
use tokio::time::sleep;
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::destination;
use crate::failpoint::failpoint;
use crate::fetch;
use crate::ledger::claim::{self, Claim, Lane};
use crate::ledger::taken::{self, Taken};
use crate::ledger::watch;
use crate::load;
use crate::park;
use crate::remedy::Remedy;
use crate::sqlstate;

/// How long a file rests whose job another consumer is loading just now.
const BUSY: Duration = Duration::from_secs(1);

/// How long a file rests that the bucket couldn't give: those beside it don't wait for it.
const AWAY: Duration = Duration::from_secs(5);

/// How soon a claim that is still locked is tried to be given back again.
const SOON: Duration = Duration::from_millis(50);

/// What one claim came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files claimed; none means that there is nothing to do now.
    pub claimed: usize,
    /// Files that have their verdict.
    pub decided: usize,
}

/// Why a claim was given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger refused, or Postgres is away.
    #[error("ledger: {}", sqlstate::sentence(.0))]
    Ledger(#[from] sqlx::Error),
    /// The bucket is away, or refuses everything.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// No table to load into, for a reason that concerns everyone.
    #[error(transparent)]
    Destination(#[from] destination::Error),
    /// The load came to nothing.
    #[error("load: {0}")]
    Load(#[from] load::Error),
    /// What is bad could not be kept.
    #[error(transparent)]
    Park(#[from] park::Error),
}

impl From<fetch::Error> for Error {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Bucket(error) => Self::Bucket(error),
            fetch::Error::Kept(error) => Self::Ledger(error),
        }
    }
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Ledger(error) => sqlstate::remedy(error).for_everyone(),
            Self::Bucket(error) => fetch::remedy(error.fault()),
            Self::Destination(error) => error.remedy(),
            Self::Load(error) => error.remedy().for_everyone(),
            Self::Park(error) => error.remedy(),
        }
    }

    /// Whether another load was first: nothing is away.
    pub fn is_a_clash(&self) -> bool {
        match self {
            Self::Ledger(error) | Self::Load(load::Error::Postgres(error)) => {
                sqlstate::is_a_clash(error)
            }
            _ => false,
        }
    }

    /// Whether it is the bucket that is away, and not Postgres.
    pub fn is_about_the_bucket(&self) -> bool {
        matches!(self, Self::Bucket(_) | Self::Park(park::Error::Bucket(_)))
    }
}

/// Claims files. Where no answer comes, what may be claimed all the same is given back later.
async fn claim(consumer: &Consumer, lane: Lane<'_>) -> Result<Claim, Error> {
    let (token, lease) = (Uuid::now_v7(), consumer.config.load.lease);
    if consumer.company.may_bring_back() {
        claim::bring_back(consumer.pool(), lease).await?;
    }
    match claim::claim(consumer.pool(), token, lane, &consumer.worker, lease).await {
        Ok(claim) => {
            if !claim.files.is_empty() {
                let counts = consumer.metrics.counts();
                counts.claimed(lane.as_str(), claim.files.len());
            }
            Ok(claim)
        }
        Err(error) => {
            consumer.owe(Taken::unanswered(token));
            Err(error.into())
        }
    }
}

/// Gives back what has no verdict. What can't be given back now, for Postgres is away or still takes a load
/// of ours for alive, is given back later.
async fn give_back(consumer: &Consumer, claim: &Claim, wait: Duration) {
    let taken = claim.taken();
    failpoint("claim: to be given back");
    // A backend whose client has hung up mostly ends within some milliseconds.
    for _ in 0..10 {
        match taken::give_back(consumer.pool(), &taken, wait).await {
            Ok(0) => return failpoint("claim: given back"),
            Ok(_) => sleep(SOON).await,
            Err(error) => {
                tracing::debug!(%error, "a claim could not be given back yet");
                break;
            }
        }
    }
    consumer.owe(taken);
}

/// Gives back what can be at the end of the process, and waits some seconds for what can't yet.
///
/// # Errors
/// When Postgres is away.
pub async fn pay_at_last(consumer: &Consumer) -> Result<(), Error> {
    for _ in 0..60 {
        pay_debts(consumer).await?;
        if consumer.debts().is_empty() {
            break;
        }
        sleep(SOON).await;
    }
    Ok(())
}

/// Gives back what could not be given back before: an outage uses up no attempt.
///
/// # Errors
/// When Postgres is still away.
pub async fn pay_debts(consumer: &Consumer) -> Result<(), Error> {
    for taken in consumer.debts() {
        if taken::give_back(consumer.pool(), &taken, Duration::ZERO).await? == 0 {
            consumer.paid(&taken);
            consumer.company.changed();
        }
    }
    Ok(())
}

/// Ends the loads of consumers that hang or are cut off: they keep files and jobs that others could load.
///
/// # Errors
/// When Postgres is away.
pub async fn end_overdue(consumer: &Consumer) -> Result<(), Error> {
    let lease = consumer.config.load.lease;
    for watch::Ended { worker, pid } in watch::end_overdue(consumer.pool(), lease).await? {
        tracing::warn!(
            worker,
            pid,
            "ended a load that no longer moved: its consumer hangs, or is cut off; what it had is loaded by others"
        );
    }
    Ok(())
}
