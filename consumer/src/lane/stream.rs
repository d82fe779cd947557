//! One large file: read, decoded and loaded at the same time, in memory that doesn't grow with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use nightdrop_runtime::trace::Parent;
use nightdrop_schema::{Caps, Envelope, Header};

use super::lease::Lease;
use super::reading::{Ended, Reading};
use super::{AWAY, BUSY, Error, Progress, batch, give_back};
use crate::consumer::Consumer;
use crate::destination;
use crate::failpoint::failpoint;
use crate::fetch::{self, unread};
use crate::ledger::claim::{self, Claim, File, Lane};
use crate::ledger::parked;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::verdict::{Content, Verdict};
use crate::load::stream::{Opened, Outcome, load};
use crate::load::{self, Watch};
use crate::park;
use crate::remedy::Remedy;
use crate::traces;

/// The longest row, in bytes, that each lane reads whenever it comes. Of longer ones there are two copies in memory, as
/// they are written and as Postgres takes them: files with such rows are read one at a time.
const WIDE: usize = 4 * 1024 * 1024;

/// Claims one file and sees it through, in one of so many lanes.
///
/// # Errors
/// When the bucket or Postgres is away; the file is given back then.
pub async fn pass(consumer: &Consumer, lanes: usize) -> Result<Progress, Error> {
    let company = &consumer.company;
    let _under_way = company.stream().await;
    let choosing = company.choosing().await;
    let without = company.without(lanes);
    let claim = super::claim(consumer, Lane::Stream(&without)).await?;
    let _streaming = claim
        .files
        .first()
        .map(|file| company.streaming(file.key.producer()));
    drop(choosing);
    if !claim.files.is_empty() {
        // Another lane may now have what it had to leave.
        consumer.streams.notify_one();
    }
    see_through(consumer, claim).await
}

/// Sees the one file of a claim through.
pub(super) async fn see_through(consumer: &Consumer, claim: Claim) -> Result<Progress, Error> {
    let Some(file) = claim.files.first() else {
        return Ok(Progress::default());
    };
    let lease = Lease::keep(consumer, &claim);
    let done = work(consumer, &claim, file, &lease.watch).await;
    drop(lease);
    match &done {
        Ok(Done::Decided) => {}
        Ok(Done::Busy) => give_back(consumer, &claim, BUSY).await,
        Ok(Done::Wide) => give_back(consumer, &claim, AWAY).await,
        Err(error) if error.is_about_the_bucket() => give_back(consumer, &claim, AWAY).await,
        Ok(Done::Undecided) | Err(_) => give_back(consumer, &claim, Duration::ZERO).await,
    }
    consumer.company.changed();
    Ok(Progress {
        claimed: 1,
        decided: usize::from(matches!(done?, Done::Decided)),
    })
}

/// What a file's turn came to.
enum Done {
    /// It has its verdict.
    Decided,
    /// It has none: a signal came, or its job rests.
    Undecided,
    /// It has none, for another consumer has its job now.
    Busy,
    /// It has none, for it has rows that are large, and so has another that is being read.
    Wide,
}

/// Sees one file through.
async fn work(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    watch: &Arc<Watch>,
) -> Result<Done, Error> {
    if file.is_deadly() {
        let sentence = format!(
            "{} consumers ended while they worked on this file alone",
            claim::DEATHS_ALONE
        );
        return unfit(consumer, claim, file, Reason::new(Cause::Deadly, sentence)).await;
    }
    let caps = consumer.config.caps.caps();
    let narrow = Caps {
        row: caps.row.min(WIDE),
        ..caps.clone()
    };
    match read(consumer, claim, file, watch, narrow).await? {
        Read::Done(done) => Ok(done),
        // The row, or something that is refused all the same: it is read once more, to be told why.
        Read::Bad(reason) if reason.cause == Cause::TooLarge && caps.row > WIDE => {
            let Ok(_wide) = consumer.wide.try_acquire() else {
                return Ok(Done::Wide);
            };
            match read(consumer, claim, file, watch, caps).await? {
                Read::Done(done) => Ok(done),
                Read::Bad(reason) => unfit(consumer, claim, file, reason).await,
            }
        }
        Read::Bad(reason) => unfit(consumer, claim, file, reason).await,
    }
}

/// What came of reading a file once.
enum Read {
    /// Its turn is over.
    Done(Done),
    /// It breaks the contract, or these caps.
    Bad(Reason),
}

