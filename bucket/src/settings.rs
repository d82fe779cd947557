//! Where the drop box is, and with whose keys it is opened.

use std::{fmt, sync::Arc};

use secrecy::SecretString;
use url::Url;

/// Gives the keys, read afresh: called each second, and after a refusal, so that a rotated secret is seen without a
/// restart. An `Err` is a sentence that says which secret can't be read and why. It may block.
pub type KeySource = Arc<dyn Fn() -> Result<Keys, String> + Send + Sync>;

/// A pair of S3 keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key's id.
    pub access_key: SecretString,
    /// The secret that belongs to it.
    pub secret_key: SecretString,
}

/// Where the drop box is, and with whose keys it is opened.
#[derive(Clone)]
pub struct Settings {
    /// `s3://bucket` or `file:///folder`.
    pub url: Url,
    /// The S3 server, `https://…` or, where nothing else is to be had, `http://…`. Needed
    /// everywhere but on AWS. It is never overridden by the environment; where it is left out
    /// together with `keys`, `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` count.
    pub endpoint: Option<Url>,
    /// The region, needed on AWS. Left out, `AWS_REGION` counts (where `keys` are left out, too),
    /// and with an endpoint `us-east-1`, which servers other than AWS take for any.
    pub region: Option<String>,
    /// Whether EC2's metadata service may be asked for credentials, where `keys` are left out and
    /// the environment has none.
    pub imds: bool,
    /// The keys. Left out: the standard AWS environment (keys, a profile, web identity, ECS, EKS).
    pub keys: Option<KeySource>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url.as_str())
            .field("endpoint", &self.endpoint.as_ref().map(Url::as_str))
            .field("region", &self.region)
            .field("imds", &self.imds)
            .field("keys", &self.keys.as_ref().map(|_| "[REDACTED]"))
            .finish()
    }
}
