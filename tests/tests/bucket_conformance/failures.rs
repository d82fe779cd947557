//! What goes wrong has its name, and tells no secret.

use nightdrop_bucket::{Bucket, Call, Error, Fault};
use nightdrop_compose::S3Kind;

use crate::place::{Place, fixed, key};

/// Every call there is, each with its failure.
async fn failures(place: &Place, bucket: &Bucket) -> Vec<Error> {
    let key = key("jfk", "departures", 1);
    vec![
        bucket.put(&key, &place.file(b"{}")).await.unwrap_err(),
        bucket.list("inbox/", None).await.unwrap_err(),
        bucket.get(&key, "\"etag\"").await.unwrap_err(),
        bucket
            .get_stream(&key, "\"etag\"")
            .await
            .map(drop)
            .unwrap_err(),
        bucket.delete(&[key]).await.unwrap_err(),
    ]
}

pub(crate) async fn what_does_not_exist_is_no_bucket(place: &Place) {
    for failure in failures(place, &place.without_bucket()).await {
        if failure.call() == Call::Get && place.is(S3Kind::SeaweedFs) {
            // All it says is NoSuchKey.
            assert_eq!(failure.fault(), Fault::NotFound, "{failure}");
            continue;
        }
        assert_eq!(failure.fault(), Fault::NoBucket, "{failure}");
        assert!(
            failure.to_string().ends_with("; create it, or correct url"),
            "{failure}"
        );
    }
}

pub(crate) async fn a_file_that_can_not_be_read_is_io(place: &Place) {
    let missing = place.file(b"").with_extension("missing");
    let failure = place
        .producer("jfk")
        .put(&key("jfk", "departures", 1), &missing)
        .await
        .unwrap_err();
    assert_eq!(failure.fault(), Fault::Io);
    assert!(
        failure.to_string().contains(missing.to_str().unwrap()),
        "{failure}"
    );
}

pub(crate) async fn nobody_listening_is_unreachable(place: &Place) {
    // A port for the administrator alone, of a service that nobody has.
    let address = "127.0.0.1:1";
    let mut settings = place.settings(Some(fixed(&place.inbox().reader())));
    settings.endpoint = Some(format!("http://{address}").parse().unwrap());
    for failure in failures(place, &Bucket::open(settings).unwrap()).await {
        assert_eq!(failure.fault(), Fault::Unreachable, "{failure}");
        assert!(failure.to_string().contains(address), "{failure}");
    }
}

pub(crate) async fn no_error_shows_a_secret_or_a_signature(place: &Place) {
    let root = place.inbox().root();
    let mut settings = place.settings(Some(fixed(&root)));
    settings.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
    let unreachable = Bucket::open(settings).unwrap();
    let wrong = nightdrop_compose::Keys {
        secret_key: format!("{}x", root.secret_key),
        ..root.clone()
    };
    let wrong = place.open(Some(fixed(&wrong)));
    let producer = place.producer_keys("jfk");
    let reader = place.inbox().reader();

    let mut told = vec![format!(
        "{wrong:?} {wrong} {:?}",
        place.settings(Some(fixed(&root)))
    )];
    for bucket in [&unreachable, &wrong, &place.without_bucket()] {
        told.extend(
            failures(place, bucket)
                .await
                .iter()
                .map(|e| format!("{e} {e:?}")),
        );
    }
    let forbidden = place
        .open(Some(fixed(&producer)))
        .list("inbox/", None)
        .await
        .unwrap_err();
    told.push(format!("{forbidden} {forbidden:?}"));
    for text in told {
        for keys in [&root, &producer, &reader] {
            assert!(!text.contains(&keys.secret_key), "{text}");
        }
        assert!(!text.to_ascii_lowercase().contains("x-amz-"), "{text}");
    }
}
