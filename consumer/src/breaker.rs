//! A circuit breaker: after some failures in a row nothing is asked of a server for a while, and then a
//! few calls try it. Pure: what was answered and when come in as arguments.
//!
//! Source: Nygard, *Release It!*; <https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker>.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Breaker as Settings;

/// What is known of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Whether it may be asked.
    pub state: State,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
    /// What opened it last; none if nothing ever has.
    pub error: Option<String>,
}

/// Whether a server may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may, after so many failures in a row.
    Closed(u32),
    /// It may not, until then.
    Open(DateTime<Utc>),
    /// So many trials have succeeded in a row.
    HalfOpen(u32),
}

impl State {
    /// Its name, in the ledger and in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen(_) => "half_open",
        }
    }
}

/// What may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Anything.
    Freely,
    /// One call, to try it.
    OnTrial,
    /// Nothing, before that.
    NotBefore(DateTime<Utc>),
}

impl Breaker {
    /// Of a server that nothing is known of.
    pub fn closed(now: DateTime<Utc>) -> Self {
        Self {
            state: State::Closed(0),
            since: now,
            error: None,
        }
    }

    /// What may be asked now. A clock that was set back doesn't keep it open for longer than `open_for`.
    pub fn asking(&self, settings: &Settings, now: DateTime<Utc>) -> Asking {
        match self.state {
            State::Closed(_) => Asking::Freely,
            State::Open(until) if now < until => {
                Asking::NotBefore(until.min(now + open_for(settings)))
            }
            State::Open(_) | State::HalfOpen(_) => Asking::OnTrial,
        }
    }

    /// What is known after an answer, or after word that there was none.
    #[must_use]
    pub fn after(
        self,
        settings: &Settings,
        answer: Result<(), String>,
        now: DateTime<Utc>,
    ) -> Self {
        let trials = settings.trials.get();
        match (self.state, answer) {
            (State::Closed(_), Ok(())) => Self {
                state: State::Closed(0),
                ..self
            },
            (State::Closed(failures), Err(_)) if failures + 1 < settings.failures.get() => Self {
                state: State::Closed(failures + 1),
                ..self
            },
            // The answer to what was asked before it was opened.
            (State::Open(until), Ok(())) if now < until => self,
            (State::Open(until), Err(error)) if now < until => Self {
                error: Some(error),
                ..self
            },
            (State::Closed(_) | State::Open(_) | State::HalfOpen(_), Err(error)) => Self {
                state: State::Open(now + open_for(settings)),
                since: now,
                error: Some(error),
            },
            (State::HalfOpen(successes), Ok(())) if successes + 1 < trials => Self {
                state: State::HalfOpen(successes + 1),
                ..self
            },
            (State::Open(_), Ok(())) if trials > 1 => Self {
                state: State::HalfOpen(1),
                since: now,
                ..self
            },
            (State::Open(_) | State::HalfOpen(_), Ok(())) => Self {
                state: State::Closed(0),
                since: now,
                ..self
            },
        }
    }
}

fn open_for(settings: &Settings) -> TimeDelta {
    TimeDelta::from_std(settings.open_for).unwrap_or(TimeDelta::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn settings(failures: u32, trials: u32) -> Settings {
        Settings {
            failures: NonZeroU32::new(failures).unwrap(),
            open_for: Duration::from_mins(1),
            trials: NonZeroU32::new(trials).unwrap(),
        }
    }

    fn breaker(state: State) -> Breaker {
        Breaker {
            state,
            since: at(0),
            error: Some("before".into()),
        }
    }

    #[test]
    fn every_state_and_answer_has_its_next_state() {
        use State::{Closed, HalfOpen, Open};
        let (well, bad) = (Ok(()), Err("away".to_owned()));
        // 3 failures open it for 60 s, 2 trials close it; asked at second 100.
        for (state, answer, next, since, error) in [
            (Closed(0), &well, Closed(0), 0, "before"),
            (Closed(2), &well, Closed(0), 0, "before"),
            (Closed(0), &bad, Closed(1), 0, "before"),
            (Closed(1), &bad, Closed(2), 0, "before"),
            (Closed(2), &bad, Open(at(160)), 100, "away"),
            // An answer that comes late decides nothing.
            (Open(at(101)), &well, Open(at(101)), 0, "before"),
            (Open(at(101)), &bad, Open(at(101)), 0, "away"),
            (Open(at(100)), &well, HalfOpen(1), 100, "before"),
            (Open(at(100)), &bad, Open(at(160)), 100, "away"),
            (HalfOpen(0), &well, HalfOpen(1), 0, "before"),
            (HalfOpen(1), &well, Closed(0), 100, "before"),
            (HalfOpen(0), &bad, Open(at(160)), 100, "away"),
            (HalfOpen(1), &bad, Open(at(160)), 100, "away"),
        ] {
            let expected = Breaker {
                state: next,
                since: at(since),
                error: Some(error.into()),
            };
            let after = breaker(state).after(&settings(3, 2), answer.clone(), at(100));
            assert_eq!(after, expected, "{state:?} {answer:?}");
        }
    }

    #[test]
    fn one_failure_and_one_trial_are_enough_where_it_is_said_so() {
        let open = Breaker::closed(at(0)).after(&settings(1, 1), Err("away".into()), at(1));
        assert_eq!(open.state, State::Open(at(61)));
        let closed = open.after(&settings(1, 1), Ok(()), at(61));
        assert_eq!((closed.state, closed.since), (State::Closed(0), at(61)));
    }

    #[test]
    fn it_is_asked_freely_on_trial_or_not() {
        for (state, asking) in [
            (State::Closed(4), Asking::Freely),
            (State::Open(at(101)), Asking::NotBefore(at(101))),
            (State::Open(at(100)), Asking::OnTrial),
            (State::HalfOpen(0), Asking::OnTrial),
            // The clock was an hour ahead when it was opened.
            (State::Open(at(3_700)), Asking::NotBefore(at(160))),
        ] {
            let found = breaker(state).asking(&settings(5, 3), at(100));
            assert_eq!(found, asking, "{state:?}");
        }
    }
}
