//! What can end a verb, what it says, and the exit code that goes with it.

use std::path::PathBuf;

use nightdrop_bucket as bucket;
use nightdrop_runtime::{cli::NoConfig, exit::Code};
use nightdrop_schema as schema;

use crate::{config, count::counted, source, spool, watermark};

/// Why a verb did not do what it was asked. The text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No configuration was named.
    #[error(transparent)]
    NoConfig(#[from] NoConfig),
    /// A job was named that is not in the configuration.
    #[error("there is no [job.{job}]; known are: {known}")]
    NoSuchJob {
        /// The name on the command line.
        job: String,
        /// The jobs there are.
        known: String,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The source gave no result.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// A result or a file breaks the contract of the message.
    #[error("{0}")]
    Message(schema::Error),
    /// A key can't be made.
    #[error("{0}")]
    Key(#[from] schema::KeyError),
    /// Fewer rows than the job must have.
    #[error("the result has {}, and min_rows = {min_rows}; nothing was dropped", counted(*rows, "row"))]
    TooFewRows {
        /// The rows that there were.
        rows: u64,
        /// The rows that there must be.
        min_rows: u64,
    },
    /// A row that is not in the range that its result replaces.
    #[error(
        "row {row}: {} is {found}, outside [{}, {}); the query must give the rows of its window and no others; nothing was dropped",
        range.column, range.from, range.to
    )]
    OutsideRange {
        /// The row, from 1.
        row: u64,
        /// What the column says.
        found: String,
        /// What the result would replace.
        range: Box<schema::Range>,
    },
    /// There is no instant to read from.
    #[error(transparent)]
    Watermark(#[from] watermark::Error),
    /// Flags that the job has no use for.
    #[error("{0}")]
    Flags(String),
    /// A file that `put` or `validate` can't open.
    #[error("cannot read {name}: {source}")]
    Input {
        /// The file, as it was named.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is of another producer.
    #[error(
        "the file's source is {found}, and this producer is {ours}; a producer drops only its own"
    )]
    OtherProducer {
        /// The `source` in the file.
        found: schema::Producer,
        /// The `producer` of the configuration.
        ours: schema::Producer,
    },
    /// The bucket is none that policies are about.
    #[error(transparent)]
    Policy(#[from] bucket::policy::Error),
    /// The state folder can't be used.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The bucket can't be opened, or did not take what is in the spool.
    #[error("{error}{}", waiting.as_ref().map_or_else(String::new, |waiting| waiting.sentence()))]
    Bucket {
        /// What the bucket, or the way to it, said of the oldest result that was not put.
        error: bucket::Error,
        /// What was not put.
        waiting: Option<Box<Waiting>>,
    },
    /// The disk did not take a result.
    #[error("the spool did not take the result: {0}; check state_dir: its room, its rights")]
    Disk(schema::Error),
    /// A signal came while results were being put.
    #[error(
        "stopped by a signal; what was not put is safe in the spool, and the next run or `drain` puts it"
    )]
    StoppedPutting,
    /// Stdout is gone.
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

/// What a bucket did not take.
#[derive(Debug)]
pub struct Waiting {
    /// The oldest result's key.
    pub key: schema::Key,
    /// Where it waits.
    pub path: PathBuf,
    /// The results of the same job that wait behind it.
    pub behind: usize,
}

impl Waiting {
    fn sentence(&self) -> String {
        let Self { path, behind, .. } = self;
        let path = path.display();
        match behind {
            0 => format!(
                "; the result is safe in the spool at {path}, and the next run or `drain` puts it"
            ),
            1 => format!(
                "; the result is safe in the spool at {path}, so is one more, and the next run or `drain` puts them"
            ),
            more => format!(
                "; the result is safe in the spool at {path}, so are {more} more, and the next run or `drain` puts them"
            ),
        }
    }
}

impl Error {
    /// The exit code: what a script may do about it. One exhaustive match.
    pub fn code(&self) -> Code {
        match self {
            Self::NoConfig(_) | Self::NoSuchJob { .. } | Self::Flags(_) | Self::Input { .. } => {
                Code::Usage
            }
            Self::Watermark(error) => error.code(),
            Self::Config(_) | Self::Policy(_) => Code::Config,
            Self::Source(error) => error.code(),
            Self::Message(_)
            | Self::Key(_)
            | Self::TooFewRows { .. }
            | Self::OutsideRange { .. }
            | Self::OtherProducer { .. } => Code::Data,
            Self::Disk(_) => Code::CantCreate,
            Self::Spool(error) => error.code(),
            Self::Bucket { error, .. } if error.is_of_settings() => Code::Config,
            Self::Bucket { error, .. } => match error.fault() {
                bucket::Fault::Unauthenticated | bucket::Fault::Forbidden => Code::NoPerm,
                bucket::Fault::Settings | bucket::Fault::NoBucket => Code::Config,
                bucket::Fault::Unreachable
                | bucket::Fault::TimedOut
                | bucket::Fault::Busy
                | bucket::Fault::NotFound
                | bucket::Fault::Changed
                | bucket::Fault::Refused
                | bucket::Fault::Io => Code::Io,
            },
            Self::StoppedPutting | Self::Print(_) => Code::Io,
        }
    }

    /// What a writer into the spool said: a disk that refuses is no fault of the result.
    pub(crate) fn written(error: schema::Error) -> Self {
        match error.kind {
            schema::Kind::Io => Self::Disk(error),
            schema::Kind::Truncated
            | schema::Kind::Syntax
            | schema::Kind::Contract
            | schema::Kind::TooLarge
            | schema::Kind::UnknownVersion => Self::Message(error),
        }
    }
}
