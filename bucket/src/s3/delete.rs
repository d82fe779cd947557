//! DELETE of many: `DeleteObjects`, 1,000 a request, with an answer for each.
//!
//! Not through `object_store`'s `delete_stream`: it takes a key that the answer does not name for
//! deleted, panics at one that it names too many, and gives a 503 as text only.

use std::collections::HashMap;

use bytes::Bytes;
use md5::Md5;
use nightdrop_schema::Key;
use quick_xml::escape::escape;
use reqwest::{
    Body, Method,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use sha2::{Digest as _, Sha256};

use super::{Request, S3, SHA256, base64, xml};
use crate::{Call, Error, Fault, error::quoted};

/// The most keys in one request, by S3's own limit.
const MOST: usize = 1000;

/// S3 wants a digest of the body here; which one depends on the server and its age.
const MD5: HeaderName = HeaderName::from_static("content-md5");

impl S3 {
    pub(crate) async fn delete(&self, keys: &[Key]) -> Result<Vec<Result<(), Error>>, Error> {
        let mut results = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MOST) {
            results.extend(self.delete_some(keys).await?);
        }
        Ok(results)
    }

    async fn delete_some(&self, keys: &[Key]) -> Result<Vec<Result<(), Error>>, Error> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let body = Bytes::from(document(&keys));
        let mut request = Request::of_bucket(Call::Delete, Method::POST, &[("delete", "")]);
        request
            .headers
            .insert(SHA256, base64(&Sha256::digest(&body)));
        request.headers.insert(MD5, base64(&Md5::digest(&body)));
        let xml = HeaderValue::from_static("application/xml");
        request.headers.insert(CONTENT_TYPE, xml);

        let length = body.len() as u64;
        let body = Some((Body::from(body), length));
        let timeout = Some(self.limits.request);
        let response = self.send(&self.down, &request, body, timeout).await?;
        let answer: xml::Deletion = self.document(&request, response, "DeleteResult").await?;

        let mut verdicts = verdicts(answer);
        let judge = |key: String| {
            let (fault, said) = match verdicts.remove(&key) {
                Some(Verdict::Gone) => return Ok(()),
                Some(Verdict::Refused { code, message }) => {
                    let fault = match Fault::of_answer(200, Some(&code)) {
                        // A code that nobody knows, about one key of many.
                        Fault::Settings => Fault::Refused,
                        fault => fault,
                    };
                    (
                        fault,
                        format!("the server said {}: {}", quoted(&code), quoted(&message)),
                    )
                }
                None => (
                    Fault::Busy,
                    "the server did not say that it is deleted".to_owned(),
                ),
            };
            request.about = Some(key);
            Err(self.failed(&request, fault, said))
        };
        Ok(keys.into_iter().map(judge).collect())
    }
}

enum Verdict {
    Gone,
    Refused { code: String, message: String },
}

fn document(keys: &[String]) -> String {
    let mut document = String::from(r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for key in keys {
        document.push_str("<Object><Key>");
        document.push_str(&escape(key.as_str()));
        document.push_str("</Key></Object>");
    }
    document.push_str("</Delete>");
    document
}

/// What was answered for which key. One that was gone before counts as deleted.
fn verdicts(answer: xml::Deletion) -> HashMap<String, Verdict> {
    let gone = answer.deleted.into_iter().map(|d| (d.key, Verdict::Gone));
    let others = answer.errors.into_iter().map(|e| {
        let verdict = match e.code.as_str() {
            "NoSuchKey" => Verdict::Gone,
            _ => Verdict::Refused {
                code: e.code,
                message: e.message,
            },
        };
        (e.key, verdict)
    });
    gone.chain(others).collect()
}
