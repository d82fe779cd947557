//! GET of exactly the file that was listed.

use std::{fs, io, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use nightdrop_schema::Key;
use tokio_util::io::ReaderStream;

use super::{Folder, etag};
use crate::{Call, Error, Fault};

/// How much of a file is in memory at a time, in bytes.
const PIECE: usize = 256 << 10;

impl Folder {
    pub(crate) async fn get(self: &Arc<Self>, key: &Key, wanted: &str) -> Result<Bytes, Error> {
        let mut file = self.open_object(key, wanted).await?;
        self.blocking(Call::Get, key.to_string(), move |_| {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut file, &mut bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    pub(crate) async fn get_stream(
        self: &Arc<Self>,
        key: &Key,
        wanted: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let file = tokio::fs::File::from_std(self.open_object(key, wanted).await?);
        let folder = Arc::clone(self);
        let about = Some(key.to_string());
        Ok(ReaderStream::with_capacity(file, PIECE)
            .map_err(move |e| {
                folder.failed(Call::Get, about.clone(), Fault::of_io(&e), e.to_string())
            })
            .boxed())
    }

    /// The file, if it is still the one that was listed.
    async fn open_object(self: &Arc<Self>, key: &Key, wanted: &str) -> Result<fs::File, Error> {
        let path = self.path(key);
        let wanted = wanted.to_owned();
        let opened = self
            .blocking(Call::Get, key.to_string(), move |_| {
                // Before it is opened: to open a pipe would wait for ever.
                if !fs::symlink_metadata(&path)?.is_file() {
                    return Ok(None);
                }
                let file = fs::File::open(&path)?;
                // Of the open file: the name may point elsewhere by now.
                let found = etag(&file.metadata()?);
                Ok((found == wanted).then_some(file))
            })
            .await?;
        opened.ok_or_else(|| {
            let said = "there is another file under this name now".to_owned();
            self.failed(Call::Get, Some(key.to_string()), Fault::Changed, said)
        })
    }
}
