//! What a result says of itself before its rows.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::column::{Column, Type};
use crate::error::Error;
use crate::moment::{Date, Timestamp, Timestamptz};
use crate::name::ColumnName;

/// What a result's rows are to those that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// More rows.
    Append,
    /// All there is of this producer's job, or of the range.
    Replace {
        /// The part that is replaced.
        range: Option<Range>,
    },
    /// Rows that take the place of those with the same primary key.
    Upsert {
        /// The columns that identify a row, at least one.
        primary_key: Vec<ColumnName>,
    },
}

impl Mode {
    /// The word in the message.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace { .. } => "replace",
            Self::Upsert { .. } => "upsert",
        }
    }
}

/// A half-open range of a column's values: `from <= column < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// A column of type int64, date, timestamp or timestamptz.
    pub column: ColumnName,
    /// The first value inside.
    pub from: Bound,
    /// The first value after.
    pub to: Bound,
}

/// An end of a [`Range`], of its column's type, finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Of an int64 column.
    Int64(i64),
    /// Of a date column.
    Date(Date),
    /// Of a timestamp column.
    Timestamp(Timestamp),
    /// Of a timestamptz column.
    Timestamptz(Timestamptz),
}

impl Bound {
    /// The type of the column that it bounds.
    pub fn ty(self) -> Type {
        match self {
            Self::Int64(_) => Type::Int64,
            Self::Date(_) => Type::Date,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Timestamptz(_) => Type::Timestamptz,
        }
    }

    /// What orders bounds of one type: the integer itself, days or microseconds since 2000-01-01.
    pub fn raw(self) -> i64 {
        match self {
            Self::Int64(integer) => integer,
            Self::Date(date) => i64::from(date.raw()),
            Self::Timestamp(timestamp) => timestamp.raw(),
            Self::Timestamptz(instant) => instant.raw(),
        }
    }

    fn is_finite(self) -> bool {
        match self {
            Self::Int64(_) => true,
            Self::Date(date) => date.is_finite(),
            Self::Timestamp(timestamp) => timestamp.is_finite(),
            Self::Timestamptz(instant) => instant.is_finite(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int64(integer) => integer.fmt(f),
            Self::Date(date) => date.fmt(f),
            Self::Timestamp(timestamp) => timestamp.fmt(f),
            Self::Timestamptz(instant) => instant.fmt(f),
        }
    }
}

/// What a result says of itself before its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// What the rows are to those that came before.
    pub mode: Mode,
    /// What each cell of a row is, in order: 1 to 500.
    pub columns: Vec<Column>,
    /// What the query ran with, for people who ask later.
    pub parameters: Option<Map<String, Value>>,
    /// An instant by which the next result will have come: the promise that alarms are made of. Finite.
    pub next_by: Option<Timestamptz>,
}

impl Header {
    /// The place of a column among the columns.
    pub fn position(&self, name: &ColumnName) -> Option<usize> {
        self.columns.iter().position(|column| column.name == *name)
    }

    /// Checks the rules that hold between the members: what reader and writer both insist on.
    pub(crate) fn check(&self, most_columns: usize) -> Result<(), Error> {
        self.check_columns(most_columns)?;
        match &self.mode {
            Mode::Append | Mode::Replace { range: None } => {}
            Mode::Replace { range: Some(range) } => self.check_range(range)?,
            Mode::Upsert { primary_key } => self.check_primary_key(primary_key)?,
        }
        if self.next_by.is_some_and(|instant| !instant.is_finite()) {
            return Err(Error::contract(
                "data.next_by",
                "is infinite; write an instant, or leave the member out",
            ));
        }
        Ok(())
    }

