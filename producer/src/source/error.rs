//! What can go wrong with a source, and whose fault it is.

use std::time::Duration;

use chrono_tz::Tz;
use nightdrop_runtime::{exit::Code, secret::SecretError};
use nightdrop_schema::{ColumnName, NameError, Timestamptz, Type};

/// Why a URL names no source.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// A scheme that is none of ours.
    #[error("{0:?} is no source; write postgres://, mysql:// or sqlite://")]
    Scheme(String),
    /// The URL holds the password.
    #[error("it holds a password; take it out and write password = \"env:NAME\" or \"file:/path\"")]
    Password,
}

/// Why a source gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection can't be made with these settings.
    #[error("{0}")]
    Settings(String),
    /// The password can't be read.
    #[error("password: {0}")]
    Secret(#[from] SecretError),
    /// The server is not there, is overloaded, or went away half-way.
    #[error("the source is unreachable: {0}")]
    Unreachable(String),
    /// The server does not let this user in.
    #[error("the source refused the credentials: {0}")]
    Credentials(String),
    /// The server refuses the query.
    #[error("the source refused the query: {0}")]
    Refused(String),
    /// It took longer than the job's `timeout`, and was cancelled on the server.
    #[error("the query was cancelled after {}; let it do less, or raise timeout", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// It ended before it said what its columns are.
    #[error("the source sent values before it said what its columns are; this is a bug")]
    Silent,
    /// A signal ended it. A query that was running was cancelled on the server.
    #[error("stopped by a signal before there was a result; run it again")]
    Stopped,
    /// A column's name can't stand in a message.
    #[error("{0}")]
    Column(NameError),
    /// A cursor's interval has not begun.
    #[error(
        "nothing to read yet: the source's clock shows {clock}, and less the lag of {} that is not after the watermark, {from}; was lag raised, the clock set back, or --start in the future?",
        humantime::format_duration(*.lag)
    )]
    NotYet {
        /// The watermark.
        from: Timestamptz,
        /// The source's clock.
        clock: Timestamptz,
        /// The job's.
        lag: Duration,
    },
    /// What a transaction writes that has been open for so long may be older than the watermark.
    #[error(
        "a transaction has been open since {since} ({who}), longer than the lag of {}: what it still commits could be older than the watermark, and never be read; end it, or raise lag; nothing was read",
        humantime::format_duration(*.lag)
    )]
    OpenTransaction {
        /// When it began.
        since: String,
        /// Whose it is, as the server knows them.
        who: String,
        /// The job's.
        lag: Duration,
    },
    /// A slot of a backfill is not over.
    #[error("the slot {slot} in {timezone} has not ended: the source's clock shows {clock}")]
    SlotNotEnded {
        /// The slot on the wall clock.
        slot: String,
        /// Where that wall clock hangs.
        timezone: Tz,
        /// The source's clock.
        clock: Timestamptz,
    },
    /// The result does not have the window's column.
    #[error("window.column: the result has no column {column}; it has {known}")]
    NoWindowColumn {
        /// The name in `window`.
        column: ColumnName,
        /// The columns of the result.
        known: String,
    },
    /// The window's column is of a type that has no slots.
    #[error("window.column: {column} travels as {ty}; {why}")]
    WindowColumn {
        /// The name in `window`.
        column: ColumnName,
        /// What it travels as.
        ty: Type,
        /// What is wrong with that.
        why: &'static str,
    },
    /// `types` names a column that the result does not have.
    #[error("types.{column}: the result has no such column; it has {known}")]
    UnknownColumn {
        /// The name in `types`.
        column: String,
        /// The columns of the result.
        known: String,
    },
    /// A value that its column's type can't hold.
    #[error("row {row}, column {column} ({source_type} as {}): {sentence}{}", .ty.as_str(), hint(column, *.ty, *.takes_it))]
    Value {
        /// The row, from 1.
        row: u64,
        /// The column's name.
        column: String,
        /// The column's type in the source.
        source_type: String,
        /// What it travels as.
        ty: Type,
        /// What was found.
        sentence: String,
        /// The type that takes it as it is.
        takes_it: Type,
    },
}

fn hint(column: &str, ty: Type, takes_it: Type) -> String {
    if ty == takes_it {
        return String::new();
    }
    format!("; types = {{ {column:?} = \"{takes_it}\" }} takes it as it is")
}

impl Error {
    /// What this ends the process with.
    pub fn code(&self) -> Code {
        match self {
            Self::Settings(_)
            | Self::Secret(_)
            | Self::UnknownColumn { .. }
            | Self::NoWindowColumn { .. }
            | Self::WindowColumn { .. } => Code::Config,
            Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Stopped
            | Self::NotYet { .. }
            | Self::OpenTransaction { .. } => Code::Unavailable,
            Self::SlotNotEnded { .. } => Code::Usage,
            Self::Credentials(_) => Code::NoPerm,
            Self::Silent => Code::Software,
            Self::Refused(_) | Self::Column(_) | Self::Value { .. } => Code::Data,
        }
    }

    /// An error of sqlx, judged by `judge` where a server gave it a code.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that those who call it can stand in a `map_err`"
    )]
    pub(super) fn from_sqlx(
        error: sqlx::Error,
        judge: impl FnOnce(&str) -> fn(String) -> Self,
    ) -> Self {
        match &error {
            sqlx::Error::Database(said) => {
                let code = said.code().unwrap_or_default();
                judge(&code)(said.message().to_owned())
            }
            sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) | sqlx::Error::ConfigFile(_) => {
                Self::Settings(error.to_string())
            }
            sqlx::Error::Encode(_)
            | sqlx::Error::InvalidArgument(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => Self::Refused(error.to_string()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}
