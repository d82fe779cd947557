//! What else this process is working on: large files are never all of one producer's, and a suspect is
//! tried while nothing else could be what ends the process.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nightdrop_schema::Producer;
use tokio::sync::{MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::timeout;

use super::size::Size;

/// So long a suspect waits for what is under way, and so long everything else waits for it.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// So often it is looked for what is no longer put off or leased: each lane would for each claim.
const BRING_BACK: Duration = Duration::from_millis(500);

/// So long a claim that found nothing holds for all lanes, unless something is known to have changed:
/// arrivals wake them all, and one of them looks.
const NOTHING: Duration = Duration::from_millis(100);

/// What the lanes of one process know of each other.
#[derive(Debug)]
pub struct Company {
    batches: RwLock<()>,
    streams: RwLock<()>,
    claiming: tokio::sync::Mutex<Claims>,
    changes: AtomicU64,
    fetching: tokio::sync::Mutex<()>,
    size: Mutex<Size>,
    choosing: tokio::sync::Mutex<()>,
    streaming: Mutex<Vec<Producer>>,
    brought_back: Mutex<Option<Instant>>,
}

/// Nothing else goes on while this is held, but for what took longer than [`QUIET`] to end.
#[allow(dead_code, reason = "held for what they keep out; a test looks")]
pub(super) struct Alone<'a> {
    streams: Option<RwLockWriteGuard<'a, ()>>,
    batches: Option<RwLockWriteGuard<'a, ()>>,
}

/// What the batches' claims came to so far.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The last one found nothing: after how many changes, and when.
    nothing: Option<(u64, Instant)>,
}

/// A lane works on a large file of this producer until this is dropped.
pub(super) struct Streaming<'a> {
    company: &'a Company,
    producer: Producer,
}

impl Company {
    /// Of lanes that take at most so many small files at once.
    pub fn new(batch_files: NonZeroU32) -> Self {
        Self {
            batches: RwLock::default(),
            streams: RwLock::default(),
            claiming: tokio::sync::Mutex::default(),
            changes: AtomicU64::new(0),
            fetching: tokio::sync::Mutex::default(),
            size: Mutex::new(Size::new(batch_files.get())),
            choosing: tokio::sync::Mutex::default(),
            streaming: Mutex::default(),
            brought_back: Mutex::default(),
        }
    }

    /// A batch is under way until this is dropped.
    pub(super) async fn batch(&self) -> RwLockReadGuard<'_, ()> {
        self.batches.read().await
    }

    /// One batch after the other claims its files, and keeps this until it fetches them: no more than one
    /// batch is claimed ahead.
    pub(super) async fn claiming(&self) -> MutexGuard<'_, Claims> {
        self.claiming.lock().await
    }

    /// Files may wait now that couldn't be claimed before: some were listed, some were given back, or a
    /// job is free.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often that was so.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// One batch after the other fetches its files: at the same time both would be done later, and nothing
    /// would be loaded meanwhile.
    pub(super) async fn fetching(&self) -> MutexGuard<'_, ()> {
        self.fetching.lock().await
    }

    /// How many files a batch takes now.
    pub(super) fn size(&self) -> u32 {
        locked(&self.size).now()
    }

    /// A batch of so many files took so long.
    pub(super) fn learn(&self, files: usize, took: Duration) {
        locked(&self.size).learn(files, took);
    }

    /// No more than so many files of a batch had room in memory.
    pub(super) fn fitted(&self, files: usize) {
        locked(&self.size).fitted(files);
    }

    /// Whether it is time to look for what can be claimed again. It counts as done now.
    pub(super) fn may_bring_back(&self) -> bool {
        let mut last = locked(&self.brought_back);
        let due = last.is_none_or(|last| last.elapsed() >= BRING_BACK);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// A large file is under way until this is dropped.
    pub(super) async fn stream(&self) -> RwLockReadGuard<'_, ()> {
        self.streams.read().await
    }

    /// Waits until nothing else is under way. The locks are fair: what would begin meanwhile waits, and
    /// goes first when this is over.
    pub(super) async fn alone(&self) -> Alone<'_> {
        self.alone_within(QUIET).await
    }

    async fn alone_within(&self, patience: Duration) -> Alone<'_> {
        Alone {
            streams: timeout(patience, self.streams.write()).await.ok(),
            batches: timeout(patience, self.batches.write()).await.ok(),
        }
    }

    /// One lane after the other chooses a large file, so that each knows what the others have.
    pub(super) async fn choosing(&self) -> MutexGuard<'_, ()> {
        self.choosing.lock().await
    }

    /// Whose files a lane that is free must leave, so that not all of so many lanes work for one producer.
    pub(super) fn without(&self, lanes: usize) -> Vec<Producer> {
        let streaming = locked(&self.streaming);
        without(lanes, &streaming)
    }

    /// A lane has taken a file of this producer.
    pub(super) fn streaming(&self, producer: &Producer) -> Streaming<'_> {
        locked(&self.streaming).push(producer.clone());
        Streaming {
            company: self,
            producer: producer.clone(),
        }
    }
}

