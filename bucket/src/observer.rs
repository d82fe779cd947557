//! Who counts the requests.

use crate::{Call, Fault};

/// Hears of every request, and of every one that failed. Called from many threads, and never waited for.
pub trait Observer: Send + Sync {
    /// A request is made.
    fn asked(&self, call: Call);

    /// It failed; of an object that comes piece by piece, also half-way.
    fn failed(&self, call: Call, fault: Fault);
}
