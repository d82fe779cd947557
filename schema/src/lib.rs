#![doc = include_str!("../README.md")]

mod column;
pub mod copy;
mod decimal;
mod envelope;
mod error;
mod header;
mod json;
mod key;
mod layout;
mod moment;
mod name;
pub mod read;
mod run_id;
mod value;
pub mod write;

pub use column::{Column, Type};
pub use decimal::Decimal;
pub use envelope::{Data, Envelope, FAILURE_BYTES, Failure, FailureKind};
pub use error::{Error, Kind, Problem};
pub use header::{Bound, Header, Mode, Range};
pub use json::Json;
pub use key::{Compression, INBOX, Key, KeyError};
pub use moment::{Date, Time, Timestamp, Timestamptz};
pub use name::{ColumnName, Job, NameError, Producer};
pub use read::{Caps, Reader, RowSink, Summary};
pub use run_id::RunId;
pub use value::Value;
pub use write::Writer;
