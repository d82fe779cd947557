//! The producer's one TOML file, read and checked as a whole before anything runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use nightdrop_bucket as bucket;
use nightdrop_runtime::{
    config::{
        self,
        reference::{self, Reference},
    },
    secret::Secret,
};
use nightdrop_schema::{Compression, Job, Mode, Producer, Type};

use crate::{
    cursor::Cursor,
    interval::Part,
    parameters::Placeholder,
    schedule::Schedule,
    source::{Query, Source},
    window::Window,
};

mod reads;
mod tables;

pub(crate) use self::tables::TypeName;
use self::tables::{BucketTable, Compress, File, JobTable, ModeName};

/// A file that was accepted: whatever it names is there.
#[derive(Debug)]
pub struct Config {
    /// Whose results these are.
    pub producer: Producer,
    /// Where locks and spool live; absolute.
    pub state_dir: PathBuf,
    /// Where results go.
    pub bucket: BucketConfig,
    /// Where `node_exporter` looks for numbers: absolute, and ends in .prom.
    pub textfile: Option<PathBuf>,
    /// The jobs, in the file's order.
    pub jobs: IndexMap<Job, JobConfig>,
}

/// The `[bucket]` table.
#[derive(Debug)]
pub struct BucketConfig {
    /// What [`bucket::Bucket::open`] takes.
    pub settings: bucket::Settings,
    /// How long to go on trying to put; then the results wait in the spool.
    pub put_for: Duration,
    /// How results are compressed.
    pub compress: Compression,
}

/// One `[job.NAME]` table, with the source that it names.
#[derive(Debug)]
pub struct JobConfig {
    /// What the source is called in the file.
    pub source_name: String,
    /// Where the query runs.
    pub source: Source,
    /// What runs there: the text, or the file that holds it.
    pub sql: Sql,
    /// Bound to the query's placeholders, in order.
    pub parameters: Vec<Placeholder>,
    /// Which rows a run asks for.
    pub reads: Reads,
    /// Types of columns where the source can't tell.
    pub types: BTreeMap<String, Type>,
    /// How long it may take, connecting included.
    pub timeout: Duration,
    /// When it is started, and so by when the next result comes.
    pub schedule: Option<Schedule>,
    /// What the result is to the table.
    pub mode: Mode,
    /// Fewer rows are a failure.
    pub min_rows: u64,
}

/// Which of its source's rows a job's runs ask for.
#[derive(Debug, Clone)]
pub enum Reads {
    /// All that the query gives.
    Whole,
    /// `cursor = …`: what came since the last run.
    Cursor(Cursor),
    /// `window = …`: a slot of time.
    Window(Window),
}

/// Where a query's text is.
#[derive(Debug, Clone)]
pub enum Sql {
    /// `query = "…"`
    Text(String),
    /// `query_file = "…"`, beside the configuration. Read when the job runs: a file that is
    /// missing stops no other job.
    File(PathBuf),
}

/// Why a file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No TOML, an unknown key, a wrong value.
    #[error(transparent)]
    File(#[from] config::Error),
    /// Keys that do not fit each other.
    #[error("{}: {key}: {sentence}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The key, dotted from the top.
        key: String,
        /// What is wrong and what to write instead.
        sentence: String,
    },
    /// A `query_file` that can't be read.
    #[error("query_file: cannot read {}: {source}", path.display())]
    QueryFile {
        /// The file, as it was looked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl JobConfig {
    /// What the source is asked.
    ///
    /// # Errors
    /// The `query_file` can't be read.
    pub fn query(&self, part: Part) -> Result<Query, Error> {
        let sql = match &self.sql {
            Sql::Text(text) => text.clone(),
            Sql::File(path) => {
                std::fs::read_to_string(path).map_err(|source| Error::QueryFile {
                    path: path.clone(),
                    source,
                })?
            }
        };
        Ok(Query {
            sql,
            parameters: self.parameters.clone(),
            part,
            types: self.types.clone(),
            timeout: self.timeout,
        })
    }
}

impl Config {
    /// Reads and checks `path`. No secret is read and nothing is connected to.
    ///
    /// # Errors
    /// A sentence with the file and the key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file: File = config::load(path)?;
        Check { path }.file(file)
    }
}

/// The reference of the file's keys.
pub fn reference() -> Reference {
    reference::of::<File>()
}

/// The same, at the end of `--help`.
pub(crate) fn help() -> String {
    format!("The keys of the configuration file:\n{}", reference())
}

