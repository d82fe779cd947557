//! Everything after the rows.

use super::cursor::{Cursor, Step};
use super::data::row_count;
use super::head::{Head, is_known};
use super::members::raw;
use super::{Caps, SMALL};
use crate::envelope::Data;
use crate::error::{Error, Kind, escaped};

/// Parses the rest of data and of the message; says what `row_count` is, wherever it stood.
pub(super) fn parse(cursor: &mut Cursor<'_>, head: &Head, caps: &Caps) -> Step<Option<u64>> {
    let mut count = head.row_count;
    if matches!(head.data, Data::Result(_)) {
        let mut members = head.data_members.clone();
        while let Some(name) = members.next(cursor).map_err(|stop| stop.at("data"))? {
            if name != "row_count" {
                let sentence =
                    "stands after the rows, where only row_count may; write it before them";
                return Err(Error::contract(format!("data.{}", escaped(&name)), sentence).into());
            }
            let value = raw(cursor, caps.depth - 2).map_err(|stop| stop.at("data.row_count"))?;
            count = Some(row_count(value)?);
        }
        if count.is_none() {
            let sentence =
                "is missing; write how many rows there are, which shows that the file is whole";
            return Err(Error::contract("data.row_count", sentence).into());
        }
    }
    let mut members = head.envelope_members.clone();
    while let Some(name) = members.next(cursor)? {
        if is_known(&name) && !head.looked_ahead {
            let sentence = format!(
                "stands after data, and the file has more than {SMALL} bytes; write the envelope first"
            );
            return Err(Error::contract(name, sentence).into());
        }
        raw(cursor, caps.depth - 1).map_err(|stop| stop.at(escaped(&name)))?;
    }
    Ok(count)
}

/// The error for what stands behind the message.
pub(super) fn more(next: u8, offset: u64) -> Error {
    let found = if next.is_ascii_graphic() {
        char::from(next).to_string()
    } else {
        format!("the byte {next:#04x}")
    };
    let sentence =
        format!("{found} stands behind the message, at byte {offset}; write one message a file");
    Error::new(Kind::Syntax, sentence)
}
