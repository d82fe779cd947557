//! Held files lie in the bucket: what becomes of them when a person wants them, and when somebody takes them away.

use serde_json::json;

use super::{files, parked, put_over};
use crate::message::{Message, departures};
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
