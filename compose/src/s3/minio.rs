//! MinIO: `minio server`, with bucket, users and policies from `set-up.sh`, which the containers
//! run, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{Inbox, Keys, REGION};
use crate::database::random_word;
use crate::server::{Server, Start};
use crate::{home, policy, port, program};

/// Where `minio` and `mc` are, if both are.
pub(super) fn programs() -> Option<(PathBuf, PathBuf)> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let go = [
        set("GOBIN"),
        set("GOPATH").map(|go| go.join("bin")),
        set("HOME").map(|home| home.join("go/bin")),
    ];
    let go: Vec<PathBuf> = go.into_iter().flatten().collect();
    Some((program::find("minio", &go)?, program::find("mc", &go)?))
}

fn installed() -> Result<(PathBuf, PathBuf)> {
    programs().context(
        "MinIO is not installed: `go install github.com/minio/minio@latest` and `go install github.com/minio/mc@latest`",
    )
}

pub(super) fn start(root: &Keys) -> Result<(Server, u16)> {
    let (minio, _) = installed()?;
    let folder = home::folder("minio")?;
    let port = port::free(&[])?;
    let server = Server::start(
        folder.clone(),
        Start {
            program: minio,
            arguments: vec![
                "server".into(),
                "--quiet".into(),
                "--address".into(),
                format!("127.0.0.1:{port}").into(),
                folder.into(),
            ],
            environment: vec![
                ("MINIO_ROOT_USER", root.access_key.clone()),
                ("MINIO_ROOT_PASSWORD", root.secret_key.clone()),
                // Without it, a request signed for any region is good.
                ("MINIO_SITE_REGION", REGION.to_owned()),
                ("MINIO_BROWSER", "off".to_owned()),
                // Else it asks the network for a newer release.
                ("MINIO_UPDATE", "off".to_owned()),
            ],
            ends_by: "KILL",
            refuses_root: false,
        },
    )?;
    Ok((server, port))
}

/// Makes the bucket and its reader.
pub(super) fn bucket(inbox: &Inbox) -> Result<Keys> {
    set_up(inbox, "reader", &policy::reader(&inbox.bucket)?)
}

pub(super) fn producer(inbox: &Inbox, producer: &str) -> Result<Keys> {
    let policy = policy::producer(&inbox.bucket, producer)?;
    set_up(inbox, producer, &policy)
}

/// Runs `set-up.sh` for one more user. Users are the server's, not the bucket's: the bucket's name
/// keeps them apart.
pub(super) fn set_up(inbox: &Inbox, user: &str, policy: &str) -> Result<Keys> {
    let (_, mc) = installed()?;
    let folder = home::folder("set-up")?;
    let keys = Keys {
        access_key: format!("{}-{user}", inbox.bucket),
        secret_key: random_word(),
    };
    let secrets = [
        (&inbox.root.access_key, &inbox.root.secret_key),
        (&keys.access_key, &keys.secret_key),
    ];
    for (name, secret) in secrets {
        fs::write(folder.join(format!("{name}_s3")), secret)?;
    }
    fs::write(folder.join(format!("{user}.json")), policy)?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("bash")
        .arg(here.join("set-up.sh"))
        .env("MC", mc)
        .env("MC_CONFIG_DIR", folder.join("mc"))
        .env("ENDPOINT", &inbox.endpoint)
        .env("BUCKET", &inbox.bucket)
        .env("PREFIX", format!("{}-", inbox.bucket))
        .env("ROOT", &inbox.root.access_key)
        .env("USERS", user)
        .env("POLICIES", &folder)
        .env("SECRETS", &folder)
        .stdin(Stdio::null())
        .output()
        .context("can't start `bash`")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "compose/set-up.sh failed: {}",
            String::from_utf8_lossy(&said).trim()
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(keys)
}
