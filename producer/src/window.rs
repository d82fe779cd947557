//! `window` jobs: each result is one slot of time, whole and ended, and replaces what was said of it
//! before. No state is needed: a re-run or a backfill repeats without harm.
//!
//! Slots are those of a wall clock in the job's time zone: a day begins at its midnight and has 23,
//! 24 or 25 hours, an hour that comes twice is one slot, and one that is left out is none. A slot's
//! ends are days, wall-clock times or instants, as its column's type asks.

use std::fmt;

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, Months, NaiveDateTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::{GapInfo, Tz};
use nightdrop_schema::{Bound, ColumnName, Date, Time, Timestamp, Timestamptz, Type};

use crate::{
    interval::Interval,
    source::{Described, Error},
};

/// `window = { every = "1d", column = "flight_date" }` and `timezone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How long a slot is.
    pub every: Every,
    /// The column that says in which slot a row lies.
    pub column: ColumnName,
    /// Whose wall clock it is.
    pub timezone: Tz,
}

/// The length of a slot on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Less than a day, and a whole part of it.
    Minutes(u32),
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

/// One slot, by its ends on the wall clock of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    from: NaiveDateTime,
    to: NaiveDateTime,
}

const MINUTES_PER_DAY: u32 = 24 * 60;

impl std::str::FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = || {
            format!(
                "{text:?} is no slot; write \"1mo\", \"1w\", \"1d\", or hours or minutes that divide the day, such as \"6h\", \"1h\", \"15m\""
            )
        };
        let digits = text
            .find(|char: char| !char.is_ascii_digit())
            .ok_or_else(no)?;
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| no())?;
        let minutes = match (number, unit) {
            (1, "mo") => return Ok(Self::Month),
            (1, "w") => return Ok(Self::Week),
            (1, "d") => return Ok(Self::Day),
            (_, "h") => number.checked_mul(60).ok_or_else(no)?,
            (_, "m") => number,
            _ => return Err(no()),
        };
        match minutes {
            MINUTES_PER_DAY => Ok(Self::Day),
            1..MINUTES_PER_DAY if MINUTES_PER_DAY.is_multiple_of(minutes) => {
                Ok(Self::Minutes(minutes))
            }
            _ => Err(no()),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes(minutes) if minutes.is_multiple_of(60) => write!(f, "{}h", minutes / 60),
            Self::Minutes(minutes) => write!(f, "{minutes}m"),
            Self::Day => f.write_str("1d"),
            Self::Week => f.write_str("1w"),
            Self::Month => f.write_str("1mo"),
        }
    }
}

impl Every {
    /// Where the slot begins that a moment lies in.
    fn floor(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let midnight = local.date().and_hms_opt(0, 0, 0)?;
        match self {
            Self::Minutes(minutes) => {
                let into = (local - midnight).num_minutes();
                let minutes = i64::from(minutes);
                midnight.checked_add_signed(TimeDelta::minutes(into / minutes * minutes))
            }
            Self::Day => Some(midnight),
            Self::Week => {
                let days = local.weekday().num_days_from_monday();
                midnight.checked_sub_days(Days::new(days.into()))
            }
            Self::Month => midnight.with_day(1),
        }
    }

    /// Where the slot ends that begins here.
    fn end(self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Minutes(minutes) => from.checked_add_signed(TimeDelta::minutes(minutes.into())),
            Self::Day => from.checked_add_days(Days::new(1)),
            Self::Week => from.checked_add_days(Days::new(7)),
            Self::Month => from.checked_add_months(Months::new(1)),
        }
    }
}

impl Window {
    /// The last slot that has ended at an instant.
    pub(crate) fn last_ended(&self, clock: Timestamptz) -> Option<Slot> {
        let now = clock
            .unix_micros()
            .and_then(DateTime::<Utc>::from_timestamp_micros)?;
        let mut to = self.every.end(
            self.every
                .floor(now.with_timezone(&self.timezone).naive_local())?,
        )?;
        loop {
            let from = self
                .every
                .floor(to.checked_sub_signed(TimeDelta::microseconds(1))?)?;
            let slot = Slot { from, to };
            if self.has_ended(slot, clock) && !self.is_left_out(slot) {
                return Some(slot);
            }
            to = from;
        }
    }

    /// The slots between two moments, each of which must be a slot's end: `2013-01-01`,
    /// `2013-01-01T06:00:00` on the window's wall clock, or an instant with its offset.
    ///
    /// # Errors
    /// One is no moment, or no end of a slot; or they are in the wrong order.
    pub fn slots(&self, from: &str, to: &str) -> Result<Vec<Slot>, String> {
        let (mut start, end) = (self.edge("--from", from)?, self.edge("--to", to)?);
        if start >= end {
            return Err(format!("--to {to} is not after --from {from}"));
        }
        let mut slots = Vec::new();
        while start < end {
            let next = self.every.end(start).ok_or("that is too far away")?;
            let slot = Slot {
                from: start,
                to: next,
            };
            if !self.is_left_out(slot) {
                slots.push(slot);
            }
            start = next;
        }
        Ok(slots)
    }

