//! What a SQLite column travels as: by its declared type, as SQLite's own affinity does
//! (<https://sqlite.org/datatype3.html#determination_of_column_affinity>), and by each value's
//! storage class, since any column may hold any.

use nightdrop_schema::{Decimal, Type, Value};

use super::Unfit;
use crate::text_form;

/// What a declared type travels as; None where it says nothing and the values decide.
/// `docs/sources.md` has the table for people.
pub(super) fn mapped(declared: &str) -> Option<Type> {
    let name = declared.to_ascii_uppercase();
    let has = |part: &str| name.contains(part);
    let word = name.split('(').next().unwrap_or_default().trim();
    Some(match word {
        "" => return None,
        "BOOLEAN" | "BOOL" => Type::Bool,
        "DECIMAL" | "NUMERIC" => Type::Decimal,
        _ if has("INT") => Type::Int64,
        _ if has("CHAR") || has("CLOB") || has("TEXT") => Type::String,
        _ if has("BLOB") => Type::Bytes,
        _ if has("REAL") || has("FLOA") || has("DOUB") => Type::Float64,
        // DATE, DATETIME, TIMESTAMP, UUID, JSON and whatever else one can write there.
        _ => Type::String,
    })
}

/// A value as SQLite stores it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

#[derive(Default)]
pub(super) struct Scratch {
    text: String,
    moment: String,
}

impl<'a> Stored<'a> {
    /// What an expression travels as whose value this is.
    pub(super) fn travels_as(self) -> Option<Type> {
        match self {
            Self::Null => None,
            Self::Integer(_) => Some(Type::Int64),
            Self::Real(_) => Some(Type::Float64),
            Self::Text(_) => Some(Type::String),
            Self::Blob(_) => Some(Type::Bytes),
        }
    }

    /// The value as one of `ty`.
    pub(super) fn read(self, ty: Type, scratch: &'a mut Scratch) -> Result<Value<'a>, Unfit> {
        let Scratch { text, moment } = scratch;
        match (self, ty) {
            (Self::Null, _) => Ok(Value::Null),
            (Self::Integer(number), Type::Int64) => Ok(Value::Int64(number)),
            (Self::Integer(number), Type::Float64) => Ok(Value::Float64(exact(number)?)),
            (Self::Real(number), Type::Float64) => Ok(Value::Float64(number)),
            (Self::Text(text), Type::String) => Ok(Value::String(text)),
            (Self::Blob(bytes), Type::Bytes) => Ok(Value::Bytes(bytes)),
            (Self::Blob(_), _) => Err(Unfit::bytes("is a BLOB")),
            // Bytes and floats are what they are: a text that looks like one is not.
            (Self::Text(_), Type::Bytes | Type::Float64) => Err("is TEXT".into()),
            (Self::Text(_), Type::Int64) => {
                Err("is TEXT; CAST it, if it is always a number".into())
            }
            (Self::Text(found), ty) => Ok(text_form::parse(ty, found, moment)?),
            (Self::Integer(_) | Self::Real(_), Type::Bytes) => Err("is a number".into()),
            (Self::Real(number), Type::Int64) => Err(format!("{number} is a REAL").into()),
            (Self::Integer(number), ty) => {
                *text = number.to_string();
                Ok(text_form::parse(ty, text, moment)?)
            }
            (Self::Real(number), Type::Decimal) => {
                *text = number.to_string();
                Ok(Value::Decimal(
                    Decimal::parse(text).map_err(|problem| problem.to_string())?,
                ))
            }
            (Self::Real(number), ty) => {
                *text = number.to_string();
                Ok(text_form::parse(ty, text, moment)?)
            }
        }
    }
}

fn exact(number: i64) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "checked right after")]
    let float = number as f64;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a wrong cast shows as another number"
    )]
    let same = float < 9_223_372_036_854_775_808.0 && float as i64 == number;
    same.then_some(float)
        .ok_or_else(|| format!("{number} is more exact than a float64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stored: Stored<'_>, ty: Type) -> String {
        match stored.read(ty, &mut Scratch::default()) {
            Ok(value) => format!("{value:?}"),
            Err(unfit) => unfit.sentence,
        }
    }

    #[test]
    fn a_declared_type_decides_as_sqlite_s_affinity_does() {
        for (declared, ty) in [
            ("INTEGER", Some(Type::Int64)),
            ("UNSIGNED BIG INT", Some(Type::Int64)),
            ("VARCHAR(20)", Some(Type::String)),
            ("text", Some(Type::String)),
            ("BLOB", Some(Type::Bytes)),
            ("DOUBLE PRECISION", Some(Type::Float64)),
            ("DECIMAL(10,2)", Some(Type::Decimal)),
            ("boolean", Some(Type::Bool)),
            ("DATETIME", Some(Type::String)),
            ("", None),
        ] {
            assert_eq!(mapped(declared), ty, "{declared}");
        }
    }

    #[test]
    fn a_value_of_another_class_is_refused_and_not_bent() {
        assert_eq!(
            shown(Stored::Text("7"), Type::Int64),
            "is TEXT; CAST it, if it is always a number"
        );
        assert_eq!(shown(Stored::Real(1.5), Type::Int64), "1.5 is a REAL");
        assert_eq!(
            shown(Stored::Integer(2), Type::Bool),
            "\"2\" is neither true nor false"
        );
        assert_eq!(shown(Stored::Blob(&[0]), Type::String), "is a BLOB");
        assert_eq!(
            shown(Stored::Integer(9_007_199_254_740_993), Type::Float64),
            "9007199254740993 is more exact than a float64"
        );
        assert_eq!(
            shown(Stored::Integer(i64::MAX), Type::Float64),
            "9223372036854775807 is more exact than a float64"
        );
    }

    #[test]
    fn what_fits_is_kept() {
        assert_eq!(shown(Stored::Integer(1), Type::Bool), "Bool(true)");
        assert_eq!(shown(Stored::Integer(5), Type::Float64), "Float64(5.0)");
        assert_eq!(shown(Stored::Text(""), Type::String), "String(\"\")");
        assert_eq!(shown(Stored::Null, Type::Int64), "Null");
        assert_eq!(
            shown(Stored::Integer(20_130_131), Type::String),
            "String(\"20130131\")"
        );
    }
}
