//! One cell of MySQL's binary protocol, as a value of its column's type.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use std::fmt::Write as _;

use nightdrop_schema::{Type, Value};
use sqlx::{MySql, TypeInfo, mysql::MySqlTypeInfo};

use super::{Unfit, utf8};
use crate::text_form;

/// How a cell is laid out, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 1, 2, 4 or 8 bytes, little-endian.
    Int,
    /// The same, without a sign; at most 32 bits, so that an int64 holds it.
    Uint,
    /// 64 bits without a sign: more than an int64 holds.
    Uint64,
    Float,
    Double,
    /// Digits as text.
    Decimal,
    /// Big-endian bytes.
    Bit,
    Date,
    Datetime,
    Timestamp,
    Time,
    Json,
    Text,
    Binary,
    Geometry,
    Null,
}

#[derive(Default)]
pub(super) struct Scratch {
    text: String,
    moment: String,
}

impl Kind {
    pub(super) fn of(ty: &MySqlTypeInfo) -> Self {
        // A TINYINT(1) is called BOOLEAN, whatever its sign.
        let unsigned = <u64 as sqlx::Type<MySql>>::compatible(ty);
        match ty.name() {
            "BIGINT UNSIGNED" => Self::Uint64,
            "YEAR" => Self::Uint,
            "BIT" => Self::Bit,
            _ if unsigned => Self::Uint,
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Self::Int,
            "FLOAT" => Self::Float,
            "DOUBLE" => Self::Double,
            "DECIMAL" => Self::Decimal,
            "DATE" => Self::Date,
            "DATETIME" => Self::Datetime,
            "TIMESTAMP" => Self::Timestamp,
            "TIME" => Self::Time,
            "JSON" => Self::Json,
            "GEOMETRY" => Self::Geometry,
            "NULL" => Self::Null,
            // The name says BLOB for a text of a _bin collation, too; the collation says it right.
            _ if <str as sqlx::Type<MySql>>::compatible(ty) => Self::Text,
            _ => Self::Binary,
        }
    }

    /// The type's name for people.
    pub(super) fn name(self, ty: &MySqlTypeInfo) -> String {
        let name = match (self, ty.name()) {
            (Self::Int, "BOOLEAN") => "tinyint(1)",
            (Self::Uint, "BOOLEAN") => "tinyint(1) unsigned",
            (Self::Text, "BINARY") => "char",
            (Self::Text, "VARBINARY") => "varchar",
            (Self::Text, "TINYBLOB") => "tinytext",
            (Self::Text, "BLOB") => "text",
            (Self::Text, "MEDIUMBLOB") => "mediumtext",
            (Self::Text, "LONGBLOB") => "longtext",
            (_, name) => name,
        };
        name.to_lowercase()
    }

    /// What it travels as; `docs/sources.md` has the table for people.
    pub(super) fn travels_as(self) -> Type {
        match self {
            Self::Int | Self::Uint => Type::Int64,
            Self::Uint64 | Self::Decimal => Type::Decimal,
            Self::Float | Self::Double => Type::Float64,
            Self::Bit | Self::Binary | Self::Geometry => Type::Bytes,
            Self::Date => Type::Date,
            Self::Datetime => Type::Timestamp,
            Self::Timestamp => Type::Timestamptz,
            Self::Time => Type::Time,
            Self::Json => Type::Json,
            Self::Text | Self::Null => Type::String,
        }
    }

