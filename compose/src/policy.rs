//! The rights of the two sides, as the programs' verb `policy` prints them for MinIO. SeaweedFS takes the same.

use anyhow::Result;
use nightdrop_bucket::Settings;
use nightdrop_bucket::policy::{Rights, Server};

/// What `nightdrop-producer policy` prints for this producer.
///
/// # Errors
/// One of the names is none.
pub fn producer(bucket: &str, producer: &str) -> Result<String> {
    Ok(rights(bucket)?.producer(&producer.parse()?))
}

/// What `nightdrop-consumer policy` prints.
///
/// # Errors
/// The name is none.
pub fn reader(bucket: &str) -> Result<String> {
    Ok(rights(bucket)?.consumer())
}

fn rights(bucket: &str) -> Result<Rights> {
    let settings = Settings {
        url: format!("s3://{bucket}").parse()?,
        endpoint: None,
        region: None,
        imds: false,
        keys: None,
    };
    Ok(Rights::of(&settings, Some(Server::Minio))?)
}
