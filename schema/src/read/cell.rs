//! One cell: JSON in, a value of its column's type out.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};

use super::cursor::{Cursor, Step, Stop};
use super::members::found;
use super::skip::Skip;
use crate::column::Type;
use crate::decimal::Decimal;
use crate::error::{Error, Kind, escaped, shown};
use crate::json::Json;
use crate::moment::{Date, Time, Timestamp, Timestamptz};
use crate::run_id::parse_uuid;
use crate::value::Value;

/// Room for what a cell means where that differs from how it is written.
#[derive(Default)]
pub(super) struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

/// How much of the scratch is kept from row to row.
const KEPT: usize = 256 << 10;

impl Scratch {
    /// How many bytes it has.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.bytes.capacity()
    }

    /// Gives back the memory of a large cell.
    #[inline]
    pub(super) fn shrink(&mut self) {
        if self.text.capacity() > KEPT {
            self.text = String::new();
        }
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}

/// Parses one cell, from its first byte on, and gives its value.
#[inline]
pub(super) fn parse<'a>(
    cursor: &mut Cursor<'a>,
    ty: Type,
    scratch: &mut Scratch,
    skip: &mut Skip<'a>,
    give: &mut impl FnMut(Value<'_>) -> Step<()>,
) -> Step<()> {
    if cursor.peek()? == b'n' {
        cursor.literal(b"null")?;
        return give(Value::Null);
    }
    let text = &mut scratch.text;
    // Each arm gives its value by itself: so the compiler sees which it is all the way into the sink.
    match ty {
        Type::Bool => give(Value::Bool(bool(cursor)?)),
        Type::Int64 => give(Value::Int64(int64(cursor)?)),
        Type::Decimal => give(Value::Decimal(decimal(cursor, text)?)),
        Type::Float64 => give(Value::Float64(float64(cursor, text)?)),
        Type::String => {
            if cursor.peek()? != b'"' {
                return Err(unlike(cursor, ty));
            }
            give(Value::String(cursor.text(text)?))
        }
        Type::Bytes => give(Value::Bytes(bytes(cursor, scratch)?)),
        Type::Date => give(Value::Date(Date::parse(moment(cursor, ty, text)?)?)),
        Type::Time => give(Value::Time(Time::parse(moment(cursor, ty, text)?)?)),
        Type::Timestamp => give(Value::Timestamp(Timestamp::parse(moment(
            cursor, ty, text,
        )?)?)),
        Type::Timestamptz => give(Value::Timestamptz(Timestamptz::parse(moment(
            cursor, ty, text,
        )?)?)),
        Type::Uuid => give(Value::Uuid(parse_uuid(moment(cursor, ty, text)?)?)),
        Type::Json => {
            let start = cursor.pos();
            skip.value(cursor)?;
            give(Value::Json(Json::checked(cursor.since(start)?)))
        }
    }
}

/// Checks a cell's size, as it is written.
#[inline]
pub(crate) fn within(length: usize, cap: usize) -> Step<()> {
    if length <= cap {
        return Ok(());
    }
    Err(Error::new(
        Kind::TooLarge,
        format!("the cell has more than {cap} bytes; make it smaller"),
    )
    .into())
}

/// The error for a cell that is of another JSON type than its column's.
#[cold]
fn unlike(cursor: &mut Cursor<'_>, ty: Type) -> Stop {
    let due = match ty {
        Type::Bool => "true or false",
        Type::Int64 => "an integer as 1545, or its digits in quotes",
        Type::Decimal => "digits as \"12.50\", or \"NaN\", \"Infinity\", \"-Infinity\"",
        Type::Float64 => "a number as 0.1, or \"NaN\", \"Infinity\", \"-Infinity\"",
        Type::String => "a string",
        Type::Bytes => "a string of base64",
        Type::Date => "a string as \"2013-01-31\"",
        Type::Time => "a string as \"05:00:00\"",
        Type::Timestamp => "a string as \"2013-01-31T05:00:00\"",
        Type::Timestamptz => "a string as \"2013-01-31T05:00:00Z\"",
        Type::Uuid => "a string as \"01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11\"",
        Type::Json => "any JSON",
    };
    match found(cursor) {
        Ok(found) => Error::new(Kind::Contract, format!("{found} is no {ty}; write {due}")).into(),
        Err(stop) => stop,
    }
}

fn bool(cursor: &mut Cursor<'_>) -> Step<bool> {
    match cursor.peek()? {
        b't' => cursor.literal(b"true").map(|()| true),
        b'f' => cursor.literal(b"false").map(|()| false),
        _ => Err(unlike(cursor, Type::Bool)),
    }
}

