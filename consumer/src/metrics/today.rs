//! How often something happened today: what is paid for by the request is asked for by the day.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, NaiveTime, Utc};

/// A count that begins anew at midnight UTC.
#[derive(Debug)]
pub struct Today(Mutex<Count>);

#[derive(Debug, Clone, Copy)]
struct Count {
    since: DateTime<Utc>,
    times: u64,
}

impl Count {
    fn at(self, now: DateTime<Utc>) -> Self {
        let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        if self.since < midnight {
            Self {
                since: midnight,
                times: 0,
            }
        } else {
            self
        }
    }
}

impl Today {
    /// None yet.
    pub fn since(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(Count {
            since: now,
            times: 0,
        }))
    }

    /// Once more.
    pub fn count(&self, now: DateTime<Utc>) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.at(now);
        count.times += 1;
    }

    /// How often, and since when: midnight, or when this process began to count.
    pub fn so_far(&self, now: DateTime<Utc>) -> (u64, DateTime<Utc>) {
        let count = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Count { since, times } = count.at(now);
        (times, since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_yesterday_is_not_counted_today() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let began = at("2026-11-21T23:59:58Z");
        let today = Today::since(began);
        today.count(began);
        today.count(at("2026-11-21T23:59:59Z"));
        assert_eq!(today.so_far(at("2026-11-21T23:59:59Z")), (2, began));
        let midnight = at("2026-11-22T00:00:00Z");
        assert_eq!(today.so_far(midnight), (0, midnight));
        today.count(at("2026-11-22T07:00:00Z"));
        assert_eq!(today.so_far(at("2026-11-22T08:00:00Z")), (1, midnight));
    }
}
