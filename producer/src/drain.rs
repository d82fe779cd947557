//! From the spool into the bucket: oldest first, again and again until it worked or time is up.
//!
//! An entry that is refused does not block the ones behind it, nor does one that gets no answer; and
//! none is ever removed but because the bucket has it.
//!
//! A bucket may hang: it takes a connection and never answers. That costs a pass one long wait and
//! a short one, however much is in the spool, and a query that is to be asked on time a short one.

use std::{collections::VecDeque, mem, time::Duration};

use nightdrop_bucket::{self as bucket, Bucket, Fault};
use nightdrop_runtime::trace::{self, Kind, Span};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Waiting,
    failpoint::failpoint,
    input,
    spool::{Entry, Turn},
};

/// The first wait is up to this long, the next up to twice that, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long a server may take to answer a PUT, besides a second for each megabyte.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// Where nothing is wrong.
    long: Duration,
    /// Where the attempt before got no answer, or a query waits: then for all of it.
    short: Duration,
}

const WAITS: Waits = Waits {
    long: bucket::WAIT,
    short: Duration::from_secs(10),
};

/// How long the runs of one process go on trying to put. Once nobody answered for so long, what comes after is tried
/// once: of twenty jobs, the last is not to wait for the patience of all.
#[derive(Debug)]
pub struct Patience {
    put_for: Duration,
    waits: Waits,
    /// Nobody answered the last attempt, of whichever job it was.
    silent: bool,
}

impl Patience {
    /// This long, `put_for`, until it was once in vain.
    pub fn new(put_for: Duration) -> Self {
        Self {
            put_for,
            waits: WAITS,
            silent: false,
        }
    }

    /// The same as [`drain`], for this long.
    ///
    /// # Errors
    /// As of [`drain`].
    pub(crate) async fn drain(
        &mut self,
        turn: &Turn,
        bucket: &Bucket,
        stop: &CancellationToken,
    ) -> Result<Vec<Gone>, Error> {
        let mut gone = Vec::new();
        let ended = self
            .put_all(turn, bucket, self.put_for, stop, &mut gone)
            .await;
        if let Err(Error::Bucket { error, .. }) = &ended
            && may_pass(error.fault())
        {
            self.put_for = Duration::ZERO;
        }
        ended.map(|()| gone)
    }

    /// Tries each entry once. What went is in `gone`, however it ends.
    ///
    /// # Errors
    /// As of [`drain`].
    pub(crate) async fn once(
        &mut self,
        turn: &Turn,
        bucket: &Bucket,
        stop: &CancellationToken,
        gone: &mut Vec<Gone>,
    ) -> Result<(), Error> {
        self.put_all(turn, bucket, Duration::ZERO, stop, gone).await
    }

    /// The same before a query: for a short while in all, which an upload may not outlast either, and
    /// not at all once nobody answered.
    ///
    /// # Errors
    /// As of [`drain`].
    pub(crate) async fn briefly(
        &mut self,
        turn: &Turn,
        bucket: &Bucket,
        stop: &CancellationToken,
        gone: &mut Vec<Gone>,
    ) -> Result<(), Error> {
        if self.silent {
            return Ok(());
        }
        let short = self.waits.short;
        let trying = self.once(turn, bucket, stop, gone);
        tokio::time::timeout(short, trying)
            .await
            .unwrap_or_else(|_| {
                tracing::warn!(
                    "{}: results of earlier runs wait on in the spool: the bucket did not take all of them within {short:?}, and the query is not to wait",
                    turn.job()
                );
                Ok(())
            })
    }

    async fn put_all(
        &mut self,
        turn: &Turn,
        bucket: &Bucket,
        put_for: Duration,
        stop: &CancellationToken,
        gone: &mut Vec<Gone>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + put_for;
        // An entry that is gone can't say that the watermark has moved: that is saved first. It is,
        // unless the disk refused it just now.
        turn.watermark().settle()?;
        let mut waiting = turn.entries()?;
        let mut stayed = Stayed::default();
        if waiting.is_empty() {
            return Ok(());
        }
        for attempt in 0.. {
            if !put_for.is_zero() {
                // There is time to find out at leisure.
                self.silent = false;
            }
            let pass = Pass {
                turn,
                bucket,
                attempt,
                deadline,
            };
            let pass = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Error::StoppedPutting),
                pass = self.pass(&pass, waiting, gone) => pass?,
            };
            stayed.refused.extend(pass.refused);
            stayed.later = pass.later;
            let Some((_, error)) = stayed.later.first() else {
                break;
            };
            let wait = rand::random_range(Duration::ZERO..=longest(attempt));
            if Instant::now() + wait >= deadline {
                break;
            }
            tracing::warn!(
                "{}: not put yet: {}; again in {:.1} s",
                turn.job(),
                error.said(),
                wait.as_secs_f64()
            );
            tokio::select! {
                () = stop.cancelled() => return Err(Error::StoppedPutting),
                () = tokio::time::sleep(wait) => {}
            }
            waiting = mem::take(&mut stayed.later)
                .into_iter()
                .map(|(entry, _)| entry)
                .collect();
        }
        stayed.told()
    }

    /// Each entry once; but once nobody answered twice in a row, the rest waits too.
    ///
    /// The second is the smallest there is: if it was its size or itself that the first got no answer
    /// for, this one gets one, and all that are smaller go before another like the first is tried.
    async fn pass(
        &mut self,
        pass: &Pass<'_>,
        waiting: Vec<Entry>,
        gone: &mut Vec<Gone>,
    ) -> Result<Stayed, Error> {
        let mut stayed = Stayed::default();
        let mut rest = VecDeque::from(waiting);
        let mut silences = 0;
        if self.silent {
            smallest_first(&mut rest);
        }
        while let Some(entry) = rest.pop_front() {
            let wait = if self.silent {
                self.waits.short
            } else {
                self.waits.long
            };
            let mut span = span(&entry);
            let began = Instant::now();
            let put = pass.bucket.put_within(wait, &entry.key, &entry.path).await;
            if let Err(error) = &put {
                span.fail(&error.fault());
            }
            drop(span);
            let silent = put
                .as_ref()
                .is_err_and(|error| is_silence(error.fault(), began.elapsed(), self.waits));
            let again = mem::replace(&mut self.silent, silent) && silent;
            match put {
                // A key has the run's id in it: what is there already is this very result, put by an
                // attempt whose answer was lost, or by a run that died before it could remove it.
                Ok(put @ (bucket::Put::Created | bucket::Put::AlreadyThere)) => {
                    failpoint("entry: put");
                    pass.turn.remove(&entry)?;
                    failpoint("entry: removed");
                    // A later attempt finds what the one before it may have put.
                    let was_there = pass.attempt == 0 && put == bucket::Put::AlreadyThere;
                    gone.push(Gone { entry, was_there });
                }
                Err(error) if silent => {
                    silences += 1;
                    let late = silences > 1 && Instant::now() >= pass.deadline;
                    if again || late {
                        let rest = rest.drain(..).map(|entry| (entry, error.clone()));
                        stayed.later.extend(rest);
                    }
                    smallest_first(&mut rest);
                    stayed.later.push((entry, error));
                }
                Err(error) if may_pass(error.fault()) => stayed.later.push((entry, error)),
                Err(error) => stayed.refused.push((entry, error)),
            }
        }
        // Oldest first, if there is another.
        stayed
            .later
            .sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        Ok(stayed)
    }
}

