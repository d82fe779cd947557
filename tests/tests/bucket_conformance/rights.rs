//! Each user's keys do what they are for, and the refusal of anything else has its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nightdrop_bucket::{Bucket, Call, Error, Fault, Keys, Put};
use nightdrop_compose::S3Kind;
use nightdrop_schema::Key;

use crate::place::{Place, fixed, key, only_object};

pub(crate) async fn another_producers_prefix_is_forbidden(place: &Place) {
    let jfk = place.producer("jfk");
    let failure = jfk
        .put(&key("lga", "departures", 1), &place.file(b"{}"))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.fault(), failure.call()),
        (Fault::Forbidden, Call::Put),
        "{failure}"
    );
    assert!(failure.to_string().contains("s3:PutObject"), "{failure}");
    assert!(
        place
            .reader()
            .list("inbox/", None)
            .await
            .unwrap()
            .objects
            .is_empty()
    );
}

pub(crate) async fn a_producer_can_not_list_get_or_delete(place: &Place) {
    let jfk = place.producer("jfk");
    let key = key("jfk", "departures", 1);
    jfk.put(&key, &place.file(b"{}")).await.unwrap();
    let object = only_object(&place.reader()).await;

    for failure in [
        jfk.list("inbox/", None).await.unwrap_err(),
        jfk.list("inbox/jfk/", None).await.unwrap_err(),
        jfk.get(&key, &object.etag).await.unwrap_err(),
        jfk.get_stream(&key, &object.etag)
            .await
            .map(drop)
            .unwrap_err(),
        refused_delete(&jfk, &key).await,
    ] {
        assert_eq!(failure.fault(), Fault::Forbidden, "{failure}");
    }
    assert_eq!(only_object(&place.reader()).await, object);
}

pub(crate) async fn the_reader_can_not_put(place: &Place) {
    let reader = place.reader();
    let failure = reader
        .put(&key("jfk", "departures", 1), &place.file(b"{}"))
        .await
        .unwrap_err();
    assert_eq!(failure.fault(), Fault::Forbidden, "{failure}");
}

/// The policy allows `inbox/*`: the prefix without its slash is outside.
pub(crate) async fn a_listing_outside_the_inbox_is_forbidden(place: &Place) {
    for prefix in ["", "inbox", "elsewhere/"] {
        let failure = place.reader().list(prefix, None).await.unwrap_err();
        assert_eq!(failure.fault(), Fault::Forbidden, "{failure}");
    }
}

pub(crate) async fn keys_that_nobody_knows_are_unauthenticated(place: &Place) {
    let reader = place.inbox().reader();
    let unknown = nightdrop_compose::Keys {
        access_key: "nobody".to_owned(),
        ..reader.clone()
    };
    let wrong = nightdrop_compose::Keys {
        secret_key: "wrong".to_owned(),
        ..reader
    };
    let key = key("jfk", "departures", 1);
    for keys in [unknown, wrong] {
        let bucket = place.open(Some(fixed(&keys)));
        for failure in [
            bucket.list("inbox/", None).await.unwrap_err(),
            bucket.put(&key, &place.file(b"{}")).await.unwrap_err(),
            bucket.get(&key, "\"etag\"").await.unwrap_err(),
            refused_delete(&bucket, &key).await,
        ] {
            if failure.call() == Call::Put && place.is(S3Kind::Minio) {
                // It says AccessDenied of a wrong secret, but only to a PUT.
                assert!(
                    matches!(failure.fault(), Fault::Unauthenticated | Fault::Forbidden),
                    "{failure}"
                );
                continue;
            }
            assert_eq!(failure.fault(), Fault::Unauthenticated, "{failure}");
        }
    }
}

/// A rotated secret counts once the old one is refused; one that can't be read is named.
pub(crate) async fn keys_are_read_again_when_refused(place: &Place) {
    let good = place.producer_keys("jfk");
    let use_of = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&use_of);
    let jfk = place.open(Some(Arc::new(move || {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Err("file:/run/secrets/jfk_s3: No such file or directory".to_owned()),
            1 => Ok(Keys {
                access_key: good.access_key.clone().into(),
                secret_key: "old".into(),
            }),
            2 => Ok(Keys {
                access_key: good.access_key.clone().into(),
                secret_key: "".into(),
            }),
            _ => Ok(Keys {
                access_key: good.access_key.clone().into(),
                secret_key: good.secret_key.clone().into(),
            }),
        }
    })));
    let (key, file) = (key("jfk", "departures", 1), place.file(b"{}"));

    let unread = jfk.put(&key, &file).await.unwrap_err();
    assert_eq!(unread.fault(), Fault::Settings);
    assert!(
        unread
            .to_string()
            .contains("file:/run/secrets/jfk_s3: No such file"),
        "{unread}"
    );
    assert_eq!(
        jfk.put(&key, &file).await.unwrap_err().fault(),
        Fault::Unauthenticated
    );
    assert_eq!(
        jfk.put(&key, &file).await.unwrap_err().fault(),
        Fault::Settings
    );
    assert_eq!(jfk.put(&key, &file).await.unwrap(), Put::Created);
    assert_eq!(use_of.load(Ordering::SeqCst), 4);
}

/// Some servers refuse the request, some each key in it.
async fn refused_delete(bucket: &Bucket, key: &Key) -> Error {
    match bucket.delete(std::slice::from_ref(key)).await {
        Ok(mut verdicts) => verdicts.remove(0).unwrap_err(),
        Err(whole) => whole,
    }
}
