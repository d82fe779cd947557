//! What is wrong is seen without asking: in the views, by `check`.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::crashes::gate_before_s3;
use crate::keep::AGE;
use crate::message::{Message, departures, message};
use crate::metrics::in_a_while;
use crate::outages::health;
use crate::process::Process;
use crate::site::{PATIENCE, Site, let_pass};

pub(crate) mod alarms;
mod cron;
mod outbox;

use alarms::{Answer::Status, Receiver};

/// So many seconds from now; before now, if it is negative.
fn in_seconds(seconds: i64) -> String {
    (Utc::now() + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Word of a failed run at this time, as its key and its body.
fn failed(producer: &str, job: &str, time: &str) -> (nightdrop_schema::Key, String) {
    let like = message(producer, job, time);
    let body = json!({
        "specversion": "1.0", "type": "nightdrop.failed.v1", "id": like.id.to_string(), "source": producer,
        "subject": job, "time": time,
        "data": {"code": 77, "kind": "source", "message": "the source refused the credentials"}
    });
    (like.key(), body.to_string())
}

fn promising(time: &str, next_by: &str) -> Message {
    departures(time).with("next_by", json!(next_by))
}

fn checked(site: &Site) -> (i32, Value) {
    let ended = site.consumer(&["check", "--json"]);
    let page = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
    (ended.code.unwrap(), page)
}

fn kinds(page: &Value) -> Vec<&str> {
    let troubles = page["troubles"].as_array().unwrap();
    troubles
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn a_job_is_late_once_its_promise_has_passed_and_until_a_newer_result_comes() {
    let site = Site::anywhere();
    assert_eq!(site.consumer(&["check"]).code, Some(2), "no ledger");
    site.drop(&promising(&in_seconds(-60), &in_seconds(3600)));
    site.once();
    assert_eq!(checked(&site).0, 0);

    site.drop(&promising(&in_seconds(-50), &in_seconds(-10)));
    site.once();
    let ended = site.consumer(&["check"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with("LATE jfk/departures: a result was due by "),
        "{ended:?}"
    );
    assert!(ended.stderr.is_empty(), "{ended:?}");

    site.drop(&promising(&in_seconds(-5), &in_seconds(3600)));
    site.once();
    assert_eq!(checked(&site).0, 0);
}

/// A result of the days from `day` up to `next`.
fn slot(day: &str, next: &str, time: &str) -> Message {
    whole(day, time).with("range", json!({"column": "day", "from": day, "to": next}))
}

/// A result of all there is.
fn whole(day: &str, time: &str) -> Message {
    message("jfk", "flights", time)
        .with("mode", json!("replace"))
        .with("columns", json!([{"name": "day", "type": "date"}]))
        .rows(&json!([[day]]))
}

/// A backfill says nothing of when the next result comes, and is not the one that was promised.
#[test]
fn a_backfill_neither_keeps_a_promise_nor_ends_it() {
    let site = Site::anywhere();
    let promised = slot("2013-01-30", "2013-01-31", &in_seconds(-60));
    site.drop(&promised.with("next_by", json!(in_seconds(-30))));
    site.drop(&slot("2013-01-29", "2013-01-30", &in_seconds(-20)));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late"]), "{page}");
    // Nor one of a slot that has ended since.
    site.drop(&slot("2013-01-31", "2013-02-01", &in_seconds(-15)));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late"]), "{page}");

    // Nor when all that it replaces has left the history.
    site.drop(&slot("2013-01-30", "2013-01-31", &in_seconds(-12)));
    site.once();
    site.execute(AGE);
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late"]), "{page}");

    let kept = slot("2013-01-31", "2013-02-01", &in_seconds(-10));
    site.drop(&kept.with("next_by", json!(in_seconds(3600))));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, &page["unpromised"]), (0, &json!([])), "{page}");
}

#[test]
fn a_newer_result_without_a_range_that_promises_nothing_ends_the_promise() {
    let site = Site::anywhere();
    let promised = slot("2013-01-30", "2013-01-31", &in_seconds(-60));
    site.drop(&promised.with("next_by", json!(in_seconds(-30))));
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["late"]);
    site.drop(&whole("2013-01-31", &in_seconds(-10)));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!(
        (code, &page["unpromised"]),
        (0, &json!(["jfk/flights"])),
        "{page}"
    );
}

#[test]
fn a_range_that_is_far_ahead_holds_no_job_late() {
    let site = Site::anywhere();
    let ahead = |time: i64| {
        let ahead = slot("2013-01-01", "2099-01-01", &in_seconds(time));
        site.drop(&ahead.with("next_by", json!(in_seconds(time + 1))));
        site.once();
        assert_eq!(kinds(&checked(&site).1), ["late"]);
    };
    ahead(-60);
    let honest = slot("2013-01-30", "2013-01-31", &in_seconds(-50));
    site.drop(&honest.with("next_by", json!(in_seconds(3600))));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, &page["unpromised"]), (0, &json!([])), "{page}");

    ahead(-40);
    site.drop(&whole("2013-01-31", &in_seconds(-30)));
    site.once();
    assert_eq!(checked(&site).0, 0);
}

