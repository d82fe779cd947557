//! Writing a message: a result row by row, or an event without rows in one piece.
//!
//! What is written here the reader reads back equal, and never refuses: both check by the same rules.

mod cell;
mod head;

use std::io::Write;

use crate::envelope::{Data, Envelope, Failure};
use crate::error::{Error, Kind};
use crate::header::Header;
use crate::layout::Layout;
use crate::read::{Caps, Reader};
use crate::value::Value;

/// How many bytes are gathered before they are handed on.
const BATCH: usize = 64 << 10;

/// What the end of a message has at most beside its rows: brackets and a count.
const END: usize = 64;

/// Writes one result, value by value; memory does not grow with it.
///
/// The rows stand one on a line. `row_count` follows them, so that a result can be written while it is still coming.
pub struct Writer<W> {
    to: W,
    layout: Layout,
    caps: Caps,
    /// What has not been handed on yet.
    buffer: Vec<u8>,
    /// Where in the buffer the row starts that is being written.
    row: usize,
    /// The column of the next value.
    place: usize,
    rows: u64,
    /// Bytes handed on.
    written: u64,
    base64: String,
}

impl<W: Write> Writer<W> {
    /// Starts a message within the default caps.
    ///
    /// # Errors
    /// If envelope or header break a rule, or writing fails.
    pub fn new(to: W, envelope: &Envelope, header: &Header) -> Result<Self, Error> {
        Self::with_caps(to, envelope, header, Caps::default())
    }

    /// Starts a message within other caps.
    ///
    /// # Errors
    /// If envelope or header break a rule, or writing fails.
    pub fn with_caps(
        to: W,
        envelope: &Envelope,
        header: &Header,
        caps: Caps,
    ) -> Result<Self, Error> {
        let buffer = head::result(envelope, header, &caps)?;
        let layout = Layout::new(header, &caps);
        let row = buffer.len();
        Ok(Self {
            to,
            layout,
            caps,
            buffer,
            row,
            place: 0,
            rows: 0,
            written: 0,
            base64: String::new(),
        })
    }

    /// Writes the value of the next column. The row begins with its first column and ends with its last.
    ///
    /// # Errors
    /// If the value is of another type than the column, or breaks a rule or a cap: then nothing of it is written, and
    /// the error names row and column. If writing fails, the message is lost.
    pub fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let start = self.buffer.len();
        self.push(value).map_err(|error| {
            self.buffer.truncate(start);
            let slot = &self.layout.slots[self.place];
            error
                .at(format!("data.rows[{}][{}]", self.rows, self.place))
                .of(&slot.name, slot.ty)
        })?;
        self.place += 1;
        if self.place < self.layout.slots.len() {
            return Ok(());
        }
        self.buffer.push(b']');
        self.place = 0;
        self.rows += 1;
        if self.buffer.len() >= BATCH {
            self.hand_on()?;
        }
        self.row = self.buffer.len();
        Ok(())
    }

    /// How many rows are whole.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the message; gives back what was written to, flushed, and the count of rows.
    ///
    /// # Errors
    /// If the last row has too few values, or writing fails.
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        if self.place > 0 {
            let sentence = format!(
                "has {} of {} values; give all of them",
                self.place,
                self.layout.slots.len()
            );
            return Err(Error::contract(
                format!("data.rows[{}]", self.rows),
                sentence,
            ));
        }
        if self.rows > 0 {
            self.buffer.push(b'\n');
        }
        self.buffer
            .extend_from_slice(format!("],\"row_count\":{}}}}}\n", self.rows).as_bytes());
        self.hand_on()?;
        self.to
            .flush()
            .map_err(|cause| Error::io("writing the message", cause))?;
        Ok((self.to, self.rows))
    }

    fn push(&mut self, value: Value<'_>) -> Result<(), Error> {
        let slot = &self.layout.slots[self.place];
        if let Some(ty) = value.ty()
            && ty != slot.ty
        {
            return Err(Error::new(
                Kind::Contract,
                format!("the value is of type {ty}; give one of the column's type"),
            ));
        }
        slot.check(&value)?;
        let before: &[u8] = match (self.place, self.rows) {
            (0, 0) => b"\n[",
            (0, _) => b",\n[",
            _ => b",",
        };
        self.buffer.extend_from_slice(before);
        let start = self.buffer.len();
        cell::push(&value, &mut self.buffer, &mut self.base64)?;
        let too_large = |what: &str, cap: u64| {
            Err(Error::new(
                Kind::TooLarge,
                format!("{what} has more than {cap} bytes; make it smaller"),
            ))
        };
        if self.buffer.len() - start > self.layout.cell_cap {
            return too_large("the cell", self.layout.cell_cap as u64);
        }
        // The bracket that ends the row is one byte more.
        if self.buffer.len() - self.row >= self.caps.row {
            return too_large("the row", self.caps.row as u64);
        }
        if self.written + (self.buffer.len() + END) as u64 > self.caps.file {
            return too_large("the message", self.caps.file);
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), Error> {
        self.to
            .write_all(&self.buffer)
            .map_err(|cause| Error::io("writing the message", cause))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        // A large row is past: give its memory back.
        self.buffer.shrink_to(2 * BATCH);
        if self.base64.capacity() > BATCH {
            self.base64 = String::new();
        }
        Ok(())
    }
}

/// The message of a probe: its subject is [`Job::probe`](crate::Job::probe).
///
/// # Errors
/// If the envelope breaks a rule.
pub fn probe(envelope: &Envelope) -> Result<Vec<u8>, Error> {
    checked(head::event(envelope, &Data::Probe, |out| {
        out.extend_from_slice(b"{}");
    }))
}

/// The message of a run that has no result.
///
/// # Errors
/// If envelope or failure break a rule.
pub fn failed(envelope: &Envelope, failure: &Failure) -> Result<Vec<u8>, Error> {
    checked(head::event(
        envelope,
        &Data::Failed(failure.clone()),
        |out| head::failure(failure, out),
    ))
}

/// Has the reader judge a message without rows.
fn checked(mut message: Vec<u8>) -> Result<Vec<u8>, Error> {
    message.extend_from_slice(b"}\n");
    let mut reader = Reader::new(message.as_slice(), Caps::default());
    reader.open()?;
    reader.finish()?;
    Ok(message)
}

#[cfg(test)]
mod tests;
