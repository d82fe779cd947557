//! `once`: everything that is in the bucket now, and then the end.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::join_all;
use nightdrop_bucket::Error as BucketError;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;
use crate::ledger::summary;
use crate::ledger::verdict::Tally;
use crate::poll::Cursor;
use crate::polling::expect;
use crate::remedy::Remedy;
use crate::run::BATCHES;
use crate::{alarm, delete, keep, lane, load as loading, migrate, park, poll};

/// How often to look whether another consumer's claims have come free.
const LOOK: Duration = Duration::from_millis(200);

/// Why not all could be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger isn't as this binary needs it.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    /// The LIST failed.
    #[error(transparent)]
    Poll(#[from] poll::Error),
    /// A batch or a large file could not be seen through.
    #[error(transparent)]
    Lane(#[from] lane::Error),
    /// What is loaded could not be deleted from the bucket.
    #[error(transparent)]
    Delete(#[from] delete::Error),
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Migrate(migrate::Error::Unavailable(_)) => Remedy::Retry,
            Self::Migrate(_) => Remedy::Halt,
            Self::Poll(error) => error.remedy(),
            Self::Lane(error) => error.remedy(),
            Self::Delete(error) => error.remedy(),
        }
    }

    /// The error of the bucket behind it, if there is one.
    pub fn bucket(&self) -> Option<&BucketError> {
        match self {
            Self::Poll(poll::Error::Bucket(error))
            | Self::Lane(
                lane::Error::Bucket(error) | lane::Error::Park(park::Error::Bucket(error)),
            )
            | Self::Delete(delete::Error::Bucket(error)) => Some(error),
            _ => None,
        }
    }

    /// The error of Postgres behind it, if it is away or doesn't let us in.
    pub fn postgres(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Migrate(migrate::Error::Unavailable(error))
            | Self::Poll(poll::Error::Ledger(error))
            | Self::Lane(
                lane::Error::Ledger(error)
                | lane::Error::Load(loading::Error::Postgres(error))
                | lane::Error::Park(park::Error::Postgres(error)),
            )
            | Self::Delete(delete::Error::Ledger(error)) => Some(error),
            _ => None,
        }
    }
}

/// Lists, loads and deletes until nothing is left to do, or a signal comes.
///
/// Files that another consumer has claimed, or whose job it has, are waited for as long as a lease lasts;
/// those of a paused job are left. However that ends, alarms are told.
///
/// # Errors
/// The first thing that went wrong: `once` doesn't wait for what is away.
pub async fn once(consumer: &Consumer) -> Result<Tally, Error> {
    migrate::at_start(consumer.pool(), consumer.config.postgres.migrate).await?;
    expect(consumer).await?;
    let mut worked = work(consumer).await;
    if worked.is_ok() {
        worked = keep::a_little(consumer)
            .await
            .map_err(|error| lane::Error::from(error).into());
    }
    alarm::once(consumer).await;
    worked.map(|()| consumer.tally())
}

async fn work(consumer: &Consumer) -> Result<(), Error> {
    let mut cursor = Cursor::default();
    loop {
        let before = consumer.tally();
        let (listed, loaded) = (CancellationToken::new(), CancellationToken::new());
        let list_and_delete = async {
            let polled = poll::poll(consumer, &mut cursor).await;
            listed.cancel();
            let polled = polled?;
            // Whatever was put over a loaded object has been seen by now.
            delete_until(consumer, &loaded).await?;
            Ok::<_, Error>(polled)
        };
        let load = load_until(consumer, &listed).inspect(|_| loaded.cancel());
        let (polled, load) = tokio::join!(list_and_delete, load);
        let polled = polled?;
        load?;
        // Where a producer has more than may wait, room was made by what is decided now.
        let room_made = polled.left_out && consumer.tally().files() > before.files();
        let done = polled.whole && polled.new == 0 && polled.released == 0 && !room_made;
        if consumer.stop.is_cancelled() || done {
            return Ok(());
        }
    }
}

/// Deletes what is loaded while the rest is being loaded, and then what is left.
async fn delete_until(consumer: &Consumer, loaded: &CancellationToken) -> Result<(), Error> {
    loop {
        let decisions = consumer.decisions.notified();
        let was_loaded = loaded.is_cancelled();
        if delete::pass(consumer).await? > 0 {
            continue;
        }
        if was_loaded {
            return Ok(());
        }
        tokio::select! {
            () = decisions => {}
            () = loaded.cancelled() => {}
        }
    }
}

/// Loads what is waiting while the rest is being listed, and then what is left.
async fn load_until(consumer: &Consumer, listed: &CancellationToken) -> Result<(), Error> {
    let mut progressed = Instant::now();
    while !consumer.stop.is_cancelled() {
        lane::pay_debts(consumer).await?;
        lane::end_overdue(consumer).await?;
        let batches = (0..BATCHES).map(|_| {
            lane(consumer, listed, &consumer.arrivals, || {
                lane::batch::pass(consumer)
            })
        });
        let streams = lane(consumer, listed, &consumer.streams, || {
            lane::stream::pass(consumer, 1)
        });
        let (batches, streams) = tokio::join!(join_all(batches), streams);
        let mut count = batches.into_iter().sum::<Result<usize, lane::Error>>()? + streams?;
        count += decided(lane::suspect::pass(consumer).await)?;
        if count > 0 {
            progressed = Instant::now();
            continue;
        }
        let patience = consumer.config.load.lease + Duration::from_secs(5);
        let waiting = summary::is_waiting(consumer.pool(), patience)
            .await
            .map_err(lane::Error::from)?;
        if !waiting || progressed.elapsed() > patience {
            break;
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Works on what there is and what arrives, until all is listed and nothing is left that this lane may
/// have. Gives how many files have their verdict by that.
async fn lane<F>(
    consumer: &Consumer,
    listed: &CancellationToken,
    arrivals: &Notify,
    pass: impl Fn() -> F,
) -> Result<usize, lane::Error>
where
    F: Future<Output = Result<lane::Progress, lane::Error>>,
{
    let mut count = 0;
    while !consumer.stop.is_cancelled() {
        let arrived = arrivals.notified();
        let was_listed = listed.is_cancelled();
        match decided(pass().await)? {
            0 if was_listed => break,
            0 => tokio::select! {
                () = arrived => {}
                () = listed.cancelled() => {}
                () = consumer.stop.cancelled() => {}
            },
            files => count += files,
        }
    }
    Ok(count)
}

/// How many files have their verdict by that: none, where another load was first.
fn decided(done: Result<lane::Progress, lane::Error>) -> Result<usize, lane::Error> {
    match done {
        Ok(progress) => Ok(progress.decided),
        Err(error) if error.is_a_clash() => {
            tracing::warn!(%error, "nothing was loaded this time; it is tried again");
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
