//! What the users of an inbox may do, on both S3 servers: by the same policy files that a real site
//! uses.

use anyhow::Result;
use nightdrop_compose::{Answer, Inbox, Keys, S3, S3Kind};

const KEY: &str =
    "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json.zst";
const LIST: &str = "?list-type=2&prefix=inbox%2F";

fn inboxes() -> Result<Vec<Inbox>> {
    S3Kind::available()
        .into_iter()
        .map(|kind| S3::shared(kind)?.inbox())
        .collect()
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.text("Code")),
        (403, Some("AccessDenied")),
        "{what}: {answer:?}"
    );
}

fn assert_done(answer: &Answer, what: &str) {
    assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
}

#[test]
fn a_producer_puts_results_of_its_own_and_can_do_nothing_else() -> Result<()> {
    for inbox in inboxes()? {
        let jfk = inbox.producer("jfk")?;
        let does = |method: &str, path: &str| inbox.request(&jfk, method, path, "");

        assert_done(&does("PUT", KEY)?, "PUT of a result");
        for path in [
            &KEY.replace("jfk", "ewr"),
            "inbox/jfk/departures",
            "inbox/jfk/departures.json",
            "inbox/jfk/departures/readme.txt",
            "other/jfk/departures/1.json",
        ] {
            assert_refused(&does("PUT", path)?, &format!("PUT {path}"));
        }
        assert_refused(&does("GET", KEY)?, "GET");
        assert_refused(&does("DELETE", KEY)?, "DELETE");
        assert_refused(&does("GET", LIST)?, "LIST");
        assert_refused(
            &does("GET", "?list-type=2&prefix=inbox%2Fjfk%2F")?,
            "LIST of its own",
        );
        assert_eq!(does("HEAD", KEY)?.status, 403);
    }
    Ok(())
}

#[test]
fn the_reader_lists_gets_and_deletes_below_the_inbox_and_puts_nowhere() -> Result<()> {
    for inbox in inboxes()? {
        let (jfk, reader) = (inbox.producer("jfk")?, inbox.reader());
        let does = |keys: &Keys, method: &str, path: &str| inbox.request(keys, method, path, "{}");

        assert_refused(&does(&reader, "PUT", KEY)?, "PUT");
        assert_done(&does(&jfk, "PUT", KEY)?, "the producer's PUT");
        assert_eq!(does(&reader, "GET", LIST)?.text("Key"), Some(KEY));
        assert_refused(
            &does(&reader, "GET", "?list-type=2")?,
            "LIST of the whole bucket",
        );
        assert_eq!(does(&reader, "GET", KEY)?.body, "{}");
        assert_done(&does(&reader, "DELETE", KEY)?, "DELETE");
        assert_eq!(does(&reader, "GET", LIST)?.text("Key"), None);

        let outside = "other/1.json";
        assert_done(&does(&inbox.root(), "PUT", outside)?, "the owner's PUT");
        assert_refused(&does(&reader, "GET", outside)?, "GET outside the inbox");
        assert_refused(
            &does(&reader, "DELETE", outside)?,
            "DELETE outside the inbox",
        );
    }
    Ok(())
}

#[test]
fn users_of_one_inbox_are_nobody_in_another() -> Result<()> {
    for kind in S3Kind::available() {
        let s3 = S3::shared(kind)?;
        let (one, other) = (s3.inbox()?, s3.inbox()?);
        assert_refused(
            &other.request(&one.producer("jfk")?, "PUT", KEY, "")?,
            "PUT",
        );
        assert_refused(&other.request(&one.reader(), "GET", LIST, "")?, "LIST");
    }
    Ok(())
}
