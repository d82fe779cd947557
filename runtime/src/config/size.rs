//! `"64MiB"`, `"2GB"`, in bytes: for `#[serde(with = "config::size")]` on a
//! `u64` or `usize`, or `deserialize_with` and `default` on an `Option<u64>`.

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de::Error};

/// Reads a size with its unit, into a number of bytes.
///
/// # Errors
/// No size, or more than `T` holds.
pub fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let text = String::deserialize(deserializer)?;
    text.parse::<ByteSize>()
        .ok()
        .and_then(|size| T::try_from(size.as_u64()).ok())
        .ok_or_else(|| {
            D::Error::custom(
                "not a size; write a number and its unit, such as \"64MiB\" or \"2GB\"",
            )
        })
}
