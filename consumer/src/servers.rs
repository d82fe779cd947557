//! What this process knows of the bucket and of Postgres: what they last answered, and whether they may be
//! asked at all. Only the lane that polls finds out; the others ask nothing while one of the two is away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};

use crate::breaker::{Asking, Breaker, State};
use crate::config;

/// The two that nothing goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Where the results lie.
    Bucket,
    /// Where they go.
    Postgres,
}

impl Server {
    /// Its name, in the ledger, on a page and in a log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Postgres => "postgres",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Bucket => Self::Postgres,
            Self::Postgres => Self::Bucket,
        }
    }
}

/// What came of asking a server something that concerns everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All is well.
    Well,
    /// It is there, but refuses what we need.
    Refused(String),
    /// It is away, or lets nobody in.
    Away(String),
}

/// What may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Anything.
    Freely,
    /// One call, to try this one.
    OnTrial(Server),
    /// Nothing, before that.
    NotBefore(DateTime<Utc>),
}

/// How a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub server: Server,
    /// Nothing is wrong with it.
    pub usable: bool,
    /// Its breaker.
    pub state: State,
}

/// What is known of both.
#[derive(Debug)]
pub struct Servers {
    settings: config::Breaker,
    known: Mutex<Both>,
    free: watch::Sender<bool>,
    /// A lane has met an error that may be everybody's: it is time to find out.
    pub doubt: Notify,
}

#[derive(Debug)]
struct Both {
    bucket: Known,
    postgres: Known,
}

impl Both {
    fn of(&mut self, server: Server) -> &mut Known {
        match server {
            Server::Bucket => &mut self.bucket,
            Server::Postgres => &mut self.postgres,
        }
    }
}

#[derive(Debug)]
struct Known {
    breaker: Breaker,
    /// What is wrong, as a person reads it; none if nothing is.
    wrong: Option<String>,
    /// When it last answered well, or could be asked again: while the other is away, nobody asks it.
    well_at: DateTime<Utc>,
    /// What the ledger last heard of it.
    written: Option<(State, DateTime<Utc>)>,
}

impl Servers {
    /// Nothing is known yet, and everything may be asked.
    pub fn new(settings: &config::Breaker, now: DateTime<Utc>) -> Self {
        let unknown = || Known {
            breaker: Breaker::closed(now),
            wrong: Some("not asked yet".to_owned()),
            well_at: now,
            written: None,
        };
        Self {
            settings: settings.clone(),
            known: Mutex::new(Both {
                bucket: unknown(),
                postgres: unknown(),
            }),
            free: watch::Sender::new(true),
            doubt: Notify::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Both> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an answer, and logs what is new about it.
    pub fn heard(&self, server: Server, answer: Answer, now: DateTime<Utc>) {
        let mut both = self.known();
        let known = both.of(server);
        let (result, error) = match answer {
            Answer::Well => {
                known.well_at = now;
                (Ok(()), None)
            }
            // An answer all the same.
            Answer::Refused(error) => (Ok(()), Some(error)),
            Answer::Away(error) => (Err(error.clone()), Some(error)),
        };
        let before = known.breaker.clone();
        known.breaker = before.clone().after(&self.settings, result, now);
        let well = matches!(known.breaker.state, State::Closed(_));
        let name = server.as_str();
        match (&known.wrong, error) {
            (Some(_), None) if well => {
                tracing::info!("{name} can be used");
                known.wrong = None;
                both.of(server.other()).well_at = now;
            }
            // One good answer is not enough.
            (_, None) => {}
            (wrong, Some(error)) => {
                if wrong.as_ref() != Some(&error) {
                    tracing::error!(%error, "{name} can't be used; trying again until it can");
                }
                known.wrong = Some(error);
            }
        }
        let after = both.of(server).breaker.state;
        if let State::Open(until) = after
            && after != before.state
        {
            tracing::error!("{name} is left alone until {}", until.format("%H:%M:%SZ"));
        }
        self.tell(&both);
    }

    fn tell(&self, both: &Both) {
        let closed = |known: &Known| matches!(known.breaker.state, State::Closed(_));
        let free = closed(&both.bucket) && closed(&both.postgres);
        self.free
            .send_if_modified(|was| std::mem::replace(was, free) != free);
    }

    /// What is wrong with a server besides, as another lane met it: shown until the next answer.
    pub fn complain(&self, server: Server, error: String) {
        let mut both = self.known();
        let known = both.of(server);
        if known.wrong.as_ref() != Some(&error) {
            tracing::error!(%error, "{} can't be used; trying again until it can", server.as_str());
        }
        known.wrong = Some(error);
    }

    /// What may be asked now. Without Postgres there is nothing to ask the bucket for.
    pub fn asking(&self, now: DateTime<Utc>) -> Next {
        let mut both = self.known();
        for server in [Server::Postgres, Server::Bucket] {
            match both.of(server).breaker.asking(&self.settings, now) {
                Asking::Freely => {}
                Asking::OnTrial => return Next::OnTrial(server),
                Asking::NotBefore(at) => return Next::NotBefore(at),
            }
        }
        Next::Freely
    }

    /// Waits until anything may be asked of both.
    pub async fn free(&self) {
        // The sender is ours, and so is never gone.
        let _ = self.free.subscribe().wait_for(|free| *free).await;
    }

    /// Whether both can be used, and have said so within `patience`, else a line for each that can't. That one is not
    /// heard of says nothing while something is wrong with the other: it isn't asked then.
    ///
    /// # Errors
    /// The lines.
    pub fn ready(&self, now: DateTime<Utc>, patience: Duration) -> Result<(), String> {
        let mut both = self.known();
        let lines: Vec<String> = [Server::Bucket, Server::Postgres]
            .into_iter()
            .filter_map(|server| {
                let asked = both.of(server.other()).wrong.is_none();
                let Known {
                    breaker,
                    wrong,
                    well_at,
                    ..
                } = both.of(server);
                let silent = (now - *well_at).to_std().unwrap_or_default();
                let silence = (asked && silent > patience).then(|| {
                    format!(
                        "no answer for {} min: this consumer hangs",
                        silent.as_secs() / 60
                    )
                });
                let error = wrong.clone().or(silence)?;
                let next = match breaker.state {
                    State::Closed(_) => String::new(),
                    State::Open(until) => {
                        format!("; asked again at {}", until.format("%H:%M:%SZ"))
                    }
                    State::HalfOpen(_) => "; it is being tried again".to_owned(),
                };
                Some(format!("{}: {error}{next}\n", server.as_str()))
            })
            .collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.concat())
        }
    }