/// An entry that is in the bucket.
pub(crate) struct Gone {
    pub(crate) entry: Entry,
    /// Whether it was there before anything was sent.
    pub(crate) was_there: bool,
}

/// One attempt at all that waits.
struct Pass<'a> {
    turn: &'a Turn,
    bucket: &'a Bucket,
    attempt: u32,
    /// When there should be an end to it.
    deadline: Instant,
}

/// The entries that are not in the bucket.
#[derive(Default)]
struct Stayed {
    /// To be tried again, with what was said last.
    later: Vec<(Entry, bucket::Error)>,
    /// Not to be tried again in this run.
    refused: Vec<(Entry, bucket::Error)>,
}

impl Stayed {
    fn told(self) -> Result<(), Error> {
        let mut stayed = self.refused;
        stayed.extend(self.later);
        stayed.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let behind = stayed.len().saturating_sub(1);
        let mut stayed = stayed.into_iter();
        match stayed.next() {
            None => Ok(()),
            Some((entry, error)) => Err(Error::Bucket {
                error: told(&error, stayed),
                waiting: Some(Box::new(Waiting {
                    key: entry.key,
                    path: entry.path,
                    behind,
                })),
            }),
        }
    }
}

/// Puts what waits in the spool until all of it is in the bucket, `put_for` has passed or `stop` is
/// cancelled. Gives the entries that went. With a `put_for` of zero each is tried once.
///
/// # Errors
/// What the bucket said about the oldest entry that stayed. All that could be put was put.
pub async fn drain(
    turn: &Turn,
    bucket: &Bucket,
    put_for: Duration,
    stop: &CancellationToken,
) -> Result<Vec<Entry>, Error> {
    let gone = Patience::new(put_for).drain(turn, bucket, stop).await?;
    Ok(gone.into_iter().map(|gone| gone.entry).collect())
}

/// What is said of the oldest entry says what is wrong with the others, too, but for those of which something else is.
fn told(
    oldest: &bucket::Error,
    others: impl Iterator<Item = (Entry, bucket::Error)>,
) -> bucket::Error {
    for (entry, error) in others.filter(|(_, error)| error.said() != oldest.said()) {
        tracing::warn!("{} stays, too: {}", entry.path.display(), error.said());
    }
    // The file that is named beside it has the key's name.
    oldest.without_key()
}

/// The PUT's part of the trace that the entry's run began, maybe in another process.
fn span(entry: &Entry) -> Span {
    // Only then its beginning is worth to be read.
    let of = trace::is_on().then(|| input::trace(&entry.path, entry.key.compression()));
    let mut span = Span::begin("put", Kind::Calls, of.flatten().as_ref());
    span.set("nightdrop.job", entry.key.job().to_string());
    span.set("nightdrop.key", entry.key.to_string());
    span.set(
        "nightdrop.bytes",
        i64::try_from(entry.size).unwrap_or(i64::MAX),
    );
    span
}

/// Whether a failure may pass by itself within minutes.
fn may_pass(fault: Fault) -> bool {
    match fault {
        Fault::Unreachable | Fault::TimedOut | Fault::Busy => true,
        Fault::Unauthenticated
        | Fault::Forbidden
        | Fault::NotFound
        | Fault::Changed
        | Fault::NoBucket
        | Fault::Refused
        | Fault::Settings
        | Fault::Io => false,
    }
}

/// Whether it may be that nobody is there: a gateway before a bucket that hangs says so in the end.
fn is_silence(fault: Fault, took: Duration, waits: Waits) -> bool {
    match fault {
        Fault::Unreachable | Fault::TimedOut => true,
        Fault::Busy => took >= waits.short,
        _ => false,
    }
}

/// Of the same size, the oldest.
fn smallest_first(entries: &mut VecDeque<Entry>) {
    entries.make_contiguous().sort_by_key(|entry| entry.size);
}

/// Full jitter: any wait up to this, so that producers which lost a bucket together do not come
/// back together.
fn longest(attempt: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
