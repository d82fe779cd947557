//! One cell's value, borrowed from where it was read.

use uuid::Uuid;

use crate::column::Type;
use crate::decimal::Decimal;
use crate::json::Json;
use crate::moment::{Date, Time, Timestamp, Timestamptz};

/// The value of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value, in a column of any type.
    Null,
    /// true, false.
    Bool(bool),
    /// A signed integer of 64 bits.
    Int64(i64),
    /// Digits, exactly.
    Decimal(Decimal<'a>),
    /// A double; NaN and infinities too.
    Float64(f64),
    /// Text.
    String(&'a str),
    /// Octets.
    Bytes(&'a [u8]),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A day and a time of day.
    Timestamp(Timestamp),
    /// An instant.
    Timestamptz(Timestamptz),
    /// A UUID.
    Uuid(Uuid),
    /// JSON text.
    Json(Json<'a>),
}

impl Value<'_> {
    /// The type of column that it belongs in; None of a null, which belongs in any.
    pub fn ty(&self) -> Option<Type> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int64(_) => Type::Int64,
            Self::Decimal(_) => Type::Decimal,
            Self::Float64(_) => Type::Float64,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Date(_) => Type::Date,
            Self::Time(_) => Type::Time,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Timestamptz(_) => Type::Timestamptz,
            Self::Uuid(_) => Type::Uuid,
            Self::Json(_) => Type::Json,
        })
    }

    /// What orders values of the types that a range can be over, as [`Bound::raw`](crate::Bound::raw) does.
    pub(crate) fn raw(&self) -> Option<i64> {
        match self {
            Self::Int64(integer) => Some(*integer),
            Self::Date(date) => Some(i64::from(date.raw())),
            Self::Timestamp(timestamp) => Some(timestamp.raw()),
            Self::Timestamptz(instant) => Some(instant.raw()),
            _ => None,
        }
    }
}
