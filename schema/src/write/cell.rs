//! One cell: a value in, its JSON out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head::push_json;
use crate::error::{Error, Kind};
use crate::value::Value;

/// Appends a cell. `base64` is room to encode in.
pub(super) fn push(value: &Value<'_>, out: &mut Vec<u8>, base64: &mut String) -> Result<(), Error> {
    match *value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(bool) => out.extend_from_slice(if bool { b"true" } else { b"false" }),
        Value::Int64(integer) => push_json(&integer, out),
        // A string, for there are readers that make a double of every number.
        Value::Decimal(decimal) => quoted(out, |out| {
            out.extend_from_slice(decimal.as_str().as_bytes());
        }),
        Value::Float64(double) => push_float64(double, out),
        Value::String(text) => {
            if memchr::memchr(0, text.as_bytes()).is_some() {
                let sentence = "the text has U+0000, which Postgres holds in no text; take it out in the query";
                return Err(Error::new(Kind::Contract, sentence));
            }
            push_json(text, out);
        }
        Value::Bytes(bytes) => {
            base64.clear();
            STANDARD.encode_string(bytes, base64);
            quoted(out, |out| out.extend_from_slice(base64.as_bytes()));
        }
        Value::Date(date) => quoted(out, |out| date.push_to(out)),
        Value::Time(time) => quoted(out, |out| time.push_to(out)),
        Value::Timestamp(timestamp) => quoted(out, |out| timestamp.push_to(out)),
        Value::Timestamptz(instant) => quoted(out, |out| instant.push_to(out)),
        Value::Uuid(uuid) => quoted(out, |out| {
            out.extend_from_slice(
                uuid.hyphenated()
                    .encode_lower(&mut uuid::Uuid::encode_buffer())
                    .as_bytes(),
            );
        }),
        Value::Json(json) => {
            if json.is_null() {
                let sentence = "the value is the JSON null, which would arrive as the null of SQL; \
                                give that instead, or make the column a string";
                return Err(Error::new(Kind::Contract, sentence));
            }
            out.extend_from_slice(json.as_str().as_bytes());
        }
    }
    Ok(())
}

/// The shortest digits that are read as the same double; what JSON has no number for as a string.
fn push_float64(double: f64, out: &mut Vec<u8>) {
    if double.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if double.is_infinite() {
        out.extend_from_slice(if double > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        });
    } else {
        push_json(&double, out);
    }
}

fn quoted(out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    push(out);
    out.push(b'"');
}
