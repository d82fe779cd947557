//! Reading ISO 8601 extended and RFC 3339. What Postgres would bend (a second of 60, 24:00, a seventh decimal) is
//! refused with a sentence of its own.

use super::{
    Date, MICROS_PER_SECOND, TIMESTAMP_END, TIMESTAMP_MIN, Time, Timestamp, Timestamptz, calendar,
    micros_of,
};
use crate::error::{Problem, shown};

const DATE: &str = "2013-01-31";
const TIME: &str = "05:00:00.000000";
const TIMESTAMP: &str = "2013-01-31T05:00:00.000000";
const TIMESTAMPTZ: &str = "2013-01-31T05:00:00.000000Z";

pub(super) fn date(text: &str) -> Result<Date, Problem> {
    match text {
        "infinity" => return Ok(Date::INFINITY),
        "-infinity" => return Ok(Date::NEG_INFINITY),
        _ => {}
    }
    let mut scan = Scan::new(text);
    let date = scan.date(DATE)?;
    if scan.rest.first() == Some(&b'T') {
        return scan.refuse(
            "has a time of day, a date has none; cut it at the T, or make the column a timestamp",
        );
    }
    scan.end(DATE)?;
    Ok(date)
}

pub(super) fn time(text: &str) -> Result<Time, Problem> {
    let mut scan = Scan::new(text);
    let time = scan.time(TIME)?;
    if scan.at_offset() {
        return scan.refuse("has an offset, a time of day has none; write it without");
    }
    scan.end(TIME)?;
    Ok(time)
}

pub(super) fn timestamp(text: &str) -> Result<Timestamp, Problem> {
    match text {
        "infinity" => return Ok(Timestamp::INFINITY),
        "-infinity" => return Ok(Timestamp::NEG_INFINITY),
        _ => {}
    }
    let mut scan = Scan::new(text);
    let micros = scan.moment(TIMESTAMP)?;
    if scan.at_offset() {
        return scan.refuse("has an offset, a timestamp has none; write it without, or make the column a timestamptz");
    }
    scan.end(TIMESTAMP)?;
    Ok(Timestamp(micros))
}

pub(super) fn timestamptz(text: &str) -> Result<Timestamptz, Problem> {
    match text {
        "infinity" => return Ok(Timestamptz::INFINITY),
        "-infinity" => return Ok(Timestamptz::NEG_INFINITY),
        _ => {}
    }
    let mut scan = Scan::new(text);
    let micros = scan.moment(TIMESTAMPTZ)?;
    if scan.rest.is_empty() {
        return scan
            .refuse("has no offset; end it with Z if it is UTC, or make the column a timestamp");
    }
    let offset = scan.offset()?;
    scan.end(TIMESTAMPTZ)?;
    match micros.checked_sub(offset) {
        Some(micros) if (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros) => Ok(Timestamptz(micros)),
        _ => scan.refuse(BEYOND),
    }
}

const BEYOND: &str =
    "is beyond what Postgres holds (-4713-11-24 to +294276-12-31); make the column a string";

