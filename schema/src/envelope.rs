//! The CloudEvents envelope, and what kinds of event there are.

use crate::error::Error;
use crate::header::Header;
use crate::key::Key;
use crate::moment::Timestamptz;
use crate::name::{Job, Producer};
use crate::run_id::RunId;

/// The most that a failure's message may have, in bytes.
pub const FAILURE_BYTES: usize = 500;

/// The members of an event that all kinds have in common (CloudEvents 1.0, structured mode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The run.
    pub id: RunId,
    /// The producer.
    pub source: Producer,
    /// The job; of a probe [`Job::probe`].
    pub subject: Job,
    /// The instant that the result is as of: the source database's clock when its snapshot began. Finite.
    pub time: Timestamptz,
    /// W3C trace context, if the run belongs to a trace.
    pub traceparent: Option<String>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `nightdrop.result.v1`: rows follow.
    Result(Header),
    /// `nightdrop.probe.v1`: a canary.
    Probe,
    /// `nightdrop.failed.v1`: a run that has no result.
    Failed(Failure),
}

impl Data {
    /// The `type` of the event, with the version in it.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Result(_) => RESULT,
            Self::Probe => PROBE,
            Self::Failed(_) => FAILED,
        }
    }
}

pub(crate) const RESULT: &str = "nightdrop.result.v1";
pub(crate) const PROBE: &str = "nightdrop.probe.v1";
pub(crate) const FAILED: &str = "nightdrop.failed.v1";

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The run's exit code, not 0.
    pub code: u8,
    /// What sort of failure.
    pub kind: FailureKind,
    /// For people, at most [`FAILURE_BYTES`] bytes. Never text or values from the source.
    pub message: String,
}

/// What sort of failure a run ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The source refused, or could not be reached.
    Source,
    /// The result breaks the rules of the message.
    Contract,
    /// The query took too long.
    Timeout,
    /// The job's settings are wrong.
    Config,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Source, Self::Contract, Self::Timeout, Self::Config];

    /// The word in the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Contract => "contract",
            Self::Timeout => "timeout",
            Self::Config => "config",
        }
    }
}

impl Envelope {
    /// Checks that the key says what the envelope says. The bucket's policy scopes keys, so this is what keeps a
    /// producer within its own prefix.
    ///
    /// # Errors
    /// If one of producer, job, run and time (in whole seconds) differs; the error names the member.
    pub fn agrees(&self, key: &Key) -> Result<(), Error> {
        let differs = |path: &str, found: &dyn std::fmt::Display, due: &dyn std::fmt::Display| {
            Err(Error::contract(
                path,
                format!("{found} is not what the key says, {due}; write the same in both"),
            ))
        };
        if self.source != *key.producer() {
            return differs("source", &self.source, key.producer());
        }
        if self.subject != *key.job() {
            return differs("subject", &self.subject, key.job());
        }
        if self.id != key.run() {
            return differs("id", &self.id, &key.run());
        }
        if self.time.truncated_to_seconds() != key.time() {
            return differs("time", &self.time, &key.time());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Compression;

    fn envelope() -> Envelope {
        Envelope {
            id: "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap(),
            source: "jfk".parse().unwrap(),
            subject: "departures".parse().unwrap(),
            time: "2013-01-31T05:00:00.123456Z".parse().unwrap(),
            traceparent: None,
        }
    }

    fn key_of(envelope: &Envelope) -> Key {
        let Envelope {
            id,
            source,
            subject,
            time,
            ..
        } = envelope.clone();
        Key::new(source, subject, time, id, Compression::None).unwrap()
    }

    #[test]
    fn a_key_agrees_with_the_envelope_it_is_made_of() {
        envelope().agrees(&key_of(&envelope())).unwrap();
    }

    #[test]
    fn each_difference_between_key_and_envelope_is_named() {
        let others = [
            (
                "source",
                Envelope {
                    source: "lga".parse().unwrap(),
                    ..envelope()
                },
            ),
            (
                "subject",
                Envelope {
                    subject: "arrivals".parse().unwrap(),
                    ..envelope()
                },
            ),
            (
                "id",
                Envelope {
                    id: uuid::Uuid::nil().into(),
                    ..envelope()
                },
            ),
            (
                "time",
                Envelope {
                    time: "2013-01-31T05:00:01Z".parse().unwrap(),
                    ..envelope()
                },
            ),
        ];
        for (path, other) in others {
            let error = other.agrees(&key_of(&envelope())).unwrap_err();
            assert_eq!(error.path, path);
        }
        let error = Envelope {
            source: "lga".parse().unwrap(),
            ..envelope()
        }
        .agrees(&key_of(&envelope()))
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "source: lga is not what the key says, jfk; write the same in both"
        );
    }
}
