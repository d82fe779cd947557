//! What all lanes share: the connections, the settings, and nothing that would be missed after a crash.

use std::sync::{Arc, Mutex, PoisonError};

use nightdrop_bucket::Bucket;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::database::{self, Database};
use crate::destinations::Destinations;
use crate::fetch::{Fetch, READERS, STORED_KIB};
use crate::lane::company::Company;
use crate::ledger::taken::Taken;
use crate::ledger::verdict::{Decided, Tally};
use crate::metrics::{Counts, Metrics};
use crate::park::Room;
use crate::pool::Pool;
use crate::release::Rounds;
use crate::servers::Servers;

/// Rows of one file, in bytes, that a batch takes; a file with more is streamed.
const WHOLE: usize = 2 * 1024 * 1024;

/// Small files that are decoded at once: as many as there are processors, and no more than memory allows.
fn decoders() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(4))
}

/// One consumer process.
pub struct Consumer {
    /// Its configuration.
    pub config: Config,
    /// The drop box.
    pub bucket: Bucket,
    /// The reporting Postgres.
    pub database: Database,
    /// Its name in the ledger.
    pub worker: String,
    /// What is known of bucket and Postgres: what health checks answer, and whether they may be asked.
    pub servers: Arc<Servers>,
    /// What Prometheus is shown.
    pub metrics: Metrics,
    /// Says when to stop.
    pub stop: CancellationToken,
    /// What is known of report tables, to be asked again at the first doubt.
    pub destinations: Destinations,
    /// What is not looked at in every poll.
    pub rounds: Rounds,
    /// How small files are fetched.
    pub fetch: Fetch,
    /// The permit to read rows that are large.
    pub wide: Semaphore,
    /// Wakes the lanes when something is there to be loaded.
    pub arrivals: Notify,
    /// Wakes the lane that deletes.
    pub decisions: Notify,
    /// Wakes a lane of streams when a file turned out to be large.
    pub streams: Notify,
    /// What the lanes know of each other.
    pub company: Company,
    owed: Mutex<Vec<Taken>>,
    tally: Mutex<Tally>,
}

/// Why a consumer can't be made from this configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `[bucket]` table.
    #[error("{0}")]
    Bucket(String),
    /// The `[postgres]` table.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl Consumer {
    /// Makes a consumer; nothing is asked of bucket or Postgres yet.
    ///
    /// # Errors
    /// When the configuration can't work.
    pub fn new(config: Config, stop: CancellationToken) -> Result<Self, Error> {
        let settings = config.bucket.settings().map_err(Error::Bucket)?;
        let servers = Arc::new(Servers::new(&config.breaker, chrono::Utc::now()));
        let metrics = Metrics::new(Arc::clone(&servers));
        let bucket = Bucket::open(settings)
            .map_err(|error| Error::Bucket(error.to_string()))?
            .observed(Arc::<Counts>::clone(metrics.counts()));
        let worker = database::worker_name();
        let database = Database::open(&config.postgres, &worker)?;
        let fetch = Fetch {
            bucket: bucket.clone(),
            pool: database.pool().clone(),
            readers: Arc::new(Semaphore::new(READERS)),
            caps: config.caps.caps(),
            memory: Arc::new(Semaphore::new(STORED_KIB)),
            whole: WHOLE,
            decoding: Arc::new(Semaphore::new(decoders())),
        };
        Ok(Self {
            company: Company::new(config.load.batch_files),
            config,
            bucket,
            database,
            worker,
            servers,
            metrics,
            stop,
            destinations: Destinations::default(),
            rounds: Rounds::default(),
            fetch,
            wide: Semaphore::new(1),
            arrivals: Notify::new(),
            decisions: Notify::new(),
            streams: Notify::new(),
            owed: Mutex::default(),
            tally: Mutex::default(),
        })
    }

    /// The connections to Postgres.
    pub fn pool(&self) -> &Pool {
        self.database.pool()
    }

    /// What may be kept of bad files.
    pub fn room(&self) -> Room {
        Room {
            up_to: self.config.load.park_up_to,
            quota: self.config.quota.parked,
        }
    }

    /// Counts what became of files, tells of it, and has their objects deleted.
    pub fn count(&self, decided: &[Decided]) -> Tally {
        self.metrics.counts().decided(decided);
        let tally = Tally::of(decided);
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) += tally;
        if tally.loaded > 0 {
            tracing::info!(results = tally.loaded, rows = tally.rows, "loaded");
        }
        if tally.files() > 0 {
            self.decisions.notify_one();
        }
        tally
    }

    /// What this process has done so far.
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A claim that is to be given back as soon as that can be.
    pub(crate) fn owe(&self, taken: Taken) {
        self.owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(taken);
    }

    pub(crate) fn debts(&self) -> Vec<Taken> {
        self.owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn paid(&self, taken: &Taken) {
        self.owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|owed| owed != taken);
    }
}
