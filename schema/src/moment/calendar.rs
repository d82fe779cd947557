//! Days and years, proleptic Gregorian, astronomical: year 0 is 1 BC.

use super::{DATE_END, DATE_MIN, Date, UNIX_EPOCH_DAYS};
use crate::error::Problem;

const MONTHS: [(&str, u8); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// The day of a year, a month and a day of the month, both from 1.
pub(super) fn day(year: i64, month: u8, day: u8) -> Result<Date, Problem> {
    let Some(&(name, days)) = MONTHS.get(usize::from(month).wrapping_sub(1)) else {
        return Err(Problem::new(format!(
            "there is no month {month:02}; write one from 01 to 12"
        )));
    };
    let last = if month == 2 && is_leap(year) {
        29
    } else {
        days
    };
    if day == 0 || day > last {
        return Err(Problem::new(format!(
            "there is no day {day:02} in {name} of the year {year}; write one from 01 to {last}"
        )));
    }
    let days = days_since_2000(year, month, day);
    match i32::try_from(days) {
        Ok(days) if (DATE_MIN..DATE_END).contains(&days) => Ok(Date(days)),
        _ => Err(Problem::new(
            "the day is beyond what Postgres holds (-4713-11-24 to +5874897-12-31); make the column a string",
        )),
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

// Both directions after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years start in March, so that
// the leap day is the last of its year; eras have 400 years of 146,097 days in all.

fn days_since_2000(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day_of_era - 719_468 - UNIX_EPOCH_DAYS
}

/// The year, month and day of a day since 2000-01-01 within the limits of [`Date`].
pub(super) fn civil(days: i64) -> (i32, u8, u8) {
    let days = days + UNIX_EPOCH_DAYS + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (narrow(year), narrow(month), narrow(day))
}

/// For numbers that are within the target's range by construction.
fn narrow<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}
