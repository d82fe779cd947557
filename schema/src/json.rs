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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_kept_as_it_was_written_without_the_space_around_it() {
        let json = Json::parse(" {\"b\" : 1.50, \"a\":1e400}\n").unwrap();
        assert_eq!(json.as_str(), "{\"b\" : 1.50, \"a\":1e400}");
        assert!(Json::parse("\tnull").unwrap().is_null());
        assert!(!Json::parse("[null]").unwrap().is_null());
    }

    #[test]
    fn what_jsonb_would_change_or_refuse_is_refused_by_name() {
        let nested = format!("{}{}", "[".repeat(125), "]".repeat(125));
        let long = format!("0.{}", "1".repeat(16_384));
        for (text, why) in [
            (r#"{"a":1,"a":1}"#, "has the member \"a\" twice"),
            (
                r#"[{"x":{"a":1,"\u0061":2}}]"#,
                "has the member \"a\" twice",
            ),
            (
                r#"{"a":{"b":1},"b":{"b":1},"a":0}"#,
                "has the member \"a\" twice",
            ),
            (r#""\u0000""#, "U+0000"),
            (r#"{"\u0000":1}"#, "U+0000"),
            (r#"["\ud834"]"#, "half of a surrogate pair"),
            ("[1e131072]", "digits before the point that Postgres holds"),
            (&long, "digits after the point that Postgres holds"),
            (&nested, "nested deeper"),
            ("1 2", "the end is due"),
            ("tru", "ends before its value does"),
            ("", "ends before its value does"),
        ] {
            let problem = Json::parse(text).unwrap_err().to_string();
            assert!(problem.contains(why), "{text}: {problem}");
        }
        assert!(Json::parse(r#"{"a":{"b":1},"b":{"a":1}}"#).is_ok());
    }
}
