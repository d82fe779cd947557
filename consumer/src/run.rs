//! `run`: the lanes side by side, until a signal. Whatever goes away meanwhile is waited for.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use nightdrop_schema::INBOX;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::consumer::Consumer;
use crate::lane::size::Size;
use crate::ledger::breaker::Kept;
use crate::ledger::sighting;
use crate::poll::{Cursor, Polled};
use crate::remedy::Remedy;
use crate::servers::{Answer, Next, Server};
use crate::{database, delete, keep, lane, ledger, migrate, poll, sqlstate};

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
        Box::pin(polls(&consumer)),
        Box::pin(batches(&consumer)),
        streams,
        Box::pin(suspects(&consumer)),
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

/// Waits for Postgres, migrates, and goes on with what was known of the bucket before a restart. Gives
/// false where a signal came first.
async fn prepare(consumer: &Consumer) -> Result<bool, migrate::Error> {
    let mut backoff = Backoff::default();
    loop {
        let ready = async {
            migrate::at_start(consumer.pool(), consumer.config.postgres.migrate).await?;
            ledger::breaker::all(consumer.pool())
                .await
                .map_err(migrate::Error::Unavailable)
        };
        let ready = tokio::select! {
            () = consumer.stop.cancelled() => return Ok(false),
            ready = ready => ready,
        };
        match ready {
            Ok(kept) => {
                heard(consumer, Server::Postgres, Answer::Well);
                let host = database::host();
                let bucket =
                    |kept: &Kept| kept.host == host && kept.server == Server::Bucket.as_str();
                if let Some(kept) = kept.into_iter().find(bucket) {
                    consumer.servers.adopt(Server::Bucket, kept.breaker());
                }
                return Ok(!consumer.stop.is_cancelled());
            }
            Err(migrate::Error::Unavailable(error)) => {
                let answer = of_postgres(consumer, &error).await;
                heard(consumer, Server::Postgres, answer);
                refresh(consumer);
            }
            Err(error) => return Err(error),
        }
        let wait = match consumer.servers.asking(Utc::now()) {
            Next::NotBefore(at) => until(at),
            Next::Freely | Next::OnTrial(_) => backoff.next(),
        };
        if !rest(consumer, wait).await {
            return Ok(false);
        }
    }
}

fn heard(consumer: &Consumer, server: Server, answer: Answer) {
    consumer.servers.heard(server, answer, Utc::now());
}

/// What an error of Postgres says of Postgres itself.
async fn of_postgres(consumer: &Consumer, error: &sqlx::Error) -> Answer {
    let cause = consumer.database.cause(error).await;
    if sqlstate::is_away(error) {
        Answer::Away(cause)
    } else {
        Answer::Refused(cause)
    }
}

fn until(at: DateTime<Utc>) -> Duration {
    (at - Utc::now()).to_std().unwrap_or_default()
}

/// Waits, and gives false where a signal came first.
async fn rest(consumer: &Consumer, wait: Duration) -> bool {
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

/// Polls; and while one of the two servers is away, finds out when it is back.
async fn polls(consumer: &Consumer) {
    let settings = &consumer.config.poll;
    let (mut cursor, mut backoff) = (Cursor::default(), Backoff::default());
    let mut wait = settings.min;
    while !consumer.stop.is_cancelled() {
        let turn = async {
            write_down(consumer).await;
            match consumer.servers.asking(Utc::now()) {
                Next::Freely => Turn::Polled(poll::poll(consumer, &mut cursor).await),
                Next::OnTrial(server) => {
                    try_out(consumer, server).await;
                    Turn::Tried
                }
                Next::NotBefore(at) => Turn::Rest(until(at)),
            }
        };
        let turn = tokio::select! {
            () = consumer.stop.cancelled() => return,
            turn = turn => turn,
        };
        let going_on = match turn {
            Turn::Polled(Ok(polled)) => {
                heard(consumer, Server::Bucket, Answer::Well);
                heard(consumer, Server::Postgres, Answer::Well);
                backoff.reset();
                wait = if polled.new > 0 {
                    settings.min
                } else {
                    (wait * 2).min(settings.max)
                };
                let pause = match polled {
                    // Up to a tenth earlier, so that consumers don't keep step.
                    Polled { whole: true, .. } => wait.mul_f64(1.0 - rand::random::<f64>() / 10.0),
                    // There is more to write down.
                    Polled { new: 1.., .. } => Duration::ZERO,
                    Polled { .. } => settings.min,
                };
                rest(consumer, pause.min(settings.min)).await
                    && tokio::select! {
                        going_on = rest(consumer, pause.saturating_sub(settings.min)) => going_on,
                        () = consumer.servers.doubt.notified() => true,
                    }
            }
            Turn::Polled(Err(error)) => {
                match &error {
                    poll::Error::Bucket(error) => {
                        heard(consumer, Server::Postgres, Answer::Well);
                        // A LIST that is refused concerns every file there is.
                        heard(consumer, Server::Bucket, Answer::Away(error.to_string()));
                    }
                    poll::Error::Ledger(error) => {
                        let answer = of_postgres(consumer, error).await;
                        heard(consumer, Server::Postgres, answer);
                    }
                }
                refresh(consumer);
                rest(consumer, after(error.remedy(), &mut backoff)).await
            }
            Turn::Tried => rest(consumer, settings.min).await,
            Turn::Rest(pause) => rest(consumer, pause).await,
        };
        if !going_on {
            return;
        }
    }
}

/// What a turn of the polling lane came to.
enum Turn {
    Polled(Result<poll::Polled, poll::Error>),
    Tried,
    Rest(Duration),
}

/// One call, to see whether a server is there again.
async fn try_out(consumer: &Consumer, server: Server) {
    let answer = match server {
        Server::Bucket => match consumer.bucket.list(INBOX, None).await {
            Ok(_) => Answer::Well,
            Err(error) => Answer::Away(error.to_string()),
        },
        Server::Postgres => match sighting::clock(consumer.pool()).await {
            Ok(_) => Answer::Well,
            Err(error) => of_postgres(consumer, &error).await,
        },
    };
    if answer != Answer::Well {
        refresh(consumer);
    }
    heard(consumer, server, answer);
}

/// Has the ledger know of breakers that were opened or closed, for `status` and for after a restart.
async fn write_down(consumer: &Consumer) {
    for (server, breaker) in consumer.servers.news() {
        let host = database::host();
        match ledger::breaker::write(consumer.pool(), &host, server.as_str(), &breaker).await {
            Ok(()) => consumer.servers.written(server, &breaker),
            Err(error) => tracing::debug!(%error, "a breaker could not be written down yet"),
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
    let mut size = Size::new(consumer.config.load.batch_files.get());
    while both_are_there(consumer).await {
        let arrivals = consumer.arrivals.notified();
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::batch::pass(consumer, &mut size).await
        };
        if !next(consumer, done.await, &mut backoff, arrivals).await {
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
        let (new, large) = (consumer.arrivals.notified(), consumer.streams.notified());
        let arrivals = async {
            tokio::select! {
                () = new => {}
                () = large => {}
            }
        };
        let done = async {
            lane::pay_debts(consumer).await?;
            lane::stream::pass(consumer, STREAMS).await
        };
        if !next(consumer, done.await, &mut backoff, arrivals).await {
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
            // Whether it is everybody's matter the polling lane finds out: one object that the bucket fails
            // to give is not.
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
