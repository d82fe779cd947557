//! `run`: the lanes side by side, until a signal. Whatever goes away meanwhile is waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::consumer::Consumer;
use crate::ledger::claim::Lane;
use crate::poll::Cursor;
use crate::remedy::Remedy;
use crate::{delete, keep, lane, migrate, poll};

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
    let streams = futures::future::join_all((0..STREAMS).map(|_| streams(&consumer)));
    tokio::join!(
        polls(&consumer),
        batches(&consumer),
        streams,
        watches(&consumer),
        deletions(&consumer),
        forgetting(&consumer)
    );
    // What could not be given back earlier, if Postgres is there.
    if let Err(error) = lane::pay_at_last(&consumer).await {
        tracing::warn!(%error, "stopped with claims that Postgres didn't take back; they run out by themselves");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits for Postgres and migrates. Gives false where a signal came first.
async fn prepare(consumer: &Consumer) -> Result<bool, migrate::Error> {
    let mut backoff = Backoff::default();
    loop {
        let migrated = tokio::select! {
            () = consumer.stop.cancelled() => return Ok(false),
            migrated = migrate::at_start(consumer.pool(), consumer.config.postgres.migrate) => migrated,
        };
        match migrated {
            Ok(()) => {
                consumer.health.postgres(Ok(()));
                return Ok(!consumer.stop.is_cancelled());
            }
            Err(migrate::Error::Unavailable(error)) => {
                consumer
                    .health
                    .postgres(Err(consumer.database.cause(&error).await));
            }
            Err(error) => return Err(error),
        }
        if !rest(consumer, backoff.next()).await {
            return Ok(false);
        }
    }
}

/// Waits, and gives false where a signal came first.
async fn rest(consumer: &Consumer, wait: Duration) -> bool {
    tokio::select! {
        () = consumer.stop.cancelled() => false,
        () = sleep(wait) => true,
    }
}

async fn polls(consumer: &Consumer) {
    let settings = &consumer.config.poll;
    let (mut cursor, mut backoff) = (Cursor::default(), Backoff::default());
    let mut wait = settings.min;
    while !consumer.stop.is_cancelled() {
        let polled = tokio::select! {
            () = consumer.stop.cancelled() => return,
            polled = poll::poll(consumer, &mut cursor) => polled,
        };
        match polled {
            Ok(polled) => {
                consumer.health.bucket(Ok(()));
                consumer.health.postgres(Ok(()));
                backoff.reset();
                wait = if polled.new > 0 {
                    settings.min
                } else {
                    (wait * 2).min(settings.max)
                };
                // Up to a tenth earlier, so that consumers don't keep step.
                let jittered = wait.mul_f64(1.0 - rand::random::<f64>() / 10.0);
                if !rest(consumer, if polled.whole { jittered } else { settings.min }).await {
                    return;
                }
            }
            Err(error) => {
                match &error {
                    poll::Error::Bucket(error) => {
                        consumer.health.postgres(Ok(()));
                        consumer.health.bucket(Err(error.to_string()));
                    }
                    poll::Error::Ledger(error) => {
                        consumer
                            .health
                            .postgres(Err(consumer.database.cause(error).await));
                    }
                }
                refresh(consumer);
                if !rest(consumer, after(error.remedy(), &mut backoff)).await {
                    return;
                }
            }
        }
    }
}

/// What is refused to everybody is asked for less often than what is only away.
fn after(remedy: Remedy, backoff: &mut Backoff) -> Duration {
    match remedy {
        Remedy::Halt => backoff.next().max(Duration::from_secs(5)),
        Remedy::Retry | Remedy::Park | Remedy::Hold | Remedy::Pause => backoff.next(),
    }
}

/// A secret may have been changed: new connections take the new one.
fn refresh(consumer: &Consumer) {
    if let Err(error) = consumer.database.refresh() {
        tracing::error!(%error, "the password of Postgres can't be read");
    }
}

async fn batches(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while !consumer.stop.is_cancelled() {
        let arrivals = consumer.arrivals.notified();
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::batch::pass(consumer).await
        };
        if !next(consumer, done.await, &mut backoff, arrivals).await {
            return;
        }
    }
}

/// Looks for loads that no longer move, more often than a lease lasts.
async fn watches(consumer: &Consumer) {
    while rest(consumer, consumer.config.load.lease / 3).await {
        if let Err(error) = lane::end_overdue(consumer).await {
            tracing::debug!(%error, "loads that hang could not be looked for");
        }
    }
}

async fn streams(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    let mut lanes = [Lane::Stream, Lane::Suspect].into_iter().cycle();
    while !consumer.stop.is_cancelled() {
        let (new, large) = (consumer.arrivals.notified(), consumer.streams.notified());
        let arrivals = async {
            tokio::select! {
                () = new => {}
                () = large => {}
            }
        };
        let lane = lanes.next().unwrap_or(Lane::Stream);
        let done = async {
            lane::pay_debts(consumer).await?;
            let done = lane::stream::pass(consumer, lane).await?;
            if done.claimed > 0 {
                return Ok(done);
            }
            lane::stream::pass(consumer, lanes.next().unwrap_or(Lane::Suspect)).await
        };
        if !next(consumer, done.await, &mut backoff, arrivals).await {
            return;
        }
    }
}

/// Waits for what comes after a claim: at once the next if it came to anything, else for arrivals.
async fn next(
    consumer: &Consumer,
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
            if error.is_about_the_bucket() {
                consumer.health.bucket(Err(error.to_string()));
            } else if error.remedy() == Remedy::Halt {
                consumer.health.postgres(Err(error.to_string()));
            }
            tracing::warn!(%error, "nothing was loaded this time; it is tried again");
            rest(consumer, after(error.remedy(), backoff)).await
        }
    }
}

async fn deletions(consumer: &Consumer) {
    let mut backoff = Backoff::default();
    while !consumer.stop.is_cancelled() {
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
    while !consumer.stop.is_cancelled() {
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
