//! The file as it stands: its tables and keys, and the values that a key can have by itself.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono_tz::Tz;
use indexmap::IndexMap;
use nightdrop_runtime::{config, secret::Secret};
use nightdrop_schema::{ColumnName, Job, Problem, Producer, Timestamptz, Type};
use serde::Deserialize;
use url::Url;

use crate::{parameters::Placeholder, window::Every};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) producer: Producer,
    pub(super) state_dir: PathBuf,
    pub(super) bucket: BucketTable,
    #[serde(default)]
    pub(super) source: IndexMap<String, SourceTable>,
    #[serde(default)]
    pub(super) job: IndexMap<Job, JobTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketTable {
    #[serde(deserialize_with = "config::url::deserialize")]
    pub(super) url: Url,
    #[serde(default, deserialize_with = "config::url::deserialize")]
    pub(super) endpoint: Option<Url>,
    pub(super) region: Option<String>,
    pub(super) access_key: Option<Secret>,
    pub(super) secret_key: Option<Secret>,
    #[serde(default)]
    pub(super) imds: bool,
    #[serde(default = "put_for", with = "config::duration")]
    pub(super) put_for: Duration,
    #[serde(default)]
    pub(super) compress: Compress,
}

fn put_for() -> Duration {
    Duration::from_mins(15)
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compress {
    #[default]
    Zstd,
    Gzip,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    #[serde(deserialize_with = "config::url::deserialize")]
    pub(super) url: Url,
    pub(super) password: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobTable {
    pub(super) source: String,
    pub(super) query: Option<String>,
    pub(super) query_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) parameters: Vec<Placeholder>,
    pub(super) mode: Option<ModeName>,
    #[serde(default)]
    pub(super) primary_key: Vec<ColumnName>,
    #[serde(default = "timeout", with = "config::duration")]
    pub(super) timeout: Duration,
    #[serde(default)]
    pub(super) types: BTreeMap<String, TypeName>,
    #[serde(default)]
    pub(super) min_rows: u64,
    pub(super) cursor: Option<CursorTable>,
    pub(super) window: Option<WindowTable>,
    pub(super) timezone: Option<Zone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CursorTable {
    pub(super) start: Option<Instant>,
    #[serde(with = "config::duration")]
    pub(super) lag: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowTable {
    pub(super) every: Slots,
    pub(super) column: ColumnName,
}

/// An instant, as a text with its offset.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Instant(pub(super) Timestamptz);

impl TryFrom<String> for Instant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<Timestamptz>() {
            Ok(instant) if instant.is_finite() => Ok(Self(instant)),
            Ok(_) => Err("infinity is no beginning; write an instant".to_owned()),
            Err(problem) => Err(problem.to_string()),
        }
    }
}

/// How long a slot is.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Slots(pub(super) Every);

impl TryFrom<String> for Slots {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// A time zone by its IANA name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Zone(pub(super) Tz);

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{text:?} is no time zone; write its IANA name, such as \"Europe/Berlin\"")
        })
    }
}

fn timeout() -> Duration {
    Duration::from_mins(10)
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ModeName {
    Append,
    Replace,
    Upsert,
}

/// The name of a message type, as `types` and `parameters` write it.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
pub(crate) struct TypeName(pub(crate) Type);

impl TryFrom<String> for TypeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|problem: Problem| problem.to_string())
    }
}
