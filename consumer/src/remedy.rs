//! What is to be done when something goes wrong. Every error of a step answers `remedy()`.

/// From the one that costs nobody anything to the one that stops the consumer's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It passes by itself: back off and try again. No attempt is used up.
    Retry,
    /// This file will never load: keep its bytes in Postgres, with the reason.
    Park,
    /// It can't even be read or kept: leave it in the bucket, with the reason.
    Hold,
    /// This job's table refuses: its files wait, everyone else goes on.
    Pause,
    /// The bucket or the ledger itself refuses: nothing can be done until a person has looked.
    Halt,
}
