//! From the spool into the bucket: oldest first, again and again until it worked or time is up.
//!
//! An entry that is refused does not block the ones behind it, and none is ever removed but because
//! the bucket has it.

use std::time::Duration;

use nightdrop_bucket::{self as bucket, Bucket, Fault};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    failpoint::failpoint,
    spool::{Entry, Turn},
};

/// The first wait is up to this long, the next up to twice that, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What became of the entries of one pass.
#[derive(Default)]
struct Pass {
    /// In the bucket now.
    gone: Vec<Entry>,
    /// To be tried again, with what was said last.
    later: Vec<(Entry, bucket::Error)>,
    /// Not to be tried again in this run.
    refused: Vec<(Entry, bucket::Error)>,
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
    let deadline = Instant::now() + put_for;
    // An entry that is gone can't say that the watermark has moved: that is saved first. It is,
    // unless the disk refused it just now.
    turn.watermark().settle()?;
    let mut waiting = turn.entries()?;
    let mut done = Pass::default();
    if waiting.is_empty() {
        return Ok(done.gone);
    }
    for attempt in 0.. {
        let pass = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::StoppedPutting),
            pass = once(turn, bucket, waiting) => pass?,
        };
        done.gone.extend(pass.gone);
        done.refused.extend(pass.refused);
        done.later = pass.later;
        let Some((_, error)) = done.later.first() else {
            break;
        };
        let wait = rand::random_range(Duration::ZERO..=longest(attempt));
        if Instant::now() + wait >= deadline {
            break;
        }
        tracing::warn!("{error}; again in {:.1} s", wait.as_secs_f64());
        tokio::select! {
            () = stop.cancelled() => return Err(Error::StoppedPutting),
            () = tokio::time::sleep(wait) => {}
        }
        waiting = std::mem::take(&mut done.later)
            .into_iter()
            .map(|(entry, _)| entry)
            .collect();
    }
    let mut stayed = done.refused;
    stayed.extend(done.later);
    stayed.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    match stayed.into_iter().next() {
        None => Ok(done.gone),
        Some((entry, error)) => Err(Error::Bucket {
            error,
            waiting: Some(entry.path),
        }),
    }
}

