//! So many of something, for people: `1 row`, `27,004 rows`.

use indicatif::HumanCount;

/// With a noun that has an s where there are several.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", HumanCount(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_is_no_rows() {
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1, "column"), "1 column");
        assert_eq!(counted(27_004, "row"), "27,004 rows");
    }
}
