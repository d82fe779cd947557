//! What the pages read, within limits: however many ask, and however much there is, the lanes keep their connections
//! and Postgres its time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::token::Token;
use crate::breaker::State;
use crate::consumer::Consumer;
use crate::ledger::now::Now;
use crate::servers::Server;
use crate::sqlstate;

/// A page is answered within this, whatever Postgres does.
const WAIT: Duration = Duration::from_secs(5);

/// Pages that are read at once: each takes a connection of the pool's, and the first one more, for two statements that
/// are read side by side.
const SEATS: usize = 2;

/// How all jobs stand is read anew after so long,
const FRESH: Duration = Duration::from_secs(2);

/// and takes no more than this part of Postgres's time.
const PART: u32 = 10;

/// How all jobs stood so long ago is shown, with its time, where reading it anew takes too long.
const STALE: Duration = Duration::from_mins(5);

/// What all pages share.
pub(super) struct Desk {
    pub(super) consumer: Arc<Consumer>,
    pub(super) token: Option<Token>,
    seats: Semaphore,
    now: Mutex<Option<Reading>>,
}

struct Reading {
    now: Arc<Now>,
    at: Instant,
    good_until: Instant,
}

/// Why Postgres was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is left alone, being away.
    Away,
    /// It has not answered in time.
    Late,
    /// It refused.
    Failed(String),
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away => f.write_str("Postgres is away, and left alone for a while"),
            Self::Late => write!(f, "Postgres has not answered within {} s", WAIT.as_secs()),
            Self::Failed(sentence) => write!(f, "Postgres could not be read: {sentence}"),
        }
    }
}

impl Desk {
    pub(super) fn new(consumer: Arc<Consumer>) -> Self {
        Self {
            token: consumer.config.http.token.clone().map(Token::new),
            consumer,
            seats: Semaphore::new(SEATS),
            now: Mutex::default(),
        }
    }

    /// Reads for one page. While Postgres is left alone, nothing is asked of it for this either.
    pub(super) async fn read<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Unread> {
        let away = self
            .consumer
            .servers
            .standing()
            .into_iter()
            .any(|standing| {
                standing.server == Server::Postgres && !matches!(standing.state, State::Closed(_))
            });
        if away {
            return Err(Unread::Away);
        }
        let seated = async {
            let _seat = self.seats.acquire().await;
            work.await
        };
        match timeout(WAIT, seated).await {
            Ok(read) => read.map_err(|error| Unread::Failed(sqlstate::sentence(&error))),
            Err(_) => Err(Unread::Late),
        }
    }

    /// How all jobs stand: read once for all who ask within a moment.
    pub(super) async fn now(&self) -> Result<Arc<Now>, sqlx::Error> {
        let mut reading = self.now.lock().await;
        let begun = Instant::now();
        if let Some(known) = reading.as_ref().filter(|known| begun < known.good_until) {
            return Ok(Arc::clone(&known.now));
        }
        let read = timeout(WAIT / 2, Now::read(self.consumer.pool(), true)).await;
        let took = begun.elapsed();
        let good_until = Instant::now() + FRESH.max(took * PART);
        match (read, reading.as_mut()) {
            (Ok(now), _) => {
                let now = Arc::new(now?);
                *reading = Some(Reading {
                    now: Arc::clone(&now),
                    at: begun,
                    good_until,
                });
                Ok(now)
            }
            (Err(_), Some(known)) if known.at.elapsed() < STALE => {
                known.good_until = good_until;
                Ok(Arc::clone(&known.now))
            }
            (Err(_), _) => Err(crate::pool::no_answer(WAIT / 2)),
        }
    }
}
