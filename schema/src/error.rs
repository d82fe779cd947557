//! What can be wrong with a message, and where in it.

use std::fmt::{self, Write as _};
use std::io;

use crate::column::Type;
use crate::name::ColumnName;

/// How much of a value an error shows, in characters.
const SHOWN: usize = 60;

/// Why a value is refused: what was found and what to write instead, in one sentence, without the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

impl Problem {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reading or writing the bytes themselves failed; [`std::error::Error::source`] has the reason. It says nothing
    /// about the message.
    Io,
    /// The bytes end before the message does.
    Truncated,
    /// The bytes are no JSON.
    Syntax,
    /// It is JSON, but breaks a rule of the message.
    Contract,
    /// A cap of [`Caps`](crate::Caps) is exceeded.
    TooLarge,
    /// Its `type` is none that this version knows.
    UnknownVersion,
}

impl Kind {
    /// The kind as one word, for logs and ledgers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Truncated => "truncated",
            Self::Syntax => "syntax",
            Self::Contract => "contract",
            Self::TooLarge => "too_large",
            Self::UnknownVersion => "unknown_version",
        }
    }
}

/// What is wrong with a message, where, and what to do.
///
/// Shown as `data.rows[17][1] (flight, int64): 1545.0 has a point; write 1545`.
#[derive(Debug)]
pub struct Error {
    /// What sort of failure it is.
    pub kind: Kind,
    /// Where in the message: `data.rows[17][1]`. Empty if it is about the message as a whole.
    pub path: String,
    /// The column, if it is about a cell.
    pub column: Option<(ColumnName, Type)>,
    /// What was found and what to write instead.
    pub sentence: String,
    cause: Option<io::Error>,
}

impl Error {
    /// An error about the whole message; [`Error::at`] gives it a place.
    pub(crate) fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            path: String::new(),
            column: None,
            sentence: sentence.into(),
            cause: None,
        }
    }

    pub(crate) fn contract(path: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::new(Kind::Contract, sentence).at(path)
    }

    pub(crate) fn io(doing: &str, cause: io::Error) -> Self {
        Self {
            cause: Some(cause),
            ..Self::new(Kind::Io, doing)
        }
    }

    /// The place, unless a more exact one is known.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        if self.path.is_empty() {
            self.path = path.into();
        }
        self
    }

    #[must_use]
    pub(crate) fn of(mut self, column: &ColumnName, ty: Type) -> Self {
        self.column = Some((column.clone(), ty));
        self
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::new(Kind::Contract, problem.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some((name, ty)) = &self.column {
            write!(f, " ({}, {})", escaped(name.as_str()), ty.as_str())?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.sentence)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// A text as an error shows it: in quotes, shortened, with control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// The same without quotes, for what is no string in the message: `1545.0`.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == SHOWN {
            out.push('…');
            break;
        }
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_path_column_type_and_sentence() {
        let error = Error::contract("data.rows[17][1]", "1545.0 has a point; write 1545")
            .of(&"flight".parse().unwrap(), Type::Int64);
        assert_eq!(
            error.to_string(),
            "data.rows[17][1] (flight, int64): 1545.0 has a point; write 1545"
        );
    }

    #[test]
    fn what_was_found_is_shortened_and_has_no_control_characters() {
        assert_eq!(shown("a\nb\u{1b}[31m"), "\"a\\nb\\u001b[31m\"");
        assert_eq!(shown(&"é".repeat(100)), format!("\"{}…\"", "é".repeat(60)));
    }

    #[test]
    fn an_io_error_keeps_its_cause() {
        let error = Error::io("reading the message", io::Error::other("the line is dead"));
        assert_eq!(error.to_string(), "reading the message: the line is dead");
        assert!(std::error::Error::source(&error).is_some());
    }
}
