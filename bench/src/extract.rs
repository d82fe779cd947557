//! Work P: the flights out of a database and into the bucket.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use csv::StringRecord;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use crate::check::{self, Content, TABLE};
use crate::contender;
use crate::figures::Sample;
use crate::measure;
use crate::source::{Source, TABLES};
use crate::stack::{Stack, secret};
use crate::table::{NULL, Table};

/// One who takes rows out of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extractor {
    /// As it is chosen on the command line.
    pub name: &'static str,
    /// As it stands in the tables.
    pub title: &'static str,
    /// What it writes.
    pub writes: &'static str,
    /// None: ours.
    script: Option<&'static str>,
}

/// All of them; ours first, the limit last.
pub const ALL: [Extractor; 4] = [
    Extractor {
        name: "nightdrop",
        title: "Nightdrop",
        writes: "messages, zstd",
        script: None,
    },
    Extractor {
        name: "sling",
        title: "Sling",
        writes: "NDJSON",
        script: Some("sling_extract"),
    },
    Extractor {
        name: "dlt",
        title: "dlt",
        writes: "NDJSON, gzip",
        script: Some("dlt_extract"),
    },
    Extractor {
        name: "copy",
        title: "`psql \\copy … to` a file, then boto3 (limit)",
        writes: "CSV",
        script: Some("copy_and_upload"),
    },
];

impl Extractor {
    /// Whether it can read this source.
    pub fn reads(self, source: &Source) -> bool {
        self.name != "copy" || source.name == "postgres"
    }

    /// The command that takes all rows of `table` out of `source`.
    ///
    /// # Errors
    /// When a file that it needs can't be written.
    pub fn command(
        self,
        stack: &Stack,
        source: &Source,
        table: &str,
        columns: &Table,
        folder: &Path,
    ) -> Result<Command> {
        let inbox = &stack.drop_box.inbox;
        if let Some(script) = self.script {
            // dlt and Sling look at what is there before they write.
            let mut command = contender::peer(stack, script, folder, columns, &inbox.root());
            command
                .env("BENCH_SOURCE", &source.whole_url)
                .env("BENCH_FROM", table)
                .env("BENCH_PSQL", stack.postgres.program("psql")?);
            return Ok(command);
        }
        let mut command = Command::new(&stack.producer);
        command
            .args(["run", "departures", "-c"])
            .arg(config(stack, source, table, columns, folder)?);
        command.env_remove("RUST_LOG");
        Ok(command)
    }

    /// One source, once: with no rows (`empty`), or with all.
    ///
    /// # Errors
    /// When the bench itself fails.
    pub async fn run(
        self,
        stack: &Stack,
        source: &Source,
        expected: &Expected<'_>,
        run: usize,
        empty: bool,
        logs: &Path,
    ) -> Result<Sample> {
        let folder = nightdrop_compose::folder("extract")?;
        let table = TABLES[usize::from(empty)];
        let mut command = self.command(stack, source, table, expected.flights, &folder)?;
        let phase = if empty {
            "empty".to_owned()
        } else {
            run.to_string()
        };
        let log = logs.join(format!("P-{}-{}-{phase}.log", source.name, self.name));
        let mut servers = stack.servers()?.to_vec();
        if source.name == "mariadb" {
            servers.push(nightdrop_compose::MariaDb::shared()?.pid()?);
        }
        let measured = measure::run(&mut command, &log, &servers)?;
        let wrong = match measured.ended_well() {
            false => Some(format!("ended with {:?}", measured.code)),
            true if empty => None,
            true => expected.wrong(stack).await?,
        };
        stack.drop_box.clear().await?;
        std::fs::remove_dir_all(&folder)?;
        Ok(Sample {
            work: format!("P, {}", source.name),
            contender: self.name.to_owned(),
            source: self.writes.to_owned(),
            run,
            files: usize::from(!empty),
            empty,
            seconds: measured.wall.as_secs_f64(),
            peak: Some(measured.peak),
            own_cpu: measured.own,
            postgres_cpu: measured.servers[0] + measured.servers.get(2).unwrap_or(&0.0),
            s3_cpu: measured.servers[1],
            wrong,
        })
    }
}

