//! What an answer tells of the key.

use super::{Matter, Proof, Verdict, trial::Outcome};
use crate::{Error, Fault, error::quoted, s3::Allowed};

pub(super) fn is_forbidden(error: &Error) -> bool {
    error.fault() == Fault::Forbidden
}

pub(super) fn holds(line: &'static str, found: impl Into<String>) -> Proof {
    Proof {
        line,
        verdict: Verdict::Holds,
        found: found.into(),
        remedy: String::new(),
    }
}

pub(super) fn fails(line: &'static str, matter: Matter, found: String, remedy: &str) -> Proof {
    Proof {
        line,
        verdict: Verdict::Fails(matter),
        found,
        remedy: remedy.to_owned(),
    }
}

pub(super) fn unproven(line: &'static str, matter: Matter, found: impl Into<String>) -> Proof {
    Proof {
        line,
        verdict: Verdict::Unproven(matter),
        found: found.into(),
        remedy: "see to what failed above, then ask again".to_owned(),
    }
}

/// A call that the program makes.
pub(super) fn needed(line: &'static str, outcome: &Outcome, policy: &str) -> Proof {
    let error = match outcome {
        Ok(Allowed::Done) => return holds(line, "works"),
        Ok(_) => return holds(line, "is allowed"),
        Err(error) => error,
    };
    match error.fault() {
        Fault::Forbidden => fails(line, Matter::Rights, error.said.clone(), policy),
        Fault::Unauthenticated => fails(
            line,
            Matter::Rights,
            error.said.clone(),
            "correct [bucket] access_key and secret_key",
        ),
        Fault::Unreachable | Fault::TimedOut | Fault::Busy => {
            unproven(line, Matter::Away, quoted(&error.said))
        }
        Fault::Settings | Fault::NoBucket => unproven(line, Matter::Settings, quoted(&error.said)),
        Fault::NotFound | Fault::Changed | Fault::Refused | Fault::Io => fails(
            line,
            Matter::Settings,
            error.said.clone(),
            "correct what the answer names",
        ),
    }
}

/// A call that must not be possible. `known` says that the same key is let through elsewhere.
pub(super) fn refused(line: &'static str, outcome: &Outcome, known: bool, policy: &str) -> Proof {
    match outcome {
        Ok(_) => fails(line, Matter::Rights, "it is allowed".to_owned(), policy),
        Err(error) => match error.fault() {
            Fault::Forbidden if known => holds(line, "it is: 403"),
            Fault::Forbidden => unproven(
                line,
                Matter::Rights,
                "it is, and so is the call that must work: this may be no key at all",
            ),
            Fault::Unauthenticated => unproven(line, Matter::Rights, quoted(&error.said)),
            Fault::Settings | Fault::NoBucket => {
                unproven(line, Matter::Settings, quoted(&error.said))
            }
            _ => unproven(line, Matter::Away, quoted(&error.said)),
        },
    }
}

/// Of two PUTs under one key, the second.
pub(super) fn create_only(put: &Outcome, again: &Outcome) -> Proof {
    const LINE: &str = "bucket: second put of a key is refused";
    match (put, again) {
        (Ok(_), Ok(Allowed::Taken)) => holds(LINE, "it is: 412"),
        (Ok(_), Ok(_)) => fails(
            LINE,
            Matter::Settings,
            "the server replaced an object though it was asked not to (If-None-Match)".to_owned(),
            "use a server that honours If-None-Match, such as AWS, MinIO or SeaweedFS",
        ),
        (Err(error), _) | (_, Err(error)) => {
            let matter = match error.fault() {
                Fault::Forbidden | Fault::Unauthenticated => Matter::Rights,
                Fault::Settings | Fault::NoBucket => Matter::Settings,
                _ => Matter::Away,
            };
            unproven(LINE, matter, "nothing could be put")
        }
    }
}
