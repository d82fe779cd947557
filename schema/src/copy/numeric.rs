//! The binary form of `numeric`: base-10000 digits, as `numeric_recv` reads them.

use crate::decimal::{Decimal, Digits};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
// Both since Postgres 14.
const INFINITY: u16 = 0xd000;
const NEG_INFINITY: u16 = 0xf000;

/// Appends the count of digits, the weight of the first, the sign, the display scale, then the digits.
pub(super) fn encode(decimal: Decimal<'_>, out: &mut Vec<u8>) {
    let Some(digits) = decimal.digits() else {
        let sign = match decimal.as_str() {
            "Infinity" => INFINITY,
            "-Infinity" => NEG_INFINITY,
            _ => NAN,
        };
        return push_head(0, 0, sign, 0, out);
    };
    let scale = narrow(digits.scale());
    let Some(zeros) = digits.leading_zeros() else {
        return push_head(0, 0, POSITIVE, scale, out);
    };
    // A digit's weight is its power of 10000, so the point lies between two digits: the first may need zeros before it.
    let before = digits.before();
    let weight = (before + 3).div_euclid(4) - 1;
    let missing: usize = narrow((weight + 1) * 4 - before);
    let start = out.len();
    push_head(0, 0, POSITIVE, scale, out);
    let count = push_digits(&digits, zeros, missing, out);
    let sign = if digits.negative { NEGATIVE } else { POSITIVE };
    let mut head = Vec::with_capacity(8);
    push_head(count, narrow(weight), sign, scale, &mut head);
    out[start..start + 8].copy_from_slice(&head);
}

fn push_head(count: u16, weight: i16, sign: u16, scale: u16, out: &mut Vec<u8>) {
    for part in [
        count.to_be_bytes(),
        weight.to_be_bytes(),
        sign.to_be_bytes(),
        scale.to_be_bytes(),
    ] {
        out.extend_from_slice(&part);
    }
}

/// Appends the digits from the first that is not zero to the last that is not, four to a digit; says how many.
fn push_digits(digits: &Digits<'_>, zeros: usize, missing: usize, out: &mut Vec<u8>) -> u16 {
    let start = out.len();
    let mut group = 0_u16;
    let mut filled = missing;
    // Where the last digit that is not zero ends: those after it are not sent.
    let mut end = start;
    let mut push = |group: u16, out: &mut Vec<u8>| {
        out.extend_from_slice(&group.to_be_bytes());
        if group != 0 {
            end = out.len();
        }
    };
    for digit in digits.all().skip(zeros) {
        group = group * 10 + u16::from(digit);
        filled += 1;
        if filled == 4 {
            push(group, out);
            (group, filled) = (0, 0);
        }
    }
    if filled > 0 {
        for _ in filled..4 {
            group *= 10;
        }
        push(group, out);
    }
    out.truncate(end);
    narrow((end - start) / 2)
}

/// For numbers that the limits of a [`Decimal`] keep within the target's range.
fn narrow<T: TryFrom<N> + Default, N>(number: N) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (i16, u16, u16, Vec<u16>) {
        let mut out = Vec::new();
        encode(Decimal::parse(text).unwrap(), &mut out);
        let words: Vec<u16> = out
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(usize::from(words[0]), words.len() - 4, "{text}");
        (
            words[1].cast_signed(),
            words[2],
            words[3],
            words[4..].to_vec(),
        )
    }

    /// As `numeric_send` of Postgres 15 gives them.
    #[test]
    fn digits_weight_sign_and_scale_are_those_of_postgres() {
        for (text, weight, sign, scale, digits) in [
            ("0", 0, POSITIVE, 0, &[][..]),
            ("-0.00", 0, POSITIVE, 2, &[]),
            ("1", 0, POSITIVE, 0, &[1]),
            ("-1.50", 0, NEGATIVE, 2, &[1, 5000]),
            ("9999", 0, POSITIVE, 0, &[9999]),
            ("10000", 1, POSITIVE, 0, &[1]),
            ("10001.0001", 1, POSITIVE, 4, &[1, 1, 1]),
            ("0.1", -1, POSITIVE, 1, &[1000]),
            ("0.0001", -1, POSITIVE, 4, &[1]),
            ("0.00001", -2, POSITIVE, 5, &[1000]),
            (
                "123456789.87654321",
                2,
                POSITIVE,
                8,
                &[1, 2345, 6789, 8765, 4321],
            ),
            ("100000000.00000001", 2, POSITIVE, 8, &[1, 0, 0, 0, 1]),
            ("1.50e1", 0, POSITIVE, 1, &[15]),
            ("15e-1", 0, POSITIVE, 1, &[1, 5000]),
            ("1e10", 2, POSITIVE, 0, &[100]),
            ("1.5e3", 0, POSITIVE, 0, &[1500]),
            ("1E-20", -5, POSITIVE, 20, &[1]),
            ("000123.4500", 0, POSITIVE, 4, &[123, 4500]),
            (".5", -1, POSITIVE, 1, &[5000]),
            ("NaN", 0, NAN, 0, &[]),
            ("Infinity", 0, INFINITY, 0, &[]),
            ("-Infinity", 0, NEG_INFINITY, 0, &[]),
        ] {
            assert_eq!(
                parts(text),
                (weight, sign, scale, digits.to_vec()),
                "{text}"
            );
        }
    }

    #[test]
    fn the_largest_and_the_smallest_fit() {
        assert_eq!(parts("1e131071"), (32_767, POSITIVE, 0, vec![1000]));
        assert_eq!(parts("1e-16383"), (-4096, POSITIVE, 16_383, vec![10]));
    }
}
