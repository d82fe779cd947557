//! `"15m"`, `"1h 30m"`: for `#[serde(with = "config::duration")]` on a
//! [`Duration`], or `deserialize_with` and `default` on an `Option` of one.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a duration with its unit, into a [`Duration`] or an `Option` of it.
///
/// # Errors
/// A number without a unit, or no duration at all.
pub fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<Duration>,
{
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(T::from).map_err(|_| {
        D::Error::custom(
            "not a duration; write a number and its unit, such as \"30s\", \"15m\" or \"1h 30m\"",
        )
    })
}
