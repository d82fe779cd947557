//! A bucket with its two sides: a producer's environment to run commands in, a reader's look at what they left.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use nightdrop_bucket::{Bucket, Keys, Settings};
use nightdrop_compose::{Inbox, S3, S3Kind};
use nightdrop_schema::{Caps, Compression, Data, Envelope, Header, Key, Reader, RowSink, Value};

/// A new bucket, and jfk's keys to it.
pub(crate) struct Drop {
    inbox: Inbox,
    jfk: nightdrop_compose::Keys,
}

/// What lies in the bucket.
pub(crate) struct Dropped {
    pub(crate) key: Key,
    /// The message, inflated.
    pub(crate) message: Vec<u8>,
}

impl Drop {
    pub(crate) fn new(kind: S3Kind) -> Result<Self> {
        let inbox = S3::shared(kind)?.inbox()?;
        let jfk = inbox.producer("jfk")?;
        Ok(Self { inbox, jfk })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.inbox.endpoint
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.inbox.bucket
    }

    /// Runs a program in a folder, with the environment that the page asks for and no other source of credentials.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> Result<Output> {
        Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env("BUCKET", self.bucket())
            .env("ENDPOINT", self.endpoint())
            .env("AWS_DEFAULT_REGION", &self.inbox.region)
            .env("AWS_ACCESS_KEY_ID", &self.jfk.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.jfk.secret_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .output()
            .with_context(|| format!("starting {program}"))
    }

    /// All that lies in the bucket, as the reader sees it.
    pub(crate) async fn dropped(&self) -> Result<Vec<Dropped>> {
        let reader = self.inbox.reader();
        let keys = move || {
            Ok(Keys {
                access_key: reader.access_key.clone().into(),
                secret_key: reader.secret_key.clone().into(),
            })
        };
        let bucket = Bucket::open(Settings {
            url: self.inbox.url().parse()?,
            endpoint: Some(self.inbox.endpoint.parse()?),
            region: Some(self.inbox.region.clone()),
            imds: false,
            keys: Some(Arc::new(keys)),
        })?;
        let page = bucket.list("inbox/", None).await?;
        ensure!(page.strange.is_empty() && page.next.is_none(), "{page:?}");
        let mut dropped = Vec::new();
        for object in page.objects {
            let stored = bucket.get(&object.key, &object.etag).await?;
            let message = match object.key.compression() {
                Compression::None => stored.to_vec(),
                Compression::Gzip => {
                    let mut inflated = Vec::new();
                    flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut inflated)?;
                    inflated
                }
                Compression::Zstd => {
                    anyhow::bail!("{} is zstd, which nothing here writes", object.key)
                }
            };
            dropped.push(Dropped {
                key: object.key,
                message,
            });
        }
        Ok(dropped)
    }
}

impl Dropped {
    /// Reads the message as the consumer does; its rows as text.
    pub(crate) fn read(&self) -> Result<(Envelope, Header, Vec<String>)> {
        let mut reader = Reader::new(&self.message[..], Caps::default());
        let (envelope, data) = reader.open()?;
        envelope.agrees(&self.key)?;
        let Data::Result(header) = data else {
            anyhow::bail!("{} is no result", self.key)
        };
        let mut rows = Rows::default();
        while reader.next_row(&mut rows)? {}
        reader.finish()?;
        Ok((envelope, header, rows.rows))
    }
}

#[derive(Default)]
struct Rows {
    row: Vec<String>,
    rows: Vec<String>,
}

impl RowSink for Rows {
    fn start(&mut self) {
        self.row.clear();
    }

    fn value(&mut self, _column: usize, value: Value<'_>) {
        self.row.push(format!("{value:?}"));
    }

    fn end(&mut self) {
        self.rows.push(self.row.join(" "));
    }
}

/// Panics with what to install where a program that a test runs is missing.
pub(crate) fn needs(program: &str, arguments: &[&str], install: &str) {
    let found = Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        found,
        "this test runs `{program} {}`, which fails on this machine: {install}",
        arguments.join(" ")
    );
}

/// What a program said, for the message of a failed assertion.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}