/// Each entry once; but once nobody answers, the rest waits too.
async fn once(turn: &Turn, bucket: &Bucket, waiting: Vec<Entry>) -> Result<Pass, Error> {
    let mut pass = Pass::default();
    for entry in waiting {
        if let Some((_, error)) = pass.later.last()
            && error.fault() == Fault::Unreachable
        {
            let error = error.clone();
            pass.later.push((entry, error));
            continue;
        }
        match bucket.put(&entry.key, &entry.path).await {
            // A key has the run's id in it: what is there already is this very result, put by an
            // attempt whose answer was lost, or by a run that died before it could remove it.
            Ok(bucket::Put::Created | bucket::Put::AlreadyThere) => {
                failpoint("entry: put");
                turn.remove(&entry)?;
                failpoint("entry: removed");
                pass.gone.push(entry);
            }
            Err(error) if may_pass(error.fault()) => pass.later.push((entry, error)),
            Err(error) => {
                tracing::error!("{} stays in the spool: {error}", entry.path.display());
                pass.refused.push((entry, error));
            }
        }
    }
    Ok(pass)
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

/// Full jitter: any wait up to this, so that producers which lost a bucket together do not come
/// back together.
fn longest(attempt: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nightdrop_bucket::Settings;
    use nightdrop_schema::{Compression, Key};

    use super::*;
    use crate::spool::Spool;

    struct Drop {
        folder: tempfile::TempDir,
        turn: Turn,
        stop: CancellationToken,
    }

    impl Drop {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let spool = Spool::new("jfk".parse().unwrap(), folder.path().join("state"));
            let turn = spool.lock(&"departures".parse().unwrap()).unwrap();
            Self {
                folder,
                turn,
                stop: CancellationToken::new(),
            }
        }

        fn entry(&self, time: &str, content: &[u8]) -> Entry {
            let key: Key = format!("inbox/jfk/departures/{time}-{}.json", uuid::Uuid::now_v7())
                .parse()
                .unwrap();
            let mut draft = self.turn.draft(Compression::None).unwrap();
            draft.write_all(content).unwrap();
            draft.commit(&key).unwrap()
        }

        /// Nobody listens on port 1.
        fn dead_bucket() -> Bucket {
            Bucket::open(Settings {
                url: "s3://reports-inbox".parse().unwrap(),
                endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
                region: None,
                imds: false,
                keys: Some(std::sync::Arc::new(|| {
                    Ok(bucket::Keys {
                        access_key: "a".into(),
                        secret_key: "b".into(),
                    })
                })),
            })
            .unwrap()
        }

        fn folder_bucket(&self) -> Bucket {
            let path = self.folder.path().join("box");
            std::fs::create_dir_all(&path).unwrap();
            let url = format!("file://{}", path.display()).parse().unwrap();
            Bucket::open(Settings {
                url,
                endpoint: None,
                region: None,
                imds: false,
                keys: None,
            })
            .unwrap()
        }

        fn dropped(&self, entry: &Entry) -> Option<Vec<u8>> {
            std::fs::read(self.folder.path().join("box").join(entry.key.to_string())).ok()
        }
    }

    #[tokio::test]
    async fn what_waits_is_put_oldest_first_and_leaves_the_spool() {
        let drop = Drop::new();
        let late = drop.entry("20130201T000000Z", b"late");
        let early = drop.entry("20130101T000000Z", b"early");
        let gone = drain(
            &drop.turn,
            &drop.folder_bucket(),
            Duration::ZERO,
            &drop.stop,
        )
        .await
        .unwrap();
        assert_eq!(gone, [early.clone(), late.clone()]);
        assert_eq!(drop.turn.entries().unwrap(), []);
        assert_eq!(drop.dropped(&early).unwrap(), b"early");
        assert_eq!(drop.dropped(&late).unwrap(), b"late");
    }

    #[tokio::test]
    async fn an_entry_that_is_in_the_bucket_already_is_done() {
        let drop = Drop::new();
        let entry = drop.entry("20130101T000000Z", b"x");
        let bucket = drop.folder_bucket();
        // A run that died between PUT and remove.
        bucket.put(&entry.key, &entry.path).await.unwrap();
        let gone = drain(&drop.turn, &bucket, Duration::ZERO, &drop.stop)
            .await
            .unwrap();
        assert_eq!(gone, [entry]);
        assert_eq!(drop.turn.entries().unwrap(), []);
    }

    #[tokio::test]
    async fn a_bucket_that_nobody_answers_for_leaves_all_in_the_spool_and_ends_with_74() {
        let drop = Drop::new();
        let entry = drop.entry("20130101T000000Z", b"x");
        let bucket = Drop::dead_bucket();
        let error = drain(&drop.turn, &bucket, Duration::from_millis(1), &drop.stop)
            .await
            .unwrap_err();
        assert_eq!(error.code(), nightdrop_runtime::exit::Code::Io);
        let said = error.to_string();
        assert!(
            said.contains(&format!("safe in the spool at {}", entry.path.display())),
            "{said}"
        );
        assert_eq!(drop.turn.entries().unwrap(), [entry]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting_and_loses_nothing() {
        let drop = Drop::new();
        let entry = drop.entry("20130101T000000Z", b"x");
        let bucket = Drop::dead_bucket();
        drop.stop.cancel();
        let error = drain(&drop.turn, &bucket, Duration::from_hours(1), &drop.stop)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::StoppedPutting));
        assert_eq!(drop.turn.entries().unwrap(), [entry]);
    }

    #[test]
    fn waits_grow_up_to_a_minute() {
        assert_eq!(longest(0), Duration::from_millis(500));
        assert_eq!(longest(3), Duration::from_secs(4));
        assert_eq!(longest(7), LONGEST_WAIT);
        assert_eq!(longest(u32::MAX), LONGEST_WAIT);
    }
}
