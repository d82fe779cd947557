//! Requests signed by AWS's Signature Version 4, for what object stores' libraries do not do:
//! making users, and showing a refusal as the server said it.

use anyhow::{Context as _, Result};
use http::header::CONTENT_TYPE;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequestBody;

use super::{Keys, REGION};
use crate::blocking::blocking;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, XML mostly.
    pub body: String,
}

impl Answer {
    /// The text of the first `element` in the XML.
    pub fn text(&self, element: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{element}>"))?;
        Some(rest.split_once(&format!("</{element}>"))?.0)
    }

    /// Each `element` of the XML, as an answer of its own.
    pub fn all(&self, element: &str) -> Vec<Self> {
        let opening = format!("<{element}>");
        let elements = self.body.split(&opening).skip(1);
        elements
            .map(|body| Self {
                status: self.status,
                body: body.to_owned(),
            })
            .collect()
    }
}

/// Sends one request; `path` is percent-encoded and may have a query.
pub(super) fn request(
    endpoint: &str,
    keys: &Keys,
    service: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let credential = AwsCredential {
        key_id: keys.access_key.clone(),
        secret_key: keys.secret_key.clone(),
        token: None,
    };
    let mut signed = http::Request::builder()
        .method(method)
        .uri(format!("{endpoint}{path}"))
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        );
    for (name, value) in headers {
        signed = signed.header(*name, *value);
    }
    let mut signed = signed.body(HttpRequestBody::from(body.to_owned()))?;
    AwsAuthorizer::new(&credential, service, REGION).try_authorize(&mut signed, None)?;

    let (parts, _) = signed.into_parts();
    blocking(async {
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body.to_owned())
            .send()
            .await
            .with_context(|| format!("no answer from {endpoint}"))?;
        Ok(Answer {
            status: answer.status().as_u16(),
            body: answer.text().await?,
        })
    })
}
