//! Our own two programs, run as a person would run them, with the config files of `examples/demo`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nightdrop_compose::{Database, Inbox, Keys};

use crate::airport::Airport;

/// A folder with the config files, their addresses replaced by those of the local servers, and the
/// secrets.
pub(crate) struct Site {
    folder: PathBuf,
    endpoint: String,
    url: String,
    keys: RefCell<HashMap<&'static str, Keys>>,
}

/// What a program was asked and how long it took.
pub(crate) struct Told {
    pub(crate) command: String,
    pub(crate) took: Duration,
}

/// The producer and the consumer, built where they are not built yet.
pub(crate) fn built() -> Result<[PathBuf; 2]> {
    let [producer, consumer] =
        ["nightdrop-producer", "nightdrop-consumer"].map(nightdrop_compose::binary);
    Ok([producer?, consumer?])
}

impl Site {
    /// Makes the folder, with the consumer's config in it.
    pub(crate) fn new(inbox: &Inbox, reports: &Database) -> Result<Self> {
        let folder = nightdrop_compose::folder("demo")?;
        fs::create_dir(folder.join("secrets"))?;
        for query in ["flights.sql", "weather.sql"] {
            fs::copy(examples().join(query), folder.join(query))?;
        }
        let site = Self {
            folder,
            endpoint: inbox.endpoint.clone(),
            url: inbox.url(),
            keys: RefCell::default(),
        };
        site.write_secret("reader_s3", &inbox.reader().secret_key)?;
        site.write_secret("reports_db", &reports.password)?;
        site.write_config(
            "consumer",
            &[
                (
                    "postgres://nightdrop_consumer@reports-db/reports?sslmode=disable",
                    &reports.url,
                ),
                ("0.0.0.0:9464", "127.0.0.1:0"),
            ],
        )?;
        Ok(site)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes an airport's config and its two secrets.
    pub(crate) fn add_airport(&self, airport: &Airport, keys: &Keys) -> Result<()> {
        let name = airport.name;
        self.keys.borrow_mut().insert(name, keys.clone());
        self.write_secret(&format!("{name}_s3"), &keys.secret_key)?;
        if let Some(password) = &airport.password {
            self.write_secret(&format!("{name}_db"), password)?;
        }
        let source = match name {
            "jfk" => "postgres://report@jfk-db/ops?sslmode=disable",
            "ewr" => "mysql://report@ewr-db/ops?ssl-mode=disabled",
            _ => "sqlite:///var/lib/lga/ops.db",
        };
        self.write_config(
            name,
            &[
                (source, &airport.url),
                ("/var/lib/nightdrop", &self.state()),
            ],
        )
    }

    /// The bucket's keys of an airport that was added.
    pub(crate) fn keys(&self, airport: &str) -> Result<Keys> {
        self.keys
            .borrow()
            .get(airport)
            .cloned()
            .context("no such airport")
    }

    /// Runs one of our programs with the config of `name`; it has to end with exit code 0.
    pub(crate) fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        name: &str,
        access_key: &str,
    ) -> Result<Told> {
        let config = format!("{name}.toml");
        let called = program.file_name().unwrap_or_default().to_string_lossy();
        let command = format!("{called} {} --config {config}", arguments.join(" "));
        let since = Instant::now();
        let output = Command::new(program)
            .args(arguments)
            .args(["--config", &config])
            .env("ACCESS_KEY", access_key)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("can't start {}", program.display()))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!(
                "`{command}` ended with {}:\n{}",
                output.status,
                String::from_utf8_lossy(&said).trim()
            );
        }
        Ok(Told {
            command,
            took: since.elapsed(),
        })
    }

    /// Copies a config file, with this machine's addresses for those of the containers.
    fn write_config(&self, name: &str, more: &[(&str, &str)]) -> Result<()> {
        let file = format!("{name}.toml");
        let mut text = fs::read_to_string(examples().join(&file))?;
        let secrets = format!("{}/secrets", self.folder.display());
        let everywhere = [
            ("s3://reports-inbox", self.url.as_str()),
            ("http://minio:9000", &self.endpoint),
            ("/run/secrets", &secrets),
        ];
        for (theirs, ours) in everywhere.iter().chain(more) {
            if !text.contains(theirs) {
                bail!("examples/demo/{file} should say {theirs}");
            }
            text = text.replace(theirs, ours);
        }
        Ok(fs::write(self.folder.join(file), text)?)
    }

    fn write_secret(&self, name: &str, secret: &str) -> Result<()> {
        Ok(fs::write(self.folder.join("secrets").join(name), secret)?)
    }

    fn state(&self) -> String {
        self.folder.join("state").display().to_string()
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo")
}
