//! A result's bytes on their way to the disk: compressed while they stream, never held.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use flate2::write::GzEncoder;
use nightdrop_schema::Compression;
use zstd::zstd_safe::CParameter;

/// zstd's own default: a window of 2 MiB, well under the 8 MiB that the message allows.
const ZSTD_LEVEL: i32 = 3;

/// What zstd's own thread takes at once: a few of these are in memory, and zstd's default would be 8 MiB.
const ZSTD_JOB: u32 = 1 << 20;

/// A file that is being written, compressed as its key will say.
pub(crate) struct Encoder(Kind);

enum Kind {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Encoder {
    pub(crate) fn new(file: File, compression: Compression) -> io::Result<Self> {
        let file = BufWriter::with_capacity(256 << 10, file);
        Ok(Self(match compression {
            Compression::None => Kind::Plain(file),
            Compression::Gzip => Kind::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
                // A bit that flips on the way is then found by whoever inflates.
                encoder.include_checksum(true)?;
                // Compressing takes as long as all else does: the next rows are read meanwhile.
                encoder.multithread(1)?;
                encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
                Kind::Zstd(encoder)
            }
        }))
    }

    /// Ends the compressed stream. The file is whole, and not yet durable.
    pub(crate) fn finish(self) -> io::Result<File> {
        let file = match self.0 {
            Kind::Plain(file) => file,
            Kind::Gzip(encoder) => encoder.finish()?,
            Kind::Zstd(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(file) => file.write(bytes),
            Kind::Gzip(encoder) => encoder.write(bytes),
            Kind::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(file) => file.flush(),
            Kind::Gzip(encoder) => encoder.flush(),
            Kind::Zstd(encoder) => encoder.flush(),
        }
    }
}
