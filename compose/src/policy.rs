//! The rights of the two sides, from the files in `policies/` that `set-up.sh` gives to MinIO, too.

/// `s3:PutObject` below `inbox/<producer>/`, on keys that end as ours do, and nothing else.
pub(crate) fn producer(bucket: &str, producer: &str) -> String {
    include_str!("../policies/producer.json")
        .replace("BUCKET", bucket)
        .replace("PRODUCER", producer)
}

/// List, get and delete below `inbox/`.
pub(crate) fn reader(bucket: &str) -> String {
    include_str!("../policies/reader.json").replace("BUCKET", bucket)
}
