//! A URL, for `#[serde(deserialize_with = "config::url::deserialize")]`: url's own
//! reader prints the text that it refuses, and that may hold a password.

use serde::{Deserialize, Deserializer, de::Error};
use url::Url;

/// Reads a URL, into a [`Url`] or an `Option` of one.
///
/// # Errors
/// What is wrong with it, without its text.
pub fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<Url>,
{
    let text = String::deserialize(deserializer)?;
    Url::parse(&text)
        .map(T::from)
        .map_err(|error| D::Error::custom(format_args!("not a URL: {error}")))
}
