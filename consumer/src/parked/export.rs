//! `parked export`: the bytes as they were dropped, on disk.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use nightdrop_bucket::Fault;
use nightdrop_runtime::exit::Code;
use nightdrop_schema::Key;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::{Done, Error, unpicked};
use crate::columns;
use crate::consumer::Consumer;
use crate::fetch;
use crate::ledger::parked;
use crate::ledger::pick::{self, Pick, Picked};

/// Why a file is not on disk.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Unread(#[from] fetch::Error),
    #[error("{0}: {1}")]
    Disk(PathBuf, std::io::Error),
    #[error("{0} is there already; it is left as it is: name another folder with --to")]
    There(PathBuf),
    #[error(
        "its key is outside the grammar, and nothing of ours asks for such an object: get it with another S3 client"
    )]
    Nobodys,
    #[error("it was loaded or dropped meanwhile")]
    Gone,
}

impl Unwritten {
    fn code(&self) -> Code {
        match self {
            Self::Unread(fetch::Error::Kept(_)) => Code::Unavailable,
            Self::Unread(fetch::Error::Bucket(error)) => match error.fault() {
                Fault::Unauthenticated | Fault::Forbidden => Code::NoPerm,
                Fault::Settings => Code::Config,
                _ => Code::Io,
            },
            Self::Disk(..) | Self::There(_) => Code::CantCreate,
            Self::Nobodys | Self::Gone => Code::Data,
        }
    }
}

pub(super) async fn export(consumer: &Consumer, pick: &Pick, to: &Path) -> Result<Done, Error> {
    let (files, _) = pick::find(consumer.pool(), pick, i64::MAX).await?;
    let mut done = unpicked(consumer.pool(), pick, files.iter().map(|file| file.id)).await?;
    for file in &files {
        match one(consumer, file, to).await {
            Ok(path) => {
                let (size, path) = (columns::size(file.size), path.display());
                let _ = writeln!(done.page, "{} {} written to {path}", file.id, size);
            }
            Err(error) => {
                let sentence = format!("file {} is not exported: {error}", file.id);
                done.complaints.push((error.code(), sentence));
            }
        }
    }
    Ok(done)
}

/// Writes beside, and gives the file its name once it is whole.
async fn one(consumer: &Consumer, file: &Picked, to: &Path) -> Result<PathBuf, Unwritten> {
    let key: Key = file.key.parse().map_err(|_| Unwritten::Nobodys)?;
    let path = to.join(file.key.rsplit('/').next().unwrap_or_default());
    let disk = |error| Unwritten::Disk(path.clone(), error);
    if path.symlink_metadata().is_ok() {
        return Err(Unwritten::There(path));
    }
    let beside = NamedTempFile::new_in(to).map_err(|error| Unwritten::Disk(to.into(), error))?;
    let mut writing = tokio::fs::File::from_std(beside.reopen().map_err(disk)?);
    let mut stored = stored(consumer, file, &key).await?;
    let mut size = 0;
    while let Some(piece) = stored.try_next().await? {
        size += piece.len() as u64;
        writing.write_all(&piece).await.map_err(disk)?;
    }
    if size != file.size.unsigned_abs() {
        return Err(Unwritten::Gone);
    }
    writing.flush().await.map_err(disk)?;
    writing.sync_all().await.map_err(disk)?;
    match beside.persist_noclobber(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Unwritten::There(path))
        }
        Err(error) => Err(disk(error.error)),
    }
}

async fn stored(
    consumer: &Consumer,
    file: &Picked,
    key: &Key,
) -> Result<BoxStream<'static, Result<Bytes, fetch::Error>>, fetch::Error> {
    if file.state == "parked" {
        let parts = parked::stream(consumer.pool(), file.id);
        return Ok(parts.map_err(fetch::Error::from).boxed());
    }
    let pieces = consumer.bucket.get_stream(key, &file.etag).await?;
    Ok(pieces.map_err(fetch::Error::from).boxed())
}
