//! JSON as a value: its text, checked.

use std::fmt;

use crate::error::Problem;
use crate::read::cursor::{Cursor, Stop};
use crate::read::skip::Skip;
use crate::read::{DEPTH, ROW_DEPTH};

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A JSON text that jsonb holds, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Checks that the text is one JSON value that arrives equal: JSON as of RFC 8259, members unique, neither U+0000
    /// nor half a surrogate pair, numbers that `numeric` holds, not nested deeper than a cell may be: 124, as 4 of the
    /// 128 levels are the message's own.
    ///
    /// # Errors
    /// A sentence that says which of these it breaks.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        let mut cursor = Cursor::over(text);
        let done = Skip::jsonb(DEPTH - ROW_DEPTH)
            .value(&mut cursor)
            .and_then(|()| {
                cursor.space();
                if cursor.rest().is_empty() {
                    Ok(())
                } else {
                    Err(cursor.due("the end"))
                }
            });
        match done {
            Ok(()) => Ok(Self(text.trim_matches(SPACE))),
            Err(Stop::Refused(error)) => Err(Problem::new(error.sentence)),
            Err(Stop::Incomplete | Stop::LookAhead) => Err(Problem::new(
                "the JSON ends before its value does; write all of it",
            )),
        }
    }

    /// A text that a [`Skip`] has gone past.
    pub(crate) fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it was written, without the white space around it.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it is the JSON null, which in a message is the null of SQL.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}
