//! Which part of a source's rows a result is about: all, what is new, or a slot of time.
//!
//! A part is what is known before the source was asked; an interval is what it comes to by the
//! source's clock, with ends of the right type.

use std::fmt;

use nightdrop_schema::{Bound, ColumnName, Range, Timestamptz, Value};

use crate::{
    cursor::Since,
    parameters::{End, Parameter, Placeholder},
    source::{Described, Error},
    window::{Slot, Window},
};

/// Which part of its source's rows a query asks for.
#[derive(Debug, Clone)]
pub enum Part {
    /// All.
    Whole,
    /// What came since a watermark.
    Cursor(Since),
    /// One slot of time.
    Window {
        /// What slots there are.
        window: Window,
        /// Which one; the last that has ended if it is not said.
        slot: Option<Slot>,
    },
}

/// The half-open part of its rows that a result is about: `from <= … < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// The column that it is an interval of, where that is known: of a `window`.
    pub column: Option<ColumnName>,
    /// The first value inside.
    pub from: Bound,
    /// The first value after.
    pub to: Bound,
}

impl Part {
    /// The interval, by the source's clock. `columns` are looked at for a window only.
    ///
    /// # Errors
    /// There is no such interval yet, or its column can't have one.
    pub(crate) fn at(
        &self,
        clock: Timestamptz,
        columns: &[Described],
    ) -> Result<Option<Interval>, Error> {
        match self {
            Self::Whole => Ok(None),
            Self::Cursor(since) => since.at(clock).map(Some),
            Self::Window { window, slot } => window.at(*slot, clock, columns).map(Some),
        }
    }
}

impl Interval {
    /// What a result says that it replaces.
    pub(crate) fn range(&self) -> Option<Range> {
        self.column.clone().map(|column| Range {
            column,
            from: self.from,
            to: self.to,
        })
    }

    /// The values of the placeholders.
    pub(crate) fn bind(
        interval: Option<&Self>,
        placeholders: &[Placeholder],
    ) -> Result<Vec<Parameter>, Error> {
        placeholders
            .iter()
            .map(|placeholder| match placeholder {
                Placeholder::Value(parameter) => Ok(parameter.clone()),
                Placeholder::End(_, end) => {
                    // The configuration was checked: only jobs that have an interval name its ends.
                    let interval = interval.ok_or(Error::Silent)?;
                    let bound = match end {
                        End::From => interval.from,
                        End::To => interval.to,
                    };
                    Parameter::new(bound.ty(), bound.to_string()).map_err(Error::Refused)
                }
            })
            .collect()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)?;
        match &self.column {
            Some(column) => write!(f, " of {column}"),
            None => Ok(()),
        }
    }
}

/// Looks at each value that streams by: a row outside its result's range would be in nobody's.
pub(crate) struct Guard {
    range: Option<(usize, Range)>,
    columns: usize,
    place: usize,
    row: u64,
}

impl Guard {
    pub(crate) fn new(interval: Option<&Interval>, columns: &[Described]) -> Self {
        let range = interval.and_then(Interval::range).and_then(|range| {
            let place = columns
                .iter()
                .position(|described| described.column.name == range.column)?;
            Some((place, range))
        });
        Self {
            range,
            columns: columns.len(),
            place: 0,
            row: 1,
        }
    }

    /// One value, in the order of the columns.
    pub(crate) fn see(&mut self, value: &Value<'_>) -> Result<(), crate::Error> {
        if let Some((place, range)) = &self.range
            && *place == self.place
            && !raw(value).is_some_and(|raw| (range.from.raw()..range.to.raw()).contains(&raw))
        {
            return Err(crate::Error::OutsideRange {
                row: self.row,
                found: found(value),
                range: Box::new(range.clone()),
            });
        }
        self.place += 1;
        if self.place == self.columns {
            self.place = 0;
            self.row += 1;
        }
        Ok(())
    }
}

fn raw(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Date(date) => Some(i64::from(date.raw())),
        Value::Timestamp(moment) => Some(moment.raw()),
        Value::Timestamptz(instant) => Some(instant.raw()),
        _ => None,
    }
}

fn found(value: &Value<'_>) -> String {
    match value {
        Value::Date(date) => date.to_string(),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Timestamptz(instant) => instant.to_string(),
        _ => "null".to_owned(),
    }
}
