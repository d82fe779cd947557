//! The first limit: LIST, then GET, then bulk DELETE of the same objects and nothing else, each at what served it best.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nightdrop_bucket::{Bucket, Keys, Settings};
use nightdrop_compose::Inbox;
use nightdrop_schema::{INBOX, Key};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde::Serialize;

use crate::drop_box;
use crate::figures::Spread;
use crate::stack::Stack;
use crate::work::Object;

/// GETs at once that are tried.
const GETS: [usize; 5] = [16, 32, 64, 128, 256];

/// Objects in a bulk DELETE, and how many of those at once, that are tried.
const DELETES: [(usize, usize); 5] = [(1000, 1), (1000, 2), (1000, 4), (250, 4), (250, 16)];

/// A client of the bucket.
#[derive(Clone)]
enum Client {
    Ours(Bucket),
    ObjectStore(Arc<AmazonS3>),
}

/// What was best.
#[derive(Debug, Clone, Serialize)]
pub struct Best {
    /// The client that listed fastest.
    pub list_client: &'static str,
    /// The client that got fastest.
    pub get_client: &'static str,
    /// GETs at once.
    pub gets: usize,
    /// Objects in one bulk DELETE.
    pub chunk: usize,
    /// Bulk DELETEs at once.
    pub deletes: usize,
}

/// What the three steps took, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Raw {
    /// All pages.
    pub list: f64,
    /// All bodies.
    pub get: f64,
    /// All objects.
    pub delete: f64,
}

impl Raw {
    /// One after the other.
    pub fn sum(self) -> f64 {
        self.list + self.get + self.delete
    }
}

/// The limit of one work.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// How it was reached.
    pub best: Best,
    /// Each run.
    pub runs: Vec<Raw>,
}

impl Limit {
    /// The sum of the three steps.
    pub fn sum(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().map(|raw| raw.sum()))
    }
}

/// Our own client of the bucket, with the reader's keys.
///
/// # Errors
/// When the settings can't work.
pub fn reader(inbox: &Inbox) -> Result<Bucket> {
    let reader = inbox.reader();
    let keys = move || {
        Ok(Keys {
            access_key: reader.access_key.clone().into(),
            secret_key: reader.secret_key.clone().into(),
        })
    };
    Ok(Bucket::open(Settings {
        url: inbox.url().parse()?,
        endpoint: Some(inbox.endpoint.parse()?),
        region: Some(inbox.region.clone()),
        imds: false,
        keys: Some(Arc::new(keys)),
    })?)
}

