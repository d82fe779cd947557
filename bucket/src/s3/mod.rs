//! A bucket on an S3 server. Each call is a request of our own, presigned by `object_store`, so that
//! all of them take one road: sign, send, classify. Nothing here retries.
//!
//! Here is what every request has in common; each call is a file of its own.

mod answer;
mod credentials;
mod delete;
mod get;
mod list;
mod probe;
mod profile;
mod put;
mod target;
#[cfg(test)]
mod tests;
mod xml;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use nightdrop_schema::Key;
use object_store::{
    aws::AmazonS3,
    signer::{SignedUrlOptions, Signer as _},
};
use reqwest::{
    Body, Client, Method, Response,
    header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use self::credentials::{Fresh, Source};
pub(crate) use self::{
    probe::{Allowed, Attempt},
    target::bucket,
};
use crate::{
    Call, Error, Fault, Settings, WAIT,
    error::{self, quoted},
    fault,
};

/// How long a presigned URL can be used. It is used at once; this is how far the clocks of client
/// and server may be apart, and the same as S3's own limit for signed requests.
const URL_LIFE: Duration = Duration::from_mins(15);

/// The digest of a body. AWS and the other servers refuse one that does not fit it.
const SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To a connection, TLS included.
    pub(crate) connect: Duration,
    /// Until credentials are there, where a metadata service has to be asked.
    pub(crate) credentials: Duration,
    /// For a whole request, however small.
    pub(crate) request: Duration,
    /// For the next piece of an answer. MinIO makes a GET wait for a PUT of the same key for up to
    /// 30 s: more than that.
    pub(crate) idle: Duration,
    /// The slowest line that still works, in bytes a second: the time for a body of known length.
    pub(crate) rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            credentials: Duration::from_secs(30),
            request: WAIT,
            idle: Duration::from_mins(1),
            rate: 1_000_000,
        }
    }
}

impl Limits {
    /// For a request with a body of `length` bytes, either way.
    fn for_body(&self, length: u64) -> Duration {
        self.request + Duration::from_secs(length / self.rate)
    }
}

/// How requests go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Encrypted, to a server whose certificate is verified.
    Tls,
    /// As they are, on this machine.
    PlainOnLoopback,
    /// As they are.
    Plain,
}

/// A bucket on an S3 server.
pub(crate) struct S3 {
    place: String,
    /// For messages: who did not answer.
    server: String,
    wire: Wire,
    aws: bool,
    signer: AmazonS3,
    /// What it signs with, where that is our own.
    keys: Option<Arc<Fresh>>,
    /// For what is sent. No limit between two pieces of an answer: none comes before the whole body
    /// is up, and the request as a whole has one.
    up: Client,
    /// For what is read.
    down: Client,
    limits: Limits,
}

/// A request to be presigned.
struct Request {
    call: Call,
    /// What it is about, for messages: a key, or the prefix of a listing.
    about: Option<String>,
    method: Method,
    path: object_store::path::Path,
    query: Vec<(String, String)>,
    /// All of them are signed.
    headers: HeaderMap,
}

