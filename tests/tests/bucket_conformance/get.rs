//! Get gives what was listed, whole, or says why not.

use futures::TryStreamExt as _;
use nightdrop_bucket::{Bucket, Error, Fault, Object};

use crate::place::{Place, delete, fixed, key, only_object};
use crate::wire::Wire;

/// The object through its stream.
pub(crate) async fn collect(bucket: &Bucket, object: &Object) -> Result<Vec<u8>, Error> {
    let stream = bucket.get_stream(&object.key, &object.etag).await?;
    stream
        .try_fold(Vec::new(), async |whole, piece| {
            Ok([&whole[..], &piece].concat())
        })
        .await
}

pub(crate) async fn an_object_that_was_replaced_is_changed(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let key = key("jfk", "departures", 1);
    jfk.put(&key, &place.file(b"listed")).await.unwrap();
    let listed = only_object(&reader).await;
    assert!(place.plant(&key.to_string(), "replaced"));

    for failure in [
        reader.get(&key, &listed.etag).await.unwrap_err(),
        collect(&reader, &listed).await.unwrap_err(),
    ] {
        assert_eq!(failure.fault(), Fault::Changed, "{failure}");
        assert_eq!(failure.key(), Some(key.to_string().as_str()));
    }
    let now = only_object(&reader).await;
    assert_ne!(now.etag, listed.etag);
    assert_eq!(reader.get(&key, &now.etag).await.unwrap(), "replaced");
}

pub(crate) async fn an_object_that_is_gone_is_not_found(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let key = key("jfk", "departures", 1);
    jfk.put(&key, &place.file(b"listed")).await.unwrap();
    let listed = only_object(&reader).await;
    delete(&reader, std::slice::from_ref(&key)).await;

    for failure in [
        reader.get(&key, &listed.etag).await.unwrap_err(),
        collect(&reader, &listed).await.unwrap_err(),
    ] {
        assert_eq!(failure.fault(), Fault::NotFound, "{failure}");
    }
}

pub(crate) async fn a_download_that_is_cut_is_an_error_and_no_end(place: &Place) {
    let jfk = place.producer("jfk");
    jfk.put(
        &key("jfk", "departures", 1),
        &place.file(&vec![b'x'; 4 << 20]),
    )
    .await
    .unwrap();
    let listed = only_object(&place.reader()).await;

    let mut settings = place.settings(Some(fixed(&place.inbox().reader())));
    let wire = Wire::to(&place.inbox().endpoint)
        .cut_after_receiving(1 << 20)
        .start()
        .await;
    settings.endpoint = Some(wire.endpoint());
    let cut = Bucket::open(settings).unwrap();
    for failure in [
        cut.get(&listed.key, &listed.etag).await.unwrap_err(),
        collect(&cut, &listed).await.unwrap_err(),
    ] {
        assert_eq!(failure.fault(), Fault::Unreachable, "{failure}");
    }
}
