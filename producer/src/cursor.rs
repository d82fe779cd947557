//! `cursor` jobs: each run reads what came since the last, `[watermark, source clock − lag)`.
//!
//! The upper bound is the next watermark, never the largest value that was seen: a row that is
//! committed late, with an earlier time, would lie below that and never be read. Up to `lag` is the
//! time that writers have to commit.

use std::time::Duration;

use nightdrop_schema::{Bound, Timestamptz};

use crate::{interval::Interval, source::Error};

/// `cursor = { start = "2013-01-01T00:00:00Z", lag = "5m" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Before the first row. Where there is no watermark, `--start` is asked for, and this is what
    /// is proposed.
    pub start: Option<Timestamptz>,
    /// How long a transaction that writes may take.
    pub lag: Duration,
}

/// A cursor job's part of the source: everything from the watermark on that is older than `lag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The watermark.
    pub from: Timestamptz,
    /// How old a row must be.
    pub lag: Duration,
}

impl Since {
    /// The end of the interval, by the source's clock.
    pub(crate) fn end(self, clock: Timestamptz) -> Timestamptz {
        let lag = i64::try_from(self.lag.as_micros()).unwrap_or(i64::MAX);
        clock
            .raw()
            .checked_sub(lag)
            .and_then(Timestamptz::from_raw)
            .unwrap_or(Timestamptz::NEG_INFINITY)
    }

    /// The interval, by the source's clock.
    ///
    /// # Errors
    /// It has not begun yet.
    pub(crate) fn at(self, clock: Timestamptz) -> Result<Interval, Error> {
        let (from, to) = (self.from, self.end(clock));
        if to <= from {
            return Err(Error::NotYet {
                from,
                clock,
                lag: self.lag,
            });
        }
        Ok(Interval {
            column: None,
            from: Bound::Timestamptz(from),
            to: Bound::Timestamptz(to),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(from: &str) -> Since {
        Since {
            from: from.parse().unwrap(),
            lag: Duration::from_mins(5),
        }
    }

    #[test]
    fn an_interval_ends_a_lag_before_the_clock_and_begins_where_the_last_ended() {
        let clock = "2013-01-31T05:00:00.000001Z".parse().unwrap();
        let interval = since("2013-01-31T04:00:00Z").at(clock).unwrap();
        assert_eq!(
            interval.to_string(),
            "[2013-01-31T04:00:00.000000Z, 2013-01-31T04:55:00.000001Z)"
        );
    }

    #[test]
    fn an_interval_that_has_not_begun_is_refused_by_name() {
        let clock = "2013-01-31T05:00:00Z".parse().unwrap();
        insta::assert_snapshot!(
            since("2013-01-31T04:55:00Z").at(clock).unwrap_err(),
            @"nothing to read yet: the source's clock shows 2013-01-31T05:00:00.000000Z, and less the lag of 5m that is not after the watermark, 2013-01-31T04:55:00.000000Z; was lag raised, the clock set back, or --start in the future?"
        );
        assert!(since("2013-01-31T04:54:59.999999Z").at(clock).is_ok());
    }
}
