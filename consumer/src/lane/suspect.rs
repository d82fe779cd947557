//! One file whose consumer ended without a verdict: it may be what ended it. It is worked on as a large
//! one is, in memory that doesn't grow with it, and while the process does nothing else: a suspect that
//! ends the process then is not blamed for what its neighbours did.

use std::pin::pin;

use tokio::time::sleep;

use super::company::QUIET;
use super::stream::see_through;
use super::{Error, Progress};
use crate::consumer::Consumer;
use crate::ledger::claim::{self, Lane};

/// Claims one suspect, if there is any that may be tried now, and sees it through. Everything else waits for
/// it, but not for longer than some seconds.
///
/// # Errors
/// When the bucket or Postgres is away; the file is given back then.
pub async fn pass(consumer: &Consumer) -> Result<Progress, Error> {
    if !claim::is_any_suspect(consumer.pool(), &consumer.worker).await? {
        return Ok(Progress::default());
    }
    let alone = consumer.company.alone().await;
    let claim = super::claim(consumer, Lane::Suspect).await?;
    let mut work = pin!(see_through(consumer, claim));
    tokio::select! {
        done = &mut work => return done,
        () = sleep(QUIET) => drop(alone),
    }
    work.await
}
