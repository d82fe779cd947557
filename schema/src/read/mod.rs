//! Reading a message from any `Read`, in constant memory, one row at a time.
//!
//! The parse goes in steps: all that stands before the rows, one row, all that stands after them. Each is tried on the
//! bytes that are in the buffer, and again from its start when they end too soon and more have come. So no step needs
//! to remember how far it came, and each has a size that it may not exceed.

mod cell;
pub(crate) mod cursor;
mod data;
mod head;
mod input;
mod members;
mod row;
pub(crate) mod skip;
mod string;
mod tail;

use std::io::Read;

use crate::envelope::{Data, Envelope};
use crate::error::{Error, Kind};
use crate::layout::Layout;
use crate::value::Value;
use cell::Scratch;
use cursor::Stop;
use head::Head;
use input::{Extent, Input};

/// Up to this many bytes, inflated, the envelope's members may stand anywhere: 8 MiB.
pub const SMALL: usize = 8 << 20;

/// How deep a message may be nested.
pub(crate) const DEPTH: usize = 128;

/// How deep the cells of a row stand: in the message, its data, the rows, the row.
pub(crate) const ROW_DEPTH: usize = 4;

/// What a message may have at most. The default is what every consumer takes unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of the whole message, inflated: 64 GiB.
    pub file: u64,
    /// Bytes of one cell, as it is written: 16 MiB.
    pub cell: usize,
    /// Bytes of one row, as it is written: 32 MiB.
    pub row: usize,
    /// Bytes of everything before the rows; of everything after them, too: 1 MiB.
    pub head: usize,
    /// Arrays and objects within each other, those of the message included: 128.
    pub depth: usize,
    /// Columns: 500.
    pub columns: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            file: 64 << 30,
            cell: 16 << 20,
            row: 32 << 20,
            head: 1 << 20,
            depth: DEPTH,
            columns: 500,
        }
    }
}

/// What takes rows: a [`Reader`] hands it one value at a time, each checked against its column.
pub trait RowSink {
    /// A row begins. It may begin again before it has ended: the attempt before is void.
    fn start(&mut self);

    /// The value of the next column of the row.
    fn value(&mut self, column: usize, value: Value<'_>);

    /// The row is whole and good.
    fn end(&mut self);
}

/// For a row that is only looked at.
struct Nowhere;

impl RowSink for Nowhere {
    fn start(&mut self) {}
    fn value(&mut self, _: usize, _: Value<'_>) {}
    fn end(&mut self) {}
}

/// What a message was, once it has been read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes it has, inflated.
    pub bytes: u64,
}

/// Reads one message: [`open`](Reader::open), then [`next_row`](Reader::next_row) until it says false, then
/// [`finish`](Reader::finish). What it has given is true only if that says so: a row count may be wrong, or the end
/// missing.
///
/// After an error it is of no use, but for [`Kind::Io`], after which the same call may be made again.
pub struct Reader<R> {
    input: Input<R>,
    caps: Caps,
    scratch: Scratch,
    rows: u64,
    /// Whether the last row was larger than the buffer: the next may be so too.
    large: bool,
    state: State,
}

enum State {
    Head,
    Rows(Box<Head>, Layout),
    Tail(Box<Head>),
}

impl<R: Read> Reader<R> {
    /// A reader of one message's bytes, inflated.
    pub fn new(from: R, caps: Caps) -> Self {
        Self::with_buffer(from, caps, input::BUFFER)
    }

    /// The same with a buffer of another size than 256 KiB, at least one byte. It grows where a row needs more.
    pub fn with_buffer(from: R, mut caps: Caps, bytes: usize) -> Self {
        // The message's own arrays and objects are no one's choice.
        caps.depth = caps.depth.max(ROW_DEPTH);
        let input = Input::new(from, bytes, caps.file);
        Self {
            input,
            caps,
            scratch: Scratch::default(),
            rows: 0,
            large: false,
            state: State::Head,
        }
    }

