//! What a server's answer means.

use super::{all_calls, bucket, file, key, stub::Stub};
use crate::{Call, Fault, LARGEST, Put, WAIT};

fn error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>\
         <StringToSign>hush</StringToSign><RequestId>1</RequestId></Error>"
    )
}

/// Status, S3's code (or `-`: no document of S3's), and what it means.
const MEANINGS: &str = "
    400 ExpiredToken unauthenticated
    400 RequestTimeout timed_out
    400 BadDigest busy
    400 AuthorizationHeaderMalformed settings
    400 InvalidArgument refused
    401 - unauthenticated
    403 InvalidAccessKeyId unauthenticated
    403 SignatureDoesNotMatch unauthenticated
    403 AccessDenied forbidden
    403 RequestTimeTooSkewed settings
    403 InvalidObjectState refused
    403 - forbidden
    404 NoSuchBucket no_bucket
    404 NoSuchKey not_found
    404 - settings
    408 - timed_out
    409 ConditionalRequestConflict busy
    413 EntityTooLarge refused
    429 - busy
    500 InternalError busy
    501 NotImplemented refused
    502 - busy
    503 SlowDown busy
    507 XMinioStorageFull busy
    301 PermanentRedirect settings
    302 - settings
";

#[tokio::test]
async fn each_answer_has_its_meaning_whatever_the_call() {
    for line in MEANINGS.lines().filter(|line| !line.trim().is_empty()) {
        let [status, code, fault] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let body = match code {
            "-" => "<html><body>Sign in to this network</body></html>".to_owned(),
            code => error(code, "Said so."),
        };
        let stub = Stub::saying(&format!("{status} Status"), &body).await;
        for failure in all_calls(&bucket(&stub.endpoint)).await {
            assert_eq!(failure.fault().as_str(), fault, "{line}: {failure}");
            let text = format!("{failure} {failure:?}");
            assert!(
                text.contains(status) && (code == "-" || text.contains(code)),
                "{text}"
            );
            assert!(!text.contains("hush") && !text.contains("X-Amz-"), "{text}");
        }
    }
}

