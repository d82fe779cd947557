//! From stored bytes to rows in Postgres's binary COPY format: inflated, hashed, and each value checked
//! against its column before Postgres sees it. Blocking, no network: runs on a thread of its own.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use nightdrop_runtime::trace::Parent;
use nightdrop_schema::copy::{self, Rows};
use nightdrop_schema::{Caps, Compression, Data, Envelope, Failure, Header, Kind, Reader, Value};
use sha2::{Digest, Sha256};

use crate::ledger::claim::File;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::verdict::{Content, Said};
use crate::remedy::Remedy;
use crate::table;

/// Rows are handed on in pieces of about so many bytes.
const PIECE: usize = 512 * 1024;

/// The largest window that a zstd file may ask for, as a power of two: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How zstd's library says that a window is larger than that (`ZSTD_error_frameParameter_windowTooLarge`).
const WINDOW_REFUSED: &str = "Frame requires too much memory";

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
    /// What a result says of itself, but for its parameters: nothing looks at them beyond what the ledger keeps.
    pub header: Option<Header>,
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
    let mut reader = Reader::with_buffer(&mut hashed, caps.clone(), buffer(file));
    let (envelope, data) = reader.open().map_err(|error| bad(&error))?;
    envelope.agrees(&file.key).map_err(|error| bad(&error))?;
    let (said, header, note) = match data {
        Data::Result(mut header) => {
            let said = Said::by(&header);
            header.parameters = None;
            sink.head(&envelope, &header)?;
            rows(file, &envelope, &header, &mut reader, sink)?;
            (Some(said), Some(header), None)
        }
        Data::Probe => (
            None,
            None,
            Some(Reason::new(Cause::Probe, "a canary: it was seen")),
        ),
        Data::Failed(failure) => (None, None, Some(failed(&failure))),
    };
    let summary = reader.finish().map_err(|error| bad(&error))?;
    let content = Content {
        as_of: envelope.time,
        hash: hashed.hash.finalize().into(),
        rows: summary.rows,
        said,
        trace: envelope.traceparent.as_deref().and_then(Parent::parse),
    };
    Ok(Decoded {
        content,
        header,
        note,
    })
}

/// As large a buffer as the file may need, and no larger: most files are small.
fn buffer(file: &File) -> usize {
    let times = match file.key.compression() {
        Compression::None => 1,
        Compression::Gzip | Compression::Zstd => 8,
    };
    usize::try_from(file.size.saturating_mul(times).saturating_add(1))
        .unwrap_or(usize::MAX)
        .clamp(4 * 1024, 256 * 1024)
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
        Cause::Failed,
        format!(
            "the run failed with exit code {} ({}): {}",
            failure.code,
            failure.kind.as_str(),
            failure.message
        ),
    )
}

fn bad(error: &nightdrop_schema::Error) -> Error {
    let mut sentence = error.to_string();
    if error.kind == Kind::Io && sentence.contains(WINDOW_REFUSED) {
        sentence = "the file asks for a zstd window of more than 8 MiB; compress it without --long, or with --long=23".into();
    }
    Error::Bad(Reason::new(error.kind.into(), sentence))
}

fn undecodable(error: &io::Error) -> Error {
    Error::Bad(Reason::new(
        Cause::Undecodable,
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const BODY: &str = r#"{"specversion":"1.0","type":"nightdrop.result.v1","id":"01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11","source":"jfk","subject":"departures","time":"2013-01-31T05:00:00Z","data":{"mode":"append","columns":[{"name":"flight","type":"int64"}],"rows":[[1545],[1141]],"row_count":2}}"#;

    fn file(suffix: &str) -> File {
        let key = format!(
            "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json{suffix}"
        );
        File {
            id: 7,
            key: key.parse().unwrap(),
            etag: String::new(),
            size: 0,
            attempts: 1,
            kept: false,
        }
    }

    fn whole(suffix: &str, stored: &[u8], limit: usize) -> Result<(Decoded, Vec<u8>), Error> {
        let mut sink = Whole {
            limit,
            ..Whole::default()
        };
        decode(&file(suffix), stored, &Caps::default(), &mut sink)
            .map(|decoded| (decoded, sink.rows))
    }

    fn zstd(window_log: u32) -> Vec<u8> {
        let mut packed = zstd::Encoder::new(Vec::new(), 3).unwrap();
        packed.window_log(window_log).unwrap();
        packed.write_all(BODY.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    fn gzip() -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(BODY.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    fn reason(outcome: Result<(Decoded, Vec<u8>), Error>) -> &'static str {
        match outcome {
            Err(Error::Bad(reason)) => reason.cause.as_str(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_body_has_the_same_hash_and_rows_however_it_was_stored() {
        let (plain, rows) = whole("", BODY.as_bytes(), 1000).unwrap();
        assert_eq!(plain.content.rows, 2);
        assert_eq!(plain.content.hash, <[u8; 32]>::from(Sha256::digest(BODY)));
        for (suffix, stored) in [(".gz", gzip()), (".zst", zstd(20))] {
            let (packed, packed_rows) = whole(suffix, &stored, 1000).unwrap();
            assert_eq!(
                (packed.content.hash, &packed_rows),
                (plain.content.hash, &rows)
            );
        }
    }

    #[test]
    fn each_row_says_who_when_and_which_file() {
        let (_, rows) = whole("", BODY.as_bytes(), 1000).unwrap();
        let mut first = 4_i16.to_be_bytes().to_vec();
        copy::encode(&Value::String("jfk"), &mut first);
        copy::encode(
            &Value::Timestamptz(
                nightdrop_schema::Timestamptz::parse("2013-01-31T05:00:00Z").unwrap(),
            ),
            &mut first,
        );
        copy::encode(&Value::Int64(7), &mut first);
        copy::encode(&Value::Int64(1545), &mut first);
        assert_eq!(&rows[..first.len()], first);
    }

    #[test]
    fn a_zstd_file_that_asks_for_a_large_window_is_refused() {
        whole(".zst", &zstd(ZSTD_WINDOW_LOG), 1000).unwrap();
        assert_eq!(
            reason(whole(".zst", &zstd(ZSTD_WINDOW_LOG + 1), 1000)),
            "undecodable"
        );
    }

    #[test]
    fn a_cut_of_a_compressed_file_is_never_fewer_rows() {
        for (suffix, stored) in [
            (".gz", gzip()),
            (".zst", zstd(20)),
            ("", BODY.as_bytes().to_vec()),
        ] {
            for cut in 0..stored.len() {
                assert!(
                    matches!(whole(suffix, &stored[..cut], 1000), Err(Error::Bad(_))),
                    "{suffix} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn what_follows_a_compressed_file_is_refused() {
        assert_eq!(
            reason(whole(".zst", &[&zstd(20)[..], b"more"].concat(), 1000)),
            "undecodable"
        );
        assert_eq!(
            reason(whole("", &[BODY.as_bytes(), b"more"].concat(), 1000)),
            "syntax"
        );
    }

    #[test]
    fn a_file_with_more_rows_than_a_batch_takes_is_large_and_not_bad() {
        assert!(matches!(whole("", BODY.as_bytes(), 10), Err(Error::Large)));
    }
}