impl Claims {
    /// A claim that began after so many changes found nothing.
    pub(super) fn found_nothing(&mut self, changes: u64) {
        self.nothing = Some((changes, Instant::now()));
    }

    /// Whether another one would find nothing either.
    pub(super) fn is_in_vain(&self, changes: u64) -> bool {
        self.nothing
            .is_some_and(|(then, at)| then == changes && at.elapsed() < NOTHING)
    }
}

impl Drop for Streaming<'_> {
    fn drop(&mut self) {
        let mut streaming = locked(&self.company.streaming);
        if let Some(at) = streaming.iter().position(|one| *one == self.producer) {
            streaming.swap_remove(at);
        }
    }
}

/// No panic leaves anything half done in what these guard.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn without(lanes: usize, streaming: &[Producer]) -> Vec<Producer> {
    match streaming {
        [first, others @ ..]
            if streaming.len() + 1 >= lanes && others.iter().all(|one| one == first) =>
        {
            vec![first.clone()]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn producers(names: &[&str]) -> Vec<Producer> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_free_lane_is_not_for_the_producer_that_has_all_others() {
        for (lanes, streaming, left) in [
            (1, &[][..], &[][..]),
            (2, &[], &[]),
            (2, &["jfk"], &["jfk"]),
            (3, &["jfk"], &[]),
            (3, &["jfk", "jfk"], &["jfk"]),
            (3, &["jfk", "lga"], &[]),
        ] {
            assert_eq!(
                without(lanes, &producers(streaming)),
                producers(left),
                "{lanes} lanes, {streaming:?}"
            );
        }
    }

    #[test]
    fn a_lane_that_is_done_with_a_file_has_none_of_that_producer_any_more() {
        let company = Company::new(NonZeroU32::MIN);
        let [jfk, lga] = &producers(&["jfk", "lga"])[..] else {
            unreachable!()
        };
        let first = company.streaming(jfk);
        let second = company.streaming(lga);
        assert_eq!(company.without(2), []);
        drop(second);
        assert_eq!(company.without(2), std::slice::from_ref(jfk));
        drop(first);
        assert_eq!(company.without(2), []);
    }

    #[tokio::test]
    async fn a_claim_that_found_nothing_holds_for_all_lanes_until_something_changes() {
        let company = Company::new(NonZeroU32::MIN);
        let mut claims = company.claiming().await;
        assert!(!claims.is_in_vain(company.changes()));
        let begun = company.changes();
        claims.found_nothing(begun);
        assert!(claims.is_in_vain(company.changes()));
        // Also what came while it was asked for.
        company.changed();
        assert!(!claims.is_in_vain(company.changes()));
        claims.found_nothing(begun);
        assert!(!claims.is_in_vain(company.changes()));
        // And what other processes change is found a moment later.
        claims.nothing = Some((
            company.changes(),
            Instant::now().checked_sub(NOTHING).unwrap(),
        ));
        assert!(!claims.is_in_vain(company.changes()));
    }

    #[tokio::test]
    async fn nothing_begins_beside_a_suspect_and_what_never_ends_is_not_waited_for() {
        let company = Company::new(NonZeroU32::MIN);
        let alone = company.alone().await;
        assert!(company.batch().now_or_never().is_none());
        assert!(company.stream().now_or_never().is_none());
        drop(alone);
        let (_batch, _stream) = (company.batch().await, company.stream().await);
        let alone = company.alone_within(Duration::from_millis(1)).await;
        assert!(alone.batches.is_none() && alone.streams.is_none());
    }
}
