//! An S3 server that has a million results and no disk: enough of LIST, GET and bulk DELETE for a consumer, computed from
//! the number of each object. It counts what it is asked.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

/// Producers, and jobs of each: a million results are as many as a hundred producers may have waiting, by the
/// consumer's own quota.
const PRODUCERS: usize = 100;
const JOBS: usize = 2;

/// The most keys in a page.
const PAGE: usize = 1000;

/// What lies in it: each of the jobs has the same number of results, one for each second from 2013 on.
pub struct Stub {
    /// Where it listens.
    pub endpoint: String,
    state: Arc<Held>,
    server: JoinHandle<()>,
}

struct Held {
    /// Results of each job.
    each: AtomicUsize,
    deleted: Mutex<HashSet<usize>>,
    lists: AtomicU64,
    gets: AtomicU64,
}

impl Stub {
    /// Starts it with about `count` objects.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(count: usize) -> Result<Self> {
        let state = Arc::new(Held {
            each: AtomicUsize::new(count / (PRODUCERS * JOBS)),
            deleted: Mutex::default(),
            lists: AtomicU64::new(0),
            gets: AtomicU64::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // It ends with the task.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self {
            endpoint,
            state,
            server,
        })
    }

    /// LIST requests so far.
    pub fn lists(&self) -> u64 {
        self.state.lists.load(Ordering::Relaxed)
    }

    /// GET requests so far.
    pub fn gets(&self) -> u64 {
        self.state.gets.load(Ordering::Relaxed)
    }

    /// A second later, so to say: each job has one result more.
    pub fn grow(&self) {
        self.state.each.fetch_add(1, Ordering::Relaxed);
    }

    /// How many objects there were in all.
    pub fn objects(&self) -> usize {
        self.state.each.load(Ordering::Relaxed) * PRODUCERS * JOBS
    }

    /// The statement that fills a ledger with the first `count` of them, as the LIST would.
    pub fn waiting(from: usize, to: usize) -> String {
        format!(
            "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
             SELECT format('inbox/%s/%s/%s-%s.json', producer, job, to_char(as_of AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"'), run),
                    '\"' || number || '\"', 500, producer, job, as_of, run
             FROM (SELECT number,
                          'p' || lpad((number % {PRODUCERS})::text, 2, '0') AS producer,
                          'j' || (number / {PRODUCERS} % {JOBS}) AS job,
                          timestamptz '2013-01-01T00:00:00Z' + number / {per} * interval '1s' AS as_of,
                          lpad(to_hex(number), 32, '0')::uuid AS run
                   FROM generate_series({from}, {to} - 1) number) object",
            per = PRODUCERS * JOBS,
        )
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One object: its number says all about it.
fn key(number: usize) -> String {
    let (producer, job) = (number % PRODUCERS, number / PRODUCERS % JOBS);
    let time = time(number).format("%Y%m%dT%H%M%SZ");
    let run = uuid::Uuid::from_u128(number as u128);
    format!("inbox/p{producer:02}/j{job}/{time}-{run}.json")
}

fn time(number: usize) -> DateTime<chrono::Utc> {
    let second = i64::try_from(number / (PRODUCERS * JOBS)).unwrap_or(0);
    DateTime::from_timestamp(1_356_998_400 + second, 0).unwrap_or_default()
}

fn body(number: usize) -> String {
    let (producer, job) = (number % PRODUCERS, number / PRODUCERS % JOBS);
    format!(
        r#"{{"specversion":"1.0","type":"nightdrop.result.v1","id":"{}","source":"p{producer:02}","subject":"j{job}","time":"{}","data":{{"mode":"append","columns":[{{"name":"number","type":"int64"}}],"rows":[[{number}]],"row_count":1}}}}"#,
        uuid::Uuid::from_u128(number as u128),
        time(number).format("%Y-%m-%dT%H:%M:%SZ"),
    )
}

fn number(key: &str) -> Option<usize> {
    let run = key.strip_suffix(".json")?.get(key.len() - 41..)?;
    usize::try_from(uuid::Uuid::parse_str(run).ok()?.as_u128()).ok()
}

impl Held {
    /// The number of the object that is at this place among all keys, sorted.
    fn at(place: usize, each: usize) -> usize {
        let (folder, second) = (place / each, place % each);
        let (producer, job) = (folder / JOBS, folder % JOBS);
        producer + PRODUCERS * (job + JOBS * second)
    }

    fn list(&self, query: &[(String, String)]) -> String {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let value = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let (prefix, after) = (value("prefix"), value("start-after"));
        let most = value("max-keys").parse().unwrap_or(PAGE).min(PAGE);
        let each = self.each.load(Ordering::Relaxed);
        let all = each * PRODUCERS * JOBS;
        // Binary search: keys grow with their place.
        let (mut low, mut high) = (0, all);
        while low < high {
            let middle = usize::midpoint(low, high);
            let key = key(Self::at(middle, each));
            if key.as_str() > after && key.as_str() >= prefix {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut contents = String::new();
        let (mut count, mut truncated) = (0, false);
        for number in (low..all)
            .map(|place| Self::at(place, each))
            .filter(|number| !deleted.contains(number))
        {
            let key = key(number);
            if !key.starts_with(prefix) {
                break;
            }
            if count == most {
                truncated = true;
                break;
            }
            count += 1;
            let _ = write!(
                contents,
                "<Contents><Key>{}</Key><LastModified>2013-01-01T00:00:00.000Z</LastModified><ETag>&quot;{number}&quot;</ETag><Size>500</Size></Contents>",
                form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>()
            );
        }
        format!(
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated><KeyCount>{count}</KeyCount>{contents}</ListBucketResult>"
        )
    }

    fn delete(&self, request: &str) -> String {
        let keys = request
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next());
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::from("<DeleteResult>");
        for key in keys {
            deleted.extend(number(key));
            let _ = write!(answer, "<Deleted><Key>{key}</Key></Deleted>");
        }
        answer + "</DeleteResult>"
    }
}

async fn answer(State(held): State<Arc<Held>>, uri: Uri, request: Bytes) -> Response {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let asks = |name: &str| query.iter().any(|(key, _)| key == name);
    if asks("list-type") {
        return xml(held.list(&query));
    }
    if asks("delete") {
        return xml(held.delete(&String::from_utf8_lossy(&request)));
    }
    held.gets.fetch_add(1, Ordering::Relaxed);
    let found = uri
        .path()
        .split_once("/inbox/")
        .and_then(|(_, rest)| number(rest));
    match found.context("no such object") {
        Ok(number) => ([(header::ETAG, format!("\"{number}\""))], body(number)).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(each: usize) -> Held {
        Held {
            each: AtomicUsize::new(each),
            deleted: Mutex::default(),
            lists: AtomicU64::new(0),
            gets: AtomicU64::new(0),
        }
    }

    fn listed(held: &Held, prefix: &str, after: &str) -> Vec<String> {
        let query = [("prefix", prefix), ("start-after", after)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let page = held.list(&query);
        let keys = page
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next());
        keys.map(|key| key.replace("%2F", "/")).collect()
    }

    #[test]
    fn pages_follow_each_other_and_together_have_every_key_once() {
        let held = held(30);
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = listed(&held, "inbox/", &after);
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            all.extend(page);
        }
        assert_eq!(all.len(), 30 * PRODUCERS * JOBS);
        assert!(all.is_sorted_by(|a, b| a < b));
        assert!(
            all.iter()
                .all(|key| key.parse::<nightdrop_schema::Key>().is_ok())
        );
        assert!(
            listed(&held, "inbox/p03/", "")
                .iter()
                .all(|key| key.starts_with("inbox/p03/"))
        );
    }

    #[test]
    fn a_deleted_object_is_listed_no_more() {
        let held = held(1);
        let gone = key(7);
        held.delete(&format!(
            "<Delete><Object><Key>{gone}</Key></Object></Delete>"
        ));
        assert!(!listed(&held, "inbox/", "").contains(&gone));
        assert_eq!(number(&gone), Some(7));
    }
}
