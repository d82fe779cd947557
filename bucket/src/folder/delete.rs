//! DELETE of many, each with its own answer.

use std::{fs, io, sync::Arc};

use nightdrop_schema::Key;

use super::Folder;
use crate::{Call, Error, Fault};

impl Folder {
    pub(crate) async fn delete(
        self: &Arc<Self>,
        keys: &[Key],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let keys = keys.to_vec();
        self.blocking(Call::Delete, None, move |folder| {
            Ok(keys.iter().map(|key| folder.unlink(key)).collect())
        })
        .await
    }

    fn unlink(&self, key: &Key) -> Result<(), Error> {
        match fs::remove_file(self.path(key)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed(
                Call::Delete,
                Some(key.to_string()),
                Fault::of_io(&e),
                e.to_string(),
            )),
            _ => Ok(()),
        }
    }
}
