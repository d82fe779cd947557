//! Reading a message from any `Read`, in constant memory, one row at a time.

pub(crate) mod cursor;
pub(crate) mod skip;
mod string;

use crate::value::Value;

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
