//! What is sent.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use nightdrop_schema::Key;
use sha2::{Digest as _, Sha256};

use super::{bucket, file, key, stub::Stub};
use crate::{Put, WAIT};

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "))
        .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
}

#[tokio::test]
async fn a_put_is_one_create_only_request_and_nothing_else() {
    let stub = Stub::saying("200 OK", "").await;
    let content = "x".repeat(300_000);
    let put = bucket(&stub.endpoint)
        .put_within(WAIT, &key(1), file(content.as_bytes()).path())
        .await;
    assert_eq!(put.unwrap(), Put::Created);

    let seen = stub.seen();
    let [request] = &seen[..] else {
        panic!("{} requests", seen.len())
    };
    assert!(
        request.starts_with(&format!("PUT /inbox/{}?", key(1))),
        "{request:.100}"
    );
    assert!(request.ends_with(&format!("\r\n\r\n{content}")));
    let digest = BASE64_STANDARD.encode(Sha256::digest(&content));
    for (name, value) in [
        ("if-none-match", "*"),
        ("content-type", "application/json"),
        ("content-length", "300000"),
        ("x-amz-checksum-sha256", &digest),
    ] {
        assert_eq!(header(request, name), Some(value), "{name}");
    }
    assert_eq!(header(request, "transfer-encoding"), None);
    // Signed: nobody on the way can turn it into a plain overwrite.
    let signed = "X-Amz-SignedHeaders=content-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256";
    assert!(request.contains(signed), "{request:.700}");
}

#[tokio::test]
async fn the_media_type_says_how_the_object_is_compressed() {
    for (suffix, media_type) in [
        ("", "application/json"),
        (".gz", "application/gzip"),
        (".zst", "application/zstd"),
    ] {
        let stub = Stub::saying("200 OK", "").await;
        let key = format!("{}{suffix}", key(1)).parse().unwrap();
        bucket(&stub.endpoint)
            .put_within(WAIT, &key, file(b"{}").path())
            .await
            .unwrap();
        assert_eq!(header(&stub.seen()[0], "content-type"), Some(media_type));
        assert_eq!(header(&stub.seen()[0], "content-encoding"), None);
    }
}

#[tokio::test]
async fn a_listing_asks_for_encoded_keys_after_a_key() {
    let body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let stub = Stub::saying("200 OK", body).await;
    let s3 = bucket(&stub.endpoint);
    s3.list("inbox/", Some("inbox/a b+c")).await.unwrap();
    s3.list("inbox/", None).await.unwrap();
    let seen = stub.seen();
    let asked = "GET /inbox/?list-type=2&prefix=inbox%2F&max-keys=1000&encoding-type=url";
    assert!(
        seen[0].starts_with(&format!("{asked}&start-after=inbox%2Fa%20b%2Bc&")),
        "{}",
        seen[0]
    );
    assert!(
        seen[1].starts_with(&format!("{asked}&X-Amz-")),
        "{}",
        seen[1]
    );
}

#[tokio::test]
async fn a_get_asks_for_what_was_listed() {
    let stub = Stub::saying("200 OK", "content").await;
    let s3 = bucket(&stub.endpoint);
    assert_eq!(s3.get(&key(1), "\"e-1\"").await.unwrap(), "content");
    assert_eq!(header(&stub.seen()[0], "if-match"), Some("\"e-1\""));
    // Asked for as it is stored.
    assert_eq!(header(&stub.seen()[0], "accept-encoding"), None);
}

#[tokio::test]
async fn a_delete_takes_a_thousand_keys_a_request() {
    let keys: Vec<_> = (0..1001)
        .map(|n| {
            key(1)
                .to_string()
                .replace("000000000001", &format!("{n:012x}"))
                .parse()
                .unwrap()
        })
        .collect();
    let deleted: Vec<_> = keys
        .iter()
        .map(|key: &Key| format!("<Deleted><Key>{key}</Key></Deleted>"))
        .collect();
    let stub = Stub::saying(
        "200 OK",
        &format!("<DeleteResult>{}</DeleteResult>", deleted.concat()),
    )
    .await;
    let verdicts = bucket(&stub.endpoint).delete(&keys).await.unwrap();
    assert_eq!(verdicts.iter().filter(|v| v.is_ok()).count(), 1001);

    let seen = stub.seen();
    assert_eq!(
        seen.iter()
            .map(|r| r.matches("<Key>").count())
            .collect::<Vec<_>>(),
        [1000, 1]
    );
    for request in &seen {
        assert!(
            request.starts_with("POST /inbox/?delete="),
            "{request:.100}"
        );
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let digest = BASE64_STANDARD.encode(Sha256::digest(body));
        assert_eq!(
            header(request, "x-amz-checksum-sha256"),
            Some(digest.as_str())
        );
        assert!(header(request, "content-md5").is_some());
    }
}
