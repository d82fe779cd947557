//! The identity of a run.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::error::{Problem, shown};

/// One run of a job. (producer, run) is the identity that exactly-once is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// The UUID itself.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for RunId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for RunId {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        parse_uuid(text).map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A UUID with hyphens, letters in either case: the one form of RFC 9562. Postgres takes several more.
pub(crate) fn parse_uuid(text: &str) -> Result<Uuid, Problem> {
    // Of the forms that the parser knows only this one has 36 bytes.
    if text.len() == 36
        && let Ok(uuid) = Uuid::try_parse(text)
    {
        return Ok(uuid);
    }
    Err(Problem::new(format!(
        "{} is no UUID; write one with hyphens, as 01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11",
        shown(text)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_uuid_with_hyphens_in_either_case_and_written_in_small_letters() {
        let run: RunId = "01935B2E-7F3A-7C31-8D5E-2F1B5D0C9A11".parse().unwrap();
        assert_eq!(run.to_string(), "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11");
    }

    #[test]
    fn other_forms_of_a_uuid_are_refused() {
        for bad in [
            "01935b2e7f3a7c318d5e2f1b5d0c9a11",
            "{01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11}",
            "urn:uuid:01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11",
            "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a1g",
            "01935b2e-7f3a-7c31-8d5e2f1b5d0c-9a11",
            "",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
