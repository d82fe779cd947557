//! `schedule`: when cron starts a job. The producer starts nothing by it: it promises when the next result will
//! have come, so that the reporting side notices one that hasn't.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use nightdrop_schema::Timestamptz;

/// A crontab's five fields, on a wall clock, and how long after them a result may come.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
    timezone: Tz,
    /// `timeout` and `grace` together.
    patience: Duration,
}

impl Schedule {
    /// Reads five fields as crontab has them, or `@daily` and the like.
    ///
    /// # Errors
    /// They are none, or never come.
    pub fn new(text: &str, timezone: Tz, patience: Duration) -> Result<Self, String> {
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(text)
            .map_err(|error| {
                if !text.starts_with('@') && text.split_whitespace().count() != 5 {
                    return "not five fields as in a crontab, such as \"0 5 * * *\"".to_owned();
                }
                let error = error.to_string();
                format!(
                    "{}; the fields are minute 0-59, hour 0-23, day of the month 1-31, month 1-12, day of the week 0-7",
                    error.trim_start_matches("Component error: ").trim_end_matches('.')
                )
            })?;
        let schedule = Self {
            text: text.to_owned(),
            cron,
            timezone,
            patience,
        };
        if schedule.next(Utc::now()).is_none() {
            return Err("that never comes".to_owned());
        }
        Ok(schedule)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where its wall clock hangs.
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    /// When it fires next, on its own wall clock.
    pub(crate) fn next_firing(&self, after: DateTime<Utc>) -> String {
        let next = self.next(after);
        let shown = next.map(|next| {
            let next = next.with_timezone(&self.timezone);
            next.format("%Y-%m-%d %H:%M %Z").to_string()
        });
        shown.unwrap_or_default()
    }

    /// Whether another wall clock shows the same time all through the year that comes.
    pub(crate) fn agrees_with<Z: TimeZone>(&self, other: &Z, from: DateTime<Utc>) -> bool {
        (0..53).all(|week| {
            let then = from + TimeDelta::weeks(week);
            let ours = then.with_timezone(&self.timezone).naive_local();
            ours == then.with_timezone(other).naive_local()
        })
    }

    fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.with_timezone(&self.timezone);
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    /// By when the next result will have come, after one that is `as_of` and whose run began at `begun`.
    ///
    /// Cron starts by this machine's clock, and `as_of` is by the source's: a source that is a moment behind
    /// must not make the firing that has just been the next.
    pub(crate) fn next_by(&self, as_of: Timestamptz, begun: DateTime<Utc>) -> Option<Timestamptz> {
        let as_of = as_of
            .unix_micros()
            .and_then(DateTime::<Utc>::from_timestamp_micros)?;
        let by = self
            .next(as_of.max(begun))?
            .checked_add_signed(TimeDelta::from_std(self.patience).ok()?)?;
        Timestamptz::from_unix_micros(by.timestamp_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_by(schedule: &str, timezone: Tz, as_of: &str, begun: &str) -> String {
        let patience = Duration::from_mins(40);
        let schedule = Schedule::new(schedule, timezone, patience).unwrap();
        let by = schedule.next_by(as_of.parse().unwrap(), begun.parse().unwrap());
        by.unwrap().to_string()
    }

    #[test]
    fn the_next_result_comes_by_the_next_firing_and_its_grace() {
        let five = |as_of, begun| next_by("0 5 * * *", Tz::UTC, as_of, begun);
        let next = "2013-02-01T05:40:00.000000Z";
        assert_eq!(five("2013-01-31T05:00:01Z", "2013-01-31T05:00:00Z"), next);
        // The source is behind, or ahead.
        assert_eq!(five("2013-01-31T04:59:58Z", "2013-01-31T05:00:00Z"), next);
        assert_eq!(five("2013-01-31T05:03:00Z", "2013-01-31T05:00:00Z"), next);
        // By hand, in between.
        assert_eq!(five("2013-01-31T17:00:00Z", "2013-01-31T17:00:00Z"), next);
    }

    #[test]
    fn a_schedule_follows_its_wall_clock() {
        let berlin = |as_of: &str| next_by("0 5 * * *", Tz::Europe__Berlin, as_of, as_of);
        assert_eq!(
            berlin("2013-03-30T04:00:01Z"),
            "2013-03-31T03:40:00.000000Z"
        );
        // 02:30 is left out on that day: the first moment after it counts.
        let gap = next_by(
            "30 2 * * *",
            Tz::Europe__Berlin,
            "2013-03-30T12:00:00Z",
            "2013-03-30T12:00:00Z",
        );
        assert_eq!(gap, "2013-03-31T01:40:00.000000Z");
    }

    #[test]
    fn the_next_firing_is_said_on_the_schedules_own_clock() {
        let berlin = Schedule::new("0 5 * * *", Tz::Europe__Berlin, Duration::ZERO).unwrap();
        let at = "2013-01-31T05:00:00Z".parse().unwrap();
        assert_eq!(berlin.next_firing(at), "2013-02-01 05:00 CET");
        assert!(berlin.agrees_with(&Tz::Europe__Paris, at));
        assert!(!berlin.agrees_with(&Tz::UTC, at));
        // In winter they agree.
        assert!(!berlin.agrees_with(&Tz::Africa__Lagos, at));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "* * * *", "0 0 5 * * *", "tomorrow"] {
            let error = Schedule::new(text, Tz::UTC, Duration::ZERO).unwrap_err();
            assert!(
                error.starts_with("not five fields as in a crontab"),
                "{text}: {error}"
            );
        }
        for text in ["0 25 * * *", "60 5 * * *", "0 5 * * tomorrow"] {
            let error = Schedule::new(text, Tz::UTC, Duration::ZERO).unwrap_err();
            assert!(
                error.contains("; the fields are minute 0-59, hour 0-23"),
                "{text}: {error}"
            );
            assert!(!error.contains("not five fields"), "{text}: {error}");
        }
        let never = Schedule::new("0 0 30 2 *", Tz::UTC, Duration::ZERO).unwrap_err();
        assert_eq!(never, "that never comes");
    }
}
