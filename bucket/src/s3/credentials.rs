//! Keys that are read by ourselves: afresh each second or, of those that say how long they are good, shortly before
//! that; and whenever they were refused.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use object_store::{
    CredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential},
};
use secrecy::ExposeSecret as _;
use tokio::{sync::Mutex, time::Instant};

use super::profile::Profile;
use crate::{KeySource, fault::NoKeys};

/// For so long keys are not read again: a hundred requests a second would open as many files.
const LIFE: Duration = Duration::from_secs(1);

/// So long before their end keys are asked for anew.
const BEFORE_END: Duration = Duration::from_mins(1);

/// Who signs: `keys` where there are some, else what the builder took from the environment.
pub(super) fn signer(
    builder: AmazonS3Builder,
    keys: Option<Arc<Fresh>>,
) -> Result<AmazonS3, object_store::Error> {
    match keys {
        Some(fresh) => builder.with_credentials(fresh),
        None => builder,
    }
    .build()
}

/// Where they come from.
pub(super) enum Source {
    /// The settings.
    Given(KeySource),
    /// A profile of AWS's own tools.
    Profile(Profile),
}

/// Asks the source again and again, so that a rotated secret is seen without a restart.
pub(super) struct Fresh {
    source: Source,
    /// What it gave, and until when that counts.
    last: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl Fresh {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            last: Mutex::new(None),
        }
    }

    /// The next request asks the source.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }

    async fn read(&self) -> object_store::Result<(Instant, Arc<AwsCredential>)> {
        let now = Instant::now();
        let source = match &self.source {
            Source::Given(source) => Arc::clone(source),
            Source::Profile(profile) => {
                let (credential, until) = profile.credential().await.map_err(none)?;
                return Ok((now + life(until), Arc::new(credential)));
            }
        };
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
        Ok((now + LIFE, Arc::new(credential)))
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh([REDACTED])")
    }
}

#[async_trait]
impl CredentialProvider for Fresh {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut last = self.last.lock().await;
        if let Some((until, credential)) = &*last
            && Instant::now() < *until
        {
            return Ok(Arc::clone(credential));
        }
        *last = None;
        let (until, credential) = self.read().await?;
        *last = Some((until, Arc::clone(&credential)));
        Ok(credential)
    }
}

/// For how long keys count that are good until then.
fn life(until: Option<SystemTime>) -> Duration {
    until
        .and_then(|until| until.duration_since(SystemTime::now()).ok())
        .and_then(|left| left.checked_sub(BEFORE_END))
        .unwrap_or_default()
        .max(LIFE)
}

fn none(why: String) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(NoKeys(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_an_end_count_until_shortly_before_it() {
        let now = SystemTime::now();
        assert_eq!(life(None), LIFE);
        assert_eq!(life(Some(now - BEFORE_END)), LIFE);
        let hour = life(Some(now + Duration::from_hours(1)));
        assert!(
            hour > Duration::from_mins(58) && hour <= Duration::from_mins(59),
            "{hour:?}"
        );
    }
}
