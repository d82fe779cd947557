//! The one text form of each: microseconds always in full, UTC as `Z`, years outside 0001–9999 with a sign.

use super::{Date, MICROS_PER_DAY, MICROS_PER_SECOND, Time, Timestamp, Timestamptz, calendar};

pub(super) fn date(date: Date, out: &mut Vec<u8>) {
    match date {
        Date::INFINITY => out.extend_from_slice(b"infinity"),
        Date::NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        Date(days) => push_day(i64::from(days), out),
    }
}

pub(super) fn time(time: Time, out: &mut Vec<u8>) {
    let seconds = time.0 / MICROS_PER_SECOND;
    push_digits(seconds / 3600, 2, out);
    out.push(b':');
    push_digits(seconds / 60 % 60, 2, out);
    out.push(b':');
    push_digits(seconds % 60, 2, out);
    out.push(b'.');
    push_digits(time.0 % MICROS_PER_SECOND, 6, out);
}

pub(super) fn timestamp(timestamp: Timestamp, out: &mut Vec<u8>) {
    push_moment(timestamp.0, b"", out);
}

pub(super) fn timestamptz(instant: Timestamptz, out: &mut Vec<u8>) {
    push_moment(instant.0, b"Z", out);
}

fn push_moment(micros: i64, suffix: &[u8], out: &mut Vec<u8>) {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            push_day(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b'T');
            time(Time(micros.rem_euclid(MICROS_PER_DAY)), out);
            out.extend_from_slice(suffix);
        }
    }
}

fn push_day(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = calendar::civil(days);
    if !(1..=9999).contains(&year) {
        out.push(if year < 0 { b'-' } else { b'+' });
    }
    let year = i64::from(year.unsigned_abs());
    let width = if year < 10_000 { 4 } else { year.ilog10() + 1 };
    push_digits(year, width, out);
    out.push(b'-');
    push_digits(i64::from(month), 2, out);
    out.push(b'-');
    push_digits(i64::from(day), 2, out);
}

fn push_digits(number: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        // The remainder of a division by ten is below ten.
        let digit = u8::try_from(number / 10_i64.pow(place) % 10).unwrap_or_default();
        out.push(b'0' + digit);
    }
}
