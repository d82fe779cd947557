//! The file as it stands: its tables and keys, and the values that a key can have by itself.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono_tz::Tz;
use indexmap::IndexMap;
use nightdrop_runtime::{
    config::{
        self,
        reference::{DURATION, SECRET},
    },
    secret::Secret,
};
use nightdrop_schema::{ColumnName, Job, Problem, Producer, Timestamptz, Type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{parameters::Placeholder, window::Every};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Whose results these are: the first part of their keys, and of their tables' names.
    #[schemars(with = "String", extend("format" = "name"))]
    pub(super) producer: Producer,
    /// A folder of its own, absolute: locks, watermarks, and results that wait while the bucket is away.
    #[schemars(with = "String", extend("format" = "path"))]
    pub(super) state_dir: PathBuf,
    /// Where results go, with a key that can put below `inbox/<producer>/` and do nothing else.
    pub(super) bucket: BucketTable,
    /// For what watches the machine.
    #[serde(default)]
    pub(super) metrics: MetricsTable,
    /// A database, under a name that jobs call it by.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SourceTable>")]
    pub(super) source: IndexMap<String, SourceTable>,
    /// A query whose result is dropped. Jobs run in the file's order.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, JobTable>")]
    pub(super) job: IndexMap<Job, JobTable>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketTable {
    /// `s3://bucket`, or `file:///folder` for trying it without S3.
    #[serde(deserialize_with = "config::url::deserialize")]
    #[schemars(with = "String", extend("format" = "URL"))]
    pub(super) url: Url,
    /// The S3 server, where it isn't AWS.
    #[serde(default, deserialize_with = "config::url::deserialize")]
    #[schemars(with = "Option<String>", extend("format" = "URL"))]
    pub(super) endpoint: Option<Url>,
    /// The bucket's region.
    pub(super) region: Option<String>,
    /// Left out with `secret_key`: the standard AWS environment (keys, `AWS_PROFILE`, web identity, ECS, EKS).
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub(super) access_key: Option<Secret>,
    /// The other half of `access_key`.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub(super) secret_key: Option<Secret>,
    /// Credentials from EC2's metadata service.
    #[serde(default)]
    pub(super) imds: bool,
    /// How long a run goes on trying to put; then the result waits in the spool.
    #[serde(default = "put_for", with = "config::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub(super) put_for: Duration,
    /// How results are compressed.
    #[serde(default)]
    pub(super) compress: Compress,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsTable {
    /// A file in the folder of `node_exporter`'s textfile collector, which each run replaces; its name ends in `.prom`.
    #[schemars(with = "Option<String>", extend("format" = "path"))]
    pub(super) textfile: Option<PathBuf>,
}

fn put_for() -> Duration {
    Duration::from_mins(15)
}

#[derive(Deserialize, Serialize, JsonSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compress {
    #[default]
    Zstd,
    Gzip,
    None,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    /// `postgres://user@host/database`, `mysql://…` (MariaDB too) or `sqlite:///file`, without the password.
    #[serde(deserialize_with = "config::url::deserialize")]
    #[schemars(with = "String", extend("format" = "URL"))]
    pub(super) url: Url,
    /// The user's password.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub(super) password: Option<Secret>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobTable {
    /// Which `[source]` is asked.
    pub(super) source: String,
    /// One statement that returns rows, with the source's own placeholders: `$1` or `?`.
    pub(super) query: Option<String>,
    /// The same in a file, beside this one.
    #[schemars(with = "Option<String>", extend("format" = "path"))]
    pub(super) query_file: Option<PathBuf>,
    /// What is bound to the placeholders, in order: ends of the cursor or window, or values as `{ type = "date", value = "2013-01-01" }`.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("format" = "list of values"))]
    pub(super) parameters: Vec<Placeholder>,
    /// What the rows are to those that are there. It must be there, but for a window's, which is `replace`.
    pub(super) mode: Option<ModeName>,
    /// The columns that tell an upsert's rows apart.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("format" = "list of columns"))]
    pub(super) primary_key: Vec<ColumnName>,
    /// How long it may take, connecting included; then it is cancelled on the server.
    #[serde(default = "timeout", with = "config::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub(super) timeout: Duration,
    /// Types of columns where the source can't tell, or tells another: `{ fare = "decimal" }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("format" = "table of types, by column"))]
    pub(super) types: BTreeMap<String, TypeName>,
    /// Fewer are a failure.
    #[serde(default)]
    pub(super) min_rows: u64,
    /// Only what came since the last run is read, up to `lag` before the source's clock.
    pub(super) cursor: Option<CursorTable>,
    /// One slot of time after another is read, and replaced.
    pub(super) window: Option<WindowTable>,
    /// Where the wall clock of `schedule` and window hangs; UTC unless said.
    #[schemars(with = "Option<String>", extend("format" = "time zone, such as `\"Europe/Berlin\"`"))]
    pub(super) timezone: Option<Zone>,
    /// When it is run, as in crontab: by this the reporting side knows when the next result is due.
    #[schemars(with = "Option<String>", extend("format" = "cron's five fields"))]
    pub(super) schedule: Option<String>,
    /// How long a result may take from the end of its query to the reports before it is late; `"15m"` unless said.
    #[schemars(with = "Option<String>", extend("format" = DURATION))]
    #[serde(default, deserialize_with = "config::duration::deserialize")]
    pub(super) grace: Option<Duration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CursorTable {
    /// What the error proposes for the first run's `--start`, which somebody has to say: by itself no run begins there.
    #[schemars(with = "Option<String>", extend("format" = "instant, such as `\"2013-01-01T00:00:00Z\"`"))]
    pub(super) start: Option<Instant>,
    /// Longer than the longest transaction that writes the table: what commits later than that is never read.
    #[serde(with = "config::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub(super) lag: Duration,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowTable {
    /// How long a slot is: `"1mo"`, `"1w"`, `"1d"`, or hours or minutes that divide the day.
    #[schemars(with = "String", extend("format" = "slot, such as `\"1d\"`"))]
    pub(super) every: Slots,
    /// The column that says in which slot a row is.
    #[schemars(with = "String", extend("format" = "column"))]
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

#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
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