/// What is left of a text that is read from its start.
struct Scan<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.as_bytes(),
        }
    }

    fn refuse<T>(&self, why: &str) -> Result<T, Problem> {
        Err(Problem::new(format!("{} {why}", shown(self.text))))
    }

    /// The text has another form than the example's.
    fn unlike<T>(&self, example: &str) -> Result<T, Problem> {
        let text = self.text;
        if example == TIME && (text.starts_with('-') || text.find(':') == Some(3)) {
            return self.refuse("is outside the day; make the column a string");
        }
        if example != TIME
            && text
                .trim_start_matches(['-', '+'])
                .eq_ignore_ascii_case("infinity")
        {
            return self.refuse("is written infinity or -infinity, in small letters");
        }
        self.refuse(&format!("has another form; write it as {example}"))
    }

    fn end(&self, example: &str) -> Result<(), Problem> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            self.unlike(example)
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Two digits.
    fn two(&mut self) -> Option<u8> {
        match *self.rest {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ref rest @ ..] => {
                self.rest = rest;
                Some((tens - b'0') * 10 + (ones - b'0'))
            }
            _ => None,
        }
    }

    /// Digits, at most seven: no year has more.
    fn digits(&mut self) -> (i64, usize) {
        let mut number = 0;
        let mut count = 0;
        while let Some((&digit @ b'0'..=b'9', rest)) = self.rest.split_first()
            && count < 7
        {
            number = number * 10 + i64::from(digit - b'0');
            count += 1;
            self.rest = rest;
        }
        (number, count)
    }

    fn at_offset(&self) -> bool {
        matches!(self.rest.first(), Some(b'Z' | b'z' | b'+' | b'-'))
    }

    fn date(&mut self, example: &str) -> Result<Date, Problem> {
        let negative = self.take(b'-');
        let signed = negative || self.take(b'+');
        let (year, digits) = self.digits();
        let width = if signed {
            (4..=7).contains(&digits)
        } else {
            digits == 4
        };
        if !signed && digits > 4 && self.rest.first() == Some(&b'-') {
            return self.refuse(
                "has a year of more than four digits; write it with a sign, as +12345-01-01",
            );
        }
        if !width || !self.take(b'-') {
            return self.unlike(example);
        }
        let Some(month) = self.two() else {
            return self.unlike(example);
        };
        if !self.take(b'-') {
            return self.unlike(example);
        }
        let Some(day) = self.two() else {
            return self.unlike(example);
        };
        calendar::day(if negative { -year } else { year }, month, day)
            .map_err(|problem| Problem::new(format!("{} is no day: {problem}", shown(self.text))))
    }

    fn time(&mut self, example: &str) -> Result<Time, Problem> {
        let Some(hour) = self.two() else {
            return self.unlike(example);
        };
        if !self.take(b':') {
            return self.unlike(example);
        }
        let Some(minute) = self.two() else {
            return self.unlike(example);
        };
        if !self.take(b':') {
            return self.refuse(&format!("has no seconds; write it as {example}"));
        }
        let Some(second) = self.two() else {
            return self.unlike(example);
        };
        if hour == 24 {
            return self
                .refuse("has the hour 24, which is the next day; write 00:00:00 of that day");
        }
        if second == 60 {
            return self.refuse("has the second 60, which Postgres would carry into the next minute; write 59, or make the column a string");
        }
        if hour > 24 || minute > 59 || second > 60 {
            return self.refuse("is no time of day; hours go to 23, minutes and seconds to 59");
        }
        let micros = if self.take(b'.') {
            self.fraction(example)?
        } else {
            0
        };
        let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        Ok(Time(seconds * MICROS_PER_SECOND + micros))
    }

    fn fraction(&mut self, example: &str) -> Result<i64, Problem> {
        let count = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.rest.split_at(count);
        if digits.is_empty() {
            return self.unlike(example);
        }
        if digits.iter().skip(6).any(|digit| *digit != b'0') {
            return self.refuse("is finer than a microsecond; round it to six decimals in the query, or make the column a string");
        }
        self.rest = rest;
        let micros = digits
            .iter()
            .take(6)
            .fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
        let missing = 6_u32.saturating_sub(u32::try_from(count).unwrap_or(6));
        Ok(micros * 10_i64.pow(missing))
    }

    fn moment(&mut self, example: &str) -> Result<i64, Problem> {
        let date = self.date(example)?;
        if matches!(self.rest.first(), Some(b' ' | b't')) {
            return self.refuse(&format!(
                "has no T between day and time; write it as {example}"
            ));
        }
        if !self.take(b'T') {
            return self.unlike(example);
        }
        let time = self.time(example)?;
        match micros_of(date, time) {
            Some(micros) => Ok(micros),
            None => self.refuse(BEYOND),
        }
    }

    /// Microseconds east of UTC.
    fn offset(&mut self) -> Result<i64, Problem> {
        if self.take(b'Z') {
            return Ok(0);
        }
        let west = self.take(b'-');
        if !west && !self.take(b'+') {
            return self.unlike(TIMESTAMPTZ);
        }
        let hour = self.two();
        let colon = self.take(b':');
        let minute = self.two();
        match (hour, colon, minute) {
            (Some(hour @ 0..=23), true, Some(minute @ 0..=59)) => {
                let micros = (i64::from(hour) * 60 + i64::from(minute)) * 60 * MICROS_PER_SECOND;
                Ok(if west { -micros } else { micros })
            }
            _ => self.refuse("has an offset of another form; write it as Z, +05:30 or -05:00"),
        }
    }
}