impl S3 {
    pub(crate) fn open(mut settings: Settings, limits: Limits) -> Result<Self, Error> {
        let target = target::Target::from(&settings, std::env::vars_os())
            .map_err(|said| error::settings(&settings, said))?;
        let client = || {
            Client::builder()
                .user_agent(concat!("nightdrop/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(limits.connect)
                // Shorter than any server keeps an idle connection: one that the server has just
                // closed fails the next request.
                .pool_idle_timeout(Duration::from_secs(15))
                .https_only(target.wire == Wire::Tls)
                // A signature is good for one host only, and nobody else should see it.
                .redirect(redirect::Policy::none())
                .http1_only()
                // Bytes are wanted as they are stored, whatever features a build has.
                .no_gzip()
                .no_zstd()
                .no_brotli()
                .no_deflate()
        };
        let built = client()
            .build()
            .and_then(|up| Ok((up, client().read_timeout(limits.idle).build()?)));
        let (up, down) = built.map_err(|e| error::settings(&settings, fault::root(&e)))?;
        let given = settings.keys.take().map(Source::Given);
        let source = given.or(target.profile.map(Source::Profile));
        let keys = source.map(|source| Arc::new(Fresh::new(source)));
        let signer = credentials::signer(target.builder, keys.clone())
            .map_err(|e| error::settings(&settings, quoted(&e.to_string())))?;
        Ok(Self {
            place: target.place,
            server: target.server,
            wire: target.wire,
            aws: target.aws,
            signer,
            keys,
            up,
            down,
            limits,
        })
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Signs `request` and sends it, with a body and its length in bytes where it has one. An
    /// answer that is no success is an error, read and classified.
    async fn send(
        &self,
        client: &Client,
        request: &Request,
        body: Option<(Body, u64)>,
        timeout: Option<Duration>,
    ) -> Result<Response, Error> {
        let response = self.answer(client, request, body, timeout).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            let refusal = self.refusal(request, response).await;
            if let (Fault::Unauthenticated | Fault::Forbidden, Some(keys)) =
                (refusal.fault, &self.keys)
            {
                keys.forget().await;
            }
            Err(refusal)
        }
    }

    /// The same, with whatever answer comes.
    async fn answer(
        &self,
        client: &Client,
        request: &Request,
        body: Option<(Body, u64)>,
        timeout: Option<Duration>,
    ) -> Result<Response, Error> {
        let mut options = SignedUrlOptions::default().with_query(request.query.clone());
        options.signed_headers = request.headers.clone();
        let method = request.method.clone();
        let signing =
            self.signer
                .signed_url_opts(method.clone(), &request.path, URL_LIFE, &options);
        let url = self
            .within(self.limits.credentials, request, async {
                signing.await.map_err(|e| {
                    let said = quoted(&fault::root(&e));
                    self.failed(request, Fault::of_signer(&e), said)
                })
            })
            .await?;

        let mut sending = client.request(method, url).headers(request.headers.clone());
        if let Some((body, length)) = body {
            // Said, so that a stream goes out as it is and not in chunks, which S3 refuses.
            sending = sending.header(CONTENT_LENGTH, length).body(body);
        }
        if let Some(timeout) = timeout {
            sending = sending.timeout(timeout);
        }
        sending.send().await.map_err(|e| self.broke(request, &e))
    }

    /// Waits for a part of `request`, up to `limit`.
    async fn within<T>(
        &self,
        limit: Duration,
        request: &Request,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let said = format!("it was not done within {limit:?}");
            Err(self.failed(request, Fault::TimedOut, said))
        })
    }

    /// The error for a request that got no answer, or not all of it.
    fn broke(&self, request: &Request, error: &reqwest::Error) -> Error {
        let fault = Fault::of_transport(error);
        let root = quoted(&fault::root(error));
        let said = match fault {
            Fault::Io => format!("the file can't be read: {root}"),
            Fault::Unreachable if error.is_connect() => {
                format!("no connection to {}: {root}", self.server)
            }
            _ => format!("the connection to {} broke: {root}", self.server),
        };
        self.failed(request, fault, said)
    }

    fn failed(&self, request: &Request, fault: Fault, said: String) -> Error {
        Error {
            place: self.place.clone(),
            call: request.call,
            key: request.about.clone(),
            fault,
            said,
            status: None,
        }
    }
}

impl Request {
    fn of_key(call: Call, method: Method, key: &Key) -> Self {
        let key = key.to_string();
        Self {
            call,
            method,
            path: object_store::path::Path::from(key.as_str()),
            about: Some(key),
            query: Vec::new(),
            headers: HeaderMap::new(),
        }
    }

    fn of_bucket(call: Call, method: Method, query: &[(&str, &str)]) -> Self {
        Self {
            call,
            about: None,
            method,
            path: object_store::path::Path::ROOT,
            query: query
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            headers: HeaderMap::new(),
        }
    }
}

fn base64(digest: &[u8]) -> HeaderValue {
    HeaderValue::try_from(BASE64_STANDARD.encode(digest)).expect("base64 is visible ASCII")
}