    fn edge(&self, flag: &str, text: &str) -> Result<NaiveDateTime, String> {
        let local = self.moment(text).ok_or_else(|| {
            format!("{flag} {text} is no moment; write 2013-01-31, 2013-01-31T06:00:00 (in {}) or 2013-01-31T06:00:00Z", self.timezone)
        })?;
        match self.every.floor(local) {
            Some(edge) if edge == local => Ok(local),
            edge => Err(format!(
                "{flag} {text} lies inside a slot of {}; the slot begins at {}",
                self.every,
                edge.unwrap_or(local)
            )),
        }
    }

    fn moment(&self, text: &str) -> Option<NaiveDateTime> {
        if let Ok(date) = text.parse::<Date>() {
            return naive(Timestamp::new(date, Time::from_raw(0)?)?);
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return naive(moment);
        }
        let micros = text.parse::<Timestamptz>().ok()?.unix_micros()?;
        let instant = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(instant.with_timezone(&self.timezone).naive_local())
    }

    /// The interval of a slot, or of the last that has ended, with ends of the column's type.
    pub(crate) fn at(
        &self,
        slot: Option<Slot>,
        clock: Timestamptz,
        columns: &[Described],
    ) -> Result<Interval, Error> {
        let slot = match slot {
            Some(slot) if !self.has_ended(slot, clock) => {
                return Err(Error::SlotNotEnded {
                    slot: slot.to_string(),
                    timezone: self.timezone,
                    clock,
                });
            }
            Some(slot) => slot,
            None => self.last_ended(clock).ok_or_else(|| {
                Error::Unreachable(format!("its clock shows {clock}, before all slots"))
            })?,
        };
        let column = columns
            .iter()
            .map(|described| &described.column)
            .find(|column| column.name == self.column)
            .ok_or_else(|| Error::NoWindowColumn {
                column: self.column.clone(),
                known: columns
                    .iter()
                    .map(|described| described.column.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        let ends = self.ends(slot, column.ty)?;
        let [from, to] = ends.ok_or(Error::Silent)?;
        Ok(Interval {
            column: Some(self.column.clone()),
            from,
            to,
        })
    }

    fn ends(&self, slot: Slot, ty: Type) -> Result<Option<[Bound; 2]>, Error> {
        let unfit = |why| Error::WindowColumn {
            column: self.column.clone(),
            ty,
            why,
        };
        let bound: fn(&Self, NaiveDateTime) -> Option<Bound> = match (ty, self.every) {
            (Type::Date, Every::Minutes(_)) => {
                return Err(unfit(
                    "a slot that is shorter than a day has no days as ends",
                ));
            }
            (Type::Date, _) => |_, local| timestamp(local).map(day).map(Bound::Date),
            (Type::Timestamp, _) => |_, local| timestamp(local).map(Bound::Timestamp),
            (Type::Timestamptz, _) => |window, local| {
                Timestamptz::from_unix_micros(window.first(local)?.timestamp_micros())
                    .map(Bound::Timestamptz)
            },
            _ => {
                return Err(unfit(
                    "only a date, timestamp or timestamptz lies in a slot; `types` may say so",
                ));
            }
        };
        Ok(bound(self, slot.from)
            .zip(bound(self, slot.to))
            .map(|(from, to)| [from, to]))
    }

    /// Whether its end has passed: also the second time, where clocks were set back over it.
    fn has_ended(&self, slot: Slot, clock: Timestamptz) -> bool {
        let last = match self.timezone.from_local_datetime(&slot.to) {
            MappedLocalTime::Ambiguous(_, second) => Some(second),
            _ => self.first(slot.to),
        };
        last.zip(clock.unix_micros())
            .is_some_and(|(end, now)| end.timestamp_micros() <= now)
    }

    /// Whether clocks were set forward over it.
    fn is_left_out(&self, slot: Slot) -> bool {
        self.first(slot.from) == self.first(slot.to)
    }

    /// The first instant at which the wall clock shows this or, where it never does, more.
    fn first(&self, local: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.timezone.from_local_datetime(&local) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => {
                Some(instant)
            }
            MappedLocalTime::None => GapInfo::new(&local, &self.timezone)?.end,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// Postgres counts from here.
fn epoch() -> NaiveDateTime {
    DateTime::<Utc>::UNIX_EPOCH.naive_utc() + TimeDelta::days(10_957)
}

fn timestamp(local: NaiveDateTime) -> Option<Timestamp> {
    Timestamp::from_raw((local - epoch()).num_microseconds()?)
}

fn naive(moment: Timestamp) -> Option<NaiveDateTime> {
    moment
        .is_finite()
        .then(|| epoch().checked_add_signed(TimeDelta::microseconds(moment.raw())))?
}

/// The day of a midnight.
fn day(midnight: Timestamp) -> Date {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    i32::try_from(midnight.raw().div_euclid(MICROS_PER_DAY))
        .ok()
        .and_then(Date::from_raw)
        .unwrap_or(Date::INFINITY)
}

#[cfg(test)]
mod tests;
