//! What a server says: a document we asked for, or a refusal.

use bytes::BytesMut;
use reqwest::Response;
use serde::Deserialize;

use super::{Request, S3, xml};
use crate::{Error, Fault, error::quoted};

/// The most of an answer that is read, in bytes: a page of 1,000 keys of 1,024 bytes, each of them
/// percent-encoded, is 3 MB.
const LONGEST: usize = 16 << 20;

impl S3 {
    /// Reads the document `name`.
    pub(super) async fn document<T: for<'de> Deserialize<'de>>(
        &self,
        request: &Request,
        response: Response,
        name: &str,
    ) -> Result<T, Error> {
        let status = response.status().as_u16();
        let body = self.body(request, response).await?;
        // S3 may begin a long answer with 200 and then find that it can't.
        if let Ok(refusal) = xml::read::<xml::Refusal>("Error", &body) {
            return Err(self.refused(request, status, Some(refusal)));
        }
        xml::read(name, &body).map_err(|what| {
            let said = format!(
                "the answer is no S3 answer ({}): does endpoint name an S3 server?",
                quoted(&what)
            );
            self.failed(request, Fault::Settings, said)
        })
    }

    /// The error that an answer other than a success means.
    pub(super) async fn refusal(&self, request: &Request, response: Response) -> Error {
        let status = response.status().as_u16();
        let region = response
            .headers()
            .get("x-amz-bucket-region")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        // Where the body does not come the status still says enough.
        let body = self.body(request, response).await.unwrap_or_default();
        let mut error = self.refused(request, status, xml::read("Error", &body).ok());
        if let (Fault::Settings, Some(region)) = (error.fault, region) {
            error.said = format!(
                "{} (the bucket is in region {})",
                error.said,
                quoted(&region)
            );
        }
        error
    }

    fn refused(&self, request: &Request, status: u16, refusal: Option<xml::Refusal>) -> Error {
        Error {
            status: Some(status),
            ..self.judged(request, status, refusal)
        }
    }

    fn judged(&self, request: &Request, status: u16, refusal: Option<xml::Refusal>) -> Error {
        let Some(xml::Refusal { code, message }) = refusal else {
            let said = format!("the server said {status}, without S3's own words for it");
            return self.failed(request, Fault::of_answer(status, None), said);
        };
        // A presigned URL was just made: where it has expired, a clock is wrong, not a right.
        let expired = message.contains("Request has expired") || code == "RequestTimeTooSkewed";
        let (fault, hint) = if expired {
            (Fault::Settings, " (set this machine's clock)")
        } else {
            (Fault::of_answer(status, Some(&code)), "")
        };
        let said = format!(
            "the server said {status} {}: {}{hint}",
            quoted(&code),
            quoted(&message)
        );
        self.failed(request, fault, said.trim_end_matches([':', ' ']).to_owned())
    }

    async fn body(&self, request: &Request, mut response: Response) -> Result<BytesMut, Error> {
        let mut body = BytesMut::new();
        self.within(self.limits.request, request, async {
            while let Some(piece) = response
                .chunk()
                .await
                .map_err(|e| self.broke(request, &e))?
            {
                if body.len() + piece.len() > LONGEST {
                    let said = format!("the answer is longer than {LONGEST} bytes");
                    return Err(self.failed(request, Fault::Settings, said));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        })
        .await
    }
}
