//! `"64MiB"`, `"2GB"`, in bytes: for `#[serde(with = "config::size")]` on a
//! `u64` or `usize`, or `deserialize_with` and `default` on an `Option<u64>`.

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

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

/// Writes it as it is read, in its largest whole unit: for the reference, which shows defaults.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| *bytes > 0 && bytes.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "B"));
    serializer.serialize_str(&format!("{}{name}", bytes / unit))
}