    /// Reads a cell that is not null as a value of `ty`, which the job may have chosen.
    pub(super) fn read<'a>(
        self,
        bytes: &'a [u8],
        ty: Type,
        scratch: &'a mut Scratch,
    ) -> Result<Value<'a>, Unfit> {
        match (self, ty) {
            (Self::Int, Type::Int64) => return Ok(Value::Int64(signed(bytes)?)),
            (Self::Uint, Type::Int64) => {
                let number = unsigned(bytes)?;
                return Ok(Value::Int64(
                    i64::try_from(number)
                        .map_err(|_| format!("{number} is no integer of 64 bits"))?,
                ));
            }
            (Self::Float, Type::Float64) => {
                return Ok(Value::Float64(text_form::widened(float(bytes)?)));
            }
            (Self::Double, Type::Float64) => return Ok(Value::Float64(double(bytes)?)),
            (_, Type::Bytes) if self.is_bytes() => return Ok(Value::Bytes(bytes)),
            _ => {}
        }
        let Scratch { text, moment } = scratch;
        let text = match self {
            Self::Decimal
            | Self::Json
            | Self::Text
            | Self::Binary
            | Self::Geometry
            | Self::Null => utf8(bytes)?,
            _ => {
                text.clear();
                self.write(bytes, text)?;
                if self == Self::Timestamp && ty == Type::Timestamptz {
                    text.push_str("+00");
                }
                text.as_str()
            }
        };
        Ok(text_form::parse(ty, text, moment)?)
    }

    fn is_bytes(self) -> bool {
        matches!(self, Self::Bit | Self::Binary | Self::Geometry | Self::Text)
    }

    /// Appends the text form that MySQL itself shows.
    fn write(self, bytes: &[u8], out: &mut String) -> Result<(), String> {
        let written = match self {
            Self::Int => write!(out, "{}", signed(bytes)?),
            Self::Uint | Self::Uint64 => write!(out, "{}", unsigned(bytes)?),
            Self::Float => write!(out, "{}", float(bytes)?),
            Self::Double => write!(out, "{}", double(bytes)?),
            Self::Bit => write!(
                out,
                "{}",
                bytes
                    .iter()
                    .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte))
            ),
            Self::Date => Moment::of(bytes)?.write_date(out),
            Self::Datetime | Self::Timestamp => {
                let moment = Moment::of(bytes)?;
                moment
                    .write_date(out)
                    .and_then(|()| write!(out, " "))
                    .and_then(|()| moment.write_time(out))
            }
            Self::Time => {
                let (negative, moment) = Moment::of_time(bytes)?;
                write!(out, "{}", if negative { "-" } else { "" })
                    .and_then(|()| moment.write_time(out))
            }
            Self::Decimal
            | Self::Json
            | Self::Text
            | Self::Binary
            | Self::Geometry
            | Self::Null => Ok(()),
        };
        written.map_err(|_| "has no text form".to_owned())
    }
}

const SHORT: &str = "has too few bytes for its type";

fn signed(bytes: &[u8]) -> Result<i64, String> {
    Ok(match *bytes {
        [a] => i64::from(i8::from_le_bytes([a])),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(bytes.try_into().map_err(|_| SHORT)?),
    })
}

