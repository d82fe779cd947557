//! PUT: create-only, one request, in constant memory.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
    time::Duration,
};

use futures::TryStreamExt as _;
use nightdrop_schema::{Compression, Key};
use reqwest::{
    Body, Method,
    header::{CONTENT_TYPE, HeaderValue, IF_NONE_MATCH},
};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::{Limits, Request, S3, SHA256, base64};
use crate::{Call, Error, Fault, LARGEST, Put, fault::Local};

/// How much of the file is in memory at a time, in bytes.
const PIECE: usize = 256 << 10;

/// A file that is about to be sent.
struct Measured {
    file: File,
    length: u64,
    sha256: [u8; 32],
}

impl S3 {
    pub(crate) async fn put_within(
        &self,
        wait: Duration,
        key: &Key,
        file: &Path,
    ) -> Result<Put, Error> {
        let mut request = Request::of_key(Call::Put, Method::PUT, key);
        let io = |e: io::Error| {
            let said = format!("the file {} can't be read: {e}", file.display());
            self.failed(&request, Fault::Io, said)
        };

        let length = tokio::fs::metadata(file).await.map_err(io)?.len();
        if length > LARGEST {
            let said = format!(
                "{} has {length} bytes, and S3 takes at most {LARGEST} in one PUT: \
                 split the result, or compress it",
                file.display()
            );
            return Err(self.failed(&request, Fault::Refused, said));
        }
        let path = file.to_owned();
        let measured = tokio::task::spawn_blocking(move || measure(&path)).await;
        let measured = measured
            .map_err(io::Error::other)
            .and_then(|r| r)
            .map_err(io)?;

        request.headers.insert(SHA256, base64(&measured.sha256));
        request
            .headers
            .insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type(key)));

        let length = measured.length;
        let pieces = tokio::fs::File::from_std(measured.file).take(length);
        let body = Body::wrap_stream(ReaderStream::with_capacity(pieces, PIECE).map_err(Local));
        let limits = Limits {
            request: wait,
            ..self.limits
        };
        let timeout = Some(limits.for_body(length));
        match self
            .send(&self.up, &request, Some((body, length)), timeout)
            .await
        {
            Ok(_) => Ok(Put::Created),
            // The only condition is that nothing was there.
            Err(e) if e.fault == Fault::Changed => Ok(Put::AlreadyThere),
            Err(e) => Err(e),
        }
    }
}

/// Hashes the file, and leaves it open at its beginning.
fn measure(path: &Path) -> io::Result<Measured> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => {
                hash.update(&piece[..n]);
                length += n as u64;
            }
        }
    }
    file.rewind()?;
    Ok(Measured {
        file,
        length,
        sha256: hash.finalize().into(),
    })
}

/// What the object says it is. Compression is part of the key and of the media type, not a
/// `Content-Encoding`: some clients would undo that on the way.
fn media_type(key: &Key) -> &'static str {
    match key.compression() {
        Compression::None => "application/json",
        Compression::Gzip => "application/gzip",
        Compression::Zstd => "application/zstd",
    }
}
