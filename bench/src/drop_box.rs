//! The bucket as the harness has it: it fills and clears it with its owner's keys.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nightdrop_compose::{Inbox, Keys};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use crate::work::Object;

/// A bucket of the bench's own.
pub struct DropBox {
    /// Its server, users and rights.
    pub inbox: Inbox,
    store: AmazonS3,
}

impl DropBox {
    /// Opens the bucket of `inbox`.
    ///
    /// # Errors
    /// When the settings can't work.
    pub fn new(inbox: Inbox) -> Result<Self> {
        let store = store(&inbox, &inbox.root())?;
        Ok(Self { inbox, store })
    }

    /// Puts all objects, many at once.
    ///
    /// # Errors
    /// When one can't be put.
    pub async fn fill(&self, objects: &[Object]) -> Result<()> {
        stream::iter(objects.to_vec())
            .map(|object| {
                let store = self.store.clone();
                async move { store.put(&Path::from(object.key), object.body.into()).await }
            })
            .buffer_unordered(32)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    /// What lies in the bucket: keys and bytes.
    ///
    /// # Errors
    /// When the server doesn't say.
    pub async fn list(&self) -> Result<Vec<(Path, u64)>> {
        let listed = self
            .store
            .list(None)
            .map_ok(|object| (object.location, object.size));
        Ok(listed.try_collect().await?)
    }

    /// One object.
    ///
    /// # Errors
    /// When it isn't there.
    pub async fn get(&self, path: &Path) -> Result<bytes::Bytes> {
        Ok(self.store.get(path).await?.bytes().await?)
    }

    /// Deletes all that lies in the bucket.
    ///
    /// # Errors
    /// When something is left.
    pub async fn clear(&self) -> Result<()> {
        let listed = self.list().await?;
        let paths = stream::iter(listed).map(|(path, _)| Ok(path)).boxed();
        self.store
            .delete_stream(paths)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        ensure!(self.list().await?.is_empty(), "the bucket can't be emptied");
        Ok(())
    }
}

/// A plain client of the bucket.
///
/// # Errors
/// When the settings can't work.
pub fn store(inbox: &Inbox, keys: &Keys) -> Result<AmazonS3> {
    Ok(AmazonS3Builder::new()
        .with_endpoint(&inbox.endpoint)
        .with_allow_http(true)
        .with_region(&inbox.region)
        .with_bucket_name(&inbox.bucket)
        .with_access_key_id(&keys.access_key)
        .with_secret_access_key(&keys.secret_key)
        .build()?)
}
