//! Our own keys, read afresh for each signature.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use object_store::{
    CredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential},
};
use secrecy::ExposeSecret as _;

use crate::{KeySource, fault::NoKeys};

/// Who signs: `keys` where there are some, else what the builder took from the environment.
pub(super) fn signer(
    builder: AmazonS3Builder,
    keys: Option<KeySource>,
) -> Result<AmazonS3, object_store::Error> {
    match keys {
        Some(source) => builder.with_credentials(Arc::new(Fresh(source))),
        None => builder,
    }
    .build()
}

/// Asks the source at each use, so that a rotated secret is seen without a restart.
struct Fresh(KeySource);

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh([REDACTED])")
    }
}

#[async_trait]
impl CredentialProvider for Fresh {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let source = Arc::clone(&self.0);
        // A secret may be a file on a disk that hangs.
        let keys = tokio::task::spawn_blocking(move || source())
            .await?
            .map_err(none)?;
        let credential = AwsCredential {
            key_id: keys.access_key.expose_secret().to_owned(),
            secret_key: keys.secret_key.expose_secret().to_owned(),
            token: None,
        };
        if credential.key_id.is_empty() || credential.secret_key.is_empty() {
            return Err(none("access_key or secret_key is empty".to_owned()));
        }
        Ok(Arc::new(credential))
    }
}

fn none(why: String) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(NoKeys(why)),
    }
}
