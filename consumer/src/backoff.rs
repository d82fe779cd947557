//! How long to wait after a failure: exponential, with full jitter, so that consumers that failed
//! together don't come back together.
//!
//! Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    /// After a failure: a random time, up to a bound that doubles each time until it is 15 s.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.0.min(16)).min(LONGEST);
        self.0 += 1;
        bound
            .mul_f64(rand::random::<f64>())
            .max(Duration::from_millis(50))
    }
}
