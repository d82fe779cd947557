//! Going past a value of any shape, while insisting that it is JSON whose members are unique.

use std::borrow::Cow;

use super::cursor::{Cursor, Step};
use super::string::unescape;
use crate::decimal::Decimal;
use crate::error::{Error, Kind, shown};

/// Below this length a number without exponent is within all limits of `numeric`.
const SHORT_NUMBER: usize = 1000;

/// Checks values that are not looked into. One serves for many values of the same bytes.
pub(crate) struct Skip<'a> {
    /// How many more arrays and objects may open within each other.
    depth: usize,
    /// Whether Postgres's jsonb has to hold the value, so that its numbers have limits.
    jsonb: bool,
    /// The names of the members of the objects that are open, those of the innermost last.
    names: Vec<&'a str>,
    scratch: String,
}

impl<'a> Skip<'a> {
    /// For values that are ignored, or read later: `depth` is how deep they may be.
    pub(crate) fn new(depth: usize) -> Self {
        Self {
            depth,
            jsonb: false,
            names: Vec::new(),
            scratch: String::new(),
        }
    }

    /// For values that become jsonb.
    pub(crate) fn jsonb(depth: usize) -> Self {
        Self {
            jsonb: true,
            ..Self::new(depth)
        }
    }

    /// Goes past one value, from its first byte on.
    pub(crate) fn value(&mut self, cursor: &mut Cursor<'a>) -> Step<()> {
        match cursor.token()? {
            b'"' => self.string(cursor).map(drop),
            b'{' => self.nested(cursor, Self::object),
            b'[' => self.nested(cursor, Self::array),
            b't' => cursor.literal(b"true"),
            b'f' => cursor.literal(b"false"),
            b'n' => cursor.literal(b"null"),
            b'-' | b'0'..=b'9' => {
                let number = cursor.number()?;
                if self.jsonb && (number.len() >= SHORT_NUMBER || number.contains(['e', 'E'])) {
                    Decimal::parse(number)?;
                }
                Ok(())
            }
            _ => Err(cursor.due("a value")),
        }
    }

    fn nested(
        &mut self,
        cursor: &mut Cursor<'a>,
        inner: impl Fn(&mut Self, &mut Cursor<'a>) -> Step<()>,
    ) -> Step<()> {
        let Some(left) = self.depth.checked_sub(1) else {
            let sentence =
                "arrays and objects are nested deeper than the cap allows; make it flatter";
            return Err(Error::new(Kind::TooLarge, sentence).into());
        };
        self.depth = left;
        cursor.bump();
        inner(self, cursor)?;
        self.depth += 1;
        Ok(())
    }

    fn array(&mut self, cursor: &mut Cursor<'a>) -> Step<()> {
        if cursor.token()? == b']' {
            cursor.bump();
            return Ok(());
        }
        loop {
            self.value(cursor)?;
            match cursor.token()? {
                b',' => cursor.bump(),
                b']' => {
                    cursor.bump();
                    return Ok(());
                }
                _ => return Err(cursor.due("a comma or ]")),
            }
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'a>) -> Step<()> {
        if cursor.token()? == b'}' {
            cursor.bump();
            return Ok(());
        }
        let first = self.names.len();
        let mut escaped = false;
        loop {
            cursor.token()?;
            let start = cursor.pos() + 1;
            escaped |= self.string(cursor)?;
            let quoted = cursor.since(start)?;
            self.names.push(&quoted[..quoted.len() - 1]);
            if cursor.token()? != b':' {
                return Err(cursor.due("a colon"));
            }
            cursor.bump();
            self.value(cursor)?;
            match cursor.token()? {
                b',' => cursor.bump(),
                b'}' => {
                    cursor.bump();
                    break;
                }
                _ => return Err(cursor.due("a comma or }")),
            }
        }
        unique(&mut self.names[first..], escaped)?;
        self.names.truncate(first);
        Ok(())
    }

    /// Goes past a string; says whether it has escapes, which are checked.
    fn string(&mut self, cursor: &mut Cursor<'a>) -> Step<bool> {
        let raw = cursor.string()?;
        raw.text(&mut self.scratch)?;
        Ok(raw.escaped)
    }
}

/// Jsonb keeps the last of two members of one name, in silence; others keep the first.
fn unique(names: &mut [&str], escaped: bool) -> Result<(), Error> {
    let twice = if escaped {
        let mut meant = Vec::with_capacity(names.len());
        for name in names.iter() {
            let mut text = Cow::Borrowed(*name);
            if name.contains('\\') {
                let mut owned = String::new();
                unescape(name, &mut owned)?;
                text = Cow::Owned(owned);
            }
            meant.push(text);
        }
        meant.sort_unstable();
        meant
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0].clone().into_owned())
    } else {
        names.sort_unstable();
        names
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0].to_owned())
    };
    match twice {
        Some(name) => Err(twice_there(&name)),
        None => Ok(()),
    }
}

/// The error for a member that is there twice.
pub(crate) fn twice_there(name: &str) -> Error {
    Error::new(
        Kind::Contract,
        format!(
            "an object has the member {} twice; write it once",
            shown(name)
        ),
    )
}
