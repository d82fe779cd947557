//! Jobs that are to come, whether or not they promise it themselves.

use std::time::Duration;

use nightdrop_runtime::config::{self as units, reference::DURATION};
use nightdrop_schema::{Job, Producer};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// A job that is to come, whether or not it promises that itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Whose.
    #[schemars(with = "String", extend("format" = "name"))]
    pub producer: Producer,
    /// Which of its jobs.
    #[schemars(with = "String", extend("format" = "name"))]
    pub job: Job,
    /// The newest result in the reports is never as of longer ago than this; the first has this long to come.
    #[serde(deserialize_with = "every")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub every: Duration,
}

/// What is expected at once is always late.
fn every<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let every: Duration = units::duration::deserialize(from)?;
    if every < Duration::from_secs(1) {
        return Err(serde::de::Error::custom(
            "a result is expected every 1s at most",
        ));
    }
    Ok(every)
}
