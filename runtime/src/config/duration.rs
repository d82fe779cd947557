//! `"15m"`, `"1h 30m"`: for `#[serde(with = "config::duration")]` on a
//! [`Duration`], or `deserialize_with` and `default` on an `Option` of one.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

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

/// Writes it as it is read, in its largest whole unit: for the reference, which shows defaults.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

/// The same as a text.
pub(super) fn text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() > 0 {
        return format!("{}ms", duration.as_millis());
    }
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}
