//! Held files lie in the bucket: what becomes of them when a person wants them, and when somebody takes them away.

use nightdrop_compose::S3Kind;
use serde_json::json;

use super::{files, parked, put_over};
use crate::message::{Message, departures, message};
use crate::site::{Site, on_each};

/// Two columns are too many, and a few bytes too many to park: the file is held.
const NARROW: &str = "[caps]\ncolumns = 1\n[load]\npark_up_to = \"100B\"\n";

fn held(site: Site) -> (Site, Message) {
    let site = site.configured(NARROW);
    let message = departures("2013-01-31T05:00:00Z");
    site.drop(&message);
    site.once();
    assert_eq!(files(&site), ["held|contract|false|0"]);
    assert_eq!(site.keys().len(), 1);
    (site, message)
}

#[test]
fn a_held_file_is_loaded_from_the_bucket_when_it_is_retried() {
    on_each(|site| {
        let (site, _) = held(site);
        let site = site.configured("");
        site.once();
        assert_eq!(files(&site), ["held|contract|false|0"]);

        parked(&site, &["retry", "1"]);
        assert_eq!(files(&site), ["waiting|null|false|0"]);
        site.once();

        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_held_file_is_parked_when_it_is_retried_and_there_is_room_for_it() {
    let (site, _) = held(Site::anywhere());
    let site = site.configured("[caps]\ncolumns = 1\n");
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(files(&site), ["parked|contract|true|1"]);
    assert_eq!(site.keys(), Vec::<String>::new());
}

/// No room to park anything: not what is large, nor what is small. What is larger than 700 bytes is streamed.
const NO_ROOM: &str = "[quota]\nparked = \"1B\"\n[load]\npark_up_to = \"500B\"\nstream_above = \"700B\"\nclock_skew = \"0s\"\n";

/// Of three jobs: held for want of room, and as too large, by a batch and by a stream.
fn held_in_three_ways(time: &str) -> [Message; 3] {
    [("small", 1), ("larger", 20), ("large", 60)].map(|(job, count)| {
        let rows: Vec<_> = (0..count).map(|n| json!(["UA", 1000 + n])).collect();
        message("jfk", job, time).rows(&json!(rows))
    })
}

#[test]
fn a_held_file_from_the_future_is_loaded_once_its_time_has_come() {
    let site = Site::anywhere().configured(NO_ROOM);
    // All that takes long is done before the time is told.
    site.keys_of("jfk");
    let soon = site.rows(
        "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '25 s', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    for message in held_in_three_ways(&soon[0]) {
        site.drop(&message);
    }
    site.once();
    assert_eq!(
        site.rows(
            "SELECT job, state, reason, retry_at - as_of BETWEEN '0 s' AND '25 s' FROM nightdrop.file ORDER BY size"
        ),
        [
            "small|held|quota_parked|true",
            "larger|held|future|true",
            "large|held|future|true"
        ],
        "{:?}",
        site.rows("SELECT size, error, as_of, retry_at FROM nightdrop.file")
    );

    let _consumer = site.start(&["run"]);
    site.wait_for(
        "SELECT state, decided_at >= as_of FROM nightdrop.file",
        &["loaded|true"; 3],
    );
}

#[test]
fn a_held_file_of_an_unknown_type_is_tried_again_each_hour_for_an_upgrade_is_not_announced() {
    let site = Site::anywhere().configured(NO_ROOM);
    for message in held_in_three_ways("2013-01-31T05:00:00Z") {
        let body = message.body().replace("result.v1", "result.v9");
        site.drop_as(&message.key(), body.as_bytes());
    }
    let expected = [
        "small|held|quota_parked|true",
        "larger|held|unknown_version|true",
        "large|held|unknown_version|true",
    ];
    let held = "SELECT job, state, reason, retry_at - decided_at BETWEEN '59 min' AND '61 min' FROM nightdrop.file ORDER BY size";
    site.once();
    assert_eq!(site.rows(held), expected);

    let claimed = "SELECT claimed_at FROM nightdrop.file ORDER BY size";
    let before = site.rows(claimed);
    site.once();
    assert_eq!(site.rows(claimed), before, "the hour is not over");
    site.execute("UPDATE nightdrop.file SET retry_at = now()");
    site.once();
    assert!(
        site.rows(claimed)
            .iter()
            .zip(&before)
            .all(|(now, then)| now > then)
    );
    assert_eq!(site.rows(held), expected);
    assert_eq!(
        site.rows("SELECT coalesce(cardinality(judged_by), 0) FROM nightdrop.file ORDER BY size"),
        ["0", "1", "1"]
    );
}

#[test]
fn a_dropped_file_is_deleted_from_the_bucket() {
    on_each(|site| {
        let (site, _) = held(site);
        parked(&site, &["drop", "1"]);
        assert_eq!(files(&site), ["dropped|contract|false|0"]);
        site.once();
        assert_eq!(files(&site), ["dropped|contract|false|0"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_held_file_that_is_replaced_is_missing_and_the_other_one_is_looked_at() {
    on_each(|site| {
        let (site, message) = held(site);
        let one = json!([{"name": "flight", "type": "int64"}]);
        let other = message.with("columns", one).rows(&json!([[1]]));
        put_over(&site, &other.key(), &other.body());
        site.once();
        assert_eq!(
            files(&site),
            ["missing|replaced|false|0", "loaded|null|false|0"]
        );
    });
}

#[test]
fn a_held_file_that_somebody_removed_is_missing_once_it_is_retried() {
    on_each(|site| {
        let (site, message) = held(site);
        let key = message.key().to_string();
        let answer = site.inbox.request(&site.inbox.root(), "DELETE", &key, "");
        assert_eq!(answer.unwrap().status, 204);
        site.once();
        assert_eq!(files(&site), ["held|contract|false|0"]);
        parked(&site, &["retry", "1"]);
        site.once();
        assert_eq!(files(&site), ["missing|gone|false|0"]);
    });
}

/// On a server that lets it do that, against its policy.
#[test]
fn a_file_under_a_key_that_its_producer_keeps_is_held_and_delays_nobody() {
    let site = Site::on(S3Kind::SeaweedFs);
    let locked = departures("2013-01-31T05:00:00Z");
    let with_a_key = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        (
            "x-amz-server-side-encryption-customer-key",
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        ),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            "KYvwGXoFFJ42a2u2GDWhwQ==",
        ),
    ];
    let (jfk, key) = (site.keys_of("jfk"), locked.key().to_string());
    let answer = site
        .inbox
        .request_with(&jfk, "PUT", &key, &with_a_key, &locked.body());
    assert_eq!(answer.unwrap().status, 200);
    site.drop(&departures("2013-01-31T06:00:00Z"));
    site.once();
    assert_eq!(
        files(&site),
        ["held|unreadable|false|0", "loaded|null|false|0"]
    );

    parked(&site, &["drop", "1"]);
    site.once();
    assert_eq!(site.keys(), Vec::<String>::new());
}

#[test]
fn a_key_outside_the_grammar_can_be_forgotten_and_nothing_else() {
    on_each(|site| {
        let stray = |method: &str| {
            let answer = site
                .inbox
                .request(&site.inbox.root(), method, "inbox/stray", "x");
            assert!(answer.unwrap().status < 300);
        };
        stray("PUT");
        site.once();
        assert_eq!(files(&site), ["held|key|false|0"]);

        let retry = site.consumer(&["parked", "retry", "1"]);
        assert_eq!(retry.code, Some(65), "{retry:?}");
        assert!(retry.stderr.contains("outside the grammar"), "{retry:?}");
        assert_eq!(files(&site), ["held|key|false|0"]);

        let drop = parked(&site, &["drop", "--reason", "key"]);
        assert!(drop.stdout.contains("1 inbox/stray forgotten"), "{drop:?}");
        assert!(drop.stdout.contains("by hand"), "{drop:?}");
        assert_eq!(files(&site), ["missing|key|false|0"]);

        // For as long as it is there, it is said that it is.
        site.once();
        assert_eq!(files(&site), ["missing|key|false|0", "held|key|false|0"]);
        assert_eq!(site.keys(), ["inbox/stray"]);
        stray("DELETE");
        parked(&site, &["drop", "2"]);
        site.once();
        assert_eq!(files(&site), ["missing|key|false|0", "missing|key|false|0"]);
    });
}
