//! Postgres's binary COPY format: what `COPY … FROM STDIN (FORMAT binary)` takes.
//!
//! The source is the manual's page on COPY, "Binary Format", and the types' `_recv` functions. A stream is
//! [`SIGNATURE`], then tuples (an `i16` count of fields, then each field: an `i32` length, or -1 for null, and that many
//! bytes), then [`TRAILER`]. All numbers are big-endian.

mod numeric;

use crate::read::RowSink;
use crate::value::Value;

/// What a stream starts with: eleven fixed bytes, no flags, no header extension.
pub const SIGNATURE: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a stream ends with: a field count of -1.
pub const TRAILER: [u8; 2] = [0xff, 0xff];

/// The version of jsonb's binary form, which its text follows.
const JSONB_VERSION: u8 = 1;

/// Appends one field: its length and its bytes, in the binary form of the Postgres type of the value's own type.
#[inline]
pub fn encode(value: &Value<'_>, out: &mut Vec<u8>) {
    match *value {
        Value::Null => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Value::Bool(bool) => out.extend_from_slice(&[0, 0, 0, 1, u8::from(bool)]),
        Value::Int64(integer) => eight(integer.to_be_bytes(), out),
        Value::Decimal(decimal) => measured(out, |out| numeric::encode(decimal, out)),
        Value::Float64(double) => eight(double.to_be_bytes(), out),
        Value::String(text) => field(text.as_bytes(), out),
        Value::Bytes(bytes) => field(bytes, out),
        Value::Date(date) => {
            out.extend_from_slice(&4_i32.to_be_bytes());
            out.extend_from_slice(&date.raw().to_be_bytes());
        }
        Value::Time(time) => eight(time.raw().to_be_bytes(), out),
        Value::Timestamp(timestamp) => eight(timestamp.raw().to_be_bytes(), out),
        Value::Timestamptz(instant) => eight(instant.raw().to_be_bytes(), out),
        Value::Uuid(uuid) => field(uuid.as_bytes(), out),
        Value::Json(json) => measured(out, |out| {
            out.push(JSONB_VERSION);
            out.extend_from_slice(json.as_str().as_bytes());
        }),
    }
}

/// A field of eight bytes, in one piece: most fields are.
#[inline]
fn eight(bytes: [u8; 8], out: &mut Vec<u8>) {
    let mut whole = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    whole[4..].copy_from_slice(&bytes);
    out.extend_from_slice(&whole);
}

#[inline]
fn field(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(4 + bytes.len());
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// A field whose length is known when it is written.
fn measured(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = length(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length);
}

/// A field's length. Postgres takes no field above 1 GiB, which the cap of a cell keeps far away; one that did come
/// would be sent with a length that Postgres refuses.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

/// Rows in binary COPY form, without [`SIGNATURE`] and [`TRAILER`]: the sink that turns a message into a load.
#[derive(Debug)]
pub struct Rows {
    /// The count of fields, then the fields that stand before each row's own.
    head: Vec<u8>,
    out: Vec<u8>,
    /// Where the last whole row ends.
    whole: usize,
}

impl Rows {
    /// Rows of `columns` fields, each after `prefix_columns` fields that are the same in all rows, already encoded in
    /// `prefix` by [`encode`].
    pub fn new(prefix_columns: u16, prefix: impl AsRef<[u8]>, columns: u16) -> Self {
        // A table of Postgres has at most 1,600 columns, so no sum that it takes saturates.
        let count = prefix_columns.saturating_add(columns);
        let mut head = count.to_be_bytes().to_vec();
        head.extend_from_slice(prefix.as_ref());
        Self {
            head,
            out: Vec::new(),
            whole: 0,
        }
    }

    /// The whole rows so far, which are then forgotten. A row that has been started but not ended is given up.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.truncate(self.whole);
        self.whole = 0;
        let empty = Vec::with_capacity(self.out.len());
        std::mem::replace(&mut self.out, empty)
    }

    /// The size of the whole rows so far, in bytes.
    pub fn len(&self) -> usize {
        self.whole
    }

    /// Whether there is no whole row.
    pub fn is_empty(&self) -> bool {
        self.whole == 0
    }
}

impl RowSink for Rows {
    fn start(&mut self) {
        self.out.truncate(self.whole);
        self.out.extend_from_slice(&self.head);
    }

    #[inline]
    fn value(&mut self, _: usize, value: Value<'_>) {
        encode(&value, &mut self.out);
    }

    fn end(&mut self) {
        self.whole = self.out.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn encoded(value: Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&value, &mut out);
        out
    }

    #[test]
    fn fields_are_those_of_postgres() {
        assert_eq!(encoded(Value::Null), [0xff, 0xff, 0xff, 0xff]);
        assert_eq!(encoded(Value::Bool(true)), [0, 0, 0, 1, 1]);
        assert_eq!(
            encoded(Value::Int64(-2)),
            [0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 254]
        );
        assert_eq!(
            encoded(Value::Float64(1.0)),
            [0, 0, 0, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(encoded(Value::String("é")), [0, 0, 0, 2, 0xc3, 0xa9]);
        assert_eq!(encoded(Value::Bytes(&[0, 1])), [0, 0, 0, 2, 0, 1]);
        assert_eq!(
            encoded(Value::Date("2000-01-02".parse().unwrap())),
            [0, 0, 0, 4, 0, 0, 0, 1]
        );
        assert_eq!(
            encoded(Value::Date("infinity".parse().unwrap())),
            [0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]
        );
        assert_eq!(
            encoded(Value::Time("00:00:00.000001".parse().unwrap())),
            [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]
        );
        let epoch = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            encoded(Value::Timestamp("2000-01-01T00:00:00".parse().unwrap())),
            epoch
        );
        assert_eq!(
            encoded(Value::Timestamptz(
                "2000-01-01T01:00:00+01:00".parse().unwrap()
            )),
            epoch
        );
        assert_eq!(
            encoded(Value::Uuid(uuid::Uuid::from_u128(1)))[..5],
            [0, 0, 0, 16, 0]
        );
        assert_eq!(
            encoded(Value::Json(Json::parse("[1]").unwrap())),
            *b"\0\0\0\x04\x01[1]"
        );
    }

    #[test]
    fn a_row_is_a_count_the_prefix_and_its_values() {
        let mut rows = Rows::new(1, encoded(Value::Bool(true)), 1);
        rows.start();
        rows.value(0, Value::Null);
        rows.end();
        assert_eq!(rows.take(), [0, 2, 0, 0, 0, 1, 1, 255, 255, 255, 255]);
        assert!(rows.is_empty());
    }

    #[test]
    fn a_row_that_is_started_again_counts_once_and_a_half_one_not_at_all() {
        let mut rows = Rows::new(0, [], 1);
        rows.start();
        rows.value(0, Value::Int64(1));
        rows.start();
        rows.value(0, Value::Null);
        rows.end();
        rows.start();
        rows.value(0, Value::Int64(2));
        assert_eq!(rows.len(), 6);
        assert_eq!(rows.take(), [0, 1, 255, 255, 255, 255]);
        rows.start();
        rows.value(0, Value::Null);
        rows.end();
        assert_eq!(rows.take(), [0, 1, 255, 255, 255, 255]);
    }
}