    /// How both stand.
    pub fn standing(&self) -> [Standing; 2] {
        let mut both = self.known();
        [Server::Bucket, Server::Postgres].map(|server| {
            let known = both.of(server);
            Standing {
                server,
                usable: known.wrong.is_none(),
                state: known.breaker.state,
            }
        })
    }

    /// Goes on with what was known of a server before a restart.
    pub fn adopt(&self, server: Server, breaker: Breaker) {
        if matches!(breaker.state, State::Closed(_)) {
            return;
        }
        let mut both = self.known();
        let known = both.of(server);
        known.written = Some((breaker.state, breaker.since));
        known.wrong.clone_from(&breaker.error);
        known.breaker = breaker;
        self.tell(&both);
    }

    /// What the ledger doesn't know yet, as far as Postgres can be told: breakers that are or were open.
    pub fn news(&self) -> Vec<(Server, Breaker)> {
        let mut both = self.known();
        if matches!(both.postgres.breaker.state, State::Open(_)) {
            return Vec::new();
        }
        [Server::Bucket, Server::Postgres]
            .into_iter()
            .filter_map(|server| {
                let Known {
                    breaker, written, ..
                } = both.of(server);
                let new = breaker.error.is_some()
                    && written.is_none_or(|(state, since)| {
                        (state.as_str(), since) != (breaker.state.as_str(), breaker.since)
                    });
                new.then(|| (server, breaker.clone()))
            })
            .collect()
    }

