//! What the users of an inbox may do, on both S3 servers: by the policies that the programs print.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use nightdrop_compose::{Answer, Inbox, Keys, S3, S3Kind, binary, policy};

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

const KMS: (&str, &str) = ("x-amz-server-side-encryption", "aws:kms");

/// A key that the request brings along, and nobody keeps.
const SENT_ALONG: [(&str, &str); 3] = [
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

fn of_class(class: &str) -> (&str, &str) {
    ("x-amz-storage-class", class)
}

#[test]
fn minio_refuses_to_a_producer_what_its_reader_could_not_open() -> Result<()> {
    if !S3Kind::available().contains(&S3Kind::Minio) {
        return Ok(());
    }
    let inbox = S3::shared(S3Kind::Minio)?.inbox()?;
    let jfk = inbox.producer("jfk")?;
    let put = |headers: &[(&str, &str)]| inbox.request_with(&jfk, "PUT", KEY, headers, "{}");

    assert_refused(&put(&[of_class("REDUCED_REDUNDANCY")])?, "another class");
    assert_refused(&put(&[KMS])?, "a key of KMS's");
    // To its owner, too: it has no archive, and takes keys over TLS only.
    assert_eq!(put(&[of_class("GLACIER")])?.status, 400);
    assert_eq!(put(&SENT_ALONG)?.status, 400);
    Ok(())
}

/// `docs/operations.md` says so under its limits.
#[test]
fn seaweedfs_asks_no_condition_of_a_put_and_only_a_key_that_is_sent_along_shuts_its_reader_out()
-> Result<()> {
    let inbox = S3::shared(S3Kind::SeaweedFs)?.inbox()?;
    let (jfk, reader) = (inbox.producer("jfk")?, inbox.reader());
    let put = |headers: &[(&str, &str)]| inbox.request_with(&jfk, "PUT", KEY, headers, "{}");
    let got = || inbox.request(&reader, "GET", KEY, "");

    for class in ["GLACIER", "REDUCED_REDUNDANCY"] {
        assert_done(&put(&[of_class(class)])?, class);
        assert_eq!(got()?.body, "{}", "{class}");
    }
    assert_eq!(put(&[KMS])?.status, 500, "it has no KMS");
    assert_done(&put(&SENT_ALONG)?, "PUT under a key that is sent along");
    assert_eq!(got()?.status, 400);
    Ok(())
}

#[test]
fn who_asks_for_a_key_to_be_new_overwrites_nothing() -> Result<()> {
    for inbox in inboxes()? {
        let jfk = inbox.producer("jfk")?;
        let once = || inbox.request_with(&jfk, "PUT", KEY, &[("if-none-match", "*")], "{}");
        assert_done(&once()?, "PUT of a result");
        assert_eq!(once()?.status, 412);
    }
    Ok(())
}

/// What one of the programs prints as its policy.
fn printed(program: &str, config: &str, words: &[&str]) -> Result<String> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo");
    let output = Command::new(binary(program)?)
        .arg("-c")
        .arg(demo.join(config))
        .arg("policy")
        .args(words)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_programs_print_what_the_servers_here_are_given() -> Result<()> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for user in ["reader", "jfk", "ewr", "lga"] {
        let (program, config, given) = if user == "reader" {
            (
                "nightdrop-consumer",
                "consumer.toml".to_owned(),
                policy::reader("reports-inbox")?,
            )
        } else {
            (
                "nightdrop-producer",
                format!("{user}.toml"),
                policy::producer("reports-inbox", user)?,
            )
        };
        assert_eq!(printed(program, &config, &[])?, given);
        assert_eq!(printed(program, &config, &["--for", "minio"])?, given);
        let file = policies.join(format!("{user}.json"));
        assert_eq!(
            std::fs::read_to_string(&file)?,
            given,
            "write it anew: {program} -c examples/demo/{config} policy > {}",
            file.display()
        );
        let aws = printed(program, &config, &["--for", "aws"])?;
        assert_eq!(aws.contains("s3:if-none-match"), user != "reader", "{aws}");
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

#[test]
fn a_producer_can_put_and_not_delete_while_other_users_are_made_too() -> Result<()> {
    for inbox in inboxes()? {
        let jfk = inbox.producer("jfk")?;
        assert_done(&inbox.request(&jfk, "PUT", KEY, "{}")?, "PUT");
        std::thread::scope(|scope| -> Result<()> {
            let others =
                scope.spawn(|| ["ewr", "lga", "bos"].map(|name| inbox.producer(name).map(drop)));
            while !others.is_finished() {
                assert_refused(&inbox.request(&jfk, "DELETE", KEY, "")?, "DELETE");
                assert_done(&inbox.request(&jfk, "PUT", KEY, "{}")?, "PUT again");
            }
            others
                .join()
                .expect("it does not panic")
                .into_iter()
                .collect()
        })?;
    }
    Ok(())
}
