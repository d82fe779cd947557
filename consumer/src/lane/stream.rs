//! One large file, or one that may have ended a consumer before: read, decoded and loaded at the same
//! time, in memory that doesn't grow with it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use nightdrop_bucket::Error as BucketError;
use nightdrop_schema::{Caps, Envelope, Header};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::{Error, Progress, batch, give_back};
use crate::consumer::Consumer;
use crate::decode::{self, Decoded, Sink};
use crate::destination;
use crate::fetch::{Fetched, unread};
use crate::ledger::claim::{self, Claim, File, Lane};
use crate::ledger::verdict::{Content, Reason, State, Verdict};
use crate::load::stream::{Opened, Outcome, load};
use crate::load::{self, Interrupted, Rows};
use crate::park;
use crate::remedy::Remedy;

/// Pieces of rows between the reading and the COPY.
const AHEAD: usize = 2;

/// Claims one file and sees it through.
///
/// # Errors
/// When the bucket or Postgres is away; the file is given back then.
pub async fn pass(consumer: &Consumer, lane: Lane) -> Result<Progress, Error> {
    let settings = &consumer.config.load;
    let claim = claim::claim(consumer.pool(), lane, &consumer.worker, settings.lease).await?;
    let Some(file) = claim.files.first() else {
        return Ok(Progress::default());
    };
    let lease = Lease::keep(consumer.pool(), claim.token, settings.lease);
    let done = work(consumer, &claim, file).await;
    drop(lease);
    if !matches!(done, Ok(true)) {
        give_back(consumer, claim.token, Duration::ZERO).await;
    }
    Ok(Progress {
        claimed: 1,
        decided: usize::from(done?),
    })
}

/// Gives whether the file has its verdict.
async fn work(consumer: &Consumer, claim: &Claim, file: &File) -> Result<bool, Error> {
    if file.is_deadly() {
        let sentence = format!(
            "{} consumers ended while they worked on this file alone",
            claim::DEATHS_ALONE
        );
        return unfit(consumer, claim, file, Reason::new("deadly", sentence)).await;
    }
    let stored = tokio::select! {
        () = consumer.stop.cancelled() => return Ok(false),
        stored = consumer.bucket.get_stream(&file.key, &file.etag) => stored,
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => return unreadable(consumer, claim, file, error).await,
    };
    let mut reading = Reading::start(file, stored, consumer.config.caps.caps());
    let head = tokio::select! {
        () = consumer.stop.cancelled() => return Ok(false),
        head = &mut reading.head => head,
    };
    let outcome = match head {
        Ok((envelope, header)) => {
            let (producer, job) = (file.key.producer(), file.key.job());
            match consumer
                .destinations
                .find(consumer, producer, job, &header)
                .await
            {
                Ok(destination) => {
                    let opened = Opened {
                        file,
                        envelope: &envelope,
                        header: &header,
                        destination: &destination,
                    };
                    let end = Arc::clone(&reading.end);
                    let content = move || end.content();
                    load(
                        consumer.pool(),
                        claim.token,
                        opened,
                        rows(
                            &mut reading.rows,
                            &mut reading.task,
                            &reading.end,
                            &consumer.stop,
                        ),
                        content,
                        consumer.config.load.clock_skew,
                    )
                    .await
                }
                Err(destination::Error::Unfit(reason)) => Ok(Outcome::Unfit(reason)),
                Err(error) if error.remedy() == Remedy::Pause => {
                    Ok(Outcome::Refused(error.to_string()))
                }
                Err(error) => return Err(error.into()),
            }
        }
        // The file ended before its rows began: a note, or a bad file.
        Err(_) => {
            reading.end.join(&mut reading.task).await;
            Err(load::Error::Interrupted)
        }
    };
    match outcome {
        Ok(Outcome::Decided { rows }) => {
            consumer.loaded(1, rows);
            Ok(true)
        }
        Ok(Outcome::Unfit(reason)) => unfit(consumer, claim, file, reason).await,
        Ok(Outcome::Refused(error)) => {
            batch::rest(consumer, file.key.producer(), file.key.job(), &error).await?;
            Ok(false)
        }
        Ok(Outcome::NotNow) => Ok(false),
        Err(load::Error::Interrupted) => match reading.end.take() {
            Ended::Bad(reason) => unfit(consumer, claim, file, reason).await,
            Ended::Note(content, note) => {
                let verdict = Verdict {
                    reason: Some(note),
                    ..Verdict::read(file.id, State::Noted, content)
                };
                park::decide(consumer.pool(), claim.token, vec![verdict], Vec::new()).await?;
                Ok(true)
            }
            Ended::Away(error) => unreadable(consumer, claim, file, error).await,
            // Stopped by a signal: it goes back.
            Ended::Well(_) | Ended::NotYet => Ok(false),
        },
        Err(error) => Err(error.into()),
    }
}

