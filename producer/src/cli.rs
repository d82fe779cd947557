//! The verbs of `nightdrop-producer`, and the exit code that each ends with.

use clap::{Parser, Subcommand};
use nightdrop_bucket::Bucket;
use nightdrop_runtime::{cli::Common, exit::Code, shutdown};
use nightdrop_schema::Job;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::{Config, JobConfig},
    drain::drain,
    dry_run::dry_run,
    job,
    put::put,
    spool::Spool,
    table::table,
    validate::validate,
};

/// Runs query jobs and drops their results into a bucket.
#[derive(Debug, Parser)]
#[command(name = "nightdrop-producer", version)]
pub struct Cli {
    /// The flags of both programs.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run jobs: ask the source, keep the result in the spool, put it into the bucket
    Run {
        /// The jobs to run
        #[arg(
            value_name = "JOB",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        jobs: Vec<String>,
        /// Run every job of the configuration
        #[arg(long)]
        all: bool,
        /// Show what would be dropped; touch neither spool nor bucket
        #[arg(long)]
        dry_run: bool,
    },
    /// List the jobs of the configuration
    List,
    /// Put what waits in the spool, of all jobs
    Drain,
    /// Check a message file and drop it, as this producer
    Put {
        /// The file, or - for stdin; may be compressed with zstd or gzip
        file: String,
    },
    /// Check a message file; needs no configuration
    Validate {
        /// The file, or - for stdin; may be compressed with zstd or gzip
        file: String,
    },
}

/// Does what the command line says, and says on stderr what went wrong.
pub async fn run(cli: Cli) -> Code {
    let stop = shutdown::on_signal();
    let ended = match &cli.verb {
        Verb::Validate { file } => validate(file).and_then(|line| print(&line)),
        Verb::List => list(&cli.common),
        Verb::Put { file } => put_file(&cli.common, file, &stop).await,
        Verb::Drain => return code(drain_all(&cli.common, &stop).await),
        Verb::Run { jobs, all, dry_run } => {
            return code(run_jobs(&cli.common, jobs, *all, *dry_run, &stop).await);
        }
    };
    code(ended.map(|()| Code::Ok))
}

fn code(ended: Result<Code, Error>) -> Code {
    ended.unwrap_or_else(|error| {
        tracing::error!("{error}");
        error.code()
    })
}

fn print(line: &str) -> Result<(), Error> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}").map_err(Error::Print)
}

fn load(common: &Common) -> Result<Config, Error> {
    Ok(Config::load(common.config()?)?)
}

fn open(config: &Config) -> Result<Bucket, Error> {
    Bucket::open(config.bucket.settings.clone()).map_err(|error| Error::Bucket {
        error,
        waiting: None,
    })
}

/// The jobs that were named, in the file's order, which is the order they run in.
fn chosen<'a>(
    config: &'a Config,
    names: &[String],
    all: bool,
) -> Result<Vec<(&'a Job, &'a JobConfig)>, Error> {
    for name in names {
        if !config.jobs.keys().any(|job| job.as_str() == name) {
            let known: Vec<_> = config.jobs.keys().map(Job::as_str).collect();
            return Err(Error::NoSuchJob {
                job: name.clone(),
                known: known.join(", "),
            });
        }
    }
    let wanted = |job: &Job| names.iter().any(|name| name == job.as_str());
    Ok(config
        .jobs
        .iter()
        .filter(|(job, _)| all || wanted(job))
        .collect())
}

/// All of them run, whatever becomes of the others; the first that fails gives the code.
async fn run_jobs(
    common: &Common,
    names: &[String],
    all: bool,
    dry: bool,
    stop: &CancellationToken,
) -> Result<Code, Error> {
    let config = load(common)?;
    let jobs = chosen(&config, names, all)?;
    let bucket = open(&config)?;
    let mut first = Code::Ok;
    for (job, job_config) in jobs {
        let ended = if dry {
            dry_run(&config, job, job_config, stop)
                .await
                .and_then(|page| print(&format!("{job}\n\n{page}")))
        } else {
            let ended = job::run(&config, job, job_config, &bucket, stop).await;
            ended.and_then(|report| print(&format!("{job}: {report}")))
        };
        if let Err(error) = ended {
            tracing::error!("{job}: {error}");
            first = if first == Code::Ok {
                error.code()
            } else {
                first
            };
        }
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(first)
}

fn list(common: &Common) -> Result<(), Error> {
    let config = load(common)?;
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    let rows = config
        .jobs
        .iter()
        .map(|(job, job_config)| {
            Ok(vec![
                job.to_string(),
                job_config.source_name.clone(),
                job_config.mode.as_str().to_owned(),
                humantime::format_duration(job_config.timeout).to_string(),
                spool.waiting(job)?.to_string(),
            ])
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let head = ["job", "source", "mode", "timeout", "in the spool"]
        .map(str::to_owned)
        .to_vec();
    print(table(head, rows).trim_end())
}

async fn drain_all(common: &Common, stop: &CancellationToken) -> Result<Code, Error> {
    let config = load(common)?;
    let bucket = open(&config)?;
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    let mut first = Code::Ok;
    for job in spool.jobs()? {
        let ended = async {
            let turn = spool.lock(&job)?;
            drain(&turn, &bucket, config.bucket.put_for, stop).await
        };
        match ended.await {
            Ok(gone) => gone
                .iter()
                .try_for_each(|entry| print(&format!("{job}: {}", entry.key)))?,
            Err(error) => {
                tracing::error!("{job}: {error}");
                first = if first == Code::Ok {
                    error.code()
                } else {
                    first
                };
            }
        }
    }
    Ok(first)
}

async fn put_file(common: &Common, file: &str, stop: &CancellationToken) -> Result<(), Error> {
    let config = load(common)?;
    let bucket = open(&config)?;
    print(&put(&config, file, &bucket, stop).await?)
}
