//! What can go wrong with a source, and whose fault it is.

use std::time::Duration;

use nightdrop_runtime::exit::Code;
use nightdrop_schema::{NameError, Type};

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
            Self::Settings(_) | Self::UnknownColumn { .. } => Code::Config,
            Self::Unreachable(_) | Self::Timeout(_) | Self::Stopped => Code::Unavailable,
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