/// The URL was made a moment ago: the clock of one of the two is wrong.
#[tokio::test]
async fn a_url_that_has_expired_is_no_lack_of_rights() {
    let expired = error("AccessDenied", "Request has expired");
    let stub = Stub::saying("403 Forbidden", &expired).await;
    for failure in all_calls(&bucket(&stub.endpoint)).await {
        assert_eq!(failure.fault(), Fault::Settings);
        assert!(failure.to_string().contains("clock"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_there_already_answers_412_to_a_put_and_changed_to_a_get() {
    let stub = Stub::saying(
        "412 Precondition Failed",
        &error("PreconditionFailed", "No."),
    )
    .await;
    let s3 = bucket(&stub.endpoint);
    assert_eq!(
        s3.put_within(WAIT, &key(1), file(b"{}").path())
            .await
            .unwrap(),
        Put::AlreadyThere
    );
    let failure = s3.get(&key(1), "\"e\"").await.unwrap_err();
    assert_eq!(failure.fault(), Fault::Changed);
}

#[tokio::test]
async fn a_success_that_holds_something_else_is_no_success() {
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let deletion = "<DeleteResult></DeleteResult>";
    let cases = [
        (error("SlowDown", "Slower."), Fault::Busy),
        ("<html>Sign in</html>".to_owned(), Fault::Settings),
        (String::new(), Fault::Settings),
        ("\0\u{1}not XML".to_owned(), Fault::Settings),
        (
            "<ListBucketResult><IsTruncated>".to_owned(),
            Fault::Settings,
        ),
        ("<DeleteResult><Deleted>".to_owned(), Fault::Settings),
        (
            deletion.replace("DeleteResult", "ListBucketResult"),
            Fault::Settings,
        ),
        (
            listing.replace("ListBucketResult", "DeleteBucketResult"),
            Fault::Settings,
        ),
    ];
    for (body, fault) in cases {
        let stub = Stub::saying("200 OK", &body).await;
        let s3 = bucket(&stub.endpoint);
        let list = s3.list("inbox/", None).await.unwrap_err();
        let delete = s3.delete(&[key(1)]).await.unwrap_err();
        for failure in [list, delete] {
            assert_eq!(failure.fault(), fault, "{body:?}: {failure}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let stub = Stub::saying("200 OK", &"x".repeat((16 << 20) + 1)).await;
    let failure = bucket(&stub.endpoint)
        .list("inbox/", None)
        .await
        .unwrap_err();
    assert_eq!(failure.fault(), Fault::Settings, "{failure}");
    assert!(
        failure.to_string().contains("longer than 16777216 bytes"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_and_nobody_is_followed() {
    let elsewhere = Stub::saying("200 OK", "").await;
    let body = error("PermanentRedirect", "Use another endpoint.");
    let answer = format!(
        "HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\nLocation: {}/\r\n\
         Content-Length: {}\r\n\r\n{body}",
        elsewhere.endpoint,
        body.len()
    );
    let stub = Stub::start(answer, super::stub::Then::Close).await;
    for failure in all_calls(&bucket(&stub.endpoint)).await {
        assert_eq!(failure.fault(), Fault::Settings);
        assert!(
            failure.to_string().contains("is in region eu-west-1"),
            "{failure}"
        );
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_delete_answers_for_each_key() {
    let answer = format!(
        "<DeleteResult><Error><Key>{}</Key><Code>AccessDenied</Code><Message>No</Message></Error>\
         <Deleted><Key>{}</Key></Deleted>\
         <Error><Key>{}</Key><Code>InternalError</Code></Error>\
         <Error><Key>{}</Key><Code>NoSuchKey</Code></Error>\
         <Error><Key>{}</Key><Code>Odd</Code></Error>\
         <Error><Key>nobody/asked</Key><Code>InternalError</Code></Error></DeleteResult>",
        key(1),
        key(2),
        key(3),
        key(4),
        key(5)
    );
    let stub = Stub::saying("200 OK", &answer).await;
    let keys = [1, 2, 3, 4, 5, 6].map(key);
    let verdicts = bucket(&stub.endpoint).delete(&keys).await.unwrap();
    let faults: Vec<_> = verdicts
        .iter()
        .map(|v| v.as_ref().err().map(crate::Error::fault))
        .collect();
    let expected = [
        Some(Fault::Forbidden),
        None,
        Some(Fault::Busy),
        None,
        Some(Fault::Refused),
        // Not a word about it: not deleted, as far as we know.
        Some(Fault::Busy),
    ];
    assert_eq!(faults, expected);
    let first = verdicts[0].as_ref().unwrap_err();
    assert_eq!(first.key(), Some(key(1).to_string().as_str()));
}

#[tokio::test]
async fn a_listing_is_read_with_or_without_its_encoding() {
    let contents = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2013-01-31T05:00:00.000Z</LastModified>\
             <ETag>&quot;e-1&quot;</ETag><Size>7</Size></Contents><CommonPrefixes/>"
        )
    };
    let listing = |encoding: &str, last: &str| {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>inbox</Name>{encoding}<IsTruncated>true</IsTruncated>{}{}</ListBucketResult>",
            contents(&key(1).to_string()),
            contents(last)
        )
    };
    let encoded = listing(
        "<EncodingType>url</EncodingType>",
        "inbox/a+b%2Bc%01%25%C3%A9%FF",
    );
    let plain = listing("", "inbox/a+b%2B&amp;");
    for (body, strange) in [
        (encoded, "inbox/a b+c\u{1}%é\u{fffd}"),
        (plain, "inbox/a+b%2B&"),
    ] {
        let stub = Stub::saying("200 OK", &body).await;
        let page = bucket(&stub.endpoint).list("inbox/", None).await.unwrap();
        let object = &page.objects[0];
        assert_eq!(
            (&object.key, object.etag.as_str(), object.size),
            (&key(1), "\"e-1\"", 7)
        );
        let modified = object
            .modified
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(modified.as_secs(), 1_359_608_400);
        assert_eq!(page.strange[0].key, strange);
        assert_eq!(page.next.as_deref(), Some(strange));
    }
}

#[tokio::test]
async fn a_listing_that_does_not_move_on_is_an_error() {
    let none = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
    let same = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                <Contents><Key>inbox/x</Key><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>";
    for body in [none, same] {
        let stub = Stub::saying("200 OK", body).await;
        let s3 = bucket(&stub.endpoint);
        let failure = s3.list("inbox/", Some("inbox/x")).await.unwrap_err();
        assert_eq!(
            (failure.fault(), failure.call()),
            (Fault::Settings, Call::List)
        );
    }
}

#[tokio::test]
async fn a_file_that_s3_can_not_take_in_one_put_is_refused_before_anything_is_sent() {
    let stub = Stub::saying("200 OK", "").await;
    let large = file(b"");
    large.as_file().set_len(LARGEST + 1).unwrap();
    let failure = bucket(&stub.endpoint)
        .put_within(WAIT, &key(1), large.path())
        .await
        .unwrap_err();
    assert_eq!(failure.fault(), Fault::Refused);
    assert!(
        failure.to_string().contains("5368709121 bytes"),
        "{failure}"
    );
    assert!(stub.seen().is_empty());
}