/// Reads a file and loads what it says.
async fn read(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    watch: &Arc<Watch>,
    caps: Caps,
) -> Result<Read, Error> {
    let begun = SystemTime::now();
    let stored = tokio::select! {
        () = consumer.stop.cancelled() => return Ok(Read::Done(Done::Undecided)),
        stored = stored(consumer, file) => stored,
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            return unreadable(consumer, claim, file, error)
                .await
                .map(Read::Done);
        }
    };
    failpoint("file: fetched");
    let arrivals = Arc::clone(watch);
    let stored = stored.inspect_ok(move |_| arrivals.moved());
    let mut reading = Reading::start(file, stored, caps);
    let head = tokio::select! {
        () = consumer.stop.cancelled() => return Ok(Read::Done(Done::Undecided)),
        head = reading.head() => head,
    };
    failpoint("file: head decoded");
    let outcome = if let Some((envelope, header)) = head {
        let trace = envelope.traceparent.as_deref().and_then(Parent::parse);
        // Read and loaded at the same time.
        let fetched = traces::fetched(file, trace.as_ref(), begun);
        let (since, trace) = (SystemTime::now(), trace.or_else(|| fetched.parent()));
        let of = (&envelope, &header);
        let outcome = load_rows(consumer, watch, file, of, trace.clone(), &mut reading).await?;
        match &outcome {
            Ok(Outcome::Decided(decided)) => traces::loaded(decided, since),
            Ok(Outcome::Unfit(reason)) => traces::unfit(file, trace.as_ref(), reason.cause, since),
            // Nothing became of it, and it will be tried again.
            Ok(Outcome::Refused(_) | Outcome::NotNow | Outcome::Elsewhere) | Err(_) => {}
        }
        outcome
    } else {
        // The file ended before its rows began: a note, or a bad file.
        reading.join().await;
        Err(load::Error::Interrupted)
    };
    let done = match outcome {
        Ok(Outcome::Decided(decided)) => {
            consumer.count(&decided);
            Ok(Done::Decided)
        }
        Ok(Outcome::Unfit(reason)) => unfit(consumer, claim, file, reason).await,
        Ok(Outcome::Refused(error)) => {
            batch::rest(consumer, file.key.producer(), file.key.job(), &error).await?;
            Ok(Done::Undecided)
        }
        Ok(Outcome::NotNow) => Ok(Done::Busy),
        Ok(Outcome::Elsewhere) => {
            let (producer, job) = (file.key.producer(), file.key.job());
            consumer.destinations.forget(producer, job);
            Ok(Done::Busy)
        }
        Err(load::Error::Interrupted) => match reading.end.take() {
            Ended::Bad(reason) => return Ok(Read::Bad(reason)),
            Ended::Note(content, note) => {
                let verdict = Verdict::noted(file.id, content, note);
                consumer.count(
                    &park::decide(
                        consumer.pool(),
                        claim.token,
                        vec![verdict],
                        Vec::new(),
                        consumer.room(),
                    )
                    .await?,
                );
                Ok(Done::Decided)
            }
            Ended::Away(error) => unreadable(consumer, claim, file, error).await,
            // Stopped by a signal: it goes back.
            Ended::Well(_) | Ended::NotYet => Ok(Done::Undecided),
        },
        Err(error) => Err(error.into()),
    };
    done.map(Read::Done)
}

/// The file's bytes: from the bucket, or from Postgres where it was parked before.
async fn stored(
    consumer: &Consumer,
    file: &File,
) -> Result<BoxStream<'static, Result<Bytes, fetch::Error>>, fetch::Error> {
    if file.kept {
        let parts = parked::stream(consumer.pool(), file.id);
        return Ok(parts.map_err(fetch::Error::from).boxed());
    }
    let pieces = consumer.bucket.get_stream(&file.key, &file.etag).await?;
    Ok(pieces.map_err(fetch::Error::from).boxed())
}

/// Finds the table and loads the rows while they are read.
async fn load_rows(
    consumer: &Consumer,
    watch: &Watch,
    file: &File,
    (envelope, header): (&Envelope, &Header),
    trace: Option<Parent>,
    reading: &mut Reading,
) -> Result<Result<Outcome, load::Error>, Error> {
    let (producer, job) = (file.key.producer(), file.key.job());
    let destination = match consumer
        .destinations
        .find(consumer, producer, job, header, false)
        .await
    {
        Ok(destination) => destination,
        Err(destination::Error::Unfit(reason)) => return Ok(Ok(Outcome::Unfit(reason))),
        Err(error) if error.remedy() == Remedy::Pause => {
            return Ok(Ok(Outcome::Refused(error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    let opened = Opened {
        file,
        envelope,
        header,
        destination: &destination,
    };
    let end = Arc::clone(&reading.end);
    let content = move || {
        let content = end.content()?;
        Some(Content { trace, ..content })
    };
    let rows = reading.rows(&consumer.stop);
    let skew = consumer.config.load.clock_skew;
    Ok(load(consumer.pool(), watch, opened, rows, content, skew).await)
}

async fn unfit(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    reason: Reason,
) -> Result<Done, Error> {
    tracing::warn!(file = file.id, key = %file.key, reason = reason.cause.as_str(), error = %reason.sentence, "parking a file");
    consumer.count(
        &park::park(
            consumer.pool(),
            &consumer.bucket,
            claim.token,
            file,
            reason,
            consumer.room(),
        )
        .await?,
    );
    Ok(Done::Decided)
}

async fn unreadable(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    error: fetch::Error,
) -> Result<Done, Error> {
    let error = match error {
        fetch::Error::Bucket(error) => error,
        error @ fetch::Error::Kept(_) => return Err(error.into()),
    };
    let verdict = unread(file.id, error)?;
    let verdicts = vec![verdict];
    consumer.count(
        &park::decide(
            consumer.pool(),
            claim.token,
            verdicts,
            Vec::new(),
            consumer.room(),
        )
        .await?,
    );
    Ok(Done::Decided)
}
