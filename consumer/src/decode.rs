//! From stored bytes to rows in Postgres's binary COPY format: inflated, hashed, and each value checked
//! against its column before Postgres sees it. Blocking, no network: runs on a thread of its own.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use nightdrop_schema::copy::{self, Rows};
use nightdrop_schema::{Caps, Compression, Data, Envelope, Failure, Header, Kind, Reader, Value};
use sha2::{Digest, Sha256};

use crate::ledger::claim::File;
use crate::ledger::verdict::{Content, Reason};
use crate::remedy::Remedy;
use crate::table;

/// Rows are handed on in pieces of about so many bytes.
const PIECE: usize = 512 * 1024;

/// The largest window that a zstd file may ask for, as a power of two: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Where the rows go while they are read.
pub trait Sink {
    /// All that stands before the rows. Comes once, and not at all for a note.
    ///
    /// # Errors
    /// When the rest need not be read.
    fn head(&mut self, envelope: &Envelope, header: &Header) -> Result<(), Error>;

    /// Whole rows in binary COPY format, without its signature and trailer.
    ///
    /// # Errors
    /// When the rest need not be read.
    fn rows(&mut self, rows: Vec<u8>) -> Result<(), Error>;
}

/// A file that has been read to its end.
#[derive(Debug)]
pub struct Decoded {
    /// What the ledger keeps of it.
    pub content: Content,
    /// What it says, if it carries no rows.
    pub note: Option<Reason>,
}

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file itself is bad.
    #[error("{}", .0.sentence)]
    Bad(Reason),
    /// More rows than a batch holds.
    #[error("larger than it looked")]
    Large,
    /// Whoever took the rows doesn't want any more.
    #[error("no longer wanted")]
    Unwanted,
}

impl Error {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Bad(_) => Remedy::Park,
            Self::Large | Self::Unwanted => Remedy::Retry,
        }
    }
}

/// Reads a file from its stored bytes.
///
/// # Errors
/// When the file breaks the contract in any way, and when `sink` doesn't want the rest.
pub fn decode(
    file: &File,
    stored: impl Read,
    caps: &Caps,
    sink: &mut dyn Sink,
) -> Result<Decoded, Error> {
    match file.key.compression() {
        Compression::None => read(file, stored, caps, sink),
        Compression::Gzip => read(file, MultiGzDecoder::new(stored), caps, sink),
        Compression::Zstd => {
            let mut inflated =
                zstd::stream::read::Decoder::new(stored).map_err(|error| undecodable(&error))?;
            inflated
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(|error| undecodable(&error))?;
            read(file, inflated, caps, sink)
        }
    }
}

fn read(
    file: &File,
    inflated: impl Read,
    caps: &Caps,
    sink: &mut dyn Sink,
) -> Result<Decoded, Error> {
    let mut hashed = Hashed {
        read: inflated,
        hash: Sha256::new(),
    };
    let mut reader = Reader::new(&mut hashed, caps.clone());
    let (envelope, data) = reader.open().map_err(|error| bad(&error))?;
    envelope.agrees(&file.key).map_err(|error| bad(&error))?;
    let (header, note) = match data {
        Data::Result(header) => {
            sink.head(&envelope, &header)?;
            rows(file, &envelope, &header, &mut reader, sink)?;
            (Some(header), None)
        }
        Data::Probe => (None, Some(Reason::new("probe", "a canary: it was seen"))),
        Data::Failed(failure) => (None, Some(failed(&failure))),
    };
    let summary = reader.finish().map_err(|error| bad(&error))?;
    let content = Content {
        as_of: envelope.time,
        hash: hashed.hash.finalize().into(),
        rows: summary.rows,
        header,
    };
    Ok(Decoded { content, note })
}

fn rows<R: Read>(
    file: &File,
    envelope: &Envelope,
    header: &Header,
    reader: &mut Reader<R>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut prefix = Vec::new();
    copy::encode(&Value::String(envelope.source.as_str()), &mut prefix);
    copy::encode(&Value::Timestamptz(envelope.time), &mut prefix);
    copy::encode(&Value::Int64(file.id), &mut prefix);
    let count = |columns: usize| u16::try_from(columns).unwrap_or(u16::MAX);
    let mut rows = Rows::new(
        count(table::SERVICE.len()),
        prefix,
        count(header.columns.len()),
    );
    while reader.next_row(&mut rows).map_err(|error| bad(&error))? {
        if rows.len() >= PIECE {
            sink.rows(rows.take())?;
        }
    }
    sink.rows(rows.take())
}

fn failed(failure: &Failure) -> Reason {
    Reason::new(
        "failed",
        format!(
            "the run failed with exit code {} ({}): {}",
            failure.code,
            failure.kind.as_str(),
            failure.message
        ),
    )
}

fn bad(error: &nightdrop_schema::Error) -> Error {
    let name = match error.kind {
        Kind::Io => "undecodable",
        kind => kind.as_str(),
    };
    Error::Bad(Reason::new(name, error.to_string()))
}

fn undecodable(error: &io::Error) -> Error {
    Error::Bad(Reason::new(
        "undecodable",
        format!("the file can't be inflated: {error}"),
    ))
}

/// Hashes what passes through.
struct Hashed<R> {
    read: R,
    hash: Sha256,
}

impl<R: Read> Read for &mut Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Keeps the rows of a file that fits a batch.
#[derive(Debug, Default)]
pub struct Whole {
    /// The rows so far.
    pub rows: Vec<u8>,
    /// How many bytes of them a batch takes of one file.
    pub limit: usize,
}

impl Sink for Whole {
    fn head(&mut self, _: &Envelope, _: &Header) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, rows: Vec<u8>) -> Result<(), Error> {
        if self.rows.len() + rows.len() > self.limit {
            return Err(Error::Large);
        }
        if self.rows.is_empty() {
            self.rows = rows;
        } else {
            self.rows.extend_from_slice(&rows);
        }
        Ok(())
    }
}
