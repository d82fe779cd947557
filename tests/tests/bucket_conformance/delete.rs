//! Delete answers for each key.

use nightdrop_bucket::Put;

use crate::place::{Place, delete, key, only_object};

pub(crate) async fn deleting_many_answers_for_each_and_gone_ones_are_fine(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let keys: Vec<_> = (0..6).map(|n| key("jfk", "departures", n)).collect();
    for key in [&keys[0], &keys[2], &keys[5]] {
        jfk.put(key, &place.file(b"{}")).await.unwrap();
    }
    for _ in 0..2 {
        delete(&reader, &keys[..5]).await;
        assert_eq!(only_object(&reader).await.key, keys[5]);
    }
    assert!(reader.delete(&[]).await.unwrap().is_empty());
}

pub(crate) async fn a_deleted_key_can_be_put_again(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let key = key("jfk", "departures", 1);
    for content in [&b"once"[..], b"again"] {
        assert_eq!(
            jfk.put(&key, &place.file(content)).await.unwrap(),
            Put::Created
        );
        let object = only_object(&reader).await;
        assert_eq!(reader.get(&key, &object.etag).await.unwrap(), content);
        delete(&reader, std::slice::from_ref(&key)).await;
    }
}