impl Client {
    const NAMES: [&'static str; 2] = ["nightdrop-bucket", "object_store"];

    fn open(name: &str, inbox: &Inbox) -> Result<Self> {
        if name == Self::NAMES[1] {
            return Ok(Self::ObjectStore(Arc::new(drop_box::store(
                inbox,
                &inbox.reader(),
            )?)));
        }
        Ok(Self::Ours(reader(inbox)?))
    }

    /// Keys with their etags.
    async fn list(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        match self {
            Self::Ours(bucket) => {
                let mut after: Option<String> = None;
                loop {
                    let page = bucket.list(INBOX, after.as_deref()).await?;
                    found.extend(
                        page.objects
                            .into_iter()
                            .map(|object| (object.key.to_string(), object.etag)),
                    );
                    after = page.next;
                    if after.is_none() {
                        return Ok(found);
                    }
                }
            }
            Self::ObjectStore(store) => {
                let mut listed = store.list(Some(&Path::from("inbox")));
                while let Some(object) = listed.try_next().await? {
                    found.push((
                        object.location.to_string(),
                        object.e_tag.unwrap_or_default(),
                    ));
                }
                Ok(found)
            }
        }
    }

    async fn get(self, key: String, etag: String) -> Result<usize> {
        Ok(match self {
            Self::Ours(bucket) => {
                let mut body = bucket.get_stream(&key.parse()?, &etag).await?;
                let mut length = 0;
                while let Some(part) = body.try_next().await? {
                    length += part.len();
                }
                length
            }
            Self::ObjectStore(store) => {
                let mut body = store.get(&Path::from(key)).await?.into_stream();
                let mut length = 0;
                while let Some(part) = body.try_next().await? {
                    length += part.len();
                }
                length
            }
        })
    }

    async fn get_all(&self, listed: &[(String, String)], at_once: usize) -> Result<f64> {
        let since = Instant::now();
        stream::iter(listed.to_vec())
            .map(|(key, etag)| tokio::spawn(self.clone().get(key, etag)))
            .buffer_unordered(at_once)
            .map(|done| {
                ensure!(done?? > 0, "an object came empty");
                Ok(())
            })
            .try_for_each(|()| async { Ok(()) })
            .await?;
        Ok(since.elapsed().as_secs_f64())
    }
}

/// Bulk DELETEs by our own client: it is the only one of the two whose chunks can be chosen.
async fn delete_all(
    bucket: &Bucket,
    listed: &[(String, String)],
    chunk: usize,
    at_once: usize,
) -> Result<f64> {
    let keys = listed
        .iter()
        .map(|(key, _)| key.parse())
        .collect::<Result<Vec<Key>, _>>()?;
    let chunks: Vec<Vec<Key>> = keys.chunks(chunk).map(<[Key]>::to_vec).collect();
    let since = Instant::now();
    stream::iter(chunks)
        .map(|keys| {
            let bucket = bucket.clone();
            tokio::spawn(async move { bucket.delete(&keys).await })
        })
        .buffer_unordered(at_once)
        .map(|done| {
            for one in done?? {
                one?;
            }
            anyhow::Ok(())
        })
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok(since.elapsed().as_secs_f64())
}

/// Finds what serves these objects best.
///
/// # Errors
/// When the server refuses.
pub async fn calibrate(stack: &Stack, objects: &[Object]) -> Result<Best> {
    let inbox = &stack.drop_box.inbox;
    stack.drop_box.fill(objects).await?;
    let mut best_list = (f64::MAX, "");
    let mut best_get = (f64::MAX, "", 0);
    for name in Client::NAMES {
        let client = Client::open(name, inbox)?;
        // The first connection is nobody's cost.
        client.list().await?;
        let since = Instant::now();
        let listed = client.list().await?;
        let took = since.elapsed().as_secs_f64();
        ensure!(
            listed.len() == objects.len(),
            "{name} lists {} of {}",
            listed.len(),
            objects.len()
        );
        if took < best_list.0 {
            best_list = (took, name);
        }
        for at_once in GETS {
            let took = client.get_all(&listed, at_once).await?;
            if took < best_get.0 {
                best_get = (took, name, at_once);
            }
            if at_once >= listed.len() {
                break;
            }
        }
    }
    let bucket = reader(inbox)?;
    let client = Client::Ours(bucket.clone());
    let mut best_delete = (f64::MAX, 0, 0);
    for (chunk, at_once) in DELETES {
        stack.drop_box.fill(objects).await?;
        let listed = client.list().await?;
        let took = delete_all(&bucket, &listed, chunk, at_once).await?;
        if took < best_delete.0 {
            best_delete = (took, chunk, at_once);
        }
        if listed.len() <= chunk {
            break;
        }
    }
    Ok(Best {
        list_client: best_list.1,
        get_client: best_get.1,
        gets: best_get.2,
        chunk: best_delete.1,
        deletes: best_delete.2,
    })
}

/// The three steps, once.
///
/// # Errors
/// When the server refuses.
pub async fn once(stack: &Stack, objects: &[Object], best: &Best) -> Result<Raw> {
    let inbox = &stack.drop_box.inbox;
    stack.drop_box.fill(objects).await?;
    let client = Client::open(best.list_client, inbox)?;
    let getter = Client::open(best.get_client, inbox)?;
    let deleter = reader(inbox)?;
    // Connections are there: it is the server's limit that is asked for.
    client.list().await.context("LIST")?;
    let since = Instant::now();
    let listed = client.list().await?;
    let list = since.elapsed().as_secs_f64();
    let get = getter.get_all(&listed, best.gets).await.context("GET")?;
    let delete = delete_all(&deleter, &listed, best.chunk, best.deletes)
        .await
        .context("DELETE")?;
    ensure!(
        stack.drop_box.list().await?.is_empty(),
        "the raw DELETE left something"
    );
    Ok(Raw { list, get, delete })
}
