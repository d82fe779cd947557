//! The work itself, from a claim to its verdicts: `batch.rs` takes small files many at a time,
//! `stream.rs` one large one (which `reading.rs` reads), each in a lane of its own so that neither waits for the other.

pub mod batch;
mod lease;
mod reading;
pub mod stream;

use std::time::Duration;

use nightdrop_bucket::Error as BucketError;
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::destination;
use crate::failpoint::failpoint;
use crate::fetch;
use crate::ledger::claim;
use crate::load;
use crate::park;
use crate::remedy::Remedy;
use crate::sqlstate;

/// How long a file rests whose job another consumer is loading just now.
const BUSY: Duration = Duration::from_secs(1);

/// How long a file rests that the bucket couldn't give: those beside it don't wait for it.
const AWAY: Duration = Duration::from_secs(5);

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

    /// Whether it is the bucket that is away, and not Postgres.
    pub fn is_about_the_bucket(&self) -> bool {
        matches!(self, Self::Bucket(_) | Self::Park(park::Error::Bucket(_)))
    }
}

/// Gives back what has no verdict. Where Postgres is away, the token is kept for later.
async fn give_back(consumer: &Consumer, token: Uuid, wait: Duration) {
    failpoint("claim: to be given back");
    if let Err(error) = claim::give_back(consumer.pool(), token, wait).await {
        tracing::debug!(%error, "a claim could not be given back yet");
        consumer.owe(token);
    }
    failpoint("claim: given back");
}

/// Gives back what could not be given back before: an outage uses up no attempt.
///
/// # Errors
/// When Postgres is still away.
pub async fn pay_debts(consumer: &Consumer) -> Result<(), Error> {
    while let Some(token) = consumer.debt() {
        claim::give_back(consumer.pool(), token, Duration::ZERO).await?;
        consumer.paid(token);
    }
    Ok(())
}