    /// The ledger knows this now.
    pub fn written(&self, server: Server, breaker: &Breaker) {
        self.known().of(server).written = Some((breaker.state, breaker.since));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn servers() -> Servers {
        let settings = config::Breaker {
            failures: NonZeroU32::new(2).unwrap(),
            open_for: Duration::from_mins(1),
            trials: NonZeroU32::new(2).unwrap(),
        };
        let servers = Servers::new(&settings, at(0));
        servers.heard(Server::Bucket, Answer::Well, at(0));
        servers.heard(Server::Postgres, Answer::Well, at(0));
        servers
    }

    fn ready(servers: &Servers) -> Result<(), String> {
        servers.ready(at(63), Duration::from_mins(5))
    }

    #[test]
    fn a_polling_lane_that_hangs_is_told_of() {
        let servers = servers();
        assert_eq!(servers.ready(at(300), Duration::from_mins(5)), Ok(()));
        servers.heard(Server::Postgres, Answer::Well, at(200));
        assert_eq!(
            servers.ready(at(301), Duration::from_mins(5)),
            Err("bucket: no answer for 5 min: this consumer hangs\n".into())
        );
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_left_alone_tried_and_used_again() {
        let servers = servers();
        assert_eq!(ready(&servers), Ok(()));
        servers.free().await;
        let away = || Answer::Away("no connection".into());
        servers.heard(Server::Bucket, away(), at(1));
        assert_eq!(ready(&servers), Err("bucket: no connection\n".into()));
        assert_eq!(servers.asking(at(1)), Next::Freely);
        assert_eq!(servers.news(), []);

        servers.heard(Server::Bucket, away(), at(2));
        assert_eq!(
            ready(&servers),
            Err("bucket: no connection; asked again at 00:01:02Z\n".into())
        );
        assert_eq!(servers.asking(at(3)), Next::NotBefore(at(62)));
        let news = servers.news();
        assert_eq!(news[0].1.state, State::Open(at(62)));
        servers.written(news[0].0, &news[0].1);
        assert_eq!(servers.news(), []);
        assert!(!*servers.free.borrow());

        assert_eq!(servers.asking(at(62)), Next::OnTrial(Server::Bucket));
        servers.heard(Server::Bucket, Answer::Well, at(62));
        assert_eq!(
            ready(&servers),
            Err("bucket: no connection; it is being tried again\n".into())
        );
        servers.heard(Server::Bucket, Answer::Well, at(63));
        assert_eq!(ready(&servers), Ok(()));
        assert_eq!(servers.asking(at(63)), Next::Freely);
        assert_eq!(servers.news()[0].1.state, State::Closed(0));
        servers.free().await;
    }

    #[test]
    fn while_one_is_away_the_other_is_not_asked_and_so_not_missed() {
        for (server, other) in [
            (Server::Bucket, Server::Postgres),
            (Server::Postgres, Server::Bucket),
        ] {
            let servers = servers();
            let ready = |second| servers.ready(at(second), Duration::from_mins(5));
            for second in [1, 2] {
                servers.heard(server, Answer::Away("no connection".into()), at(second));
            }
            let asked_again = "; asked again at 00:01:02Z\n";
            assert_eq!(
                ready(600),
                Err(format!("{}: no connection{asked_again}", server.as_str()))
            );
            for second in [600, 601] {
                assert_eq!(servers.asking(at(second)), Next::OnTrial(server));
                servers.heard(server, Answer::Well, at(second));
            }
            assert_eq!(ready(602), Ok(()));
            servers.heard(server, Answer::Well, at(900));
            assert_eq!(
                ready(902),
                Err(format!(
                    "{}: no answer for 5 min: this consumer hangs\n",
                    other.as_str()
                ))
            );
        }
    }

    #[test]
    fn what_postgres_refuses_is_shown_and_opens_nothing() {
        let servers = servers();
        for second in 0..5 {
            servers.heard(
                Server::Postgres,
                Answer::Refused("no right".into()),
                at(second),
            );
        }
        assert_eq!(ready(&servers), Err("postgres: no right\n".into()));
        assert_eq!(servers.asking(at(5)), Next::Freely);
    }

    #[test]
    fn without_postgres_the_bucket_is_not_asked_and_nothing_can_be_written_down() {
        let servers = servers();
        for server in [Server::Bucket, Server::Postgres] {
            for second in 1..3 {
                servers.heard(server, Answer::Away("away".into()), at(second));
            }
        }
        assert_eq!(servers.news(), []);
        assert_eq!(servers.asking(at(62)), Next::OnTrial(Server::Postgres));
        servers.heard(Server::Postgres, Answer::Well, at(62));
        assert_eq!(servers.news().len(), 2);
    }

    #[test]
    fn a_breaker_that_was_open_before_a_restart_is_open_after_it() {
        let servers = servers();
        let mut breaker = Breaker::closed(at(0));
        breaker.error = Some("no connection".into());
        servers.adopt(Server::Bucket, breaker.clone());
        assert_eq!(ready(&servers), Ok(()));
        breaker.state = State::Open(at(60));
        servers.adopt(Server::Bucket, breaker);
        assert_eq!(servers.asking(at(1)), Next::NotBefore(at(60)));
        assert_eq!(
            ready(&servers),
            Err("bucket: no connection; asked again at 00:01:00Z\n".into())
        );
    }
}
