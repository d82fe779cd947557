//! Strings: what their escapes stand for.

use super::cursor::{Cursor, Raw, Step};
use crate::error::{Error, Kind, escaped};

impl<'a> Raw<'a> {
    /// The text that is meant, in `scratch` if it has escapes.
    #[allow(
        clippy::inline_always,
        reason = "as for the string itself: `Cursor::string`"
    )]
    #[inline(always)]
    pub(crate) fn text<'s>(self, scratch: &'s mut String) -> Step<&'s str>
    where
        'a: 's,
    {
        if !self.escaped {
            return Ok(self.text);
        }
        unescape_into(self.text, scratch)?;
        Ok(scratch)
    }
}

impl<'a> Cursor<'a> {
    /// A string's text, in `scratch` if it has escapes.
    #[allow(
        clippy::inline_always,
        reason = "as for the string itself: `Cursor::string`"
    )]
    #[inline(always)]
    pub(crate) fn text<'s>(&mut self, scratch: &'s mut String) -> Step<&'s str>
    where
        'a: 's,
    {
        self.string()?.text(scratch)
    }
}

#[cold]
fn unescape_into(raw: &str, scratch: &mut String) -> Step<()> {
    scratch.clear();
    Ok(unescape(raw, scratch)?)
}

/// Appends what a string that has escapes means (RFC 8259, section 7).
pub(crate) fn unescape(raw: &str, out: &mut String) -> Result<(), Error> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (meant, length) = match escape.as_bytes().get(1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => (char::from(*byte), 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => code_point(escape)?,
            _ => {
                let found: String = escape.chars().take(2).collect();
                let sentence = format!(
                    "{} is no escape of JSON; write \\\\ for a backslash",
                    escaped(&found)
                );
                return Err(Error::new(Kind::Syntax, sentence));
            }
        };
        out.push(meant);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(())
}

/// What `\uXXXX`, or a pair of them, stands for, and its length.
fn code_point(escape: &str) -> Result<(char, usize), Error> {
    let first = hex(escape.get(2..6))?;
    if first == 0 {
        return Err(Error::new(
            Kind::Contract,
            "\\u0000 is U+0000, which Postgres holds in no text; leave it out",
        ));
    }
    if let Some(char) = char::from_u32(first) {
        return Ok((char, 6));
    }
    if (0xd800..0xdc00).contains(&first)
        && escape.get(6..8) == Some("\\u")
        && let second @ 0xdc00..0xe000 = hex(escape.get(8..12))?
        && let Some(char) = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    {
        return Ok((char, 12));
    }
    let sentence =
        format!("\\u{first:04x} is half of a surrogate pair, which is no text; write both halves");
    Err(Error::new(Kind::Contract, sentence))
}

fn hex(digits: Option<&str>) -> Result<u32, Error> {
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| {
            Error::new(
                Kind::Syntax,
                "\\u has not four hexadecimal digits; write it as \\u00e9",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(raw: &str) -> Result<String, Error> {
        let mut out = String::new();
        unescape(raw, &mut out).map(|()| out)
    }

    #[test]
    fn escapes_mean_what_rfc_8259_says() {
        assert_eq!(
            meant(r#"a\"\\\/\b\f\n\r\tz"#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\tz"
        );
        assert_eq!(meant(r"\u00e9\u00E9é\ud834\udd1e").unwrap(), "éé\u{e9}𝄞");
    }

    #[test]
    fn what_no_text_holds_is_refused_by_name() {
        for (raw, why) in [
            (r"\u0000", "U+0000"),
            (r"\ud834", "half of a surrogate pair"),
            (r"\ud834x", "half of a surrogate pair"),
            (r"\ud834\u0041", "half of a surrogate pair"),
            (r"\udd1e\ud834", "half of a surrogate pair"),
            (r"\x41", "no escape"),
            (r"\é", "no escape"),
            (r"\u12", "four hexadecimal digits"),
            (r"\u+123", "four hexadecimal digits"),
            (r"\u12é4", "four hexadecimal digits"),
            (r"\ud834\u12", "four hexadecimal digits"),
        ] {
            let error = meant(raw).unwrap_err().to_string();
            assert!(error.contains(why), "{raw}: {error}");
        }
    }
}