async fn unfit(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    reason: Reason,
) -> Result<bool, Error> {
    tracing::warn!(key = %file.key, reason = reason.name, error = %reason.sentence, "parking a file");
    let up_to = consumer.config.load.park_up_to;
    park::park(
        consumer.pool(),
        &consumer.bucket,
        claim.token,
        file,
        reason,
        up_to,
    )
    .await?;
    Ok(true)
}

async fn unreadable(
    consumer: &Consumer,
    claim: &Claim,
    file: &File,
    error: BucketError,
) -> Result<bool, Error> {
    match unread(file.id, error) {
        Fetched::Settled(verdict) => {
            park::decide(consumer.pool(), claim.token, vec![*verdict], Vec::new()).await?;
            Ok(true)
        }
        Fetched::Away(error) => Err(error.into()),
        _ => Ok(false),
    }
}

/// A file that is being read on a thread of its own.
struct Reading {
    head: oneshot::Receiver<(Envelope, Header)>,
    rows: mpsc::Receiver<Vec<u8>>,
    task: JoinHandle<Result<Decoded, decode::Error>>,
    end: Arc<End>,
}

/// How the reading ended, once it has.
#[derive(Default)]
struct End {
    ended: Mutex<Ended>,
    /// A network error, which the reading can't tell from a file that ends too early.
    away: Mutex<Option<BucketError>>,
}

#[derive(Default)]
enum Ended {
    #[default]
    NotYet,
    Well(Content),
    Note(Content, Reason),
    Bad(Reason),
    Away(BucketError),
}

impl End {
    async fn join(&self, task: &mut JoinHandle<Result<Decoded, decode::Error>>) {
        let decoded = match task.await {
            Ok(decoded) => decoded,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let away = self
            .away
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let ended = match (away, decoded) {
            (Some(error), _) => Ended::Away(error),
            (
                None,
                Ok(Decoded {
                    content,
                    note: Some(note),
                }),
            ) => Ended::Note(content, note),
            (
                None,
                Ok(Decoded {
                    content,
                    note: None,
                }),
            ) => Ended::Well(content),
            (None, Err(decode::Error::Bad(reason))) => Ended::Bad(reason),
            (None, Err(decode::Error::Large | decode::Error::Unwanted)) => Ended::NotYet,
        };
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    }

    fn take(&self) -> Ended {
        std::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn content(&self) -> Option<Content> {
        match self.take() {
            Ended::Well(content) => Some(content),
            _ => None,
        }
    }
}

impl Reading {
    fn start(
        file: &File,
        stored: impl Stream<Item = Result<Bytes, BucketError>> + Send + 'static,
        caps: Caps,
    ) -> Self {
        let (head_to, head) = oneshot::channel();
        let (rows_to, rows) = mpsc::channel(AHEAD);
        let end = Arc::new(End::default());
        let away = Arc::clone(&end);
        let stored = stored.map_err(move |error| {
            let sentence = error.to_string();
            *away.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other(sentence)
        });
        let file = file.clone();
        let bridge = SyncIoBridge::new(StreamReader::new(stored.boxed()));
        let task = tokio::task::spawn_blocking(move || {
            let mut sink = Channel {
                head: Some(head_to),
                rows: rows_to,
            };
            decode::decode(&file, bridge, &caps, &mut sink)
        });
        Self {
            head,
            rows,
            task,
            end,
        }
    }
}

/// Hands rows from the reading thread to the load, and waits while the load is behind.
struct Channel {
    head: Option<oneshot::Sender<(Envelope, Header)>>,
    rows: mpsc::Sender<Vec<u8>>,
}

impl Sink for Channel {
    fn head(&mut self, envelope: &Envelope, header: &Header) -> Result<(), decode::Error> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        head.send((envelope.clone(), header.clone()))
            .map_err(|_| decode::Error::Unwanted)
    }

    fn rows(&mut self, rows: Vec<u8>) -> Result<(), decode::Error> {
        self.rows
            .blocking_send(rows)
            .map_err(|_| decode::Error::Unwanted)
    }
}

/// The rows as they are read. They end well only if the file did; a stop signal interrupts them.
fn rows<'a>(
    rows: &'a mut mpsc::Receiver<Vec<u8>>,
    task: &'a mut JoinHandle<Result<Decoded, decode::Error>>,
    end: &'a Arc<End>,
    stop: &'a CancellationToken,
) -> Rows<'a> {
    stream::unfold(Some((rows, task)), move |state| async move {
        let (rows, task) = state?;
        let piece = tokio::select! {
            biased;
            () = stop.cancelled() => return Some((Err(Interrupted), None)),
            piece = rows.recv() => piece,
        };
        if let Some(piece) = piece {
            return Some((Ok(piece), Some((rows, task))));
        }
        end.join(task).await;
        let ended = end.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match &*ended {
            Ended::Well(_) => None,
            _ => Some((Err(Interrupted), None)),
        }
    })
    .boxed()
}
