//! Text in columns, as a terminal shows it.

use chrono::{DateTime, Utc};

/// Lines of cells, each column as wide as its widest cell; those that `is_number` names stand to the right.
/// Nothing follows the last cell of a line.
pub(crate) fn align<const N: usize>(
    lines: &[[String; N]],
    is_number: impl Fn(usize) -> bool,
) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let width = |line: &[String; N]| line.get(column).map_or(0, |cell| cell.chars().count());
        lines.iter().map(width).max().unwrap_or_default()
    });
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if is_number(column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// An instant as people read it.
pub(crate) fn at(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A number of bytes as people say it.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = i128::from(bytes) * 10 / i128::from(unit);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// Text from outside on one line: nothing in it steers a terminal, or turns round what is written after it.
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { ' ' } else { c })
        .collect()
}

/// Control characters, what breaks a line, and what has a say in the direction of writing or isn't seen at all.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_to_the_left_and_numbers_to_the_right() {
        let lines = [
            ["id", "state", "why"].map(str::to_owned),
            ["17", "parked", "bad"].map(str::to_owned),
            ["1234", "held", ""].map(str::to_owned),
        ];
        assert_eq!(
            align(&lines, |column| column == 0),
            "  id  state   why\n  17  parked  bad\n1234  held\n"
        );
    }

    #[test]
    fn a_size_is_in_its_largest_unit() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (60 << 20, "60.0 MiB"),
            (i64::MAX, "8589934591.9 GiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(line("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(line("a\u{202E}b\u{2066}c\u{2028}d"), "a b c d");
    }
}
