//! Raw figures, and what is said of them.

use serde::Serialize;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// The work's letter.
    pub work: String,
    /// Who did it.
    pub contender: String,
    /// What it read.
    pub source: String,
    /// Which run, from 1.
    pub run: usize,
    /// How many files there were.
    pub files: usize,
    /// Whether nothing lay in the bucket: what remains is start-up.
    pub empty: bool,
    /// From start to end.
    pub seconds: f64,
    /// Most memory resident, in bytes.
    pub peak: Option<u64>,
    /// Processor time of its own, in seconds.
    pub own_cpu: f64,
    /// Of Postgres meanwhile.
    pub postgres_cpu: f64,
    /// Of the S3 server meanwhile.
    pub s3_cpu: f64,
    /// What was wrong with what it did, if anything.
    pub wrong: Option<String>,
}

/// The middle of some figures, and how far they lie apart.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// How many.
    pub count: usize,
}

impl Spread {
    /// Of some figures; none of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (count, middle) = (figures.len(), figures.len() / 2);
        let (least, greatest) = (*figures.first()?, *figures.last()?);
        let median = if count % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self {
            median,
            least,
            greatest,
            count,
        })
    }

    /// The same with something taken off.
    #[must_use]
    pub fn less(self, off: f64) -> Self {
        Self {
            median: self.median - off,
            least: self.least - off,
            greatest: self.greatest - off,
            ..self
        }
    }
}

/// The figure below which `percent` of them lie (nearest rank).
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among some thousands"
    )]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap_or_else(|| panic!("three"));
        assert_eq!(
            (spread.median, spread.least, spread.greatest),
            (2.0, 1.0, 3.0)
        );
        assert_eq!(
            Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median),
            Some(2.5)
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&figures, 50.0), Some(50.0));
        assert_eq!(percentile(&figures, 99.0), Some(99.0));
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
