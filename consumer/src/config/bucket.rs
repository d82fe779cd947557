//! Where the results lie, and by which key they are read.

use std::sync::Arc;
use std::time::Duration;

use nightdrop_bucket::{Keys, Settings};
use nightdrop_runtime::config as units;
use nightdrop_runtime::config::reference::{DURATION, SECRET};
use nightdrop_runtime::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// Where the results lie, with the reader's credentials.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// `s3://bucket` or `file:///folder`.
    #[schemars(with = "String", extend("format" = "URL"))]
    pub url: Url,
    /// The S3 server, where it isn't AWS.
    #[schemars(with = "Option<String>", extend("format" = "URL"))]
    pub endpoint: Option<Url>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Left out with `secret_key`: the standard AWS environment (keys, `AWS_PROFILE`, web identity, ECS, EKS).
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub access_key: Option<Secret>,
    /// The other half of `access_key`.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub secret_key: Option<Secret>,
    /// Credentials from EC2's metadata service.
    #[serde(default)]
    pub imds: bool,
    /// How long an object stays in the bucket after its verdict: longer where Postgres replicates
    /// asynchronously, and may lose a commit.
    #[serde(default, with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub delete_after: Duration,
}

impl Bucket {
    /// What the bucket crate needs; the secrets are read when it asks for them.
    ///
    /// # Errors
    /// When only one half of the key is there.
    pub fn settings(&self) -> Result<Settings, String> {
        let keys = match (&self.access_key, &self.secret_key) {
            (None, None) => None,
            (Some(access), Some(secret)) => {
                let (access, secret) = (access.clone(), secret.clone());
                let read = move || {
                    Ok(Keys {
                        access_key: access.read().map_err(|error| error.to_string())?,
                        secret_key: secret.read().map_err(|error| error.to_string())?,
                    })
                };
                Some(Arc::new(read) as nightdrop_bucket::KeySource)
            }
            (Some(_), None) => return Err("[bucket] has an access_key but no secret_key".into()),
            (None, Some(_)) => return Err("[bucket] has a secret_key but no access_key".into()),
        };
        Ok(Settings {
            url: self.url.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            imds: self.imds,
            keys,
        })
    }
}
