//! Who is measured, what each reads, and the command that starts it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use nightdrop_compose::Database;

use crate::check::{self, TABLE};
use crate::stack::{Stack, secret};
use crate::table::Table;
use crate::work::{Form, JOB};

/// One who loads what lies in the bucket, or the limit that all are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// As it is chosen on the command line.
    pub name: &'static str,
    /// As it stands in the tables.
    pub title: &'static str,
    /// What it reads.
    pub reads: Form,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Ours.
    Nightdrop,
    /// A script in `peers/` that loads into a table that is there.
    IntoTable(&'static str),
    /// A script in `peers/` whose tool makes the table, and wants to see the whole bucket.
    MakesTable(&'static str),
    /// `psql \copy` from a local file.
    Copy,
}

/// All of them; ours first, the limit last.
pub const ALL: [Contender; 8] = [
    Contender {
        name: "nightdrop",
        title: "Nightdrop",
        reads: Form::Messages,
        kind: Kind::Nightdrop,
    },
    Contender {
        name: "threaded",
        title: "threaded boto3 + psycopg COPY",
        reads: Form::Messages,
        kind: Kind::IntoTable("threaded_copy"),
    },
    Contender {
        name: "threaded-lines",
        title: "threaded boto3 + psycopg COPY",
        reads: Form::Lines,
        kind: Kind::IntoTable("threaded_copy"),
    },
    Contender {
        name: "plain",
        title: "plain boto3 + psycopg",
        reads: Form::Messages,
        kind: Kind::IntoTable("plain_script"),
    },
    Contender {
        name: "duckdb",
        title: "DuckDB",
        reads: Form::Lines,
        kind: Kind::IntoTable("duckdb_load"),
    },
    Contender {
        name: "sling",
        title: "Sling",
        reads: Form::Lines,
        kind: Kind::MakesTable("sling_load"),
    },
    Contender {
        name: "dlt",
        title: "dlt",
        reads: Form::Lines,
        kind: Kind::MakesTable("dlt_load"),
    },
    COPY,
];

/// The second limit: `psql \copy` of the same rows from a local file into the same table.
pub const COPY: Contender = Contender {
    name: "copy",
    title: "`psql \\copy` from a file (limit)",
    reads: Form::Lines,
    kind: Kind::Copy,
};

impl Contender {
    /// Whether it takes its rows from the bucket.
    pub fn uses_bucket(self) -> bool {
        self.kind != Kind::Copy
    }

    /// What it reads, for the report.
    pub fn source(self) -> &'static str {
        if self.uses_bucket() {
            self.reads.title()
        } else {
            "CSV file"
        }
    }

    /// Makes a database ready: what a person would have done once, before the first result comes.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn prepare(
        self,
        stack: &Stack,
        database: &Database,
        table: &Table,
        folder: &Path,
    ) -> Result<()> {
        if self.kind == Kind::Nightdrop {
            let config = consumer_config(stack, database, folder, "")?;
            let output = Command::new(&stack.consumer)
                .arg("migrate")
                .arg("-c")
                .arg(&config)
                .output()?;
            anyhow::ensure!(
                output.status.success(),
                "nightdrop-consumer migrate failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return Ok(());
        }
        let mut connection = check::connect(database).await?;
        check::create(&mut connection, TABLE, table).await?;
        if matches!(self.kind, Kind::MakesTable(_)) {
            sqlx::raw_sql("DROP TABLE reports.departures")
                .execute(&mut connection)
                .await?;
        }
        Ok(sqlx::Connection::close(connection).await?)
    }

    /// The command that loads everything that lies in the bucket now, and ends. `csv` is the same rows as a file.
    ///
    /// # Errors
    /// When a file that it needs can't be written.
    pub fn command(
        self,
        stack: &Stack,
        database: &Database,
        table: &Table,
        folder: &Path,
        csv: &Path,
    ) -> Result<Command> {
        let inbox = &stack.drop_box.inbox;
        match self.kind {
            Kind::Nightdrop => {
                let mut command = Command::new(&stack.consumer);
                command
                    .arg("once")
                    .arg("-c")
                    .arg(consumer_config(stack, database, folder, "")?);
                command.env_remove("RUST_LOG");
                Ok(command)
            }
            Kind::IntoTable(script) => {
                let mut command = peer(stack, script, folder, table, &inbox.reader());
                command
                    .env("BENCH_POSTGRES", database.with_password())
                    .env("BENCH_TABLE", TABLE);
                Ok(command)
            }
            Kind::MakesTable(script) => {
                let mut command = peer(stack, script, folder, table, &inbox.root());
                command
                    .env("BENCH_POSTGRES", database.with_password())
                    .env("BENCH_TABLE", TABLE);
                Ok(command)
            }
            Kind::Copy => {
                let mut command = psql(stack, database)?;
                let csv = csv.display();
                command.arg("--command").arg(format!(
                    "\\copy {TABLE} ({}) from '{csv}' (format csv)",
                    table.names()
                ));
                Ok(command)
            }
        }
    }
}

