//! One call at a time, made to learn what its answer is: what a key may do, and that it may do no more.
//!
//! A PUT that is to be refused is sent with a digest that is not its body's. A server looks at rights first and at
//! the digest last: whichever refuses it, nothing is written.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::{
    Body, Client, Method, Response,
    header::{CONTENT_TYPE, DATE, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use sha2::{Digest as _, Sha256};

use super::{Request, S3, SHA256, Wire, base64};
use crate::{Call, Error, Fault};

/// How long one call may take: a person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is tried.
#[derive(Debug)]
pub(crate) enum Attempt<'a> {
    /// One that is meant to work.
    Put { key: &'a str, body: &'a [u8] },
    /// One that can't, for its digest is wrong.
    SpoiltPut { key: &'a str, create_only: bool },
    /// With the etag as it was listed, if it was.
    Get { key: &'a str, etag: Option<&'a str> },
    /// As a GET without its body.
    Head { key: &'a str },
    /// One key of those that begin so.
    List { prefix: &'a str },
    /// By itself: not in bulk, where a refusal is part of a success.
    Delete { key: &'a str },
}

/// How a call that was let through ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// It was done.
    Done,
    /// The object isn't there, or is another.
    Missing,
    /// The key is taken.
    Taken,
    /// The digest was wrong: but for that, it would have been done.
    Spoilt,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Tried {
    /// A refusal is an error; so is what proves nothing.
    pub(crate) outcome: Result<Allowed, Error>,
    /// How far the server's clock is ahead of this machine's, in seconds, if an answer came that says it.
    pub(crate) ahead: Option<i64>,
    /// Whether there was any answer of HTTP at all.
    pub(crate) answered: bool,
}

impl S3 {
    pub(crate) async fn attempt(&self, attempt: &Attempt<'_>) -> Tried {
        let mut tried = Tried {
            outcome: Ok(Allowed::Done),
            ahead: None,
            answered: false,
        };
        let (request, client, body) = match self.prepared(attempt) {
            Ok(prepared) => prepared,
            Err(error) => {
                tried.outcome = Err(error);
                return tried;
            }
        };
        let length = body.as_ref().map(|body| body.len() as u64);
        let body = body.map(Body::from).zip(length);
        let asking = async {
            let sent = SystemTime::now();
            let response = self.answer(client, &request, body, None).await?;
            tried.answered = true;
            tried.ahead = ahead(&response, sent, SystemTime::now());
            self.outcome(attempt, &request, response).await
        };
        tried.outcome = self.within(PATIENCE, &request, asking).await;
        tried
    }

    fn prepared(&self, attempt: &Attempt<'_>) -> Result<(Request, &Client, Option<Bytes>), Error> {
        let of = |call, method, key: &str| Request {
            call,
            about: Some(key.to_owned()),
            method,
            path: object_store::path::Path::from(key),
            query: Vec::new(),
            headers: reqwest::header::HeaderMap::new(),
        };
        Ok(match *attempt {
            Attempt::Put { key, body } => {
                let mut request = of(Call::Put, Method::PUT, key);
                put(&mut request, true, &Sha256::digest(body));
                (request, &self.up, Some(Bytes::copy_from_slice(body)))
            }
            Attempt::SpoiltPut { key, create_only } => {
                let mut request = of(Call::Put, Method::PUT, key);
                put(&mut request, create_only, &Sha256::digest(b"another body"));
                (request, &self.up, Some(Bytes::from_static(b"{}")))
            }
            Attempt::Get { key, etag } => {
                let mut request = of(Call::Get, Method::GET, key);
                if let Some(etag) = etag {
                    let etag = HeaderValue::from_str(etag).map_err(|_| {
                        self.failed(
                            &request,
                            Fault::Refused,
                            "its etag can't be sent".to_owned(),
                        )
                    })?;
                    request.headers.insert(IF_MATCH, etag);
                }
                (request, &self.down, None)
            }
            Attempt::Head { key } => (of(Call::Get, Method::HEAD, key), &self.down, None),
            Attempt::List { prefix } => {
                let query = [("list-type", "2"), ("prefix", prefix), ("max-keys", "1")];
                let mut request = Request::of_bucket(Call::List, Method::GET, &query);
                request.about = Some(prefix.to_owned());
                (request, &self.down, None)
            }
            Attempt::Delete { key } => (of(Call::Delete, Method::DELETE, key), &self.down, None),
        })
    }

    async fn outcome(
        &self,
        attempt: &Attempt<'_>,
        request: &Request,
        response: Response,
    ) -> Result<Allowed, Error> {
        let status = response.status();
        if status.is_success() {
            // The body of a GET is not wanted.
            return Ok(Allowed::Done);
        }
        let error = self.refusal(request, response).await;
        match (error.fault, attempt) {
            // The answer to a HEAD has no document that could say more.
            (_, Attempt::Head { .. }) if status.as_u16() == 404 => Ok(Allowed::Missing),
            (Fault::Changed, Attempt::Put { .. } | Attempt::SpoiltPut { .. }) => Ok(Allowed::Taken),
            (Fault::NotFound | Fault::Changed, _) => Ok(Allowed::Missing),
            (_, Attempt::SpoiltPut { .. }) if is_about_digest(&error) => Ok(Allowed::Spoilt),
            _ => Err(error),
        }
    }

    /// How requests go over the wire.
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// Whether it is AWS itself that answers.
    pub(crate) fn is_aws(&self) -> bool {
        self.aws
    }
}

fn put(request: &mut Request, create_only: bool, digest: &[u8]) {
    request.headers.insert(SHA256, base64(digest));
    if create_only {
        request
            .headers
            .insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    }
    request
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// `BadDigest`, `XAmzContentChecksumMismatch` and what else servers call it; another 400 is no word about rights.
fn is_about_digest(error: &Error) -> bool {
    let said = error.said.to_lowercase();
    ["digest", "checksum", "sha256"]
        .iter()
        .any(|word| said.contains(word))
}

/// By the `Date` of an answer, which has whole seconds, against the middle of the time that it took.
fn ahead(response: &Response, sent: SystemTime, got: SystemTime) -> Option<i64> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    let server = httpdate::parse_http_date(date).ok()?;
    let middle = sent + got.duration_since(sent).unwrap_or_default() / 2;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Some(match server.duration_since(middle) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    })
}
