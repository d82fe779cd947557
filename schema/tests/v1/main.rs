//! The contract as files: what `schema/v1` and `docs/message-format.md` tell a writer in another language is what
//! reader and writer here do.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod corpus;
mod examples;
mod keys;
mod page;
mod schemas;

use std::path::{Path, PathBuf};

use nightdrop_schema::{Caps, Data, Envelope, Error, Reader, RowSink, Value, copy};

/// A file of `schema/v1`.
fn file(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("v1").join(name)
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&bytes(path)).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// What a message says, its cells as Postgres would get them, and as text where they are JSON.
struct Message {
    envelope: Envelope,
    data: Data,
    rows: Vec<Vec<Vec<u8>>>,
}

/// Reads a message from its first byte to its last.
fn read(message: &[u8]) -> Result<Message, Error> {
    let mut reader = Reader::new(message, Caps::default());
    let (envelope, data) = reader.open()?;
    let mut cells = Cells::default();
    if matches!(data, Data::Result(_)) {
        while reader.next_row(&mut cells)? {}
    }
    let summary = reader.finish()?;
    assert_eq!(summary.rows, cells.rows.len() as u64);
    Ok(Message {
        envelope,
        data,
        rows: cells.rows,
    })
}

#[derive(Default)]
struct Cells {
    row: Vec<Vec<u8>>,
    rows: Vec<Vec<Vec<u8>>>,
}

impl RowSink for Cells {
    fn start(&mut self) {
        self.row.clear();
    }

    fn value(&mut self, _column: usize, value: Value<'_>) {
        self.row.push(sent(&value));
    }

    fn end(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }
}

/// A value as Postgres gets it: of equal values, equal bytes, but for the spaces in JSON.
fn sent(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    copy::encode(value, &mut out);
    out
}

/// The smallest message with one cell of the type; the cell is JSON text.
fn one_cell(ty: &str, cell: &str) -> String {
    format!(
        r#"{{"specversion": "1.0", "type": "nightdrop.result.v1", "id": "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11",
            "source": "jfk", "subject": "departures", "time": "2013-01-31T05:00:00Z",
            "data": {{"mode": "append", "columns": [{{"name": "x", "type": "{ty}"}}], "rows": [[{cell}]], "row_count": 1}}}}"#
    )
}
