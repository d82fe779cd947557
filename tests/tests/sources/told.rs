//! What a run tells of itself: by when the next result comes, and that it failed.

use nightdrop_compose::Postgres;
use nightdrop_schema::Timestamptz;

use crate::site::Site;

fn site() -> Site {
    Site::on(&Postgres::shared().unwrap().database().unwrap())
}

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = DAY / 24;

/// How far a result's promise is ahead of it, in microseconds.
fn ahead(result: &crate::message::Message) -> Option<i64> {
    let by: Timestamptz = result.header.next_by?;
    Some(by.raw() - result.envelope.time.raw())
}

#[tokio::test]
async fn a_result_promises_the_next_by_its_schedule_its_timeout_and_its_grace() {
    let site = site();
    let daily =
        "schedule = \"0 5 * * *\"\ntimezone = \"Asia/Tokyo\"\ntimeout = \"1h\"\ngrace = \"2h\"";
    let result = site.result("SELECT 1 AS a", daily);
    let by = result.header.next_by.unwrap();
    assert_eq!(
        by.raw().rem_euclid(DAY),
        23 * HOUR,
        "05:00 in Tokyo is 20:00, and three hours: {by}"
    );
    let ahead_of_it = ahead(&result).unwrap();
    assert!((3 * HOUR..=27 * HOUR).contains(&ahead_of_it), "{by}");
    assert_eq!(ahead(&site.result("SELECT 1 AS a", "")), None);
}

#[tokio::test]
async fn a_backfill_promises_nothing() {
    let site = site();
    let keys = "parameters = [\"window.from\", \"window.to\"]\nwindow = { every = \"1d\", column = \"day\" }\n\
        mode = \"replace\"\nschedule = \"0 5 * * *\"";
    let query = "SELECT $1::date AS day WHERE $1::date < $2::date";
    assert!(ahead(&site.result(query, keys)).is_some());
    let words = ["run", "job", "--from", "2013-01-01", "--to", "2013-01-02"];
    let ended = site.command(&words, query, keys).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let [file] = &site.files("box")[..] else {
        panic!("one slot")
    };
    assert_eq!(ahead(&crate::message::Message::read(file)), None);
}

#[tokio::test]
async fn a_run_that_fails_says_so_without_a_word_of_the_source() {
    let mut wrong = site();
    wrong.set("SOURCE_PASSWORD", "wrong");
    let site = site();
    let refused = "SELECT 'hunter2'::int AS a";
    let value =
        "SELECT 'hunter2'::text AS hunter2, '12345678 BC'::text AS b FROM generate_series(1, 3)";
    for (site, query, keys, code, kind, message) in [
        (
            &wrong,
            "SELECT 1 AS a",
            "",
            77,
            "source",
            "the source refused the credentials",
        ),
        (
            &site,
            refused,
            "",
            65,
            "source",
            "the source refused the query",
        ),
        (
            &site,
            value,
            "types = { hunter2 = \"int64\" }",
            65,
            "contract",
            "row 1 has a value that its column, which travels as int64, can't hold",
        ),
        (
            &site,
            "SELECT pg_sleep(600)::text AS slept",
            "timeout = \"1s\"",
            69,
            "timeout",
            "the query was cancelled after 1s; let it do less, or raise timeout",
        ),
        (
            &site,
            "SELECT 1 AS a WHERE false",
            "min_rows = 1",
            65,
            "contract",
            "the result has 0 rows, and min_rows = 1",
        ),
    ] {
        let before = site.failures().len();
        let ended = site.run(query, keys);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let failures = site.failures();
        assert_eq!(failures.len(), before + 1, "{query}");
        let said = &failures[before]["data"];
        let expected = serde_json::json!({"code": code, "kind": kind, "message": message});
        assert_eq!(said, &expected, "{}", ended.stderr);
        assert!(!failures[before].to_string().contains("hunter2"));
    }
    assert!(site.files("state/spool").is_empty());
}

#[tokio::test]
async fn word_of_a_failure_waits_in_the_spool_while_the_bucket_is_away() {
    let site = site();
    let folder = site.folder.path().to_owned();
    let away = format!(
        "url = \"file://{}/away\"\nput_for = \"1ms\"\ncompress = \"none\"",
        folder.display()
    );
    let site = site.dropping(&away);
    assert_eq!(site.run("SELECT nope", "").code, Some(65));
    assert!(site.failures().is_empty());

    let there = format!(
        "url = \"file://{}/box\"\ncompress = \"none\"",
        folder.display()
    );
    let site = site.dropping(&there);
    let drained = site.command(&["drain"], "", "").output().unwrap();
    assert!(drained.status.success(), "{drained:?}");
    assert_eq!(site.failures().len(), 1);
}

#[tokio::test]
async fn what_a_person_typed_wrong_is_told_to_that_person_alone() {
    let site = site();
    let ended = site
        .command(
            &["run", "job", "--from", "2013-01-01", "--to", "2013-01-02"],
            "SELECT 1 AS a",
            "",
        )
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(64));
    assert!(site.failures().is_empty());
}