/// What a check needs to name the place of what is wrong.
struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    fn wrong(&self, key: impl fmt::Display, sentence: impl Into<String>) -> Error {
        Error::Wrong {
            path: self.path.to_path_buf(),
            key: key.to_string(),
            sentence: sentence.into(),
        }
    }

    fn file(&self, file: File) -> Result<Config, Error> {
        if !file.state_dir.is_absolute() {
            return Err(self.wrong(
                "state_dir",
                "cron and systemd start in folders of their own; write an absolute path",
            ));
        }
        if let Some(path) = &file.metrics.textfile
            && (!path.is_absolute() || path.extension().is_none_or(|end| end != "prom"))
        {
            return Err(self.wrong(
                "metrics.textfile",
                "node_exporter reads files that end in .prom; write an absolute path to one in its folder",
            ));
        }
        let bucket = self.bucket(file.bucket)?;
        let sources = file
            .source
            .into_iter()
            .map(|(name, table)| {
                let source = Source::new(table.url, table.password).map_err(|why| {
                    self.wrong(format_args!("source.{name}.url"), why.to_string())
                })?;
                Ok((name, source))
            })
            .collect::<Result<IndexMap<_, _>, Error>>()?;
        let jobs = file
            .job
            .into_iter()
            .map(|(job, table)| {
                let checked = self.job(&job, table, &sources)?;
                Ok((job, checked))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Config {
            producer: file.producer,
            state_dir: file.state_dir,
            textfile: file.metrics.textfile,
            bucket,
            jobs,
        })
    }

    fn bucket(&self, table: BucketTable) -> Result<BucketConfig, Error> {
        let keys = match (table.access_key, table.secret_key) {
            (Some(access_key), Some(secret_key)) => Some(key_source(access_key, secret_key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(self.wrong(
                    "bucket.secret_key",
                    "access_key needs it; write \"env:NAME\" or \"file:/path\"",
                ));
            }
            (None, Some(_)) => {
                return Err(self.wrong(
                    "bucket.access_key",
                    "secret_key needs it; write \"env:NAME\" or \"file:/path\"",
                ));
            }
        };
        Ok(BucketConfig {
            settings: bucket::Settings {
                url: table.url,
                endpoint: table.endpoint,
                region: table.region,
                imds: table.imds,
                keys,
            },
            put_for: table.put_for,
            compress: match table.compress {
                Compress::Zstd => Compression::Zstd,
                Compress::Gzip => Compression::Gzip,
                Compress::None => Compression::None,
            },
        })
    }

    fn job(
        &self,
        job: &Job,
        table: JobTable,
        sources: &IndexMap<String, Source>,
    ) -> Result<JobConfig, Error> {
        let key = |key: &str| format!("job.{job}.{key}");
        let Some(source) = sources.get(&table.source) else {
            let known: Vec<_> = sources.keys().map(String::as_str).collect();
            return Err(self.wrong(
                key("source"),
                format!(
                    "there is no [source.{}]; known are: {}",
                    table.source,
                    known.join(", ")
                ),
            ));
        };
        let reads = self.reads(job, &table)?;
        let schedule = self.schedule(job, &table)?;
        let sql = match (table.query, table.query_file) {
            (Some(query), None) => Sql::Text(query),
            // Beside the configuration, wherever the process was started.
            (None, Some(file)) => Sql::File(self.path.parent().unwrap_or(Path::new("")).join(file)),
            (Some(_), Some(_)) => {
                return Err(self.wrong(
                    key("query_file"),
                    "query is there too; leave one of them out",
                ));
            }
            (None, None) => {
                return Err(self.wrong(
                    key("query"),
                    "the job has no query; write query = \"…\" or query_file = \"….sql\"",
                ));
            }
        };
        let Some(mode) = table.mode.or(match &reads {
            // What else could a slot's result be.
            Reads::Window(_) => Some(ModeName::Replace),
            Reads::Whole | Reads::Cursor(_) => None,
        }) else {
            return Err(self.wrong(
                key("mode"),
                "what are the rows to those that are there? write \"append\", \"replace\" or \"upsert\"",
            ));
        };
        let mode = match (mode, table.primary_key.is_empty()) {
            (ModeName::Append, true) => Mode::Append,
            (ModeName::Replace, true) => Mode::Replace { range: None },
            (ModeName::Upsert, false) => Mode::Upsert {
                primary_key: table.primary_key,
            },
            (ModeName::Upsert, true) => {
                return Err(self.wrong(
                    key("primary_key"),
                    "mode = \"upsert\" needs the columns that tell rows apart; write primary_key = [\"…\"]",
                ));
            }
            (ModeName::Append | ModeName::Replace, false) => {
                return Err(self.wrong(
                    key("primary_key"),
                    "only mode = \"upsert\" has one; leave it out",
                ));
            }
        };
        if table.timeout.is_zero() {
            return Err(self.wrong(key("timeout"), "no query ends in no time; write \"10m\""));
        }
        Ok(JobConfig {
            source_name: table.source,
            source: source.clone(),
            sql,
            parameters: table.parameters,
            reads,
            types: table
                .types
                .into_iter()
                .map(|(column, ty)| (column, ty.0))
                .collect(),
            timeout: table.timeout,
            schedule,
            mode,
            min_rows: table.min_rows,
        })
    }
}

fn key_source(access_key: Secret, secret_key: Secret) -> bucket::KeySource {
    Arc::new(move || {
        let read = |name: &str, secret: &Secret| {
            secret.read().map_err(|why| format!("bucket.{name}: {why}"))
        };
        Ok(bucket::Keys {
            access_key: read("access_key", &access_key)?,
            secret_key: read("secret_key", &secret_key)?,
        })
    })
}

#[cfg(test)]
mod tests;
