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

impl Remedy {
    /// The same where no file and no job's table is at fault, as with the ledger's own tables: what
    /// would be held against one of them is everybody's matter.
    #[must_use]
    pub fn for_everyone(self) -> Self {
        match self {
            Self::Park | Self::Pause => Self::Halt,
            Self::Retry | Self::Hold | Self::Halt => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ledger_refuses_is_no_files_and_no_jobs_fault() {
        for (one, everyone) in [
            (Remedy::Retry, Remedy::Retry),
            (Remedy::Park, Remedy::Halt),
            (Remedy::Hold, Remedy::Hold),
            (Remedy::Pause, Remedy::Halt),
            (Remedy::Halt, Remedy::Halt),
        ] {
            assert_eq!(one.for_everyone(), everyone, "{one:?}");
        }
    }
}
