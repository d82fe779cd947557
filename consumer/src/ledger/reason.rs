//! Why a file is not in the reports: a short name to group by, and the sentence that a person reads.

use std::time::Duration;

use nightdrop_schema::Kind;

use super::state::State;

macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident = $name:literal => $state:ident,)*) => {
        /// What kept a file from being loaded. Its name is what the ledger groups by; which state it
        /// leads to stands beside it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause { $($(#[$doc])* $cause,)* }

        impl Cause {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$cause),*];

            /// As the ledger writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$cause => $name,)* }
            }

            /// Where a file comes to for this cause.
            pub fn state(self) -> State {
                match self { $(Self::$cause => State::$state,)* }
            }
        }
    };
}

causes! {
    /// The bytes end before the message does.
    Truncated = "truncated" => Parked,
    /// It is no JSON.
    Syntax = "syntax" => Parked,
    /// It breaks a rule of the message.
    Contract = "contract" => Parked,
    /// It exceeds a cap.
    TooLarge = "too_large" => Parked,
    /// It can't be inflated.
    Undecodable = "undecodable" => Parked,
    /// Its `type` is none that this version knows: loaded by the first that does.
    UnknownVersion = "unknown_version" => Parked,
    /// Its `time` is ahead of Postgres's clock: loaded once that time has come.
    Future = "future" => Parked,
    /// The same run is loaded, with other content.
    RunReused = "run_reused" => Parked,
    /// Its job's results had another mode before.
    ChangedMode = "changed_mode" => Parked,
    /// Its job's results had another primary key before.
    ChangedKey = "changed_key" => Parked,
    /// A column has another type than the table's.
    ChangedType = "changed_type" => Parked,
    /// A routed table has no such column.
    ColumnUnknown = "column_unknown" => Parked,
    /// The table can't take so many columns, or keys so long.
    TooWide = "too_wide" => Parked,
    /// Two rows of one file have the same primary key.
    RepeatedKey = "repeated_key" => Parked,
    /// Newer results replaced a part of what it covers.
    PartialOverlap = "partial_overlap" => Parked,
    /// Postgres refused its data.
    Refused = "refused" => Parked,
    /// It ended so many consumers that it isn't tried again.
    Deadly = "deadly" => Parked,

    /// Its key is outside the grammar.
    Key = "key" => Held,
    /// Its GET is refused.
    Unreadable = "unreadable" => Held,
    /// Its producer has no room for more parked bytes.
    QuotaParked = "quota_parked" => Held,
    /// Its producer has as many tables as it may.
    QuotaTables = "quota_tables" => Held,
    /// It brings more new columns than one file may.
    QuotaColumns = "quota_columns" => Held,

    /// It is no longer in the bucket.
    Gone = "gone" => Missing,
    /// Another object was put under its key.
    Replaced = "replaced" => Missing,

    /// It was a canary.
    Probe = "probe" => Noted,
    /// It was word of a failed run.
    Failed = "failed" => Noted,
}

impl From<Kind> for Cause {
    fn from(kind: Kind) -> Self {
        match kind {
            // The bytes themselves arrived whole: it is what they inflate to that can't be read.
            Kind::Io => Self::Undecodable,
            Kind::Truncated => Self::Truncated,
            Kind::Syntax => Self::Syntax,
            Kind::Contract => Self::Contract,
            Kind::TooLarge => Self::TooLarge,
            Kind::UnknownVersion => Self::UnknownVersion,
        }
    }
}

/// Why a file is parked, held, noted or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it is grouped by.
    pub cause: Cause,
    /// What is wrong, where, and what to do.
    pub sentence: String,
    /// After how long it is over by itself, where that is known.
    pub over_in: Option<Duration>,
}

impl Reason {
    /// A reason with its sentence.
    pub fn new(cause: Cause, sentence: impl Into<String>) -> Self {
        Self {
            cause,
            sentence: sentence.into(),
            over_in: None,
        }
    }
}
