//! The members of an object that is looked into.

use std::collections::HashSet;

use super::cursor::{Cursor, Step, Stop};
use super::skip::{Skip, twice_there};
use crate::error::{Error, Kind, escaped, shown};

/// Walks through an object's members; a name that is there twice is an error.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    seen: HashSet<String>,
}

impl Members {
    /// Goes into an object.
    pub(super) fn open(cursor: &mut Cursor<'_>) -> Step<Self> {
        if cursor.token()? != b'{' {
            return Err(unlike(cursor, "an object"));
        }
        cursor.bump();
        Ok(Self::default())
    }

    /// The next member's name, the cursor before its value; None after the last, the cursor behind the object.
    pub(super) fn next(&mut self, cursor: &mut Cursor<'_>) -> Step<Option<String>> {
        match cursor.token()? {
            b'}' => {
                cursor.bump();
                return Ok(None);
            }
            b',' if !self.seen.is_empty() => cursor.bump(),
            _ if !self.seen.is_empty() => return Err(cursor.due("a comma or }")),
            _ => {}
        }
        if cursor.token()? != b'"' {
            return Err(cursor.due("a member's name in quotes"));
        }
        let mut scratch = String::new();
        let name = cursor.text(&mut scratch)?.to_owned();
        if cursor.token()? != b':' {
            return Err(cursor.due("a colon"));
        }
        cursor.bump();
        cursor.token()?;
        if self.seen.contains(&name) {
            return Err(twice_there(&name).into());
        }
        self.seen.insert(name.clone());
        Ok(Some(name))
    }
}

/// A value's JSON text; the cursor goes behind it.
pub(super) fn raw<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Step<&'a str> {
    cursor.token()?;
    let start = cursor.pos();
    Skip::new(depth).value(cursor)?;
    cursor.since(start)
}

/// An error: the value at the cursor is not what is due there.
pub(super) fn unlike(cursor: &mut Cursor<'_>, due: &str) -> Stop {
    match found(cursor) {
        Ok(found) => {
            Error::new(Kind::Contract, format!("{found} stands there; write {due}")).into()
        }
        Err(stop) => stop,
    }
}

/// How an error calls the value at the cursor. The value must be whole for that, and JSON.
pub(super) fn found(cursor: &mut Cursor<'_>) -> Step<String> {
    let first = cursor.token()?;
    let start = cursor.pos();
    // An array is not gone through: what is wrong with it is that it is one.
    match first {
        b'[' => return Ok("an array".to_owned()),
        b'{' => return Ok("an object".to_owned()),
        _ => {}
    }
    Skip::new(0).value(cursor)?;
    let text = cursor.since(start)?;
    Ok(match text.strip_prefix('"') {
        Some(text) => shown(text.strip_suffix('"').unwrap_or(text)),
        None => escaped(text),
    })
}

/// The text of a raw value that has to be a string.
pub(super) fn string(raw: &str) -> Step<String> {
    let mut cursor = Cursor::over(raw);
    if cursor.peek()? != b'"' {
        return Err(unlike(&mut cursor, "a string"));
    }
    let mut scratch = String::new();
    Ok(cursor.text(&mut scratch)?.to_owned())
}

/// The raw elements of a raw value that has to be an array.
pub(super) fn elements(raw: &str) -> Step<Vec<&str>> {
    let mut cursor = Cursor::over(raw);
    if cursor.token()? != b'[' {
        return Err(unlike(&mut cursor, "an array"));
    }
    cursor.bump();
    let mut elements = Vec::new();
    // The array has been gone through once, so all that can come is a comma or its end.
    loop {
        match cursor.token()? {
            b']' => return Ok(elements),
            b',' => cursor.bump(),
            _ => elements.push(self::raw(&mut cursor, usize::MAX)?),
        }
    }
}
