//! GET of exactly the object that was listed.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use nightdrop_schema::Key;
use reqwest::{
    Method, Response,
    header::{HeaderValue, IF_MATCH},
};
use std::sync::Arc;

use super::{Request, S3};
use crate::{Call, Error, Fault, error::quoted};

impl S3 {
    pub(crate) async fn get(&self, key: &Key, etag: &str) -> Result<Bytes, Error> {
        let (request, response) = self.open_object(key, etag).await?;
        // A server that sends a byte now and then would otherwise never be given up.
        let limit = self.limits.for_body(response.content_length().unwrap_or(0));
        self.within(limit, &request, async {
            response.bytes().await.map_err(|e| self.broke(&request, &e))
        })
        .await
    }

    pub(crate) async fn get_stream(
        self: &Arc<Self>,
        key: &Key,
        etag: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let (request, response) = self.open_object(key, etag).await?;
        let s3 = Arc::clone(self);
        Ok(stream::try_unfold(response, async |mut response| {
            Ok(response.chunk().await?.map(|piece| (piece, response)))
        })
        .map_err(move |e| s3.broke(&request, &e))
        .boxed())
    }

    async fn open_object(&self, key: &Key, etag: &str) -> Result<(Request, Response), Error> {
        let mut request = Request::of_key(Call::Get, Method::GET, key);
        let matching = HeaderValue::from_str(etag).map_err(|_| {
            let said = format!("the etag {} can't be sent", quoted(etag));
            self.failed(&request, Fault::Refused, said)
        })?;
        request.headers.insert(IF_MATCH, matching);
        let response = self.send(&self.down, &request, None, None).await?;
        Ok((request, response))
    }
}
