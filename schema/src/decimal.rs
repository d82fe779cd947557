//! Decimals, kept as the digits that they were written in.

use std::fmt;

use crate::error::{Problem, shown};

/// What Postgres's `numeric` holds (manual, table "Numeric Types"): digits before the point, digits after it.
const BEFORE: i64 = 131_072;
const AFTER: i64 = 16_383;

/// `numeric`'s own input refuses an exponent of half of 2^31, even of zero.
const EXPONENT: i64 = 1 << 29;

/// A decimal as it was written: digits with an optional sign, point and exponent; or NaN, Infinity, -Infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal<'a>(&'a str);

impl<'a> Decimal<'a> {
    /// Checks that Postgres's `numeric` holds the text exactly, down to the zeros at its end.
    ///
    /// # Errors
    /// If it is no decimal, or has more than 131,072 digits before the point or 16,383 after it.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        if matches!(text, "NaN" | "Infinity" | "-Infinity") {
            return Ok(Self(text));
        }
        let Some(digits) = Digits::split(text) else {
            return Err(Problem::new(format!(
                "{} is no decimal; write its digits as \"-12.50\", or \"NaN\", \"Infinity\", \"-Infinity\"",
                shown(text)
            )));
        };
        let refuse = |why: String| {
            Err(Problem::new(format!(
                "{} {why}; make the column a string",
                shown(text)
            )))
        };
        if digits.scale() > AFTER {
            return refuse(format!(
                "has more than the {AFTER} digits after the point that Postgres holds"
            ));
        }
        if digits.before() > BEFORE || digits.exponent > EXPONENT {
            return refuse(format!(
                "has more than the {BEFORE} digits before the point that Postgres holds"
            ));
        }
        Ok(Self(text))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Its parts; None of NaN and the infinities.
    pub(crate) fn digits(&self) -> Option<Digits<'a>> {
        Digits::split(self.0)
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// The parts of a decimal's text: `integer.fraction × 10^exponent`.
pub(crate) struct Digits<'a> {
    pub(crate) negative: bool,
    pub(crate) integer: &'a [u8],
    pub(crate) fraction: &'a [u8],
    /// Saturated far beyond all limits.
    pub(crate) exponent: i64,
}

impl<'a> Digits<'a> {
    /// The same forms as `numeric`'s own input takes: `[+-] (digits [. [digits]] | . digits) [e [+-] digits]`.
    fn split(text: &'a str) -> Option<Self> {
        let (negative, rest) = sign(text.as_bytes());
        let (integer, rest) = leading_digits(rest);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => leading_digits(rest),
            _ => (&rest[..0], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        let any = !integer.is_empty() || !fraction.is_empty();
        any.then_some(Self {
            negative,
            integer,
            fraction,
            exponent,
        })
    }

    /// All digits, without the point.
    pub(crate) fn all(&self) -> impl Iterator<Item = u8> + Clone + 'a {
        self.integer
            .iter()
            .chain(self.fraction)
            .map(|digit| digit - b'0')
    }

    /// How many digits are zero before the first that is not; None if all are.
    pub(crate) fn leading_zeros(&self) -> Option<usize> {
        self.all().position(|digit| digit != 0)
    }

    /// How many digits stand before the point, from the first that is not zero on; negative if there are zeros
    /// between the point and it. 0 of zero.
    pub(crate) fn before(&self) -> i64 {
        match self.leading_zeros() {
            Some(zeros) => {
                length(self.integer) + self.exponent - i64::try_from(zeros).unwrap_or(i64::MAX)
            }
            None => 0,
        }
    }

    /// How many digits stand after the point, as Postgres counts them: `1.50e1` has one.
    pub(crate) fn scale(&self) -> i64 {
        (length(self.fraction) - self.exponent).max(0)
    }
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

fn leading_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(
        bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count(),
    )
}

/// Whether there is a minus, and what follows the sign, if any.
fn sign(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    }
}

fn exponent(bytes: &[u8]) -> Option<i64> {
    const FAR: i64 = 1 << 40;
    let (negative, rest) = sign(bytes);
    let (digits, rest) = leading_digits(rest);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let size = digits.iter().fold(0, |size, digit| {
        FAR.min(size * 10 + i64::from(digit - b'0'))
    });
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_kept_as_it_was_written() {
        for text in [
            "0",
            "-0",
            "1.50",
            "1.50e1",
            "1E-20",
            "+1.5",
            ".5",
            "5.",
            "007",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            assert_eq!(Decimal::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1,5",
            "1 ",
            " 1",
            "0x10",
            "nan",
            "inf",
            "+Infinity",
            "1_000",
            "--1",
            "1.2.3",
            "١",
        ] {
            let problem = Decimal::parse(text).unwrap_err().to_string();
            assert!(problem.contains("is no decimal"), "{text}: {problem}");
        }
    }

    #[test]
    fn the_limits_are_those_of_numeric() {
        let before = "9".repeat(131_072);
        let after = format!("0.{}", "9".repeat(16_383));
        for good in [
            &before,
            &after,
            "1e131071",
            "1e-16383",
            "0.00001e131076",
            "0e5",
        ] {
            assert!(
                Decimal::parse(good).is_ok(),
                "{}",
                &good[..good.len().min(20)]
            );
        }
        for (bad, why) in [
            (format!("{before}0"), "digits before the point"),
            (format!("{after}0"), "digits after the point"),
            ("1e131072".to_owned(), "digits before the point"),
            ("0e1073741824".to_owned(), "digits before the point"),
            ("1e-16384".to_owned(), "digits after the point"),
            ("0e-16384".to_owned(), "digits after the point"),
            (
                "1e99999999999999999999".to_owned(),
                "digits before the point",
            ),
            (
                "1e-99999999999999999999".to_owned(),
                "digits after the point",
            ),
        ] {
            let problem = Decimal::parse(&bad).unwrap_err().to_string();
            assert!(problem.contains(why), "{problem}");
        }
    }
}
