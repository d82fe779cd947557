//! What else this process is working on: large files are never all of one producer's, and a suspect is
//! tried while nothing else could be what ends the process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nightdrop_schema::Producer;
use tokio::sync::{MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::timeout;

/// So long a suspect waits for what is under way, and so long everything else waits for it.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// What the lanes of one process know of each other.
#[derive(Debug, Default)]
pub struct Company {
    batches: RwLock<()>,
    streams: RwLock<()>,
    choosing: tokio::sync::Mutex<()>,
    streaming: Mutex<Vec<Producer>>,
}

/// Nothing else goes on while this is held, but for what took longer than [`QUIET`] to end.
#[allow(dead_code, reason = "held for what they keep out; a test looks")]
pub(super) struct Alone<'a> {
    streams: Option<RwLockWriteGuard<'a, ()>>,
    batches: Option<RwLockWriteGuard<'a, ()>>,
}

/// A lane works on a large file of this producer until this is dropped.
pub(super) struct Streaming<'a> {
    company: &'a Company,
    producer: Producer,
}

impl Company {
    /// A batch is under way until this is dropped.
    pub(super) async fn batch(&self) -> RwLockReadGuard<'_, ()> {
        self.batches.read().await
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
        let streaming = self
            .streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        without(lanes, &streaming)
    }

    /// A lane has taken a file of this producer.
    pub(super) fn streaming(&self, producer: &Producer) -> Streaming<'_> {
        self.streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(producer.clone());
        Streaming {
            company: self,
            producer: producer.clone(),
        }
    }
}

impl Drop for Streaming<'_> {
    fn drop(&mut self) {
        let mut streaming = self
            .company
            .streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = streaming.iter().position(|one| *one == self.producer) {
            streaming.swap_remove(at);
        }
    }
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
        let company = Company::default();
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
    async fn nothing_begins_beside_a_suspect_and_what_never_ends_is_not_waited_for() {
        let company = Company::default();
        let alone = company.alone().await;
        assert!(company.batch().now_or_never().is_none());
        assert!(company.stream().now_or_never().is_none());
        drop(alone);
        let (_batch, _stream) = (company.batch().await, company.stream().await);
        let alone = company.alone_within(Duration::from_millis(1)).await;
        assert!(alone.batches.is_none() && alone.streams.is_none());
    }
}
