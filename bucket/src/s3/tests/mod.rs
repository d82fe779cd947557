//! What only a server that misbehaves does, and what is sent, byte for byte: against a stub. What
//! real servers do is in the conformance suite.

mod answers;
mod patience;
mod requests;
mod stub;

use std::{io::Write as _, sync::Arc};

use nightdrop_schema::Key;
use tempfile::NamedTempFile;

use super::{Limits, S3};
use crate::{Error, Keys, Settings};

fn bucket(endpoint: &str) -> Arc<S3> {
    open(endpoint, Limits::default())
}

fn open(endpoint: &str, limits: Limits) -> Arc<S3> {
    let settings = Settings {
        url: "s3://inbox".parse().unwrap(),
        endpoint: Some(endpoint.parse().unwrap()),
        region: None,
        imds: false,
        keys: Some(Arc::new(|| {
            Ok(Keys {
                access_key: "user".into(),
                secret_key: "hush".into(),
            })
        })),
    };
    Arc::new(S3::open(settings, limits).unwrap())
}

fn key(n: u8) -> Key {
    format!("inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-0000000000{n:02x}.json")
        .parse()
        .unwrap()
}

fn file(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

/// The failure of every call there is.
async fn all_calls(s3: &Arc<S3>) -> Vec<Error> {
    let file = file(b"{}");
    vec![
        s3.put_within(s3.limits.request, &key(1), file.path())
            .await
            .unwrap_err(),
        s3.list("inbox/", None).await.unwrap_err(),
        s3.get(&key(1), "\"e\"").await.unwrap_err(),
        s3.get_stream(&key(1), "\"e\"").await.map(drop).unwrap_err(),
        s3.delete(&[key(1)]).await.unwrap_err(),
    ]
}
