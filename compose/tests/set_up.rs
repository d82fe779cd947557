//! `set-up.sh`, as a person or the containers run it.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use nightdrop_compose::{Inbox, Keys, S3, S3Kind, folder, policy};

const KEY: &str = "inbox/ewr/departures/1.json";

/// Runs the script on an inbox's server for a bucket `name`.
fn set_up(inbox: &Inbox, name: &str, secrets: &Path) -> Result<Output> {
    let root = inbox.root();
    for (user, secret) in [
        (root.access_key.as_str(), root.secret_key.as_str()),
        ("ewr", "ewr-secret"),
        ("reader", "reader-secret"),
    ] {
        let prefix = if user == root.access_key {
            ""
        } else {
            "set-up-"
        };
        std::fs::write(secrets.join(format!("{prefix}{user}_s3")), secret)?;
    }
    for user in ["reader", "jfk", "ewr"] {
        let policy = match user {
            "reader" => policy::reader(name)?,
            producer => policy::producer(name, producer)?,
        };
        std::fs::write(secrets.join(format!("{user}.json")), policy)?;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(Command::new("bash")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/set-up.sh"))
        .env("PATH", format!("{path}:{home}/go/bin"))
        .env("MC_CONFIG_DIR", secrets.join("mc"))
        .env("ENDPOINT", &inbox.endpoint)
        .env("BUCKET", name)
        .env("ROOT", &root.access_key)
        .env("USERS", "reader jfk ewr")
        .env("POLICIES", secrets)
        .env("PREFIX", "set-up-")
        .env("SECRETS", secrets)
        .output()?)
}

#[test]
fn running_it_again_changes_nothing_and_a_missing_secret_is_an_error() -> Result<()> {
    if !S3Kind::available().contains(&S3Kind::Minio) {
        return Ok(());
    }
    let mut inbox = S3::shared(S3Kind::Minio)?.inbox()?;
    let secrets = folder("secrets")?;

    let output = set_up(&inbox, "set-up", &secrets)?;
    assert!(!output.status.success(), "jfk has no secret yet");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("set-up-jfk_s3"),
        "{output:?}"
    );

    std::fs::write(secrets.join("set-up-jfk_s3"), "jfk-secret")?;
    for time in ["first", "second"] {
        let output = set_up(&inbox, "set-up", &secrets)?;
        assert!(output.status.success(), "the {time} time: {output:?}");
        assert!(output.stderr.is_empty(), "the {time} time: {output:?}");
    }

    "set-up".clone_into(&mut inbox.bucket);
    let keys = |user: &str| Keys {
        access_key: format!("set-up-{user}"),
        secret_key: format!("{user}-secret"),
    };
    assert_eq!(inbox.request(&keys("ewr"), "PUT", KEY, "{}")?.status, 200);
    assert_eq!(inbox.request(&keys("jfk"), "PUT", KEY, "{}")?.status, 403);
    assert_eq!(inbox.request(&keys("ewr"), "GET", KEY, "")?.status, 403);
    assert_eq!(inbox.request(&keys("reader"), "GET", KEY, "")?.body, "{}");
    Ok(())
}