#[test]
fn a_retired_job_promises_nothing() {
    let site = Site::anywhere();
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    let (key, body) = failed("jfk", "fleet", &in_seconds(-10));
    site.drop_as(&key, body.as_bytes());
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late", "failing"]), "{page}");
    for job in ["departures", "fleet"] {
        assert_eq!(site.consumer(&["retire", "jfk", job]).code, Some(0));
    }
    assert_eq!(site.rows("SELECT * FROM nightdrop.freshness"), [""; 0]);
}

/// Nothing of it is in the reports' table any more.
#[test]
fn older_results_of_a_job_that_was_retired_keep_and_break_promises() {
    let (health, lines) = health();
    let mut site = Site::anywhere().configured(&lines);
    site.drop(&whole("2013-01-31", &in_seconds(-60)));
    site.once();
    assert_eq!(site.consumer(&["retire", "jfk", "flights"]).code, Some(0));
    let promised = slot("2013-01-30", "2013-01-31", "2013-02-01T05:00:00Z");
    site.drop(&promised.with("next_by", json!(in_seconds(3600))));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, &page["unpromised"]), (0, &json!([])), "{page}");
    let as_of = "SELECT as_of FROM nightdrop.freshness";
    assert_eq!(site.rows(as_of), ["2013-02-01T05:00:00+00:00"]);
    for words in [&["status", "--json"][..], &["explain", "jfk/flights"]] {
        let ended = site.consumer(words);
        let page = ended.stdout.replace(' ', "T");
        assert!(page.contains("2013-02-01T05:00:00Z"), "{ended:?}");
    }
    let consumer = site.start(&["run"]);
    let newest = "nightdrop_job_as_of_timestamp_seconds{producer=\"jfk\",job_name=\"flights\"}";
    in_a_while(&health, newest, 1_359_694_800.0);
    consumer.kill();

    // The promise is not in the newest of them, and stays when old history leaves.
    let broken = slot("2013-01-30", "2013-01-31", "2013-02-02T05:00:00Z");
    site.drop(&broken.with("next_by", json!(in_seconds(-10))));
    site.drop(&slot("2013-01-30", "2013-01-31", "2013-02-03T05:00:00Z"));
    site.in_bucket = "delete_after = \"0s\"\n".to_owned();
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["late"]);
    site.execute(AGE);
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["late"]);
}

#[test]
fn a_retired_job_fails_no_more_while_word_of_it_still_lies_in_the_bucket() {
    let mut site = Site::anywhere();
    site.in_bucket = "delete_after = \"1h\"\n".to_owned();
    let (key, body) = failed("jfk", "departures", &in_seconds(-60));
    site.drop_as(&key, body.as_bytes());
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["failing"]);
    let retired = site.consumer(&["retire", "jfk", "departures"]);
    assert_eq!(retired.code, Some(0), "{retired:?}");
    assert_eq!(kinds(&checked(&site).1), [""; 0]);
    assert_eq!(site.keys().len(), 1);

    site.in_bucket.clear();
    site.once();
    assert_eq!(kinds(&checked(&site).1), [""; 0]);
    assert!(site.is_inbox_empty());
}

#[test]
fn a_job_that_has_never_come_is_late_if_it_is_expected() {
    let expects = "[[expect]]\nproducer = \"lga\"\njob = \"fares\"\nevery = \"1h\"\n";
    let site = Site::anywhere().configured(expects);
    let ended = site.consumer(&["check"]);
    assert_eq!(
        ended.code,
        Some(2),
        "no consumer has heard of it: {ended:?}"
    );
    site.once();
    assert_eq!(checked(&site).0, 0, "it has an hour");

    site.execute("UPDATE nightdrop.expectation SET since = now() - interval '61 min'");
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late"]), "{page}");
    let what = page["troubles"][0]["what"].as_str().unwrap();
    assert!(what.contains("nothing of it is in the reports"), "{what}");

    site.drop(&message("lga", "fares", &in_seconds(-60)));
    site.once();
    assert_eq!(checked(&site).0, 0);
    let site = site.configured("");
    site.once();
    assert_eq!(site.rows("SELECT * FROM nightdrop.expectation"), [""; 0]);
}

