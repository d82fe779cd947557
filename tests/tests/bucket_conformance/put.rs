//! Put creates, and never replaces.

use futures::future::join_all;
use nightdrop_bucket::{Fault, Put};

use crate::place::{Place, delete, fixed, key, only_object};
use crate::wire::Wire;

pub(crate) async fn what_is_put_is_listed_and_comes_back_byte_for_byte(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let plain = "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json";
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    for (suffix, content) in [("", &b"{}"[..]), (".gz", &[]), (".zst", &bytes)] {
        let key = format!("{plain}{suffix}").parse().unwrap();
        assert_eq!(
            jfk.put(&key, &place.file(content)).await.unwrap(),
            Put::Created
        );

        let object = only_object(&reader).await;
        assert_eq!((&object.key, object.size), (&key, content.len() as u64));
        assert!(
            object
                .modified
                .unwrap()
                .elapsed()
                .unwrap_or_default()
                .as_secs()
                < 600
        );
        assert_eq!(reader.get(&key, &object.etag).await.unwrap(), content);
        let pieces = crate::get::collect(&reader, &object).await.unwrap();
        assert_eq!(pieces, content);
        delete(&reader, &[key]).await;
    }
}

pub(crate) async fn a_second_put_of_the_same_key_is_already_there_and_changes_nothing(
    place: &Place,
) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let key = key("jfk", "departures", 1);
    assert_eq!(
        jfk.put(&key, &place.file(b"first")).await.unwrap(),
        Put::Created
    );
    let before = only_object(&reader).await;

    assert_eq!(
        jfk.put(&key, &place.file(b"second")).await.unwrap(),
        Put::AlreadyThere
    );
    assert_eq!(only_object(&reader).await, before);
    assert_eq!(reader.get(&key, &before.etag).await.unwrap(), "first");
}

/// The server answers before it has read the body: that answer must not be lost in the broken upload.
pub(crate) async fn a_second_put_of_a_large_file_is_already_there(place: &Place) {
    let jfk = place.producer("jfk");
    let key = key("jfk", "departures", 1);
    let file = place.file(&vec![b'x'; 32 << 20]);
    assert_eq!(jfk.put(&key, &file).await.unwrap(), Put::Created);
    for _ in 0..5 {
        assert_eq!(jfk.put(&key, &file).await.unwrap(), Put::AlreadyThere);
    }
}

pub(crate) async fn of_eight_racing_creators_exactly_one_wins(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let key = key("jfk", "departures", 1);
    let files: Vec<_> = (0..8_u8).map(|n| place.file(&vec![n; 100_000])).collect();
    let puts = join_all(files.iter().map(|file| {
        let (jfk, key, file) = (jfk.clone(), key.clone(), file.clone());
        tokio::spawn(async move {
            loop {
                match jfk.put(&key, &file).await {
                    // AWS and SeaweedFS may say so while another's PUT is under way: it is to be tried again.
                    Err(e) if e.fault() == Fault::Busy => tokio::task::yield_now().await,
                    done => break done.unwrap(),
                }
            }
        })
    }))
    .await;

    let winners: Vec<_> = (0..8_u8)
        .filter(|&n| *puts[usize::from(n)].as_ref().unwrap() == Put::Created)
        .collect();
    assert_eq!(winners.len(), 1, "{puts:?}");
    let object = only_object(&reader).await;
    assert_eq!(
        reader.get(&key, &object.etag).await.unwrap(),
        vec![winners[0]; 100_000]
    );
}

pub(crate) async fn a_cut_upload_leaves_nothing_and_the_key_free(place: &Place) {
    let keys = place.producer_keys("jfk");
    let mut settings = place.settings(Some(fixed(&keys)));
    let wire = Wire::to(&place.inbox().endpoint)
        .cut_after_sending(1 << 20)
        .start()
        .await;
    settings.endpoint = Some(wire.endpoint());
    let cut = nightdrop_bucket::Bucket::open(settings).unwrap();
    let (key, file) = (
        key("jfk", "departures", 1),
        place.file(&vec![b'x'; 8 << 20]),
    );

    let failure = cut.put(&key, &file).await.unwrap_err();
    assert_eq!(failure.fault(), Fault::Unreachable, "{failure}");
    assert!(
        place
            .reader()
            .list("inbox/", None)
            .await
            .unwrap()
            .objects
            .is_empty()
    );

    let whole = place.open(Some(fixed(&keys)));
    assert_eq!(whole.put(&key, &file).await.unwrap(), Put::Created);
    assert_eq!(only_object(&place.reader()).await.size, 8 << 20);
}
