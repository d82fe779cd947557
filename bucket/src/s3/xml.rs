//! The documents that S3 answers with, as far as we read them.

use serde::Deserialize;

/// `ListObjectsV2`, <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
#[derive(Debug, Deserialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
pub(super) struct Listing {
    pub(super) is_truncated: bool,
    pub(super) encoding_type: Option<String>,
    #[serde(default)]
    pub(super) contents: Vec<Contents>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Contents {
    pub(super) key: String,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) last_modified: Option<String>,
}

/// `DeleteObjects`, <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>.
#[derive(Debug, Deserialize)]
#[serde(rename = "DeleteResult", rename_all = "PascalCase")]
pub(super) struct Deletion {
    #[serde(default)]
    pub(super) deleted: Vec<Deleted>,
    #[serde(default, rename = "Error")]
    pub(super) errors: Vec<NotDeleted>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Deleted {
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NotDeleted {
    pub(super) key: String,
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// An error, <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>. Its other
/// members echo the request, signature included: they are not read.
#[derive(Debug, Deserialize)]
#[serde(rename = "Error", rename_all = "PascalCase")]
pub(super) struct Refusal {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// The root element's name, so that another document is not taken for an empty one of ours.
pub(super) fn root(document: &[u8]) -> Option<String> {
    let mut reader = quick_xml::Reader::from_reader(document);
    loop {
        match reader.read_event().ok()? {
            quick_xml::events::Event::Start(e) | quick_xml::events::Event::Empty(e) => {
                return String::from_utf8(e.local_name().as_ref().to_vec()).ok();
            }
            quick_xml::events::Event::Eof => return None,
            _ => {}
        }
    }
}

/// Reads a document whose root is `name`.
pub(super) fn read<T: for<'de> Deserialize<'de>>(name: &str, document: &[u8]) -> Result<T, String> {
    match root(document) {
        Some(found) if found == name => {
            quick_xml::de::from_reader(document).map_err(|e| format!("in <{name}>: {e}"))
        }
        Some(found) => Err(format!("<{}> instead of <{name}>", found.escape_debug())),
        None => Err(format!("no XML instead of <{name}>")),
    }
}