    /// Reads what stands before the rows. To be called once, first.
    ///
    /// # Errors
    /// If the bytes can't be read, or break a rule of the message.
    pub fn open(&mut self) -> Result<(Envelope, Data), Error> {
        if !matches!(self.state, State::Head) {
            return Err(misused("open was called twice"));
        }
        let Self { input, caps, .. } = self;
        let ends = |_: &[u8]| "before the rows".to_owned();
        let extent = Extent {
            cap: caps.head,
            what: "what stands before the rows",
            ends: &ends,
        };
        let head = input.step(extent, |cursor, there| head::parse(cursor, there, caps))?;
        let opened = (head.envelope.clone(), head.data.clone());
        self.state = match &head.data {
            Data::Result(header) => {
                let layout = Layout::new(header, caps);
                State::Rows(Box::new(head), layout)
            }
            Data::Probe | Data::Failed(_) => State::Tail(Box::new(head)),
        };
        Ok(opened)
    }

    /// Reads one row into the sink; false if there is none left. Of an error's row the sink may have got a part.
    ///
    /// # Errors
    /// If the bytes can't be read or end here, or break a rule of the message.
    pub fn next_row<S: RowSink>(&mut self, sink: &mut S) -> Result<bool, Error> {
        let Self {
            input,
            caps,
            scratch,
            rows,
            large,
            state,
        } = self;
        let layout = match state {
            State::Head => return Err(misused("next_row was called before open")),
            State::Rows(_, layout) => layout,
            State::Tail(_) => return Ok(false),
        };
        let ends = |pending: &[u8]| {
            let place = if pending.contains(&b'[') {
                "within"
            } else {
                "before"
            };
            format!("{place} data.rows[{rows}]")
        };
        let extent = Extent {
            cap: caps.row,
            what: "the row",
            ends: &ends,
        };
        let start = input.offset();
        let mut again = *large;
        let there = input
            .step(extent, |cursor, _| {
                // A row that is not whole at first may be large, and never end, or be wrong at its end: its values are
                // held nowhere else before it is known to be good.
                if std::mem::replace(&mut again, true) {
                    row::parse(&mut cursor.clone(), layout, *rows, scratch, &mut Nowhere)?;
                }
                row::parse(cursor, layout, *rows, scratch, sink)
            })
            .map_err(|error| {
                if error.kind == Kind::TooLarge {
                    error.at(format!("data.rows[{rows}]"))
                } else {
                    error
                }
            })?;
        if there {
            *large = input.offset() - start > input::BUFFER as u64;
            *rows += 1;
            scratch.shrink();
        } else if let State::Rows(head, _) = std::mem::replace(state, State::Head) {
            *state = State::Tail(head);
        }
        Ok(there)
    }

    /// Reads what stands after the rows, to the end of the file: only now is the message known to be whole.
    ///
    /// # Errors
    /// If the bytes can't be read, end too soon, go on behind the message, or `row_count` is not the count of the rows.
    pub fn finish(mut self) -> Result<Summary, Error> {
        let Self {
            input,
            caps,
            rows,
            state,
            ..
        } = &mut self;
        let State::Tail(head) = state else {
            return Err(misused("finish was called before the last row was read"));
        };
        let ends = |_: &[u8]| "after the rows".to_owned();
        let extent = Extent {
            cap: caps.head,
            what: "what stands after the rows",
            ends: &ends,
        };
        let count = input.step(extent, |cursor, _| tail::parse(cursor, head, caps))?;
        if let Some(next) = input.after_space(extent)? {
            return Err(tail::more(next, input.offset()));
        }
        if let Some(count) = count
            && count != *rows
        {
            let sentence =
                format!("says {count}, there are {rows} rows; write all rows and their count");
            return Err(Error::contract("data.row_count", sentence));
        }
        Ok(Summary {
            rows: *rows,
            bytes: input.read(),
        })
    }
}

/// Checks that the reader takes what a writer has put before the rows.
pub(crate) fn accepts_head(text: &str, caps: &Caps) -> Result<(), Error> {
    if text.len() > caps.head {
        let sentence = format!(
            "what stands before the rows has more than {} bytes; make it smaller",
            caps.head
        );
        return Err(Error::new(Kind::TooLarge, sentence));
    }
    match head::parse(&mut cursor::Cursor::over(text), head::There::TooMuch, caps) {
        Ok(_) => Ok(()),
        Err(Stop::Refused(error)) => Err(*error),
        Err(Stop::Incomplete | Stop::LookAhead) => Err(Error::new(
            Kind::Truncated,
            "what stands before the rows is not whole; write it to its end",
        )),
    }
}

/// A mistake of the caller says nothing about the message.
fn misused(how: &str) -> Error {
    Error::io("using the reader", std::io::Error::other(how.to_owned()))
}

#[cfg(test)]
mod tests;
