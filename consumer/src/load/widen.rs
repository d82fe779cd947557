//! Rows whose values a table's columns hold in a wider type: rewritten on their way, row by row.

use futures::StreamExt;
use nightdrop_schema::{Decimal, Value, copy};

use super::Rows;
use crate::table::{SERVICE, Widening};

/// The version byte before the text of a jsonb in binary form.
const JSONB_VERSION: usize = 1;

/// The same rows, each value as its column takes it. Rows of columns that take them as they are pass
/// untouched.
pub(super) fn widen<'a>(rows: Rows<'a>, how: &[Widening]) -> Rows<'a> {
    if how.iter().all(|how| *how == Widening::AsItIs) {
        return rows;
    }
    let mut rewriting = Rewriting {
        how: how.to_vec(),
        rest: Vec::new(),
    };
    rows.map(move |piece| piece.map(|piece| rewriting.push(&piece)))
        .boxed()
}

struct Rewriting {
    how: Vec<Widening>,
    /// The beginning of a row whose end has not come yet.
    rest: Vec<u8>,
}

impl Rewriting {
    /// Takes any part of the rows, and gives the whole rows that it ends.
    fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let rest = std::mem::take(&mut self.rest);
        let joined;
        let mut bytes = if rest.is_empty() {
            piece
        } else {
            joined = [&rest[..], piece].concat();
            &joined[..]
        };
        let mut out = Vec::with_capacity(bytes.len());
        loop {
            let whole = out.len();
            let Some(after) = self.row(bytes, &mut out) else {
                out.truncate(whole);
                self.rest = bytes.to_vec();
                return out;
            };
            bytes = after;
        }
    }

    /// Rewrites one row and gives what follows it; none where the row is not all there.
    fn row<'b>(&self, bytes: &'b [u8], out: &mut Vec<u8>) -> Option<&'b [u8]> {
        let (count, mut bytes) = bytes.split_first_chunk::<2>()?;
        out.extend_from_slice(count);
        for place in 0..u16::from_be_bytes(*count) {
            let (length, after) = bytes.split_first_chunk::<4>()?;
            // Null has a length of -1, and no bytes.
            let held = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (value, after) = after.split_at_checked(held.unwrap_or_default())?;
            let how = usize::from(place)
                .checked_sub(SERVICE.len())
                .and_then(|own| self.how.get(own).copied())
                .unwrap_or(Widening::AsItIs);
            if held.is_some() {
                rewrite(how, value, out);
            } else {
                out.extend_from_slice(length);
            }
            bytes = after;
        }
        Some(bytes)
    }
}

/// Appends one field. What is not of the form that the reader gives goes to Postgres as it is, which
/// refuses it.
fn rewrite(how: Widening, value: &[u8], out: &mut Vec<u8>) {
    match how {
        Widening::AsItIs => copy::encode(&Value::Bytes(value), out),
        Widening::Numeric => {
            let integer = value.try_into().map(i64::from_be_bytes);
            let text = integer
                .map(|integer| integer.to_string())
                .unwrap_or_default();
            match Decimal::parse(&text) {
                Ok(decimal) => copy::encode(&Value::Decimal(decimal), out),
                Err(_) => copy::encode(&Value::Bytes(value), out),
            }
        }
        Widening::JsonText => {
            copy::encode(
                &Value::Bytes(value.get(JSONB_VERSION..).unwrap_or(value)),
                out,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Value<'_>]) -> Vec<u8> {
        let count = u16::try_from(SERVICE.len() + values.len()).unwrap();
        let mut row = count.to_be_bytes().to_vec();
        for value in [Value::String("jfk"), Value::Int64(1), Value::Int64(2)] {
            copy::encode(&value, &mut row);
        }
        for value in values {
            copy::encode(value, &mut row);
        }
        row
    }

    #[test]
    fn an_integer_is_the_same_number_wherever_the_pieces_are_cut() {
        let how = vec![Widening::AsItIs, Widening::Numeric, Widening::AsItIs];
        let (mut given, mut wanted) = (Vec::new(), Vec::new());
        for integer in [0, -1, 1545, i64::MIN, i64::MAX] {
            let text = integer.to_string();
            given.extend(row(&[
                Value::Int64(integer),
                Value::Int64(integer),
                Value::Null,
            ]));
            wanted.extend(row(&[
                Value::Int64(integer),
                Value::Decimal(Decimal::parse(&text).unwrap()),
                Value::Null,
            ]));
        }
        given.extend(row(&[Value::Null, Value::Null, Value::Null]));
        wanted.extend(row(&[Value::Null, Value::Null, Value::Null]));
        for size in 1..=given.len() {
            let mut rewriting = Rewriting {
                how: how.clone(),
                rest: Vec::new(),
            };
            let pieces = given.chunks(size);
            let got: Vec<u8> = pieces.flat_map(|piece| rewriting.push(piece)).collect();
            assert_eq!(got, wanted, "in pieces of {size}");
            assert_eq!(rewriting.rest, Vec::<u8>::new());
        }
    }

    #[test]
    fn a_json_column_gets_the_text() {
        let mut rewriting = Rewriting {
            how: vec![Widening::JsonText],
            rest: Vec::new(),
        };
        let json = nightdrop_schema::Json::parse(r#"{"b": 1, "a": 2}"#).unwrap();
        assert_eq!(
            rewriting.push(&row(&[Value::Json(json)])),
            row(&[Value::String(r#"{"b": 1, "a": 2}"#)])
        );
    }
}
