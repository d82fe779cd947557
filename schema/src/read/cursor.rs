//! Where a parse stands in the bytes that are there: JSON's tokens, and the three ways in which a step can stop.

use crate::error::{Error, Kind, escaped};

/// Why a step of the parse did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes end within the step: with more of them it is tried again from its start.
    Incomplete,
    /// The step wants the file's end among the bytes, if the file is small enough, and is then tried again.
    LookAhead,
    /// The message is wrong.
    Refused(Box<Error>),
}

pub(crate) type Step<T> = Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<crate::error::Problem> for Stop {
    fn from(problem: crate::error::Problem) -> Self {
        Error::from(problem).into()
    }
}

impl Stop {
    /// Gives an error its place, unless it has a more exact one.
    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(Box::new(error.at(path))),
            other => other,
        }
    }
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) text: &'a str,
    /// Whether it has a backslash, and so is not what it says.
    pub(crate) escaped: bool,
}

/// Bytes of the message and a position among them.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Where in the file the first of the bytes stands.
    base: u64,
    /// Whether the bytes are all there are: a number may end where they end.
    last: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self {
            bytes,
            pos: 0,
            base,
            last: false,
        }
    }

    /// Over a whole JSON text.
    pub(crate) fn over(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            pos: 0,
            base: 0,
            last: true,
        }
    }

    #[inline]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// How many bytes there are from an earlier position on, gone past or not.
    pub(crate) fn there_since(&self, start: usize) -> usize {
        self.bytes.len() - start
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.pos..]
    }

    /// The text from an earlier position up to here.
    pub(crate) fn since(&self, start: usize) -> Step<&'a str> {
        std::str::from_utf8(&self.bytes[start..self.pos])
            .map_err(|_| self.syntax("bytes that are no UTF-8 stand"))
    }

    /// The next byte, if it is there.
    #[inline]
    pub(crate) fn peek(&self) -> Step<u8> {
        self.bytes.get(self.pos).copied().ok_or(Stop::Incomplete)
    }

    /// Goes past a byte that was peeked at.
    #[inline]
    pub(crate) fn bump(&mut self) {
        self.pos += 1;
    }

    /// Goes past bytes that were looked at.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.pos += bytes;
    }

    /// Goes past a byte, if it is the next one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Step<bool> {
        let there = self.peek()? == byte;
        self.pos += usize::from(there);
        Ok(there)
    }

    /// The first byte that is no white space.
    #[inline]
    pub(crate) fn token(&mut self) -> Step<u8> {
        loop {
            let byte = self.peek()?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.pos += 1;
        }
    }

    /// Goes past white space, up to where the bytes end.
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
    }

    /// An error of syntax where the cursor stands: "{what} at byte 17".
    pub(crate) fn syntax(&self, what: &str) -> Stop {
        let at = self.base + self.pos as u64;
        Error::new(
            Kind::Syntax,
            format!("{what} at byte {at}; write JSON as of RFC 8259"),
        )
        .into()
    }

    /// An error of syntax: something else is due where the cursor stands.
    pub(crate) fn due(&self, what: &str) -> Stop {
        // What several languages' writers make of a double that is no number.
        for word in ["NaN", "Infinity"] {
            let rest = self.rest();
            if rest.starts_with(word.as_bytes()) {
                let at = self.base + self.pos as u64;
                let sentence =
                    format!("JSON has no {word}, which stands at byte {at}; write it in quotes");
                return Error::new(Kind::Syntax, sentence).into();
            }
            if !self.last && !rest.is_empty() && word.as_bytes().starts_with(rest) {
                return Stop::Incomplete;
            }
        }
        match std::str::from_utf8(&self.bytes[self.pos..(self.pos + 1).min(self.bytes.len())]) {
            Ok(found) if !found.is_empty() => {
                self.syntax(&format!("{} stands where {what} is due,", escaped(found)))
            }
            _ => self.syntax(&format!("{what} is due")),
        }
    }

    /// `true`, `false` or `null`.
    #[inline]
    pub(crate) fn literal(&mut self, literal: &[u8]) -> Step<()> {
        let rest = self.rest();
        if rest.starts_with(literal) {
            self.pos += literal.len();
            return Ok(());
        }
        if literal.starts_with(rest) {
            return Err(Stop::Incomplete);
        }
        Err(self.due("a value"))
    }

    /// A number, as it is written.
    #[inline]
    pub(crate) fn number(&mut self) -> Step<&'a str> {
        let start = self.pos;
        let mut at = self.pos + usize::from(self.peek()? == b'-');
        match self.bytes.get(at) {
            Some(b'0') => at += 1,
            _ => at = self.digits(at)?,
        }
        if self.bytes.get(at) == Some(&b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(at) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        match self.bytes.get(at) {
            None if !self.last => return Err(Stop::Incomplete),
            Some(b'0'..=b'9') => {
                self.pos = at;
                return Err(self.syntax("a number with a leading zero stands"));
            }
            _ => {}
        }
        self.pos = at;
        self.since(start)
    }

    /// Where the digits that start at a position end: at least one.
    #[inline]
    fn digits(&mut self, start: usize) -> Step<usize> {
        let mut at = start;
        while let Some(b'0'..=b'9') = self.bytes.get(at) {
            at += 1;
        }
        if at > start {
            return Ok(at);
        }
        if at == self.bytes.len() {
            return Err(Stop::Incomplete);
        }
        self.pos = at;
        Err(self.due("a digit"))
    }

    /// A string, from its opening quote on, as it is written. Escapes are not looked at.
    #[allow(
        clippy::inline_always,
        reason = "a call returns through memory, which costs a fifth of the speed"
    )]
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Step<Raw<'a>> {
        if self.peek()? != b'"' {
            return Err(self.due("a string"));
        }
        let start = self.pos + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += plain(&self.bytes[at..]);
            match self.bytes.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                    if at > self.bytes.len() {
                        return Err(Stop::Incomplete);
                    }
                }
                Some(&control) => {
                    self.pos = at;
                    return Err(self.syntax(&format!(
                        "a raw control character, to be written as \\u{control:04x}, stands in a string"
                    )));
                }
            }
        }
        let Ok(text) = std::str::from_utf8(&self.bytes[start..at]) else {
            return Err(self.syntax("a string that is no UTF-8 stands"));
        };
        self.pos = at + 1;
        Ok(Raw { text, escaped })
    }
}

/// How many bytes stand before the first quote, backslash or control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // A byte that is zero after the xor gives a borrow into its high bit; those below 0x20 do so by themselves. A false
    // hit can only stand above a true one, and the first is all that counts.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let hits = below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1)
            | below(word, 0x20);
        let hits = hits & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let tail = &bytes[at..];
    at + tail
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
        .unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_byte_that_is_not_plain_is_found(bytes in prop::collection::vec(prop_oneof![
            8 => 0x20..=0xff_u8, 1 => 0..0x20_u8, 1 => Just(b'"'), 1 => Just(b'\\'),
        ], 0..40)) {
            let by_hand = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(plain(&bytes), by_hand.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn a_number_may_go_on_where_the_bytes_end() {
        assert!(matches!(
            Cursor::new(b"12", 0).number(),
            Err(Stop::Incomplete)
        ));
        assert!(matches!(
            Cursor::new(b"12.", 0).number(),
            Err(Stop::Incomplete)
        ));
        assert_eq!(Cursor::new(b"12.5e-3,", 0).number().unwrap(), "12.5e-3");
        assert_eq!(Cursor::over("12").number().unwrap(), "12");
    }
}