#[test]
fn a_job_fails_until_a_newer_result_comes() {
    let site = Site::anywhere();
    // Now: a machine may take its time until it is dropped.
    let older = departures(&in_seconds(-90));
    let (key, body) = failed("jfk", "departures", &in_seconds(-60));
    site.drop_as(&key, body.as_bytes());
    site.once();
    let ended = site.consumer(&["check"]);
    assert_eq!(ended.code, Some(1));
    let said = "FAILING jfk/departures: the run failed with exit code 77 (source): the source refused the credentials\n";
    assert!(ended.stdout.starts_with(said), "{ended:?}");

    site.drop(&older);
    site.once();
    assert_eq!(checked(&site).0, 1, "that one is older");
    site.drop(&departures(&in_seconds(-30)));
    site.once();
    assert_eq!(checked(&site).0, 0);
}

/// One that could not be loaded says that the run went well, whatever a person does with it.
#[test]
fn a_result_that_came_ends_a_failure_though_it_is_retried_or_dropped() {
    let mut site = Site::anywhere();
    let fails = |site: &Site| {
        let (key, body) = failed("jfk", "departures", &in_seconds(0));
        site.drop_as(&key, body.as_bytes());
        site.once();
    };
    let parked = |site: &Site, verb: &str| {
        let ended = site.consumer(&["parked", verb, "--producer", "jfk"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    let now = |site: &Site, are: &[&str]| {
        let (_, page) = checked(site);
        assert_eq!(kinds(&page), are, "{page}");
    };
    fails(&site);
    now(&site, &["failing"]);
    site.drop(&departures(&in_seconds(1)).with("row_count", json!(3)));
    site.once();
    now(&site, &["parked"]);
    parked(&site, "retry");
    now(&site, &[]);
    site.once();
    now(&site, &["parked"]);
    parked(&site, "drop");
    now(&site, &[]);
    site.once();
    now(&site, &[]);

    // What fails after that is not hidden by when it was dropped.
    let_pass(Duration::from_secs(2));
    fails(&site);
    now(&site, &["failing"]);
    let gate = gate_before_s3(&mut site);
    gate.answer("/inbox/jfk/", "403 Forbidden", "");
    site.drop(&departures(&in_seconds(1)));
    site.once();
    now(&site, &["held"]);
    parked(&site, "drop");
    now(&site, &[]);
    site.once();
    now(&site, &[]);
}

/// What can't be read is tried each hour: that is no news, unless it can be read.
#[test]
fn a_file_that_is_tried_again_is_held_until_it_is_decided() {
    let receiver = Receiver::new(Status(204));
    let mut site = receiver.site();
    let gate = gate_before_s3(&mut site);
    gate.answer("/inbox/jfk/", "403 Forbidden", "");
    let (key, body) = failed("jfk", "departures", &in_seconds(-60));
    site.drop_as(&key, body.as_bytes());
    site.drop(&departures(&in_seconds(-50)));
    site.once();
    let held = "nightdrop.alarm.started held jfk/departures";
    assert_eq!(receiver.told(), [held]);
    let stands = "SELECT waiting, held, held_since, failing FROM nightdrop.freshness";
    let before = site.rows(stands);
    assert!(before[0].starts_with("0|2|"), "{before:?}");

    site.rest("jfk", "departures");
    site.execute("UPDATE nightdrop.file SET retry_at = now()");
    site.once();
    assert_eq!(site.states(), ["waiting|null", "waiting|null"]);
    assert_eq!(receiver.told(), [held]);
    assert_eq!(site.rows(stands), before);

    site.execute("DELETE FROM nightdrop.pause");
    site.once();
    assert_eq!(site.rows(stands), before);
    site.execute("UPDATE nightdrop.file SET retry_at = now()");
    gate.refuse("nothing");
    site.once();
    assert_eq!(site.states(), ["noted|failed", "loaded|null"]);
    assert_eq!(
        receiver.told(),
        [held, "nightdrop.alarm.ended held jfk/departures"]
    );
}

#[test]
fn a_producer_whose_clock_is_ahead_does_not_fail_for_longer_than_others() {
    let site = Site::anywhere();
    let (key, body) = failed("jfk", "departures", &in_seconds(3600));
    site.drop_as(&key, body.as_bytes());
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["failing"]);
    site.drop(&departures(&in_seconds(0)));
    site.once();
    assert_eq!(kinds(&checked(&site).1), [""; 0]);
    let (key, body) = failed("jfk", "departures", &in_seconds(0));
    site.drop_as(&key, body.as_bytes());
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["failing"]);
}

/// Whoever has the producer's key names the files as he likes.
#[test]
fn a_key_in_the_future_hides_no_failure_that_comes_after_it() {
    let site = Site::anywhere();
    let like = departures("2999-01-01T00:00:00Z");
    site.drop_as(&like.key(), b"garbage");
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["parked"]);
    let (key, body) = failed("jfk", "departures", &in_seconds(0));
    site.drop_as(&key, body.as_bytes());
    site.once();
    assert_eq!(kinds(&checked(&site).1), ["failing", "parked"]);
}

