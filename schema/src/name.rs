//! Names: of producers, of jobs, of columns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name of a producer or a job, in bytes: a schema and a table in Postgres are named after them, which
/// leaves room within the 63 bytes of an identifier for a suffix.
const NAME_BYTES: usize = 48;

/// Postgres cuts identifiers at `NAMEDATALEN - 1` bytes, in silence.
const IDENTIFIER_BYTES: usize = 63;

/// The columns that each table of Postgres has by itself (manual, chapter "System Columns").
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

const PROBE: &str = "nightdrop_probe";

/// Why a text is no name: one sentence that says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

/// Who drops results: one set of credentials, one prefix in the bucket, by default one schema in Postgres.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer(String);

/// What a producer runs: one query, by default one table in Postgres.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job(String);

/// The name of a column: 1 to 63 bytes without control characters, kept as it is (Postgres quotes it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName(String);

impl Job {
    /// The job of every probe, `nightdrop_probe`: the one name of its kind, which no text parses to but a key's.
    pub fn probe() -> Self {
        Self(PROBE.to_owned())
    }

    /// Whether this is the job of a probe.
    pub fn is_probe(&self) -> bool {
        self.0 == PROBE
    }

    /// As `from_str`, but a probe's job is a job too: keys and envelopes of probes carry it.
    pub(crate) fn or_probe(text: &str) -> Result<Self, NameError> {
        if text == PROBE {
            Ok(Self::probe())
        } else {
            text.parse()
        }
    }
}

impl FromStr for Producer {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name(text, "a producer")?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Job {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name(text, "a job")?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ColumnName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_column(text)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_name(text: &str, of: &str) -> Result<(), NameError> {
    let found = crate::error::shown(text);
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !first || !rest || text.len() > NAME_BYTES {
        return Err(NameError(format!(
            "{found} can't name {of}; write a small letter, then up to 47 small letters, digits and underscores"
        )));
    }
    let reserved = text.starts_with("nightdrop")
        || text.starts_with("pg_")
        || matches!(text, "public" | "information_schema");
    if reserved {
        return Err(NameError(format!(
            "{found} can't name {of}: nightdrop…, pg_…, public and information_schema are taken; choose another"
        )));
    }
    Ok(())
}

fn check_column(text: &str) -> Result<(), NameError> {
    let found = crate::error::shown(text);
    let sentence = if text.is_empty() {
        "a column has an empty name; give it an alias of 1 to 63 bytes".to_owned()
    } else if text.len() > IDENTIFIER_BYTES {
        format!(
            "{found} has {} bytes, and Postgres cuts names at {IDENTIFIER_BYTES}; give the column a shorter alias",
            text.len()
        )
    } else if text.chars().any(char::is_control) {
        format!("{found} has a control character; give the column an alias without")
    } else if text.starts_with('_') {
        format!(
            "{found} starts with _, as only nightdrop's own columns do; give the column an alias"
        )
    } else if SYSTEM_COLUMNS.contains(&text) {
        format!("{found} is a system column of every Postgres table; give the column an alias")
    } else {
        return Ok(());
    };
    Err(NameError(sentence))
}

macro_rules! text_like {
    ($name:ident) => {
        impl $name {
            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

text_like!(Producer);
text_like!(Job);
text_like!(ColumnName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_small_letter_then_letters_digits_and_underscores() {
        for good in ["jfk", "a", "a_1", "pg", "publics", &"a".repeat(48)] {
            assert_eq!(good.parse::<Producer>().unwrap().as_str(), good);
            assert_eq!(good.parse::<Job>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "JFK",
            "1a",
            "_a",
            "a-b",
            "a/b",
            "é",
            "a ",
            &"a".repeat(49),
        ] {
            assert!(bad.parse::<Producer>().is_err(), "{bad}");
            assert!(bad.parse::<Job>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_are_taken_are_refused() {
        for bad in [
            "nightdrop",
            "nightdrop_x",
            "public",
            "information_schema",
            "pg_catalog",
            "pg_",
        ] {
            assert!(bad.parse::<Producer>().is_err(), "{bad}");
            assert!(bad.parse::<Job>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_key_or_a_probe_may_name_the_job_of_probes() {
        assert!(PROBE.parse::<Job>().is_err());
        assert!(Job::or_probe(PROBE).unwrap().is_probe());
        assert!(!Job::or_probe("departures").unwrap().is_probe());
    }

    #[test]
    fn a_column_is_any_text_that_postgres_keeps_as_it_is() {
        for good in [
            "a",
            "count(*)",
            "Größe",
            "a\"b",
            "oid",
            "XMIN",
            "a_",
            &"é".repeat(31),
        ] {
            assert_eq!(good.parse::<ColumnName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "_as_of",
            "xmin",
            "ctid",
            "tableoid",
            "a\nb",
            "a\u{85}b",
            "a\0",
            &"é".repeat(32),
        ] {
            assert!(bad.parse::<ColumnName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        assert_eq!(
            "JFK".parse::<Producer>().unwrap_err().to_string(),
            "\"JFK\" can't name a producer; write a small letter, then up to 47 small letters, digits and underscores"
        );
    }

    #[test]
    fn a_name_read_from_a_file_is_checked() {
        assert_eq!(
            serde_json::from_str::<Producer>("\"jfk\"")
                .unwrap()
                .as_str(),
            "jfk"
        );
        assert!(serde_json::from_str::<Producer>("\"JFK\"").is_err());
        assert_eq!(
            serde_json::to_string(&Job::probe()).unwrap(),
            "\"nightdrop_probe\""
        );
    }
}
