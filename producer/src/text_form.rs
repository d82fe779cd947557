//! A source's text form, read as a value of a type of the message.
//!
//! Nothing is bent: what a type can't hold is refused with what to write instead.

use std::fmt::Write as _;

use nightdrop_schema::{Date, Decimal, Json, Time, Timestamp, Timestamptz, Type, Value};
use uuid::Uuid;

/// Reads `text` as a value of `ty`. `scratch` is where a moment is rewritten into the message's
/// form: `2013-01-31 05:00:00+00` is the databases' way, `2013-01-31T05:00:00Z` the message's.
///
/// # Errors
/// A sentence: what was found, and what to do.
pub(crate) fn parse<'a>(
    ty: Type,
    text: &'a str,
    scratch: &mut String,
) -> Result<Value<'a>, String> {
    Ok(match ty {
        Type::Bool => Value::Bool(bool(text)?),
        Type::Int64 => Value::Int64(
            text.parse()
                .map_err(|_| no(text, "no integer of 64 bits"))?,
        ),
        Type::Decimal => {
            Value::Decimal(Decimal::parse(text).map_err(|problem| problem.to_string())?)
        }
        Type::Float64 => Value::Float64(float(text)?),
        Type::String => Value::String(text),
        Type::Bytes => Value::Bytes(text.as_bytes()),
        Type::Date => {
            Value::Date(Date::parse(iso(text, scratch)).map_err(|problem| problem.to_string())?)
        }
        Type::Time => Value::Time(Time::parse(text).map_err(|problem| problem.to_string())?),
        Type::Timestamp => Value::Timestamp(
            Timestamp::parse(iso(text, scratch)).map_err(|problem| problem.to_string())?,
        ),
        Type::Timestamptz => Value::Timestamptz(
            Timestamptz::parse(iso(text, scratch)).map_err(|problem| problem.to_string())?,
        ),
        Type::Uuid => Value::Uuid(Uuid::parse_str(text).map_err(|_| no(text, "no UUID"))?),
        Type::Json => Value::Json(Json::parse(text).map_err(|problem| problem.to_string())?),
    })
}

fn no(text: &str, what: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("{shown:?} is {what}")
}

fn bool(text: &str) -> Result<bool, String> {
    match text {
        "t" | "true" | "TRUE" | "1" => Ok(true),
        "f" | "false" | "FALSE" | "0" => Ok(false),
        _ => Err(no(text, "neither true nor false")),
    }
}

fn float(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust reads "inf", "nan" and the like in any case; no source writes them.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
        || text.contains(['n', 'N'])
    {
        return Err(no(text, "no number"));
    }
    let number: f64 = text.parse().map_err(|_| no(text, "no number"))?;
    if number.is_infinite() {
        return Err(no(
            text,
            "beyond what a float64 holds; say decimal or string",
        ));
    }
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    if number == 0.0 && digits.contains(|digit: char| matches!(digit, '1'..='9')) {
        return Err(no(
            text,
            "nearer to zero than a float64 comes; say decimal or string",
        ));
    }
    Ok(number)
}

