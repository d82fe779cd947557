//! What stands between two consumers, or between the ledger and the bucket: each thing alone, where nothing else would
//! show that it is gone.

use nightdrop_compose::S3Kind;
use nightdrop_schema::Key;
use serde_json::json;

use crate::crashes::{gate_before_postgres, gate_before_s3, many_rows};
use crate::gate::Hold;
use crate::message::{departures, message};
use crate::site::{Site, until};

/// Puts an object under a key as somebody who may do anything, over what is there.
fn put_over(site: &Site, key: &Key, body: &str) {
    let root = site.inbox.root();
    let answer = site.inbox.request(&root, "PUT", &key.to_string(), body);
    assert_eq!(answer.unwrap().status, 200);
}

/// The lock on the files of a load: without it, whoever lists next would give them up.
#[test]
fn a_file_that_is_being_loaded_is_its_load_s_though_another_object_came_under_its_key() {
    // Longer than the load is held.
    let mut site = Site::on(S3Kind::available()[0]).configured("[load]\nlease = \"5min\"\n");
    let gate = gate_before_postgres(&mut site);
    let result = departures("2013-01-31T05:00:00Z").rows(&many_rows(20_000));
    site.drop(&result);
    gate.hold(Hold::Sent(600_000));
    let _loading = site.start(&["run"]);
    gate.wait();

    site.database_url = None;
    let other = result.clone().rows(&json!([["UA", 1545]]));
    put_over(&site, &result.key(), &other.body());
    let _other = site.start(&["run"]);
    let states = "SELECT state, row_count FROM nightdrop.file ORDER BY id";
    until("the other object to be listed and loaded", || {
        site.rows(states).len() == 2 && site.rows(states)[1] == "loaded|1"
    });
    assert_eq!(site.rows(states), ["waiting|null", "loaded|1"]);

    // It comes to nothing by itself: its run is loaded by then.
    gate.open();
    site.wait_for(states, &["missing|null", "loaded|1"]);
    assert_eq!(site.rows("SELECT flight FROM jfk.departures"), ["1545"]);
}

/// The fresh read of the ledger before each DELETE: by what it remembers, a consumer would delete what nobody has read.
#[test]
fn an_object_that_nobody_has_read_is_not_deleted_though_its_key_was_loaded_before() {
    let kind = S3Kind::available().pop().unwrap();
    let mut site = Site::on(kind).configured("[breaker]\nopen_for = \"1s\"\n");
    let gate = gate_before_s3(&mut site);
    gate.refuse("?delete");
    let known = departures("2013-01-31T05:00:00Z");
    let beside = message("lga", "departures", "2013-01-31T05:00:00Z");
    site.drop(&known);
    site.drop(&beside);
    let consumer = site.start(&["run"]);
    let loaded = "SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'";
    site.wait_for(loaded, &["2"]);

    gate.hold(Hold::Request("/inbox/jfk/"));
    let other = known.clone().rows(&json!([["UA", 1545]]));
    put_over(&site, &known.key(), &other.body());
    gate.wait();
    // Whatever read the ledger before is over.
    let in_vain = || {
        let log = consumer.log();
        log.matches("nothing was deleted from the bucket").count()
    };
    let before = in_vain();
    until("a delete to fail once more", || in_vain() > before);
    // From here on the bucket deletes again, and what it deletes is in one request.
    gate.refuse("nothing");
    until("the other's object to be deleted", || {
        !site.keys().contains(&beside.key().to_string())
    });
    assert_eq!(site.keys(), [known.key().to_string()]);

    gate.open();
    let judged = "SELECT state, reason FROM nightdrop.file WHERE producer = 'jfk' ORDER BY id";
    site.wait_for(judged, &["loaded|null", "parked|run_reused"]);
    until("it to be deleted, too", || site.keys().is_empty());
}
