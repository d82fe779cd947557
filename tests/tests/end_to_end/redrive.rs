//! The way back of what was parked or held: by itself, or because a person wants it.

mod alone;
mod held;
mod order;
mod verbs;

use nightdrop_schema::Key;
use serde_json::{Value, json};

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::{Gate, Hold};
use crate::large::peak_of;
use crate::message::{Message, departures};
use crate::process::Ended;
use crate::site::{PATIENCE, Site, on_one};

/// All departures go to a table that somebody made, and that takes no flight from 9000 on.
const ROUTE: &str =
    "[[route]]\njob = \"departures\"\nproducers = [\"*\"]\ntable = \"reports.departures\"\n";

fn refusing(site: Site, extra: &str) -> Site {
    let site = site.configured(&format!("{extra}\n{ROUTE}"));
    site.execute(
        "CREATE SCHEMA reports; CREATE TABLE reports.departures (_producer text NOT NULL, _as_of timestamptz NOT NULL, \
         _file bigint NOT NULL, carrier text, flight bigint CONSTRAINT low CHECK (flight < 9000))",
    );
    site
}

fn mend(site: &Site) {
    site.execute("ALTER TABLE reports.departures DROP CONSTRAINT low");
}

/// A result that the table doesn't take until it is mended.
fn refused(time: &str) -> Message {
    departures(time).rows(&json!([["UA", 9999]]))
}

/// One that is streamed: some parts of a MiB, and a row at the end that the table doesn't take.
fn refused_large(time: &str) -> Message {
    let mut rows: Vec<Value> = (0..150_000)
        .map(|n| json!(["a carrier", n % 9000]))
        .collect();
    rows.push(json!(["UA", 9999]));
    departures(time).rows(&json!(rows))
}

