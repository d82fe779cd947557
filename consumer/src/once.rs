//! `once`: everything that is in the bucket now, and then the end.

use std::time::{Duration, Instant};

use nightdrop_bucket::Error as BucketError;
use tokio::time::sleep;

use crate::consumer::Consumer;
use crate::lane::size::Size;
use crate::ledger::summary;
use crate::ledger::verdict::Tally;
use crate::poll::Cursor;
use crate::remedy::Remedy;
use crate::{delete, keep, lane, load as loading, migrate, park, poll};

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
/// those of a paused job are left.
///
/// # Errors
/// The first thing that went wrong: `once` doesn't wait for what is away.
pub async fn once(consumer: &Consumer) -> Result<Tally, Error> {
    migrate::at_start(consumer.pool(), consumer.config.postgres.migrate).await?;
    let mut cursor = Cursor::default();
    loop {
        let before = consumer.tally();
        let polled = poll::poll(consumer, &mut cursor).await?;
        load(consumer).await?;
        while delete::pass(consumer).await? > 0 {}
        // Where a producer has more than may wait, room was made by what is decided now.
        let room_made = polled.left_out && consumer.tally().files() > before.files();
        let done = polled.whole && polled.new == 0 && polled.released == 0 && !room_made;
        if consumer.stop.is_cancelled() || done {
            break;
        }
    }
    keep::a_little(consumer).await.map_err(lane::Error::from)?;
    Ok(consumer.tally())
}

async fn load(consumer: &Consumer) -> Result<(), Error> {
    let mut progressed = Instant::now();
    let mut size = Size::new(consumer.config.load.batch_files.get());
    while !consumer.stop.is_cancelled() {
        lane::pay_debts(consumer).await?;
        lane::end_overdue(consumer).await?;
        let mut progress = lane::batch::pass(consumer, &mut size).await?;
        let (stream, suspect) = (
            lane::stream::pass(consumer, 1).await?,
            lane::suspect::pass(consumer).await?,
        );
        for one in [stream, suspect] {
            progress.claimed += one.claimed;
            progress.decided += one.decided;
        }
        if progress.decided > 0 {
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
