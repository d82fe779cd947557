//! The verbs of `nightdrop-producer`, and the exit code that each ends with.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use chrono::Utc;
use clap::{Parser, Subcommand};
use nightdrop_bucket::{
    Bucket,
    policy::{Rights, Server},
};
use nightdrop_runtime::{
    cli::Common,
    exit::{self, Code},
    pages::Pages,
    shutdown, telemetry, trace,
};
use nightdrop_schema::{Job, Timestamptz};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::{Config, JobConfig},
    doctor::doctor,
    drain::Patience,
    dry_run::dry_run,
    job::{self, Ask, Report},
    put::put,
    schedule::Schedule,
    spool::Spool,
    table::table,
    textfile::{self, Ended},
    validate::validate,
};

/// Runs query jobs and drops their results into a bucket.
#[derive(Debug, Parser)]
#[command(
    name = "nightdrop-producer",
    version,
    after_help = "The keys of the configuration file are at the end of --help, and in docs/configuration.md.",
    after_long_help = crate::config::help()
)]
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
        /// What a run does beyond the configuration
        #[command(flatten)]
        flags: RunFlags,
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
    /// Prove that bucket, sources and spool work, and that this producer may do no more than it must
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the policy that lets this producer put its results, and do nothing else
    Policy {
        /// In whose dialect: aws or minio (SeaweedFS, too); left out, what the endpoint looks like
        #[arg(long = "for", value_name = "SERVER")]
        server: Option<Server>,
    },
    /// Completions and man pages
    #[command(flatten)]
    Pages(Pages),
}

/// What a run does beyond the configuration.
#[derive(Debug, clap::Args)]
pub struct RunFlags {
    /// Show what would be dropped; touch neither spool nor bucket
    #[arg(long)]
    dry_run: bool,
    /// Read from this instant on, such as 2013-01-01T00:00:00Z: a cursor job's first run, or its
    /// first after its query changed or its state folder was moved or lost
    #[arg(long, value_name = "T", conflicts_with_all = ["all", "from"])]
    start: Option<String>,
    /// Run a window job for each of its slots from here on: a day, or a time of day in its time zone
    #[arg(long, value_name = "T", requires = "to", conflicts_with = "all")]
    from: Option<String>,
    /// The end of the last slot
    #[arg(long, value_name = "T", requires = "from")]
    to: Option<String>,
}

impl RunFlags {
    fn ask(&self, jobs: &[String]) -> Result<Ask, Error> {
        let start = match &self.start {
            Some(_) if jobs.len() > 1 => {
                return Err(Error::Flags(
                    "--start: each job has a watermark of its own; name one job".to_owned(),
                ));
            }
            Some(text) => match text.parse::<Timestamptz>() {
                Ok(start) if start.is_finite() => Some(start),
                Ok(_) => return Err(Error::Flags(format!("--start: {text} is no beginning"))),
                Err(why) => return Err(Error::Flags(format!("--start: {why}"))),
            },
            None => None,
        };
        Ok(Ask {
            start,
            range: self.from.clone().zip(self.to.clone()),
        })
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    exit::guard(|| {
        let cli: Cli = nightdrop_runtime::cli::parse();
        telemetry::init(cli.common.log_format, cli.common.verbose);
        // Outlives the runtime: the last spans are sent at its end.
        let _traces = trace::start("nightdrop-producer", env!("CARGO_PKG_VERSION"));
        match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => {
                let code = runtime.block_on(run(cli));
                // A name server that doesn't answer must not keep the process.
                runtime.shutdown_background();
                code
            }
            Err(error) => {
                tracing::error!("the system refuses a thread: {error}");
                Code::Software
            }
        }
    })
}