/// Names cost whoever has the producer's key nothing.
#[test]
fn a_thousand_made_up_jobs_hide_nothing_that_is_parked() {
    let site = Site::anywhere();
    site.drop(&message("jfk", "zulu", &in_seconds(-5)).with("row_count", json!(3)));
    site.once();
    site.execute(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
         SELECT 'inbox/jfk/a' || n, 'x', 1, 'jfk', 'a' || n, now(), gen_random_uuid() FROM generate_series(1, 1100) n;
         UPDATE nightdrop.file SET state = 'noted', reason = 'failed', decided_at = now(), gone_at = now()
         WHERE state = 'waiting'",
    );
    let shown = "SELECT count(*) FILTER (WHERE failing), count(*) FILTER (WHERE parked = 1) FROM nightdrop.freshness";
    assert_eq!(site.rows(shown), ["999|1"]);
}

#[test]
fn a_source_whose_password_is_wrong_shows_its_failure_on_the_reporting_side() {
    let site = Site::anywhere();
    let mut source = site.database.clone();
    source.password = "wrong".to_owned();
    let job = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS a\"\nmode = \"append\"\n";
    let config = site.producer_config("jfk", &source, "none", job);
    let ended =
        Process::start("nightdrop-producer", &config, &["run", "departures"]).wait(PATIENCE);
    assert_eq!(ended.code, Some(77), "{ended:?}");
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["failing"]), "{page}");
    assert_eq!(
        page["troubles"][0]["what"],
        "the run failed with exit code 77 (source): the source refused the credentials"
    );
}

#[test]
fn what_is_parked_or_held_is_wrong() {
    let site = Site::anywhere();
    site.drop(&departures(&in_seconds(-30)).with("row_count", json!(3)));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["parked"]), "{page}");
    let ended = site.consumer(&["parked", "drop", "--producer", "jfk"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(kinds(&checked(&site).1), [""; 0]);

    let site = site.configured("[load]\npark_up_to = \"100B\"\n");
    site.drop(&departures(&in_seconds(-20)).with("row_count", json!(3)));
    let root = site.inbox.root();
    let put = site.inbox.request(&root, "PUT", "inbox/lga/stray", "x");
    assert!((200..300).contains(&put.unwrap().status));
    site.once();
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["held", "held"]), "{page}");
    assert_eq!(
        page["troubles"][1]["producer"],
        Value::Null,
        "it is nobody's"
    );
}

#[test]
fn check_asks_postgres_alone() {
    let mut site = Site::anywhere();
    site.drop(&promising(&in_seconds(-60), &in_seconds(3600)));
    site.once();
    site.endpoint = Some("http://127.0.0.1:1".to_owned());
    assert_eq!(checked(&site).0, 0);
}

#[test]
fn check_cannot_tell_where_postgres_is_away() {
    let mut site = Site::anywhere();
    site.database_url = Some("postgres://nobody@127.0.0.1:1/nowhere".to_owned());
    let ended = site.consumer(&["check"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("127.0.0.1:1"), "{ended:?}");
}

#[test]
fn the_views_tell_how_fresh_each_job_is_and_what_became_of_each_file() {
    let site = Site::anywhere();
    site.drop(&promising("2013-01-31T05:00:00Z", "2013-02-01T05:40:00Z"));
    site.drop(&departures("2013-01-31T06:00:00Z").with("row_count", json!(3)));
    let (key, body) = failed("jfk", "departures", "2013-01-31T07:00:00Z");
    site.drop_as(&key, body.as_bytes());
    site.once();
    assert_eq!(
        site.rows(
            "SELECT producer, job, \"table\", as_of, rows, next_by, late, waiting, parked, held, failing, failed_at, failed_kind,
                    committed_at > now() - interval '1 min' AS just_now FROM nightdrop.freshness"
        ),
        ["jfk|departures|jfk.departures|2013-01-31T05:00:00+00:00|2|2013-02-01T05:40:00+00:00|true|0|1|0|true|2013-01-31T07:00:00+00:00|source|true"]
    );
    assert_eq!(
        site.rows("SELECT state, reason, rows FROM nightdrop.load_history ORDER BY as_of"),
        ["loaded|null|2", "parked|contract|null", "noted|failed|0"]
    );
}

#[test]
fn every_table_and_column_of_the_ledger_says_what_it_is() {
    let site = Site::anywhere();
    let silent = "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'nightdrop'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'migration'
          AND NOT a.attisdropped AND (a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL
                                      OR obj_description(c.oid) IS NULL)";
    assert_eq!(site.rows(silent), [""; 0]);
}
