//! `[metrics] textfile`: what `node_exporter`'s textfile collector reads, for a producer's runs are over before anybody
//! could ask them. It is replaced as a whole, after each run, whatever became of it.
//! <https://github.com/prometheus/node_exporter#textfile-collector>
//!
//! All jobs of a producer are in one file, which is where the numbers of the others are kept: a run reads it, puts its
//! own in and writes it, under a lock. What is wrong with it is said in the log, and no run fails for it.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use nightdrop_runtime::{
    exit::Code,
    metrics::{self, gauge},
};
use nightdrop_schema::Job;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};

use crate::{config::Config, spool::Spool};

/// What is said of each job, by name: what it means.
const METRICS: [(&str, &str); 7] = [
    (RUN, "When the job's last run ended, however it did"),
    (SECONDS, "How long that took"),
    (CODE, "The exit code of that run: 0 is well"),
    (
        SUCCESS,
        "When the job last dropped a result into the bucket",
    ),
    (ROWS, "The rows of that result"),
    (BYTES, "Its stored bytes"),
    (SPOOL, "Results that wait in the spool for the bucket"),
];

const RUN: &str = "nightdrop_producer_last_run_timestamp_seconds";
const SECONDS: &str = "nightdrop_producer_last_run_seconds";
const CODE: &str = "nightdrop_producer_last_exit_code";
const SUCCESS: &str = "nightdrop_producer_last_success_timestamp_seconds";
const ROWS: &str = "nightdrop_producer_last_success_rows";
const BYTES: &str = "nightdrop_producer_last_success_bytes";
const SPOOL: &str = "nightdrop_producer_spool_files";

/// How long another run's turn is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon it is looked again.
const AGAIN: Duration = Duration::from_millis(20);

/// How a run of a job ended.
pub(crate) struct Ended {
    pub(crate) took: Duration,
    pub(crate) code: Code,
    /// Rows and stored bytes that are in the bucket now.
    pub(crate) dropped: Option<(u64, u64)>,
}

/// Writes down how a run of a job ended, if any did, and what waits in the spool.
pub(crate) fn write(config: &Config, run: Option<(&Job, &Ended)>) {
    let Some(path) = &config.textfile else {
        return;
    };
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    if spool.is_ours().is_err() {
        // Such a run was refused, and has said so: it leaves neither a lock there nor a number.
        return;
    }
    if let Err(error) = replace(path, config, &spool, run) {
        tracing::warn!(
            "[metrics] textfile: {} could not be written: {error}; the run itself goes on",
            path.display()
        );
    }
}

fn replace(
    path: &Path,
    config: &Config,
    spool: &Spool,
    run: Option<(&Job, &Ended)>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let _lock = lock(&config.state_dir.join("textfile.lock"))?;
    let mut numbers = match fs::read_to_string(path) {
        Ok(text) => Numbers::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Numbers::default(),
        Err(error) => return Err(error),
    };
    if let Some((job, ended)) = run {
        numbers.note(job, ended, SystemTime::now());
    }
    for job in config.jobs.keys() {
        match spool.waiting(job) {
            Ok(files) => numbers.set(job, SPOOL, number(files as u64)),
            Err(error) => tracing::debug!("{error}"),
        }
    }
    numbers.retain(|job| config.jobs.keys().any(|known| known.as_str() == job));
    let text = numbers.text(config.producer.as_str());
    // Beside it: node_exporter reads what ends in .prom and nothing else.
    let mut draft = tempfile::Builder::new().tempfile_in(folder)?;
    // Whatever the umask is: another user reads it.
    draft
        .as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    draft.write_all(text.as_bytes())?;
    // An empty one after a power cut would be a job that never ran.
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    Ok(())
}

/// One run at a time writes, and none waits for long: numbers are worth no more. In the state folder, which is the
/// producer's alone; who may write in the textfile's may be anybody.
fn lock(path: &Path) -> io::Result<File> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    let since = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => sleep(AGAIN),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(format!(
                    "another run holds {}",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// By metric and job.
#[derive(Debug, Default, Clone, PartialEq)]
struct Numbers(BTreeMap<(&'static str, String), f64>);

impl Numbers {
    /// What [`text`](Self::text) wrote; a line that it would not have written is none of ours.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, rest) = line.split_once('{')?;
            let (name, _) = METRICS.iter().find(|(known, _)| *known == name)?;
            let (labels, value) = rest.split_once("} ")?;
            let (_, job) = labels.split_once("job_name=\"")?;
            let job = job.strip_suffix('"')?.to_owned();
            Some(((*name, job), value.parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn set(&mut self, job: &Job, metric: &'static str, value: f64) {
        self.0.insert((metric, job.to_string()), value);
    }

    fn note(&mut self, job: &Job, ended: &Ended, now: SystemTime) {
        let now = metrics::unix_seconds(now).round();
        self.set(job, RUN, now);
        self.set(job, SECONDS, ended.took.as_secs_f64());
        self.set(job, CODE, f64::from(ended.code as u8));
        if let Some((rows, bytes)) = ended.dropped {
            self.set(job, SUCCESS, now);
            self.set(job, ROWS, number(rows));
            self.set(job, BYTES, number(bytes));
        }
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(_, job), _| keep(job));
    }

    fn text(self, producer: &str) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Page {
            producer: producer.to_owned(),
            numbers: self,
        }));
        metrics::render(&registry)
    }
}

/// Exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[derive(Debug)]
struct Page {
    producer: String,
    numbers: Numbers,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help) in METRICS {
            let of_it = self.numbers.0.iter().filter(|((own, _), _)| *own == name);
            let values = of_it.map(|((_, job), value)| {
                (
                    [("producer", &*self.producer), ("job_name", &**job)],
                    *value,
                )
            });
            gauge(&mut encoder, name, help, values)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn a_run_that_failed_leaves_what_the_last_good_one_said() {
        let (departures, weather): (Job, Job) =
            ("departures".parse().unwrap(), "weather".parse().unwrap());
        let mut numbers = Numbers::default();
        let well = Ended {
            took: Duration::from_millis(1500),
            code: Code::Ok,
            dropped: Some((336_776, 20_000_000)),
        };
        numbers.note(&departures, &well, at(1_359_612_000));
        numbers.set(&departures, SPOOL, 0.0);
        numbers = Numbers::parse(&numbers.text("jfk"));
        let failed = Ended {
            took: Duration::from_secs(3),
            code: Code::Unavailable,
            dropped: None,
        };
        numbers.note(&departures, &failed, at(1_359_698_400));
        numbers.note(&weather, &failed, at(1_359_698_500));
        numbers = Numbers::parse(&numbers.text("jfk"));
        insta::assert_snapshot!(numbers.text("jfk"));
    }
}
