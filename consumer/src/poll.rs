//! LIST, page by page, into the ledger.

use nightdrop_bucket::{Error as BucketError, Fault, Strange};
use nightdrop_schema::INBOX;

use crate::consumer::Consumer;
use crate::failpoint::failpoint;
use crate::ledger::sighting;
use crate::pool::limited;
use crate::release;
use crate::remedy::Remedy;
use crate::sqlstate;

/// A poll looks at so many pages; the next one goes on where it ended.
const PAGES: usize = 50;

/// Where the next LIST begins: after this key, or at the beginning.
#[derive(Debug, Default)]
pub struct Cursor(Option<String>);

/// What a poll found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Objects seen for the first time.
    pub new: u64,
    /// Parked and held files that wait again.
    pub released: u64,
    /// Whether the listing was read to its end.
    pub whole: bool,
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
    for _ in 0..PAGES {
        let page = consumer.bucket.list(INBOX, cursor.0.as_deref()).await?;
        failpoint("list: answered");
        let above = consumer.config.load.stream_above;
        let recorded = limited(sighting::record(
            consumer.pool(),
            &page.objects,
            &page.strange,
            above,
            begun,
        ))
        .await?;
        if recorded.new > 0 {
            page.strange.iter().for_each(alarm);
            consumer.arrivals.notify_waiters();
        }
        polled.new += recorded.new;
        cursor.0 = page.next;
        if cursor.0.is_none() {
            polled.whole = true;
            break;
        }
    }
    if polled.new > 0 {
        tracing::info!(files = polled.new, "new in the bucket");
    }
    Ok(polled)
}

/// Tells of a key that is nobody's. One that is named like a job's folder is worse than litter.
fn alarm(strange: &Strange) {
    let parts: Vec<&str> = strange.key.split('/').collect();
    if let ["inbox", producer, job] = parts[..]
        && producer.parse::<nightdrop_schema::Producer>().is_ok()
        && job.parse::<nightdrop_schema::Job>().is_ok()
    {
        tracing::error!(
            key = strange.key,
            "an object is named like the folder of {producer}/{job}: on MinIO it hides every file of that job; delete it"
        );
    } else {
        tracing::warn!(
            key = strange.key,
            why = strange.why,
            "left alone in the bucket: its key is outside the grammar"
        );
    }
}