fn unsigned(bytes: &[u8]) -> Result<u64, String> {
    if bytes.len() > 8 {
        return Err(SHORT.to_owned());
    }
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn float(bytes: &[u8]) -> Result<f32, String> {
    Ok(f32::from_le_bytes(bytes.try_into().map_err(|_| SHORT)?))
}

fn double(bytes: &[u8]) -> Result<f64, String> {
    Ok(f64::from_le_bytes(bytes.try_into().map_err(|_| SHORT)?))
}

/// A date or a time, whose first byte is the number of those that follow; what is zero at the end
/// is left out.
#[derive(Default)]
struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hours: u64,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Moment {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let mut moment = Self::default();
        if let [_, a, b, month, day, ..] = *bytes {
            moment.year = u16::from_le_bytes([a, b]);
            moment.month = month;
            moment.day = day;
        }
        if let [_, _, _, _, _, hour, minute, second, ..] = *bytes {
            moment.hours = u64::from(hour);
            moment.minute = minute;
            moment.second = second;
        }
        if let [_, _, _, _, _, _, _, _, a, b, c, d] = *bytes {
            moment.micros = u32::from_le_bytes([a, b, c, d]);
        }
        if matches!(bytes.len(), 1 | 5 | 8 | 12) {
            Ok(moment)
        } else {
            Err(SHORT.to_owned())
        }
    }

    fn of_time(bytes: &[u8]) -> Result<(bool, Self), String> {
        let mut moment = Self::default();
        let mut negative = false;
        if let [_, sign, a, b, c, d, hour, minute, second, ..] = *bytes {
            negative = sign != 0;
            moment.hours = u64::from(u32::from_le_bytes([a, b, c, d])) * 24 + u64::from(hour);
            moment.minute = minute;
            moment.second = second;
        }
        if let [_, _, _, _, _, _, _, _, _, a, b, c, d] = *bytes {
            moment.micros = u32::from_le_bytes([a, b, c, d]);
        }
        if matches!(bytes.len(), 1 | 9 | 13) {
            Ok((negative, moment))
        } else {
            Err(SHORT.to_owned())
        }
    }

    fn write_date(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn write_time(&self, out: &mut String) -> std::fmt::Result {
        write!(
            out,
            "{:02}:{:02}:{:02}",
            self.hours, self.minute, self.second
        )?;
        if self.micros > 0 {
            write!(out, ".{:06}", self.micros)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, ty: Type, bytes: &[u8]) -> String {
        match kind.read(bytes, ty, &mut Scratch::default()) {
            Ok(Value::String(text)) => text.to_owned(),
            Ok(value) => format!("{value:?}"),
            Err(unfit) => unfit.sentence,
        }
    }

    #[test]
    fn integers_of_all_widths_keep_their_sign() {
        assert_eq!(shown(Kind::Int, Type::Int64, &[0xff]), "Int64(-1)");
        assert_eq!(shown(Kind::Uint, Type::Int64, &[0xff]), "Int64(255)");
        assert_eq!(
            shown(Kind::Int, Type::Int64, &[0, 0, 0, 0x80]),
            "Int64(-2147483648)"
        );
        assert_eq!(
            shown(Kind::Uint, Type::Int64, &[0xff; 4]),
            "Int64(4294967295)"
        );
        assert_eq!(
            shown(Kind::Uint64, Type::String, &[0xff; 8]),
            "18446744073709551615"
        );
        assert_eq!(shown(Kind::Int, Type::Bool, &[1]), "Bool(true)");
        assert_eq!(
            shown(Kind::Int, Type::Bool, &[2]),
            "\"2\" is neither true nor false"
        );
    }

    #[test]
    fn a_float_keeps_its_digits() {
        assert_eq!(
            shown(Kind::Float, Type::Float64, &1.1_f32.to_le_bytes()),
            "Float64(1.1)"
        );
        assert_eq!(
            shown(Kind::Double, Type::Float64, &0.1_f64.to_le_bytes()),
            "Float64(0.1)"
        );
        assert_eq!(
            shown(Kind::Double, Type::String, &0.1_f64.to_le_bytes()),
            "0.1"
        );
    }

    #[test]
    fn a_zero_date_is_no_date_but_has_a_text() {
        assert_eq!(shown(Kind::Date, Type::String, &[0]), "0000-00-00");
        assert_eq!(
            shown(Kind::Datetime, Type::String, &[0]),
            "0000-00-00 00:00:00"
        );
        assert_eq!(
            shown(Kind::Date, Type::String, &[4, 0xe4, 7, 0, 0]),
            "2020-00-00"
        );
        let mut scratch = Scratch::default();
        assert!(Kind::Date.read(&[0], Type::Date, &mut scratch).is_err());
    }

    #[test]
    fn a_time_outside_the_day_is_no_time_but_has_a_text() {
        let longest = [12, 1, 34, 0, 0, 0, 22, 59, 59, 0x3f, 0x42, 0x0f, 0];
        assert_eq!(
            shown(Kind::Time, Type::String, &longest),
            "-838:59:59.999999"
        );
        let mut scratch = Scratch::default();
        assert!(Kind::Time.read(&longest, Type::Time, &mut scratch).is_err());
        assert!(
            Kind::Time
                .read(&[8, 0, 0, 0, 0, 0, 23, 59, 59], Type::Time, &mut scratch)
                .is_ok()
        );
    }

    #[test]
    fn bits_are_bytes_or_the_number_that_they_write() {
        assert_eq!(shown(Kind::Bit, Type::Bytes, &[1, 0]), "Bytes([1, 0])");
        assert_eq!(shown(Kind::Bit, Type::Int64, &[1, 0]), "Int64(256)");
        assert_eq!(shown(Kind::Bit, Type::Bool, &[1]), "Bool(true)");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_as_text() {
        assert_eq!(shown(Kind::Binary, Type::String, &[0xff]), "is not UTF-8");
        assert_eq!(
            shown(Kind::Binary, Type::Bytes, &[0xff, 0]),
            "Bytes([255, 0])"
        );
    }
}
