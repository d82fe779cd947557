//! The bytes that are not parsed yet, and how more of them come.

use std::io::{ErrorKind, Read};

use super::SMALL;
use super::cursor::{Cursor, Step, Stop};
use super::head::There;
use crate::error::{Error, Kind};

/// How large the buffer is as long as no step needs more.
pub(super) const BUFFER: usize = 256 << 10;

/// Beyond this, all the room that the buffer may ever need is reserved at once: it doesn't move while it grows, and what
/// is not filled costs nothing.
const LARGE: usize = 4 << 20;

/// What is larger than 32 MiB glibc's allocator maps by itself, and gives back to the system as soon as it is freed
/// (`M_MMAP_THRESHOLD` of mallopt(3)); anything smaller may stay with the process, once for each thread that read a file.
const MAPPED: usize = (32 << 20) + 1;

/// What a step may need at most, and how an error calls it.
#[derive(Clone, Copy)]
pub(super) struct Extent<'e> {
    pub(super) cap: usize,
    /// Such as "a row", for an error of size.
    pub(super) what: &'e str,
    /// Where the file ends if it ends within the step, of which these bytes are there: "before the rows".
    pub(super) ends: &'e dyn Fn(&[u8]) -> String,
}

pub(super) struct Input<R> {
    from: R,
    buffer: Vec<u8>,
    /// What is read but not parsed: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes read in all.
    read: u64,
    /// Whether there are no more.
    ended: bool,
    /// How large the buffer is at least.
    size: usize,
    /// How many bytes there may be in all.
    cap: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R, size: usize, cap: u64) -> Self {
        let size = size.max(1);
        Self {
            from,
            buffer: vec![0; size],
            start: 0,
            end: 0,
            read: 0,
            ended: false,
            size,
            cap,
        }
    }

    /// Bytes read in all, so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// How many bytes the buffer has.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.len()
    }

    /// How much of the file is in the buffer, while no step has been taken yet.
    fn there(&self) -> There {
        if self.pending().len() > SMALL {
            There::TooMuch
        } else if self.ended {
            There::All
        } else {
            There::Some
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where in the file the pending bytes start.
    pub(super) fn offset(&self) -> u64 {
        self.read - self.pending().len() as u64
    }

    /// Tries a step of the parse, again and again with more bytes, until it comes to its end or is refused. Only then
    /// are its bytes forgotten.
    pub(super) fn step<T>(
        &mut self,
        extent: Extent<'_>,
        mut parse: impl FnMut(&mut Cursor<'_>, There) -> Step<T>,
    ) -> Result<T, Error> {
        loop {
            let mut cursor = Cursor::new(self.pending(), self.offset());
            match parse(&mut cursor, self.there()) {
                Ok(done) => {
                    let length = cursor.pos();
                    if length > extent.cap {
                        return Err(too_large(extent));
                    }
                    self.start += length;
                    return Ok(done);
                }
                Err(Stop::Refused(error)) => return Err(*error),
                // No step looks ahead but that of the head, which says so only where this brings news.
                Err(Stop::LookAhead) => self.all_up_to(SMALL)?,
                Err(Stop::Incomplete) => {
                    if !self.ended && self.pending().len() > extent.cap {
                        return Err(too_large(extent));
                    }
                    if !self.more(extent.cap)? {
                        return Err(self.truncated(extent));
                    }
                }
            }
        }
    }

    /// Goes past white space; says what comes then, or that nothing does. For what follows the message.
    pub(super) fn after_space(&mut self, extent: Extent<'_>) -> Result<Option<u8>, Error> {
        let mut past = 0;
        loop {
            let mut cursor = Cursor::new(self.pending(), 0);
            cursor.space();
            let next = cursor.rest().first().copied();
            let space = cursor.pos();
            self.start += space;
            past += space;
            if past > extent.cap {
                return Err(too_large(extent));
            }
            if next.is_some() || !self.more(self.size)? {
                return Ok(next);
            }
        }
    }

    fn truncated(&self, extent: Extent<'_>) -> Error {
        if self.read == 0 {
            return Error::new(
                Kind::Truncated,
                "the file is empty; write a message, then upload it",
            );
        }
        let sentence = format!(
            "the file ends {}, after {} bytes; write it to its end, then upload it",
            (extent.ends)(self.pending()),
            self.read
        );
        Error::new(Kind::Truncated, sentence)
    }

    /// Reads on until the buffer is full or the file ends; false if there is nothing more.
    fn more(&mut self, cap: usize) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        let pending = self.end - self.start;
        if pending == self.buffer.len() {
            // It doubles, later grows by a quarter. One byte above the cap shows that it is exceeded; no more is held.
            let length = self.buffer.len();
            let larger = length
                .saturating_add(length.min(LARGE.max(length / 4)))
                .min(cap.max(length).saturating_add(1));
            if self.buffer.capacity() < larger && larger > LARGE {
                let most = cap.saturating_add(1).max(larger).max(MAPPED);
                self.buffer.reserve_exact(most - length);
            }
            self.buffer.resize(larger, 0);
        } else if self.buffer.len() > self.size && pending < self.size {
            // A large row is past: give its memory back.
            let mut buffer = vec![0; self.size];
            buffer[..pending].copy_from_slice(self.pending());
            self.buffer = buffer;
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        self.start = 0;
        self.end = pending;
        self.fill()?;
        Ok(self.end > pending)
    }

    /// Has all of the file in the buffer, or more than so many bytes of it.
    fn all_up_to(&mut self, most: usize) -> Result<(), Error> {
        while !self.ended && self.pending().len() <= most {
            self.more(most)?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), Error> {
        while self.end < self.buffer.len() {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => {
                    self.end += count;
                    self.read += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("reading the message", error)),
            }
            if self.read > self.cap {
                let sentence = format!(
                    "the file has more than {} bytes, inflated; split the result",
                    self.cap
                );
                return Err(Error::new(Kind::TooLarge, sentence));
            }
        }
        Ok(())
    }
}

fn too_large(extent: Extent<'_>) -> Error {
    let Extent { what, cap, .. } = extent;
    Error::new(
        Kind::TooLarge,
        format!("{what} has more than {cap} bytes; make it smaller"),
    )
}
