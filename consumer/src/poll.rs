//! LIST, page by page, into the ledger.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use nightdrop_bucket::{Error as BucketError, Fault, Page};
use nightdrop_schema::Producer;

use crate::consumer::Consumer;
use crate::failpoint::failpoint;
use crate::ledger::sighting::{self, Room};
use crate::listing::{Learned, Listing, Request};
use crate::pool::limited;
use crate::release;
use crate::remedy::Remedy;
use crate::sqlstate;

/// A poll asks for so many pages of the look across the inbox, and for so many of folders' own; the next
/// one goes on where it ended.
const PAGES: usize = 50;

/// Folders have their turns for so long in one poll: then it is time to look across again.
const TURNS: Duration = Duration::from_secs(1);

/// Where the next LIST begins, and what was told of already.
#[derive(Debug, Default)]
pub struct Cursor {
    listing: Listing,
    full: BTreeSet<String>,
    strange: BTreeSet<String>,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Objects seen for the first time.
    pub new: u64,
    /// Parked and held files that wait again.
    pub released: u64,
    /// Whether all that there is has been listed, by this poll and those before it.
    pub whole: bool,
    /// Whether something was left in the bucket because a producer has as much in the ledger as it may.
    pub left_out: bool,
}

/// Why a poll came to nothing, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket is away, or refuses.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The ledger can't be written.
    #[error("ledger: {}", sqlstate::sentence(.0))]
    Ledger(#[from] sqlx::Error),
}

impl Error {
    /// What is to be done. A LIST that is refused concerns every file there is.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Bucket(error) => match error.fault() {
                Fault::Unreachable | Fault::TimedOut | Fault::Busy | Fault::Io => Remedy::Retry,
                Fault::Unauthenticated
                | Fault::Forbidden
                | Fault::NotFound
                | Fault::Changed
                | Fault::NoBucket
                | Fault::Refused
                | Fault::Settings => Remedy::Halt,
            },
            Self::Ledger(error) => sqlstate::remedy(error).for_everyone(),
        }
    }
}

/// Lists what is in the inbox and writes down what is new.
///
/// # Errors
/// When the bucket or the ledger refuses or is away; pages before that are written down.
pub async fn poll(consumer: &Consumer, cursor: &mut Cursor) -> Result<Polled, Error> {
    let mut polled = Polled {
        released: release::release(consumer).await?,
        ..Polled::default()
    };
    let begun = sighting::clock(consumer.pool()).await?;
    cursor.listing.begin(begun);
    let full = sighting::full(consumer.pool(), &cursor.listing.backlogs(), room(consumer)).await?;
    cursor.listing.full(full);
    for _ in 0..PAGES {
        let Some(request) = cursor.listing.across() else {
            break;
        };
        polled.new += look(consumer, cursor, request, begun).await?;
    }
    let turns = Instant::now();
    for _ in 0..PAGES {
        let Some(request) = cursor.listing.turn() else {
            break;
        };
        polled.new += look(consumer, cursor, request, begun).await?;
        if turns.elapsed() > TURNS {
            break;
        }
    }
    polled.whole = cursor.listing.is_whole();
    polled.left_out = !cursor.listing.left_out().is_empty();
    if polled.whole {
        end_round(consumer, cursor).await?;
    }
    cursor.tell_of_full();
    if polled.new > 0 {
        tracing::info!(files = polled.new, "new in the bucket");
    }
    Ok(polled)
}

fn room(consumer: &Consumer) -> Room {
    let quota = &consumer.config.quota;
    Room {
        waiting: quota.waiting.get(),
        held: quota.held.get(),
    }
}

/// Asks for a page and writes it down. Gives how many files are new.
async fn look(
    consumer: &Consumer,
    cursor: &mut Cursor,
    request: Request,
    begun: DateTime<Utc>,
) -> Result<u64, Error> {
    let page = match consumer
        .bucket
        .list(&request.prefix, request.after.as_deref())
        .await
    {
        Ok(page) => page,
        Err(error) if is_strange(&request) && error.fault() == Fault::Refused => {
            tracing::warn!(prefix = request.prefix, %error, "a folder that is no producer's can't be listed: passed over");
            Page::default()
        }
        Err(error) => return Err(error.into()),
    };
    failpoint("list: answered");
    let above = consumer.config.load.stream_above;
    let room = room(consumer);
    let recorded = limited(sighting::record(consumer.pool(), &page, above, room, begun)).await?;
    recorded.held.iter().for_each(|(key, why)| alarm(key, why));
    cursor.tell_of_strange(&recorded.left_out_strange, room);
    if recorded.new > 0 {
        consumer.company.changed();
        consumer.arrivals.notify_waiters();
        if page.objects.iter().any(|object| object.size > above) {
            consumer.streams.notify_waiters();
        }
    }
    cursor.listing.shown.extend(recorded.shown);
    let learned = Learned {
        next: page.next.as_deref(),
        left_out: &recorded.left_out,
    };
    cursor.listing.learn(request, learned);
    Ok(recorded.new)
}

/// Whether a page is that of a folder that no producer has.
fn is_strange(request: &Request) -> bool {
    request
        .folder
        .as_ref()
        .is_some_and(|folder| folder.parse::<Producer>().is_err())
}

/// All was listed: what was not there is gone.
async fn end_round(consumer: &Consumer, cursor: &mut Cursor) -> Result<(), Error> {
    let listing = &mut cursor.listing;
    if let Some(since) = listing.since() {
        let not_looked_at: Vec<String> = listing.left_out().iter().cloned().collect();
        sighting::vanished(consumer.pool(), since, &listing.shown, &not_looked_at).await?;
    }
    listing.next_round();
    Ok(())
}

impl Cursor {
    /// Says once that a producer's files stay in the bucket, and again if that is so another time.
    fn tell_of_full(&mut self) {
        let now = self.listing.left_out().clone();
        for producer in now.difference(&self.full) {
            tracing::info!(
                producer,
                "has as many files waiting, or held, as its quota allows: the others stay in the bucket until some are decided"
            );
        }
        self.full = now;
    }

    /// Says once of each folder that it has more strange keys than are written down.
    fn tell_of_strange(&mut self, folders: &[String], room: Room) {
        for folder in folders {
            if self.strange.insert(folder.clone()) {
                tracing::warn!(
                    "under inbox/{folder}/ are more than {} keys outside the grammar: the others are left alone, and not written down",
                    room.held
                );
            }
        }
    }
}

/// Tells of a key that is nobody's. One that is named like a job's folder is worse than litter.
fn alarm(key: &str, why: &str) {
    let parts: Vec<&str> = key.split('/').collect();
    if let ["inbox", producer, job] = parts[..]
        && producer.parse::<Producer>().is_ok()
        && job.parse::<nightdrop_schema::Job>().is_ok()
    {
        tracing::error!(
            key,
            "an object is named like the folder of {producer}/{job}: on MinIO it hides every file of that job; delete it"
        );
    } else {
        tracing::warn!(
            key,
            why,
            "left alone in the bucket: its key is outside the grammar"
        );
    }
}