/// Writes a producer's configuration, as a person would, with the key that can put and nothing else.
fn config(
    stack: &Stack,
    source: &Source,
    table: &str,
    columns: &Table,
    folder: &Path,
) -> Result<PathBuf> {
    let inbox = &stack.drop_box.inbox;
    let keys = &stack.jfk;
    let (access, secret_key) = (
        secret(folder, "access", &keys.access_key)?,
        secret(folder, "secret", &keys.secret_key)?,
    );
    let types = if source.file().is_some() {
        "types = { time_hour = \"timestamptz\" }\n"
    } else {
        ""
    };
    let text = format!(
        "producer = \"jfk\"\nstate_dir = \"{}\"\n\
         [bucket]\nurl = \"{}\"\nendpoint = \"{}\"\nregion = \"{}\"\naccess_key = \"{access}\"\nsecret_key = \"{secret_key}\"\n\
         {}[job.departures]\nsource = \"ops\"\nquery = '''SELECT {} FROM {table}'''\nmode = \"append\"\n{types}",
        folder.join("state").display(),
        inbox.url(),
        inbox.endpoint,
        inbox.region,
        source.lines(folder)?,
        columns
            .columns
            .iter()
            .map(|column| column.name)
            .collect::<Vec<_>>()
            .join(", "),
    );
    let path = folder.join("jfk.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The flights, and what Postgres says is in them.
pub struct Expected<'a> {
    flights: &'a Table,
    content: Content,
}

impl<'a> Expected<'a> {
    /// Has Postgres look at them.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn new(stack: &Stack, flights: &'a Table) -> Result<Self> {
        let look = async |connection: &mut PgConnection| {
            check::content(connection, TABLE, &flights.columns).await
        };
        Ok(Self {
            flights,
            content: copied(stack, flights, look).await?,
        })
    }

    /// What is wrong with what lies in the bucket, if anything.
    async fn wrong(&self, stack: &Stack) -> Result<Option<String>> {
        let mut rows = Vec::new();
        for (path, _) in stack.drop_box.list().await? {
            let key = path.to_string();
            // dlt's own books lie beside the rows.
            if key.contains("/_dlt") || key.ends_with("/init") {
                continue;
            }
            let body = stack.drop_box.get(&path).await?;
            self.read(&key, &body, &mut rows)
                .with_context(|| format!("can't read {key}"))?;
        }
        let found = Table {
            columns: self.flights.columns.clone(),
            rows,
        };
        let look = async |connection: &mut PgConnection| {
            check::difference(connection, TABLE, &found.columns, &self.content).await
        };
        Ok(copied(stack, &found, look)
            .await
            .unwrap_or_else(|error| Some(format!("{error:#}"))))
    }

    fn read(&self, key: &str, body: &[u8], rows: &mut Vec<StringRecord>) -> Result<()> {
        let suffix = key.rsplit('.').next();
        if suffix == Some("csv") {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(body);
            for record in reader.records() {
                rows.push(
                    record?
                        .iter()
                        .map(|cell| if cell.is_empty() { NULL } else { cell })
                        .collect(),
                );
            }
            return Ok(());
        }
        let body = match suffix {
            Some("zst") => zstd::decode_all(body)?,
            Some("gz") => {
                let mut inflated = Vec::new();
                std::io::Read::read_to_end(
                    &mut flate2::read::MultiGzDecoder::new(body),
                    &mut inflated,
                )?;
                inflated
            }
            _ => body.to_vec(),
        };
        if key.contains(".jsonl") {
            for line in body
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                let row: Value = serde_json::from_slice(line)?;
                rows.push(
                    self.flights
                        .columns
                        .iter()
                        .map(|column| text(&row[column.name]))
                        .collect(),
                );
            }
            return Ok(());
        }
        let message: Value = serde_json::from_slice(&body)?;
        let Some(list) = message["data"]["rows"].as_array() else {
            bail!("no rows")
        };
        for row in list {
            let cells = row.as_array().context("a row is no array")?;
            rows.push(cells.iter().map(text).collect());
        }
        Ok(())
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => NULL.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Copies rows into a table of their own, for a look at them.
async fn copied<T>(
    stack: &Stack,
    table: &Table,
    look: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    let database = stack.postgres.database()?;
    let mut connection = check::connect(&database).await?;
    check::create(&mut connection, TABLE, table).await?;
    let found = match check::copy(&mut connection, TABLE, table, &table.csv()).await {
        Ok(()) => look(&mut connection).await,
        Err(error) => Err(error),
    };
    drop(connection);
    stack.remove(&database).await?;
    found
}