/// Does what the command line says, and says on stderr what went wrong.
pub async fn run(cli: Cli) -> Code {
    let stop = shutdown::on_signal();
    let ended = match &cli.verb {
        Verb::Validate { file } => validate(file).and_then(|line| print(&line)),
        Verb::List => list(&cli.common),
        Verb::Policy { server } => policy(&cli.common, *server),
        Verb::Doctor { json } => return code(examine(&cli.common, *json).await),
        Verb::Pages(pages) => pages.run::<Cli>().map_err(Error::Print),
        Verb::Put { file } => put_file(&cli.common, file, &stop).await,
        Verb::Drain => return code(drain_all(&cli.common, &stop).await),
        Verb::Run { jobs, all, flags } => {
            return code(run_jobs(&cli.common, jobs, *all, flags, &stop).await);
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
    flags: &RunFlags,
    stop: &CancellationToken,
) -> Result<Code, Error> {
    let ask = flags.ask(names)?;
    let config = load(common)?;
    let jobs = chosen(&config, names, all)?;
    for (job, job_config) in &jobs {
        // Before any of them runs.
        ask.slots(job, &job_config.reads)?;
    }
    let bucket = open(&config).inspect_err(|error| {
        let failed = Ended {
            took: Duration::ZERO,
            code: error.code(),
            dropped: None,
        };
        for (job, _) in jobs.iter().filter(|_| !flags.dry_run) {
            textfile::write(&config, Some((job, &failed)));
        }
    })?;
    let mut patience = Patience::new(config.bucket.put_for);
    let mut first = Code::Ok;
    for (job, job_config) in jobs {
        let begun = Instant::now();
        let ended = if flags.dry_run {
            dry_run(&config, job, job_config, &ask, stop)
                .await
                .and_then(|page| print(&format!("{job}\n\n{page}")))
        } else {
            let ended =
                job::run(&config, job, job_config, &ask, &bucket, &mut patience, stop).await;
            let dropped = |reports: &Vec<Report>| {
                let sum = |(rows, bytes), report: &Report| {
                    (rows + report.rows, bytes + report.entry.size)
                };
                reports.iter().fold((0, 0), sum)
            };
            let run = Ended {
                took: begun.elapsed(),
                code: ended.as_ref().map_or_else(Error::code, |_| Code::Ok),
                dropped: ended.as_ref().ok().map(dropped),
            };
            textfile::write(&config, Some((job, &run)));
            ended.and_then(|reports| {
                reports
                    .iter()
                    .try_for_each(|report| print(&format!("{job}: {report}")))
            })
        };
        if let Err(error) = ended {
            if let Error::Source(_) = &error {
                tracing::error!("{job}: [source.{}] {error}", job_config.source_name);
            } else {
                tracing::error!("{job}: {error}");
            }
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
    let now = Utc::now();
    let rows = config
        .jobs
        .iter()
        .map(|(job, job_config)| {
            let of = |what: &dyn Fn(&Schedule) -> String| {
                let schedule = job_config.schedule.as_ref();
                schedule.map_or_else(|| "-".to_owned(), what)
            };
            Ok(vec![
                job.to_string(),
                job_config.source_name.clone(),
                job_config.mode.as_str().to_owned(),
                of(&|schedule| schedule.text().to_owned()),
                of(&|schedule| schedule.timezone().to_string()),
                of(&|schedule| schedule.next_firing(now)),
                humantime::format_duration(job_config.timeout).to_string(),
                spool.waiting(job)?.to_string(),
            ])
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let head = [
        "job",
        "source",
        "mode",
        "schedule",
        "time zone",
        "next",
        "timeout",
        "in the spool",
    ]
    .map(str::to_owned)
    .to_vec();
    print(table(head, rows).trim_end())
}

/// A page for people, or JSON; the worst of it is the exit code.
async fn examine(common: &Common, json: bool) -> Result<Code, Error> {
    let config = load(common)?;
    let findings = doctor(&config, &open(&config)?).await;
    if json {
        // Plain data: there is nothing in it that JSON could not say.
        print(&serde_json::to_string_pretty(&findings).unwrap_or_default())?;
    } else {
        print(&findings.to_string())?;
        print("no query was run: `run JOB --dry-run` proves that of a job")?;
    }
    Ok(findings.code())
}

fn policy(common: &Common, server: Option<Server>) -> Result<(), Error> {
    let config = load(common)?;
    let rights = Rights::of(&config.bucket.settings, server)?;
    print(rights.producer(&config.producer).trim_end())
}

async fn drain_all(common: &Common, stop: &CancellationToken) -> Result<Code, Error> {
    let config = load(common)?;
    let bucket = open(&config)?;
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    let mut patience = Patience::new(config.bucket.put_for);
    let mut first = Code::Ok;
    let mut count = 0;
    for job in spool.jobs()? {
        let ended = async {
            let turn = spool.lock(&job)?;
            patience.drain(&turn, &bucket, stop).await
        };
        match ended.await {
            Ok(gone) => {
                count += gone.len();
                gone.iter()
                    .try_for_each(|gone| print(&format!("{job}: {}", gone.entry.key)))?;
            }
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
    if count == 0 && first == Code::Ok {
        print("nothing waits in the spool")?;
    }
    textfile::write(&config, None);
    Ok(first)
}

async fn put_file(common: &Common, file: &str, stop: &CancellationToken) -> Result<(), Error> {
    let config = load(common)?;
    let bucket = open(&config)?;
    print(&put(&config, file, &bucket, stop).await?)
}
