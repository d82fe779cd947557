//! A file that a person hands in, or stdin: inflated if it is compressed, whatever its name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use nightdrop_runtime::trace::Parent;
use nightdrop_schema::{Caps, Compression, Data, Envelope, Reader, RowSink, Summary, Value};

use crate::Error;

/// 8 MiB, the largest window that the message allows.
const WINDOW_LOG: u32 = 23;

/// What a whole file says.
pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    pub(crate) data: Data,
    pub(crate) summary: Summary,
}

/// The bytes of a file, or of stdin for `-`, as they are stored.
pub(crate) fn open(name: &str) -> Result<Box<dyn Read>, Error> {
    if name == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(name).map_err(|source| Error::Input {
        name: name.to_owned(),
        source,
    })?;
    Ok(Box::new(file))
}

/// The trace that a message belongs to, from its beginning; none if it says nothing of one, or can't be read.
pub(crate) fn trace(path: &Path, compression: Compression) -> Option<Parent> {
    let stored = BufReader::new(File::open(path).ok()?);
    let inflated: Box<dyn Read> = match compression {
        Compression::None => Box::new(stored),
        Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(stored).ok()?),
    };
    let (envelope, _) = Reader::new(inflated, Caps::default()).open().ok()?;
    Parent::parse(envelope.traceparent.as_deref()?)
}

/// Reads a message to its end, and so finds whatever is wrong with it. Says how it was compressed.
pub(crate) fn read(name: &str, stored: impl Read) -> Result<(Message, Compression), Error> {
    let mut stored = BufReader::with_capacity(256 << 10, stored);
    let start = stored.fill_buf().map_err(|source| Error::Input {
        name: name.to_owned(),
        source,
    })?;
    // RFC 8878, section 3.1.1, and RFC 1952, section 2.3.1. No JSON starts like this.
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(stored).and_then(|mut decoder| {
            decoder.window_log_max(WINDOW_LOG)?;
            Ok(decoder)
        });
        let decoder = decoder.map_err(|source| Error::Input {
            name: name.to_owned(),
            source,
        })?;
        Ok((whole(decoder)?, Compression::Zstd))
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Ok((whole(MultiGzDecoder::new(stored))?, Compression::Gzip))
    } else {
        Ok((whole(stored)?, Compression::None))
    }
}

fn whole(inflated: impl Read) -> Result<Message, Error> {
    let mut reader = Reader::new(inflated, Caps::default());
    let (envelope, data) = reader.open().map_err(Error::Message)?;
    if matches!(data, Data::Result(_)) {
        while reader.next_row(&mut Discard).map_err(Error::Message)? {}
    }
    let summary = reader.finish().map_err(Error::Message)?;
    Ok(Message {
        envelope,
        data,
        summary,
    })
}

/// Whoever checks a file has no use for its values.
struct Discard;

impl RowSink for Discard {
    fn start(&mut self) {}
    fn value(&mut self, _: usize, _: Value<'_>) {}
    fn end(&mut self) {}
}