/// A script in `peers/`, told where the bucket is and as whom.
pub fn peer(
    stack: &Stack,
    script: &str,
    folder: &Path,
    table: &Table,
    keys: &nightdrop_compose::Keys,
) -> Command {
    let inbox = &stack.drop_box.inbox;
    let mut command = stack.python.script(&format!("peers/{script}.py"));
    command
        .env("BENCH_ENDPOINT", &inbox.endpoint)
        .env("BENCH_BUCKET", &inbox.bucket)
        .env("BENCH_COLUMNS", table.told())
        .env("BENCH_FOLDER", folder)
        .env("AWS_ACCESS_KEY_ID", &keys.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret_key)
        .env("AWS_REGION", &inbox.region)
        .env("AWS_DEFAULT_REGION", &inbox.region)
        // Nobody is told what runs here.
        .env("RUNTIME__DLTHUB_TELEMETRY", "false")
        .env("SLING_DISABLE_TELEMETRY", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HOME", folder);
    command
}

/// `psql`, connected to `database`.
///
/// # Errors
/// When it isn't installed.
pub fn psql(stack: &Stack, database: &Database) -> Result<Command> {
    let mut command = Command::new(stack.postgres.program("psql")?);
    command
        .args([
            "--no-psqlrc",
            "--quiet",
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
        ])
        .arg(&database.url)
        .env("PGPASSWORD", &database.password);
    Ok(command)
}

/// Writes a consumer's configuration, as a production site would have it: all that matters is as it comes. `extra` comes
/// behind it.
///
/// # Errors
/// When it can't be written.
pub fn consumer_config(
    stack: &Stack,
    database: &Database,
    folder: &Path,
    extra: &str,
) -> Result<std::path::PathBuf> {
    let inbox = &stack.drop_box.inbox;
    let reader = inbox.reader();
    let (access, secret_key, password) = (
        secret(folder, "reader_access", &reader.access_key)?,
        secret(folder, "reader_secret", &reader.secret_key)?,
        secret(folder, "postgres", &database.password)?,
    );
    let listen = if extra.contains("[http]") {
        ""
    } else {
        "[http]\nlisten = \"127.0.0.1:0\"\n"
    };
    let text = format!(
        "[bucket]\nurl = \"{}\"\nendpoint = \"{}\"\nregion = \"{}\"\naccess_key = \"{access}\"\nsecret_key = \"{secret_key}\"\n\
         [postgres]\nurl = \"{}\"\npassword = \"{password}\"\n{listen}\
         [[route]]\njob = \"{JOB}\"\nproducers = [\"*\"]\ntable = \"{TABLE}\"\n{extra}",
        inbox.url(),
        inbox.endpoint,
        inbox.region,
        database.url,
    );
    let path = folder.join("consumer.toml");
    std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    Ok(path)
}
