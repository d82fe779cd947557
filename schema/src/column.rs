//! Columns and their types.

use std::fmt;
use std::str::FromStr;

use crate::error::{Problem, shown};
use crate::name::ColumnName;

/// The type of a column: how its cells are written, and what they are in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// true, false.
    Bool,
    /// An integer of 64 bits, signed.
    Int64,
    /// Digits, as many as Postgres's `numeric` holds.
    Decimal,
    /// An IEEE 754 double.
    Float64,
    /// Text without U+0000.
    String,
    /// Octets.
    Bytes,
    /// A day.
    Date,
    /// A time of day, in microseconds.
    Time,
    /// A day and a time of day, of no known time zone.
    Timestamp,
    /// An instant.
    Timestamptz,
    /// A UUID.
    Uuid,
    /// Any JSON, equal as a JSON value; but null is null everywhere: a cell that is the JSON null is the null of SQL.
    Json,
}

impl Type {
    /// All types, in the order of the format's table.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::Int64,
        Self::Decimal,
        Self::Float64,
        Self::String,
        Self::Bytes,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::Timestamptz,
        Self::Uuid,
        Self::Json,
    ];

    /// The name in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Decimal => "decimal",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Uuid => "uuid",
            Self::Json => "json",
        }
    }

    /// The type in Postgres, as `format_type` shows it but for the short names of the times: `bigint`.
    pub fn postgres(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int64 => "bigint",
            Self::Decimal => "numeric",
            Self::Float64 => "double precision",
            Self::String => "text",
            Self::Bytes => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Uuid => "uuid",
            Self::Json => "jsonb",
        }
    }
}

impl FromStr for Type {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|ty| ty.as_str() == text)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                Problem::new(format!("{} is no type; write one of {all}", shown(text)))
            })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Unique within the result.
    pub name: ColumnName,
    /// What its cells are.
    pub ty: Type,
    /// What the column means, for people; it becomes the column's comment.
    pub description: Option<String>,
    /// Whether a cell may be null.
    pub nullable: bool,
}

impl Column {
    /// A column that may be null, without a description.
    pub fn new(name: ColumnName, ty: Type) -> Self {
        Self {
            name,
            ty,
            description: None,
            nullable: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_by_the_name_that_it_is_written_by() {
        for ty in Type::ALL {
            assert_eq!(ty.as_str().parse::<Type>().unwrap(), ty);
        }
    }

    #[test]
    fn an_unknown_type_names_those_that_there_are() {
        let problem = "int32".parse::<Type>().unwrap_err().to_string();
        assert!(
            problem.starts_with("\"int32\" is no type; write one of bool, int64, "),
            "{problem}"
        );
    }
}
