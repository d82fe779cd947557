//! List shows everything, in order, whatever else lies there.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use nightdrop_bucket::{Bucket, PAGE, Page};
use nightdrop_compose::S3Kind;

use crate::place::{Place, delete, key};

pub(crate) async fn an_empty_inbox_is_an_empty_page(place: &Place) {
    let page = place.reader().list("inbox/", None).await.unwrap();
    assert_eq!(
        (page.objects.len(), page.strange.len(), page.next),
        (0, 0, None)
    );
}

/// 1,500 files of two jobs, put, listed in two pages, deleted in two requests.
pub(crate) async fn many_keys_come_in_pages_in_order(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let keys: Vec<_> = (0..1500)
        .map(|n| key("jfk", ["arrivals", "departures"][n % 2], n))
        .collect();
    let file = place.file(b"{}");
    stream::iter(&keys)
        .map(|key| jfk.put(key, &file))
        .buffer_unordered(32)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();

    let first = reader.list("inbox/", None).await.unwrap();
    assert_eq!(first.objects.len(), PAGE);
    let second = reader.list("inbox/", first.next.as_deref()).await.unwrap();
    assert_eq!((second.objects.len(), &second.next), (500, &None));
    let listed: Vec<_> = [first, second]
        .into_iter()
        .flat_map(|page| page.objects)
        .map(|o| o.key)
        .collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(listed, sorted);

    delete(&reader, &keys).await;
    an_empty_inbox_is_an_empty_page(place).await;
}

pub(crate) async fn a_listing_goes_on_after_a_key_that_does_not_exist(place: &Place) {
    let reader = place.reader();
    for producer in ["ewr", "jfk", "jfk2", "lga"] {
        place
            .producer(producer)
            .put(&key(producer, "departures", 1), &place.file(b"{}"))
            .await
            .unwrap();
    }
    let producers = async |prefix: &str, after: Option<&str>| {
        let page = reader.list(prefix, after).await.unwrap();
        page.objects
            .iter()
            .map(|o| o.key.producer().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(producers("inbox/", None).await, "ewr jfk jfk2 lga");
    // The way past a producer that has enough waiting.
    assert_eq!(
        producers("inbox/", Some("inbox/ewr/\u{ffff}")).await,
        "jfk jfk2 lga"
    );
    assert_eq!(producers("inbox/", Some("inbox/jfk/zzz")).await, "jfk2 lga");
    assert_eq!(producers("inbox/", Some("inbox/zzz/")).await, "");
    assert_eq!(producers("inbox/jfk/", None).await, "jfk");
    assert_eq!(
        producers("inbox/jfk/", Some("inbox/jfk/departures/2")).await,
        "jfk"
    );
}

pub(crate) async fn strange_keys_are_reported_and_hide_nothing(place: &Place) {
    let (jfk, reader) = (place.producer("jfk"), place.reader());
    let good = [key("jfk", "arrivals", 1), key("jfk", "departures", 2)];
    for key in &good {
        jfk.put(key, &place.file(b"{}")).await.unwrap();
    }
    let twin = good[0].to_string();
    let mut planted = vec![
        "inbox/jfk/departures/control\u{1}.json".to_owned(),
        "inbox/jfk/departures/slash%2Fslash.json".to_owned(),
        "inbox/jfk/departures/back\\slash.json".to_owned(),
        "inbox/jfk/departures/a space.json".to_owned(),
        "inbox/jfk/departures/a+plus.json".to_owned(),
        "inbox/jfk/departures/a&b<c>\"d'.json".to_owned(),
        "inbox/jfk/departures/é漢🛫.json".to_owned(),
        "inbox/JFK/departures/x.json".to_owned(),
        "inbox/readme".to_owned(),
        // Not ours, though it looks like it.
        twin.replace(".json", ".json.bz2"),
        twin.replace("arrivals", "arrivals%20"),
    ];
    if !place.is_folder() {
        planted.push("inbox/jfk/archive/".to_owned());
    }
    for raw in &mut planted {
        assert!(place.plant(raw, "strange"), "{raw:?} can't be planted");
        if place.is(S3Kind::SeaweedFs) {
            // It takes one for the other before it stores anything.
            *raw = raw.replace('\\', "/");
        }
    }
    // An empty part: a folder has none, MinIO refuses it, SeaweedFS leaves it out.
    if place.is(S3Kind::SeaweedFs) {
        assert!(place.plant("inbox/jfk/departures//doubled.json", "strange"));
        planted.push("inbox/jfk/departures/doubled.json".to_owned());
    }

    let page = everything(&reader).await;
    assert_eq!(
        page.objects
            .iter()
            .map(|o| o.key.clone())
            .collect::<Vec<_>>(),
        good
    );
    let mut found: Vec<_> = page.strange.iter().map(|s| s.key.clone()).collect();
    found.sort();
    planted.sort();
    assert_eq!(found, planted, "{found:#?}");
    for strange in &page.strange {
        assert!(
            !strange.why.is_empty() && !strange.etag.is_empty(),
            "{strange:?}"
        );
    }
    // Each of them is a place that a listing can go on after.
    let all = || {
        page.objects
            .iter()
            .map(|o| o.key.to_string())
            .chain(page.strange.iter().map(|s| s.key.clone()))
    };
    for after in all() {
        let rest = reader.list("inbox/", Some(&after)).await.unwrap();
        assert!(
            rest.objects.iter().all(|o| o.key.to_string() != after),
            "{after:?} comes again"
        );
        assert!(
            rest.strange.iter().all(|s| s.key != after),
            "{after:?} comes again"
        );
    }
}

async fn everything(bucket: &Bucket) -> Page {
    let mut whole = Page::default();
    let mut after = None;
    loop {
        let page = bucket.list("inbox/", after.as_deref()).await.unwrap();
        whole.objects.extend(page.objects);
        whole.strange.extend(page.strange);
        if page.next.is_none() {
            return whole;
        }
        after = page.next;
    }
}