/// An integer, or its digits as a string.
#[inline]
pub(super) fn int64(cursor: &mut Cursor<'_>) -> Step<i64> {
    let rest = cursor.rest();
    let negative = rest.first() == Some(&b'-');
    let digits = &rest[usize::from(negative)..];
    let mut size = 0_i64;
    // Eighteen digits fit whatever they are.
    for (count, byte) in digits.iter().take(19).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 && count < 18 {
            size = size * 10 + i64::from(digit);
            continue;
        }
        let plain = matches!(byte, b',' | b']' | b' ' | b'\n');
        if plain && (count == 1 || count > 1 && digits[0] != b'0') {
            cursor.skip(usize::from(negative) + count);
            return Ok(if negative { -size } else { size });
        }
        break;
    }
    int64_at_length(cursor)
}

#[cold]
fn int64_at_length(cursor: &mut Cursor<'_>) -> Step<i64> {
    let quoted = cursor.peek()? == b'"';
    let mut scratch = String::new();
    let text = match cursor.peek()? {
        b'"' => cursor.text(&mut scratch)?,
        b'-' | b'0'..=b'9' => cursor.number()?,
        _ => return Err(unlike(cursor, Type::Int64)),
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| {
            let sentence = format!(
                "{} is beyond 64 bits (-9223372036854775808 to 9223372036854775807); make the column a decimal",
                escaped(text)
            );
            Error::new(Kind::Contract, sentence).into()
        });
    }
    let sentence = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            format!("{} has a point; write {}", escaped(text), escaped(whole))
        }
        Some(_) if !quoted => format!(
            "{} has a point; round it in the query, or make the column a decimal",
            escaped(text)
        ),
        None if !quoted => format!("{} has an exponent; write all its digits", escaped(text)),
        _ => format!("{} is no int64; write its digits alone", shown(text)),
    };
    Err(Error::new(Kind::Contract, sentence).into())
}

/// A number, or a string, kept as it is written.
fn decimal<'s, 'a: 's>(cursor: &mut Cursor<'a>, scratch: &'s mut String) -> Step<Decimal<'s>> {
    let text = match cursor.peek()? {
        b'"' => cursor.text(scratch)?,
        b'-' | b'0'..=b'9' => cursor.number()?,
        _ => return Err(unlike(cursor, Type::Decimal)),
    };
    Ok(Decimal::parse(text)?)
}

fn float64(cursor: &mut Cursor<'_>, scratch: &mut String) -> Step<f64> {
    match cursor.peek()? {
        b'"' => match cursor.text(scratch)? {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            text => {
                let sentence = format!(
                    "{} is a string; write a number without quotes, or \"NaN\", \"Infinity\", \"-Infinity\"",
                    shown(text)
                );
                Err(Error::new(Kind::Contract, sentence).into())
            }
        },
        b'-' | b'0'..=b'9' => {
            let text = cursor.number()?;
            let refuse = |why: &str| {
                let sentence = format!("{} {why}; make the column a decimal", escaped(text));
                Err(Error::new(Kind::Contract, sentence).into())
            };
            // Correctly rounded, as IEEE 754 has it; it takes all that JSON calls a number.
            let Ok(number) = text.parse::<f64>() else {
                return refuse("is no number");
            };
            if number.is_infinite() {
                return refuse("is too large for a double");
            }
            let digits = text.split(['e', 'E']).next().unwrap_or(text);
            if number == 0.0 && digits.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
                return refuse("is not zero, but too small for a double");
            }
            Ok(number)
        }
        _ => Err(unlike(cursor, Type::Float64)),
    }
}

fn bytes<'s>(cursor: &mut Cursor<'_>, scratch: &'s mut Scratch) -> Step<&'s [u8]> {
    if cursor.peek()? != b'"' {
        return Err(unlike(cursor, Type::Bytes));
    }
    let text = cursor.text(&mut scratch.text)?;
    scratch.bytes.clear();
    match STANDARD.decode_vec(text, &mut scratch.bytes) {
        Ok(()) => Ok(&scratch.bytes),
        Err(why) => Err(Error::new(Kind::Contract, not_base64(text, &why)).into()),
    }
}

fn not_base64(text: &str, why: &DecodeError) -> String {
    let why = match why {
        DecodeError::InvalidByte(at, _) => {
            let found: String = text
                .get(*at..)
                .into_iter()
                .flat_map(str::chars)
                .take(1)
                .collect();
            format!("{} is not of its alphabet, A–Z a–z 0–9 + /", shown(&found))
        }
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
            "it is not filled up with = to a multiple of four".to_owned()
        }
        DecodeError::InvalidLastSymbol { .. } => {
            "its last letter has bits beyond the last byte".to_owned()
        }
    };
    format!(
        "{} is no base64: {why}; encode it by RFC 4648, with padding",
        shown(text)
    )
}

/// The text of a type that is a string of some form.
#[inline(never)]
pub(super) fn moment<'s, 'a: 's>(
    cursor: &mut Cursor<'a>,
    ty: Type,
    scratch: &'s mut String,
) -> Step<&'s str> {
    if cursor.peek()? != b'"' {
        return Err(unlike(cursor, ty));
    }
    cursor.text(scratch)
}
