//! What of a `replace` newer results have left to say. Pure.

use crate::ledger::verdict::Extent;

/// How the newer results of a job meet an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// They say nothing of its rows: it is loaded, however late.
    Apart,
    /// They cover all of it: it is superseded.
    Covered,
    /// They cover some of it: neither loading nor leaving it would be right.
    Partial,
}

/// Compares the extent of a result with those of all newer ones.
pub(super) fn meet(own: &Extent, newer: &[Extent]) -> Meeting {
    if newer.contains(&None) {
        return Meeting::Covered;
    }
    if newer.is_empty() {
        return Meeting::Apart;
    }
    let Some((column, from, to)) = own else {
        return Meeting::Partial;
    };
    // Ranges of two columns can't be compared: what is not covered by those of its own may be touched.
    let (alike, unlike): (Vec<_>, Vec<_>) = newer
        .iter()
        .flatten()
        .partition(|(other, ..)| other == column);
    let mut ranges: Vec<(i64, i64)> = alike.iter().map(|(_, from, to)| (*from, *to)).collect();
    ranges.sort_unstable();
    let mut covered_to = *from;
    let mut touched = !unlike.is_empty();
    for (start, end) in ranges {
        if end <= *from || start >= *to {
            continue;
        }
        touched = true;
        if start <= covered_to {
            covered_to = covered_to.max(end);
        }
    }
    match (touched, covered_to >= *to) {
        (false, _) => Meeting::Apart,
        (true, true) => Meeting::Covered,
        (true, false) => Meeting::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(from: i64, to: i64) -> (String, i64, i64) {
        ("day".into(), from, to)
    }

    #[test]
    fn a_range_is_loaded_late_if_newer_ones_only_touch_its_ends() {
        assert_eq!(
            meet(&Some(day(10, 20)), &[Some(day(0, 10)), Some(day(20, 30))]),
            Meeting::Apart
        );
        assert_eq!(meet(&Some(day(10, 20)), &[]), Meeting::Apart);
    }

    #[test]
    fn a_range_is_superseded_if_newer_ones_cover_it_together() {
        assert_eq!(
            meet(&Some(day(10, 20)), &[Some(day(15, 25)), Some(day(5, 15))]),
            Meeting::Covered
        );
        assert_eq!(meet(&Some(day(10, 20)), &[None]), Meeting::Covered);
        assert_eq!(meet(&None, &[Some(day(0, 1)), None]), Meeting::Covered);
        assert_eq!(
            meet(
                &Some(day(10, 20)),
                &[Some(("other".into(), 0, 99)), Some(day(10, 20))]
            ),
            Meeting::Covered
        );
    }

    #[test]
    fn a_partial_overlap_is_named() {
        assert_eq!(
            meet(&Some(day(10, 20)), &[Some(day(12, 20))]),
            Meeting::Partial
        );
        assert_eq!(
            meet(&Some(day(10, 20)), &[Some(day(5, 14)), Some(day(15, 25))]),
            Meeting::Partial
        );
        assert_eq!(meet(&None, &[Some(day(0, 1))]), Meeting::Partial);
        assert_eq!(
            meet(&Some(day(10, 20)), &[Some(("other".into(), 0, 99))]),
            Meeting::Partial
        );
    }
}
