//! `run`: the lanes side by side, until a signal. Whatever goes away meanwhile is waited for.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::consumer::Consumer;
use crate::polling::{polls, prepare};
use crate::remedy::Remedy;
use crate::servers::Server;
use crate::{alarm, delete, keep, lane, migrate};

/// Batches at once: one is loaded, the next is fetched, the one after that is claimed.
pub(crate) const BATCHES: usize = 3;

/// Large files at once.
const STREAMS: usize = 2;

/// A lane looks for work at least so often, even if nobody wakes it.
const IDLE: Duration = Duration::from_secs(5);

/// What could not be given back is tried again so soon: until then nobody else can have it.
const DEBT: Duration = Duration::from_millis(250);

/// Works until told to stop; then finishes the batch in hand and gives the rest back.
///
/// # Errors
/// When the ledger can't be brought to the shape that this binary needs.
pub async fn run(consumer: Arc<Consumer>) -> Result<(), migrate::Error> {
    if !prepare(&consumer).await? {
        return Ok(());
    }
    tracing::info!(worker = consumer.worker, bucket = %consumer.bucket, "at work");
    let batches = join_all((0..BATCHES).map(|_| batches(&consumer)));
    let streams = join_all((0..STREAMS).map(|_| streams(&consumer)));
    tokio::join!(
        Box::pin(polls(&consumer)),
        batches,
        streams,
        Box::pin(suspects(&consumer)),
        watches(&consumer),
        deletions(&consumer),
        forgetting(&consumer),
        Box::pin(alarm::run(&consumer))
    );
    // What could not be given back earlier, if Postgres is there.
    if let Err(error) = lane::pay_at_last(&consumer).await {
        tracing::warn!(%error, "stopped with claims that Postgres didn't take back; they run out by themselves");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits, and gives false where a signal came first.
pub(crate) async fn rest(consumer: &Consumer, wait: Duration) -> bool {
    tokio::select! {
        () = consumer.stop.cancelled() => false,
        () = sleep(wait) => true,
    }
}

/// Waits until bucket and Postgres may both be asked. Gives false where a signal came first.
async fn both_are_there(consumer: &Consumer) -> bool {
    tokio::select! {
        () = consumer.stop.cancelled() => false,
        () = consumer.servers.free() => true,
    }
}

/// What is refused to everybody is asked for less often than what is only away.
pub(crate) fn after(remedy: Remedy, backoff: &mut Backoff) -> Duration {
    match remedy {
        Remedy::Halt => backoff.next().max(Duration::from_secs(5)),
        Remedy::Retry | Remedy::Park | Remedy::Hold | Remedy::Pause => backoff.next(),
    }
}

async fn batches(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while both_are_there(consumer).await {
        let arrivals = consumer.arrivals.notified();
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::batch::pass(consumer).await
        };
        if !next(consumer, "batch", done.await, &mut backoff, arrivals).await {
            return;
        }
    }
}

/// Looks for loads that no longer move, more often than a lease lasts.
async fn watches(consumer: &Consumer) {
    while rest(consumer, consumer.config.load.lease / 3).await && both_are_there(consumer).await {
        if let Err(error) = lane::end_overdue(consumer).await {
            tracing::debug!(%error, "loads that hang could not be looked for");
        }
    }
}

async fn streams(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while both_are_there(consumer).await {
        let arrivals = consumer.streams.notified();
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::stream::pass(consumer, STREAMS).await
        };
        if !next(consumer, "stream", done.await, &mut backoff, arrivals).await {
            return;
        }
    }
}

/// One suspect at a time.
async fn suspects(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while both_are_there(consumer).await {
        let arrivals = consumer.arrivals.notified();
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::suspect::pass(consumer).await
        };
        if !next(consumer, "suspect", done.await, &mut backoff, arrivals).await {
            return;
        }
    }
}

/// Waits for what comes after a claim: at once the next if it came to anything, else for arrivals.
async fn next(
    consumer: &Consumer,
    lane: &'static str,
    done: Result<lane::Progress, lane::Error>,
    backoff: &mut Backoff,
    arrivals: impl Future<Output = ()>,
) -> bool {
    match done {
        Ok(lane::Progress { decided: 1.., .. }) => {
            backoff.reset();
            consumer.decisions.notify_one();
            !consumer.stop.is_cancelled()
        }
        // Claimed in vain: somebody else has the job now.
        Ok(lane::Progress { claimed: 1.., .. }) => rest(consumer, backoff.next()).await,
        Ok(_) => {
            backoff.reset();
            let idle = if consumer.debts().is_empty() {
                IDLE.min(consumer.config.load.lease)
            } else {
                DEBT
            };
            tokio::select! {
                () = consumer.stop.cancelled() => false,
                () = arrivals => true,
                () = sleep(idle) => true,
            }
        }
        Err(error) => {
            // Whether it is everybody's matter the polling lane finds out: one object that the bucket fails
            // to give is not.
            consumer.metrics.counts().failed(lane);
            consumer.servers.doubt.notify_one();
            if error.remedy() == Remedy::Halt && !error.is_about_the_bucket() {
                consumer
                    .servers
                    .complain(Server::Postgres, error.to_string());
            }
            tracing::warn!(%error, "nothing was loaded this time; it is tried again");
            rest(consumer, after(error.remedy(), backoff)).await
        }
    }
}

async fn deletions(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while both_are_there(consumer).await {
        let decisions = consumer.decisions.notified();
        let done = tokio::select! {
            () = consumer.stop.cancelled() => return,
            done = delete::pass(consumer) => done,
        };
        let wait = match done {
            Ok(1..) => {
                backoff.reset();
                continue;
            }
            Ok(0) => {
                backoff.reset();
                tokio::select! {
                    () = consumer.stop.cancelled() => return,
                    () = decisions => continue,
                    () = sleep(IDLE) => continue,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nothing was deleted from the bucket; it is tried again");
                after(error.remedy(), &mut backoff)
            }
        };
        if !rest(consumer, wait).await {
            return;
        }
    }
}

/// Prunes old history, without haste: nobody waits for it.
async fn forgetting(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    let mut mark = None;
    while both_are_there(consumer).await {
        let done = tokio::select! {
            () = consumer.stop.cancelled() => return,
            done = keep::pass(consumer, mark) => done,
        };
        let wait = match done {
            Ok(next) => {
                backoff.reset();
                mark = next;
                if mark.is_some() {
                    keep::PAUSE
                } else {
                    keep::SWEEP
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = crate::sqlstate::sentence(&error),
                    "old history was not pruned this time; it is tried again"
                );
                after(crate::sqlstate::remedy(&error).for_everyone(), &mut backoff)
            }
        };
        if !rest(consumer, wait).await {
            return;
        }
    }
}