    fn check_columns(&self, most: usize) -> Result<(), Error> {
        let count = self.columns.len();
        if count == 0 {
            return Err(Error::contract(
                "data.columns",
                "there are no columns; write at least one",
            ));
        }
        if count > most {
            let sentence =
                format!("there are {count} columns, {most} is the most; split the result");
            return Err(Error::contract("data.columns", sentence));
        }
        let mut seen = HashSet::with_capacity(count);
        for (index, column) in self.columns.iter().enumerate() {
            if !seen.insert(&column.name) {
                return Err(Error::contract(
                    format!("data.columns[{index}].name"),
                    format!(
                        "\"{}\" names an earlier column too; give one of the two an alias",
                        column.name
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_range(&self, range: &Range) -> Result<(), Error> {
        let Range { column, from, to } = range;
        let Some(position) = self.position(column) else {
            let sentence =
                format!("there is no column \"{column}\"; write the name of one of the columns");
            return Err(Error::contract("data.range.column", sentence));
        };
        let ty = self.columns[position].ty;
        if !ranges(ty) {
            return Err(Error::contract(
                "data.range.column",
                not_a_range(column, ty),
            ));
        }
        for (path, bound) in [("data.range.from", from), ("data.range.to", to)] {
            if bound.ty() != ty {
                let sentence = format!(
                    "is of type {}; \"{column}\" is of type {ty}: write it as that",
                    bound.ty()
                );
                return Err(Error::contract(path, sentence));
            }
            if !bound.is_finite() {
                return Err(Error::contract(
                    path,
                    "is infinite; leave the range out if the result is all there is",
                ));
            }
        }
        if from.raw() >= to.raw() {
            let sentence = format!(
                "{to} is not above from, {from}; a range is half-open: from <= {column} < to"
            );
            return Err(Error::contract("data.range.to", sentence));
        }
        Ok(())
    }

    fn check_primary_key(&self, primary_key: &[ColumnName]) -> Result<(), Error> {
        if primary_key.is_empty() {
            return Err(Error::contract(
                "data.primary_key",
                "is empty; write the columns that identify a row",
            ));
        }
        for (index, name) in primary_key.iter().enumerate() {
            let path = format!("data.primary_key[{index}]");
            if primary_key[..index].contains(name) {
                return Err(Error::contract(
                    path,
                    format!("\"{name}\" is there twice; write it once"),
                ));
            }
            let Some(position) = self.position(name) else {
                return Err(Error::contract(
                    path,
                    format!("there is no column \"{name}\"; write the name of one"),
                ));
            };
            let ty = self.columns[position].ty;
            if matches!(ty, Type::Float64 | Type::Json) {
                let sentence = format!(
                    "\"{name}\" is of type {ty}, which identifies no row; choose another column"
                );
                return Err(Error::contract(path, sentence));
            }
        }
        Ok(())
    }
}

/// Whether a column of the type can bound a range.
pub(crate) fn ranges(ty: Type) -> bool {
    matches!(
        ty,
        Type::Int64 | Type::Date | Type::Timestamp | Type::Timestamptz
    )
}

pub(crate) fn not_a_range(column: &ColumnName, ty: Type) -> String {
    format!(
        "\"{column}\" is of type {ty}; a range is over an int64, date, timestamp or timestamptz"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(mode: Mode) -> Header {
        let column = |name: &str, ty| Column::new(name.parse().unwrap(), ty);
        let columns = vec![
            column("day", Type::Date),
            column("n", Type::Int64),
            column("x", Type::Float64),
        ];
        Header {
            mode,
            columns,
            parameters: None,
            next_by: None,
        }
    }

    fn date(text: &str) -> Bound {
        Bound::Date(text.parse().unwrap())
    }

    fn range(column: &str, from: Bound, to: Bound) -> Mode {
        Mode::Replace {
            range: Some(Range {
                column: column.parse().unwrap(),
                from,
                to,
            }),
        }
    }

    fn upsert(names: &[&str]) -> Mode {
        Mode::Upsert {
            primary_key: names.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn refusal(header: &Header) -> String {
        header.check(500).unwrap_err().to_string()
    }

    #[test]
    fn a_range_is_over_a_column_that_is_there_and_has_an_order() {
        let (from, to) = (date("2013-01-01"), date("2013-02-01"));
        header(range("day", from, to)).check(500).unwrap();
        header(range("n", Bound::Int64(-1), Bound::Int64(0)))
            .check(500)
            .unwrap();
        assert!(
            refusal(&header(range("gone", from, to)))
                .starts_with("data.range.column: there is no column \"gone\"")
        );
        assert!(
            refusal(&header(range("x", from, to)))
                .starts_with("data.range.column: \"x\" is of type float64")
        );
        assert!(
            refusal(&header(range("n", from, to))).starts_with("data.range.from: is of type date")
        );
    }

    #[test]
    fn a_range_is_finite_and_not_empty() {
        let day = date("2013-01-01");
        assert!(
            refusal(&header(range("day", day, day)))
                .starts_with("data.range.to: 2013-01-01 is not above from")
        );
        assert!(
            refusal(&header(range("day", day, date("infinity"))))
                .starts_with("data.range.to: is infinite")
        );
    }

    #[test]
    fn a_primary_key_is_of_unique_columns_that_are_there_and_compare() {
        header(upsert(&["n", "day"])).check(500).unwrap();
        for (names, why) in [
            (&[][..], "data.primary_key: is empty"),
            (&["n", "n"], "data.primary_key[1]: \"n\" is there twice"),
            (
                &["gone"],
                "data.primary_key[0]: there is no column \"gone\"",
            ),
            (&["x"], "data.primary_key[0]: \"x\" is of type float64"),
        ] {
            assert!(
                refusal(&header(upsert(names))).starts_with(why),
                "{}",
                refusal(&header(upsert(names)))
            );
        }
    }

    #[test]
    fn columns_are_unique_at_least_one_and_not_too_many() {
        let mut twice = header(Mode::Append);
        twice.columns.push(twice.columns[1].clone());
        assert!(
            refusal(&twice).starts_with("data.columns[3].name: \"n\" names an earlier column too")
        );
        let none = Header {
            columns: Vec::new(),
            ..header(Mode::Append)
        };
        assert!(refusal(&none).starts_with("data.columns: there are no columns"));
        let error = header(Mode::Append).check(2).unwrap_err().to_string();
        assert!(
            error.starts_with("data.columns: there are 3 columns, 2 is the most"),
            "{error}"
        );
    }

    #[test]
    fn a_promise_of_the_next_result_is_an_instant() {
        let never = Header {
            next_by: Some(Timestamptz::INFINITY),
            ..header(Mode::Append)
        };
        assert!(refusal(&never).starts_with("data.next_by: is infinite"));
    }
}
