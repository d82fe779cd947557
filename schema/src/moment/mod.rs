//! Days, times of day and instants, stored exactly as Postgres stores them: binary COPY is a `to_be_bytes()` away.
//!
//! Their text is the message's: ISO 8601 extended, RFC 3339 where there is an offset. No clock is read here, and no
//! time zone is known.

mod calendar;
mod parse;
mod write;

use std::fmt;
use std::str::FromStr;

use crate::error::Problem;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// From 1970-01-01 to 2000-01-01.
const UNIX_EPOCH_DAYS: i64 = 10_957;

// Postgres's limits, from its src/include/datatype/timestamp.h: Julian day 0 (24 November 4714 BC) up to
// 31 December 5874897 for days, 294276 for instants.
const DATE_MIN: i32 = -2_451_545;
const DATE_END: i32 = 2_145_031_949;
const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// A day, proleptic Gregorian: days since 2000-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// A time of day: microseconds since midnight, below 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A day and a time of day without a time zone: microseconds since 2000-01-01 00:00; `i64::MIN` and `i64::MAX` are
/// -infinity and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// An instant: microseconds since 2000-01-01 00:00 UTC; `i64::MIN` and `i64::MAX` are -infinity and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamptz(i64);

impl Date {
    /// Later than all days.
    pub const INFINITY: Self = Self(i32::MAX);
    /// Earlier than all days.
    pub const NEG_INFINITY: Self = Self(i32::MIN);

    /// From days since 2000-01-01, as Postgres stores them; None outside Postgres's range.
    pub const fn from_raw(days: i32) -> Option<Self> {
        match days {
            i32::MIN | i32::MAX | DATE_MIN..DATE_END => Some(Self(days)),
            _ => None,
        }
    }

    /// From a year (astronomical: 0 is 1 BC), a month and a day of the month, both from 1.
    ///
    /// # Errors
    /// If there is no such day, or it is outside Postgres's range.
    pub fn from_civil(year: i32, month: u8, day: u8) -> Result<Self, Problem> {
        calendar::day(i64::from(year), month, day)
    }

    /// The year (astronomical), month and day; None if it is infinite.
    pub fn civil(self) -> Option<(i32, u8, u8)> {
        self.is_finite().then(|| calendar::civil(i64::from(self.0)))
    }

    /// Days since 2000-01-01.
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// Whether it is a day, not infinity.
    pub const fn is_finite(self) -> bool {
        self.0 != i32::MIN && self.0 != i32::MAX
    }
}

impl Time {
    /// From microseconds since midnight; None below 0 and from 24:00 on.
    pub const fn from_raw(micros: i64) -> Option<Self> {
        match micros {
            0..MICROS_PER_DAY => Some(Self(micros)),
            _ => None,
        }
    }

    /// Microseconds since midnight.
    pub const fn raw(self) -> i64 {
        self.0
    }
}

impl Timestamp {
    /// Later than all others.
    pub const INFINITY: Self = Self(i64::MAX);
    /// Earlier than all others.
    pub const NEG_INFINITY: Self = Self(i64::MIN);

    /// From microseconds since 2000-01-01 00:00, as Postgres stores them; None outside Postgres's range.
    pub const fn from_raw(micros: i64) -> Option<Self> {
        if in_range(micros) {
            Some(Self(micros))
        } else {
            None
        }
    }

    /// A day and a time of day; an infinite day gives an infinite timestamp. None outside Postgres's range.
    pub fn new(date: Date, time: Time) -> Option<Self> {
        micros_of(date, time).map(Self)
    }

    /// Microseconds since 2000-01-01 00:00.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// Whether it is a moment, not infinity.
    pub const fn is_finite(self) -> bool {
        self.0 != i64::MIN && self.0 != i64::MAX
    }
}

impl Timestamptz {
    /// Later than all instants.
    pub const INFINITY: Self = Self(i64::MAX);
    /// Earlier than all instants.
    pub const NEG_INFINITY: Self = Self(i64::MIN);

    /// From microseconds since 2000-01-01 00:00 UTC, as Postgres stores them; None outside Postgres's range.
    pub const fn from_raw(micros: i64) -> Option<Self> {
        if in_range(micros) {
            Some(Self(micros))
        } else {
            None
        }
    }

    /// A day and a time of day in UTC; an infinite day gives an infinite instant. None outside Postgres's range.
    pub fn new(date: Date, time: Time) -> Option<Self> {
        micros_of(date, time).map(Self)
    }

    /// From microseconds since 1970-01-01 00:00 UTC; None outside Postgres's range.
    pub const fn from_unix_micros(micros: i64) -> Option<Self> {
        match micros.checked_sub(UNIX_EPOCH_DAYS * MICROS_PER_DAY) {
            Some(micros) if micros >= TIMESTAMP_MIN => Self::from_raw(micros),
            _ => None,
        }
    }

    /// Microseconds since 1970-01-01 00:00 UTC; None if it is infinite, or past what 64 bits hold (the year 294247).
    pub const fn unix_micros(self) -> Option<i64> {
        if self.is_finite() {
            self.0.checked_add(UNIX_EPOCH_DAYS * MICROS_PER_DAY)
        } else {
            None
        }
    }

    /// Microseconds since 2000-01-01 00:00 UTC.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// Whether it is an instant, not infinity.
    pub const fn is_finite(self) -> bool {
        self.0 != i64::MIN && self.0 != i64::MAX
    }

    /// The last whole second at or before it: what a key carries.
    #[must_use]
    pub const fn truncated_to_seconds(self) -> Self {
        if self.is_finite() {
            // The limits are whole seconds, so this stays within them.
            Self(self.0.div_euclid(MICROS_PER_SECOND) * MICROS_PER_SECOND)
        } else {
            self
        }
    }
}

const fn in_range(micros: i64) -> bool {
    matches!(micros, i64::MIN | i64::MAX | TIMESTAMP_MIN..TIMESTAMP_END)
}

fn micros_of(date: Date, time: Time) -> Option<i64> {
    match date {
        Date::INFINITY => Some(i64::MAX),
        Date::NEG_INFINITY => Some(i64::MIN),
        Date(days) => {
            let micros = i64::from(days)
                .checked_mul(MICROS_PER_DAY)?
                .checked_add(time.0)?;
            (TIMESTAMP_MIN..TIMESTAMP_END)
                .contains(&micros)
                .then_some(micros)
        }
    }
}

macro_rules! text_form {
    ($name:ident, $parse:path, $push:path) => {
        impl $name {
            /// Reads the message's text form.
            ///
            /// # Errors
            /// A sentence that says what to write instead. Nothing is rounded or carried over.
            pub fn parse(text: &str) -> Result<Self, Problem> {
                $parse(text)
            }

            /// Appends the message's text form, as `Display` does.
            pub fn push_to(self, out: &mut Vec<u8>) {
                $push(self, out);
            }
        }

        impl FromStr for $name {
            type Err = Problem;

            fn from_str(text: &str) -> Result<Self, Problem> {
                $parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = Vec::with_capacity(40);
                self.push_to(&mut out);
                f.pad(&String::from_utf8_lossy(&out))
            }
        }
    };
}

text_form!(Date, parse::date, write::date);
text_form!(Time, parse::time, write::time);
text_form!(Timestamp, parse::timestamp, write::timestamp);
text_form!(Timestamptz, parse::timestamptz, write::timestamptz);

#[cfg(test)]
mod tests;