/// `parked` with these words, which must end well.
fn parked(site: &Site, words: &[&str]) -> Ended {
    let ended = site.consumer(&[&["parked"], words].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// Where each file is, and whether its bytes are in Postgres, oldest first.
fn files(site: &Site) -> Vec<String> {
    site.rows("SELECT f.state, f.reason, f.kept, (SELECT count(*) FROM nightdrop.parked p WHERE p.file = f.id) AS parts FROM nightdrop.file f ORDER BY id")
}

/// Puts an object under a key as somebody who may do anything, over what is there.
fn put_over(site: &Site, key: &Key, body: &str) {
    let answer = site
        .inbox
        .request(&site.inbox.root(), "PUT", &key.to_string(), body)
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// `once` while the bucket deletes nothing: it fails, and all else is done.
fn once_without_deletes(site: &mut Site) {
    let gate = gate_before_s3(site);
    gate.refuse("?delete");
    let ended = site.consumer(&["once"]);
    assert_eq!(ended.code, Some(74), "{ended:?}");
    site.endpoint = None;
}

#[test]
fn what_a_table_refused_is_loaded_from_postgres_once_it_is_mended() {
    on_one(|site| {
        let site = refusing(site, "");
        site.drop(&refused("2013-01-31T05:00:00Z"));
        site.once();
        assert_eq!(files(&site), ["parked|refused|true|1"]);
        assert_eq!(site.keys(), Vec::<String>::new());

        mend(&site);
        parked(&site, &["retry", "--reason", "refused"]);
        assert_eq!(files(&site), ["waiting|null|true|1"]);
        site.once();

        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(
            site.rows("SELECT flight, _as_of, f.state FROM reports.departures d JOIN nightdrop.file f ON f.id = d._file"),
            ["9999|2013-01-31T05:00:00+00:00|loaded"]
        );
    });
}

#[test]
fn a_large_file_is_redriven_as_a_stream() {
    on_one(|site| {
        let site = refusing(site, "");
        site.drop(&refused_large("2013-01-31T05:00:00Z"));
        site.once();
        assert_eq!(files(&site), ["parked|refused|true|3"]);
        assert_eq!(site.keys(), Vec::<String>::new());

        mend(&site);
        parked(
            &site,
            &["retry", "--producer", "jfk", "--job", "departures"],
        );
        site.once();

        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(
            site.rows("SELECT count(*), max(flight) FROM reports.departures d JOIN nightdrop.file f ON f.id = d._file"),
            ["150001|9999"]
        );
    });
}

#[test]
fn what_is_unfit_again_is_parked_again_with_what_is_wrong_now_and_its_bytes_are_not_touched() {
    for message in [
        refused("2013-01-31T05:00:00Z"),
        refused_large("2013-01-31T05:00:00Z"),
    ] {
        let site = refusing(Site::anywhere(), "");
        site.drop(&message);
        site.once();
        let bytes = "SELECT part, ctid, xmin, md5(bytes) FROM nightdrop.parked ORDER BY part";
        let before = site.rows(bytes);

        site.execute("ALTER TABLE reports.departures RENAME CONSTRAINT low TO lower");
        parked(&site, &["retry", "1"]);
        site.once();

        let state = files(&site).concat();
        assert!(state.starts_with("parked|refused|true|"), "{state}");
        let sentence = site.rows("SELECT error FROM nightdrop.file").concat();
        assert!(sentence.contains("\"lower\""), "{sentence}");
        assert_eq!(site.rows(bytes), before);
    }
}

#[test]
fn a_contract_that_is_broken_again_leaves_the_bytes_as_they_are() {
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T05:00:00Z").rows(&json!([["UA", 1545.5]])));
    site.once();
    let bytes = "SELECT part, ctid, xmin FROM nightdrop.parked";
    let before = site.rows(bytes);
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(files(&site), ["parked|contract|true|1"]);
    assert_eq!(site.rows(bytes), before);
}

#[test]
fn a_redriven_file_is_loaded_once_when_its_consumer_dies_in_the_middle_of_it() {
    let mut site = refusing(Site::anywhere(), "[load]\nlease = \"1s\"");
    site.drop(&refused_large("2013-01-31T05:00:00Z"));
    site.once();
    mend(&site);
    parked(&site, &["retry", "1"]);

    let gate = gate_before_postgres(&mut site);
    gate.hold(Hold::Sent(1_500_000));
    let consumer = site.start(&["run"]);
    gate.wait();
    consumer.kill();
    gate.open();
    assert_eq!(files(&site), ["waiting|null|true|3"]);
    site.once_until_decided();

    assert_eq!(files(&site), ["loaded|null|false|0"]);
    assert_eq!(
        site.rows("SELECT count(*) FROM reports.departures"),
        ["150001"]
    );
}

#[test]
fn what_is_retried_before_its_object_is_deleted_is_loaded_once_and_deleted_then() {
    on_one(|site| {
        let mut site = refusing(site, "");
        site.drop(&refused("2013-01-31T05:00:00Z"));
        once_without_deletes(&mut site);
        assert_eq!(files(&site), ["parked|refused|true|1"]);

        mend(&site);
        parked(&site, &["retry", "1"]);
        once_without_deletes(&mut site);
        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(site.keys().len(), 1);

        site.once();
        assert_eq!(files(&site), ["loaded|null|false|0"]);
        assert_eq!(site.rows("SELECT count(*) FROM reports.departures"), ["1"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn of_a_redriven_file_and_another_object_under_its_key_one_is_loaded_and_the_other_kept() {
    on_one(|site| {
        let mut site = refusing(site, "");
        let message = refused("2013-01-31T05:00:00Z");
        site.drop(&message);
        once_without_deletes(&mut site);
        mend(&site);
        put_over(
            &site,
            &message.key(),
            &message.clone().rows(&json!([["B6", 1]])).body(),
        );
        parked(&site, &["retry", "1"]);

        site.once();

        // They are one run, and two batches may have them: the first to commit is loaded.
        let mut files = files(&site);
        files.sort();
        assert_eq!(files, ["loaded|null|false|0", "parked|run_reused|true|1"]);
        assert_eq!(site.rows("SELECT count(*) FROM reports.departures"), ["1"]);
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_redriven_file_that_waits_keeps_no_other_object_from_being_deleted() {
    let mut site = refusing(Site::anywhere(), "");
    let message = refused("2013-01-31T05:00:00Z");
    site.drop(&message);
    once_without_deletes(&mut site);
    put_over(
        &site,
        &message.key(),
        &message.clone().rows(&json!([["B6", 1]])).body(),
    );
    parked(&site, &["retry", "1"]);
    site.execute("UPDATE nightdrop.file SET retry_at = now() + interval '1 hour'");

    site.once();

    assert_eq!(files(&site), ["waiting|null|true|1", "loaded|null|false|0"]);
    assert_eq!(site.keys(), Vec::<String>::new());
}

#[test]
fn the_same_key_listed_after_its_delete_is_judged_by_its_run_and_hash() {
    on_one(|site| {
        let site = refusing(site, "");
        let message = refused("2013-01-31T05:00:00Z");
        site.drop(&message);
        site.once();
        mend(&site);
        site.drop(&message);
        site.once();
        assert_eq!(
            files(&site),
            ["parked|refused|true|1", "loaded|null|false|0"]
        );
        parked(&site, &["retry", "1"]);
        site.once();
        assert_eq!(
            files(&site),
            ["duplicate|null|false|0", "loaded|null|false|0"]
        );
        assert_eq!(site.rows("SELECT count(*) FROM reports.departures"), ["1"]);
    });
}

#[test]
fn the_database_lets_no_redriven_file_be_held_or_missed() {
    let site = refusing(Site::anywhere(), "");
    site.drop(&refused("2013-01-31T05:00:00Z"));
    site.once();
    parked(&site, &["retry", "1"]);
    site.administer(
        "CREATE FUNCTION public.put(becomes text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
             UPDATE nightdrop.file SET state = becomes, kept = false, decided_at = now(), reason = 'gone', error = 'gone',
                    gone_at = CASE becomes WHEN 'missing' THEN now() END;
             RETURN 'taken';
         EXCEPTION WHEN integrity_constraint_violation THEN RETURN SQLERRM;
         END $$",
    );
    for state in ["held", "missing"] {
        let answer = site.rows(&format!("SELECT public.put('{state}')"));
        let refusal = format!("file 1: from waiting to {state} is no way that a file goes");
        assert_eq!(answer, [refusal]);
    }
}

#[test]
fn what_ended_its_consumers_is_tried_alone_when_it_is_retried_and_nothing_else_is() {
    let site = Site::anywhere();
    for hour in ["05", "06"] {
        site.drop(&departures(&format!("2013-01-31T{hour}:00:00Z")).rows(&json!([["UA", 1545.5]])));
        site.once();
    }
    site.execute("UPDATE nightdrop.file SET reason = 'deadly', attempts = 4 WHERE id = 1");
    parked(&site, &["retry", "--producer", "jfk"]);
    assert_eq!(
        site.rows("SELECT state, attempts FROM nightdrop.file ORDER BY id"),
        ["waiting|1", "waiting|0"]
    );
}

#[test]
fn a_verb_waits_while_a_consumer_deletes_the_object() {
    on_one(|site| {
        let mut site = refusing(site, "");
        site.drop(&refused("2013-01-31T05:00:00Z"));
        let gate: Gate = gate_before_s3(&mut site);
        gate.hold(Hold::Request("?delete"));
        let consumer = site.start(&["run"]);
        gate.wait();
        assert_eq!(files(&site), ["parked|refused|true|1"]);
        mend(&site);

        let retry = site.start(&["parked", "retry", "1"]);
        site.wait_for("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()", &["1"]);
        gate.open();

        assert_eq!(retry.wait(PATIENCE).code, Some(0));
        site.wait_for(
            "SELECT state, gone_at IS NOT NULL FROM nightdrop.file",
            &["loaded|true"],
        );
        assert_eq!(site.rows("SELECT count(*) FROM reports.departures"), ["1"]);
        drop(consumer);
    });
}

/// What a consumer may have resident, and what of that the program itself takes, optimized: as tests are
/// built, it is twice as large.
const CEILING: u64 = 64 << 20;
const PROGRAM: u64 = 12 << 20;

#[test]
fn sixty_mib_are_parked_and_redriven_in_little_memory() {
    let site = refusing(Site::anywhere(), "");
    let filler = "x".repeat(1000);
    let mut rows: Vec<Value> = (0..60_000).map(|n| json!([filler, n % 9000])).collect();
    rows.push(json!(["UA", 9999]));
    let message = departures("2013-01-31T05:00:00Z").rows(&json!(rows));
    site.drop(&message);
    let own = |what: &str| {
        let (peak, program) = peak_of(site.start(&["once"]), PATIENCE * 5);
        let own = peak - program;
        eprintln!(
            "{what}: peak resident {} MiB, {} of them the program itself",
            peak >> 20,
            program >> 20
        );
        assert!(
            own + PROGRAM < CEILING,
            "{what}: the consumer took {own} bytes"
        );
    };
    own("parking");
    assert_eq!(
        site.rows("SELECT state, size > 60000000 FROM nightdrop.file"),
        ["parked|true"]
    );
    mend(&site);
    parked(&site, &["retry", "1"]);
    own("redriving");
    assert_eq!(files(&site), ["loaded|null|false|0"]);
    assert_eq!(
        site.rows("SELECT count(*) FROM reports.departures"),
        ["60001"]
    );
}