/// The `real` that a text of a 32-bit float stands for, as the float64 with the same shortest
/// digits: 1.1 stays 1.1, and cast back to `real` it is the same number.
pub(crate) fn widened(number: f32) -> f64 {
    if !number.is_finite() {
        return f64::from(number);
    }
    // The shortest digits of a 32-bit float are always a number.
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// The message's form of a database's moment: `T` between day and time, years before 1 in
/// astronomical numbers, years after 9999 with a sign, `+00` as `Z`.
fn iso<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    let bytes = text.as_bytes();
    // A plain day, or already the message's form.
    if bytes.len() == 10 && bytes[4] == b'-' || bytes.contains(&b'T') || text.ends_with("infinity")
    {
        return text;
    }
    scratch.clear();
    let (moment, before_christ) = match text.strip_suffix(" BC") {
        Some(moment) => (moment, true),
        None => (text, false),
    };
    let (year, rest) = match moment.find('-') {
        // A sign, not a separator.
        Some(0) | None => return text,
        Some(end) => moment.split_at(end),
    };
    let Ok(number) = year.parse::<i64>() else {
        return text;
    };
    // Writing to a String can't fail.
    let _ = match (before_christ, number) {
        (true, 1) => write!(scratch, "0000"),
        (true, _) => write!(scratch, "-{:04}", number - 1),
        (false, 10_000..) => write!(scratch, "+{number}"),
        (false, _) => write!(scratch, "{number:04}"),
    };
    let (day, time) = rest
        .split_once(' ')
        .map_or((rest, None), |(day, time)| (day, Some(time)));
    scratch.push_str(day);
    if let Some(time) = time {
        scratch.push('T');
        scratch.push_str(time);
        let offset = time.rfind(['+', '-']).map(|at| &time[at..]);
        match offset {
            Some("+00" | "-00") => {
                scratch.truncate(scratch.len() - 3);
                scratch.push('Z');
            }
            // Whole hours are written short.
            Some(offset) if offset.len() == 3 => scratch.push_str(":00"),
            _ => {}
        }
    }
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ty: Type, text: &str) -> String {
        let mut scratch = String::new();
        match parse(ty, text, &mut scratch) {
            Ok(Value::Date(date)) => date.to_string(),
            Ok(Value::Timestamp(moment)) => moment.to_string(),
            Ok(Value::Timestamptz(moment)) => moment.to_string(),
            Ok(value) => format!("{value:?}"),
            Err(sentence) => sentence,
        }
    }

    #[test]
    fn postgres_moments_become_the_message_s() {
        for (ty, text, message) in [
            (Type::Date, "2013-01-31", "2013-01-31"),
            (Type::Date, "4713-01-01 BC", "-4712-01-01"),
            (Type::Date, "5874897-12-31", "+5874897-12-31"),
            (Type::Date, "-infinity", "-infinity"),
            (
                Type::Timestamp,
                "2013-01-31 05:00:00",
                "2013-01-31T05:00:00.000000",
            ),
            (
                Type::Timestamp,
                "2013-01-31 05:00:00.123456",
                "2013-01-31T05:00:00.123456",
            ),
            (
                Type::Timestamp,
                "0044-03-15 12:00:00 BC",
                "-0043-03-15T12:00:00.000000",
            ),
            (
                Type::Timestamp,
                "294276-12-31 23:59:59.999999",
                "+294276-12-31T23:59:59.999999",
            ),
            (Type::Timestamp, "infinity", "infinity"),
            (
                Type::Timestamptz,
                "2013-01-31 05:00:00+00",
                "2013-01-31T05:00:00.000000Z",
            ),
            (
                Type::Timestamptz,
                "2013-01-31 05:00:00.5-05",
                "2013-01-31T10:00:00.500000Z",
            ),
            (
                Type::Timestamptz,
                "2013-01-31 05:00:00+05:30",
                "2013-01-30T23:30:00.000000Z",
            ),
            (
                Type::Timestamptz,
                "4713-01-01 00:00:00+00 BC",
                "-4712-01-01T00:00:00.000000Z",
            ),
            (
                Type::Timestamptz,
                "2013-01-31T05:00:00Z",
                "2013-01-31T05:00:00.000000Z",
            ),
        ] {
            assert_eq!(shown(ty, text), message, "{text}");
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused_and_not_bent() {
        insta::assert_snapshot!(shown(Type::Int64, "9223372036854775808"), @r#""9223372036854775808" is no integer of 64 bits"#);
        insta::assert_snapshot!(shown(Type::Bool, "2"), @r#""2" is neither true nor false"#);
        insta::assert_snapshot!(shown(Type::Float64, "1e309"), @r#""1e309" is beyond what a float64 holds; say decimal or string"#);
        insta::assert_snapshot!(shown(Type::Float64, "1e-400"), @r#""1e-400" is nearer to zero than a float64 comes; say decimal or string"#);
        insta::assert_snapshot!(shown(Type::Float64, "inf"), @r#""inf" is no number"#);
        insta::assert_snapshot!(shown(Type::Uuid, "x"), @r#""x" is no UUID"#);
        for (ty, text) in [
            (Type::Time, "24:00:00"),
            (Type::Date, "0000-00-00"),
            (Type::Date, "2020-02-30"),
        ] {
            let mut scratch = String::new();
            assert!(parse(ty, text, &mut scratch).is_err(), "{text}");
        }
    }

    #[test]
    fn a_real_keeps_its_digits_and_its_value() {
        for number in [
            1.1_f32,
            0.1,
            16_777_216.0,
            3.402_823_5e38,
            f32::from_bits(1),
            -0.0,
        ] {
            assert_eq!(widened(number).to_string(), number.to_string());
            #[expect(
                clippy::cast_possible_truncation,
                reason = "casting back is the promise"
            )]
            let back = widened(number) as f32;
            assert_eq!(back.to_bits(), number.to_bits());
        }
        assert!(widened(f32::NAN).is_nan());
        assert!(widened(f32::INFINITY).is_infinite());
    }
}
