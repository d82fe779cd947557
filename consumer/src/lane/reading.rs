//! A file read on a thread of its own, while its rows are loaded: neither gets far ahead of the other.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use nightdrop_schema::{Caps, Envelope, Header};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use crate::decode::{self, Decoded, Sink};
use crate::fetch;
use crate::ledger::claim::File;
use crate::ledger::reason::Reason;
use crate::ledger::verdict::Content;
use crate::load::{Interrupted, Rows};

/// Pieces of rows between the reading and the COPY.
const AHEAD: usize = 2;

/// The largest piece, in bytes.
const PART: usize = 1024 * 1024;

/// A file that is being read on a thread of its own.
pub(super) struct Reading {
    head: oneshot::Receiver<(Envelope, Header)>,
    rows: mpsc::Receiver<Vec<u8>>,
    task: JoinHandle<Result<Decoded, decode::Error>>,
    /// How it ended.
    pub(super) end: Arc<End>,
}

/// How the reading ended, once it has.
#[derive(Default)]
pub(super) struct End {
    ended: Mutex<Ended>,
    /// A network error, which the reading can't tell from a file that ends too early.
    away: Mutex<Option<fetch::Error>>,
}

#[derive(Default)]
pub(super) enum Ended {
    #[default]
    /// It goes on, or nobody wanted the rest.
    NotYet,
    /// The file is whole and keeps the contract.
    Well(Content),
    /// So is this one, and carries no rows.
    Note(Content, Reason),
    /// The file is bad.
    Bad(Reason),
    /// Where its bytes are went away.
    Away(fetch::Error),
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
                    ..
                }),
            ) => Ended::Note(content, note),
            (
                None,
                Ok(Decoded {
                    content,
                    note: None,
                    ..
                }),
            ) => Ended::Well(content),
            (None, Err(decode::Error::Bad(reason))) => Ended::Bad(reason),
            (None, Err(decode::Error::Large | decode::Error::Unwanted)) => Ended::NotYet,
        };
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    }

    /// How the reading ended; not yet, if it hasn't or if this was asked before.
    pub(super) fn take(&self) -> Ended {
        std::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in the file, if the reading ended well.
    pub(super) fn content(&self) -> Option<Content> {
        match self.take() {
            Ended::Well(content) => Some(content),
            _ => None,
        }
    }
}

impl Reading {
    /// Begins to read a file on a thread of its own.
    pub(super) fn start(
        file: &File,
        stored: impl Stream<Item = Result<Bytes, fetch::Error>> + Send + 'static,
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

    /// All that stands before the rows; none if the file ended before they began.
    pub(super) async fn head(&mut self) -> Option<(Envelope, Header)> {
        (&mut self.head).await.ok()
    }

    /// Waits for the end of the reading.
    pub(super) async fn join(&mut self) {
        self.end.join(&mut self.task).await;
    }

    /// The rows as they are read. They end well only if the file did; a stop signal interrupts them.
    pub(super) fn rows<'a>(&'a mut self, stop: &'a CancellationToken) -> Rows<'a> {
        let end = &*self.end;
        let state = Some((&mut self.rows, &mut self.task));
        stream::unfold(state, move |state| async move {
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
        let send = |piece| {
            let sent = self.rows.blocking_send(piece);
            sent.map_err(|_| decode::Error::Unwanted)
        };
        if rows.len() <= PART {
            return send(rows);
        }
        // A row of large cells: there is one of it, and not one more for each place in the channel.
        rows.chunks(PART).try_for_each(|part| send(part.to_vec()))
    }
}
