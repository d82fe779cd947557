//! No call waits for ever.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    Limits, all_calls, bucket, key, open,
    stub::{Stub, Then},
};
use crate::{Fault, fault::Local};

/// Short enough to be waited for.
const PATIENCE: Limits = Limits {
    connect: Duration::from_millis(500),
    credentials: Duration::from_millis(500),
    request: Duration::from_millis(500),
    idle: Duration::from_millis(250),
    rate: 1_000_000,
};

const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<ListBucketResult>";

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let stub = Stub::start("", Then::Hold).await;
    let began = Instant::now();
    for failure in all_calls(&open(&stub.endpoint, PATIENCE)).await {
        assert_eq!(failure.fault(), Fault::TimedOut, "{failure}");
        assert!(!failure.to_string().contains("X-Amz-"), "{failure}");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let stub = Stub::start(HALF, Then::Hold).await;
    let s3 = open(&stub.endpoint, PATIENCE);
    let mut failures = vec![
        s3.list("inbox/", None).await.unwrap_err(),
        s3.get(&key(1), "\"e\"").await.unwrap_err(),
        s3.delete(&[key(1)]).await.unwrap_err(),
    ];
    let stream = s3.get_stream(&key(1), "\"e\"").await.unwrap();
    failures.push(stream.try_collect::<Vec<_>>().await.unwrap_err());
    for failure in failures {
        assert_eq!(failure.fault(), Fault::TimedOut, "{failure}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up_but_by_a_stream() {
    let stub = Stub::start(HALF, Then::Trickle(Duration::from_millis(10))).await;
    let limits = Limits {
        rate: 10_000_000,
        idle: Duration::from_secs(10),
        ..PATIENCE
    };
    let s3 = open(&stub.endpoint, limits);
    for failure in [
        s3.list("inbox/", None).await.unwrap_err(),
        s3.get(&key(1), "\"e\"").await.unwrap_err(),
        s3.delete(&[key(1)]).await.unwrap_err(),
    ] {
        assert_eq!(failure.fault(), Fault::TimedOut, "{failure}");
    }
    // As long as something comes a large file is on its way.
    let began = Instant::now();
    let mut stream = s3.get_stream(&key(1), "\"e\"").await.unwrap();
    while began.elapsed() < 2 * limits.request {
        stream.next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_is_unreachable() {
    let stub = Stub::start("", Then::Close).await;
    for failure in all_calls(&bucket(&stub.endpoint)).await {
        assert_eq!(failure.fault(), Fault::Unreachable, "{failure}");
    }
    let stub = Stub::start(HALF, Then::Close).await;
    let s3 = bucket(&stub.endpoint);
    let stream = s3.get_stream(&key(1), "\"e\"").await.unwrap();
    let failure = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(failure.fault(), Fault::Unreachable, "{failure}");
}

#[test]
fn a_put_may_take_a_second_more_for_each_megabyte() {
    let limits = Limits::default();
    assert_eq!(limits.for_body(0), Duration::from_mins(1));
    assert_eq!(limits.for_body(300_000_000), Duration::from_mins(6));
}

#[tokio::test]
async fn a_file_that_fails_half_way_is_not_the_servers_fault() {
    let stub = Stub::start("", Then::Hold).await;
    let disk = futures::stream::iter([Ok("half"), Err(Local(std::io::Error::other("bad sector")))]);
    let failure = reqwest::Client::new()
        .put(&stub.endpoint)
        .header("content-length", 1000)
        .body(reqwest::Body::wrap_stream(disk))
        .send()
        .await
        .unwrap_err();
    assert_eq!(Fault::of_transport(&failure), Fault::Io, "{failure:?}");
    assert_eq!(crate::fault::root(&failure), "bad sector");
}
