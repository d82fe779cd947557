//! `doctor`: each thing that a producer needs, tried out, and each that it must not be able to do, too.
//!
//! `spool.rs` looks at the disk, `sources.rs` at the databases; what the key may do in the bucket is tried out by the
//! bucket's own crate. All of it has an end, whoever hangs.

mod sources;
mod spool;

use std::time::Duration;

use chrono::{Local, Utc};
use nightdrop_bucket::{
    Bucket,
    probe::{Matter, Proof, Verdict},
};
use nightdrop_runtime::{
    exit::Code,
    findings::{Finding, Findings, within},
};

use crate::config::{Config, Sql};

/// For all that is asked of one server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries everything out.
pub(crate) async fn doctor(config: &Config, bucket: &Bucket) -> Findings {
    let about_bucket = within(PATIENCE, "bucket", Code::Io, async {
        let proofs = bucket.prove_producer(&config.producer).await;
        proofs.into_iter().map(finding).collect()
    });
    let about_spool = within(PATIENCE, "spool", Code::CantCreate, spool::look(config));
    let (bucket, spool, sources) =
        tokio::join!(about_bucket, about_spool, sources::look(config, PATIENCE));
    Findings::new([bucket, spool, sources, query_files(config), clocks(config)].concat())
}

fn finding(proof: Proof) -> Finding {
    let code = |matter| match matter {
        Matter::Rights => Code::NoPerm,
        Matter::Settings => Code::Config,
        Matter::Away => Code::Io,
    };
    let Proof {
        line,
        verdict,
        found,
        remedy,
    } = proof;
    match verdict {
        Verdict::Holds => Finding::ok(line, found),
        Verdict::Fails(matter) => Finding::fail(line, code(matter), found, remedy),
        Verdict::Unproven(matter) => Finding::unproven(line, code(matter), found, remedy),
    }
}

/// Cron fires by this machine's clock, and a result promises by the job's. What starts the jobs can't be known, and
/// Kubernetes and systemd have time zones of their own: so it is said, and is no failure.
fn clocks(config: &Config) -> Vec<Finding> {
    const LINE: &str = "jobs: time zone";
    let mut scheduled = config
        .jobs
        .iter()
        .filter_map(|(job, job_config)| Some((job, job_config.schedule.as_ref()?)))
        .peekable();
    if scheduled.peek().is_none() {
        return Vec::new();
    }
    let other = scheduled.find(|(_, schedule)| !schedule.agrees_with(&Local, Utc::now()));
    vec![Finding::ok(
        LINE,
        match other {
            None => "that of this machine, by which cron fires".to_owned(),
            Some((job, schedule)) => format!(
                "{job}: {}, which is not this machine's: by cron it would come at another time than it promises",
                schedule.timezone()
            ),
        },
    )]
}

/// Those that are files can be read.
fn query_files(config: &Config) -> Vec<Finding> {
    const LINE: &str = "jobs: query files";
    let files = config.jobs.iter().filter_map(|(job, job_config)| {
        let Sql::File(path) = &job_config.sql else {
            return None;
        };
        Some((job, path))
    });
    let mut count = 0;
    for (job, path) in files {
        count += 1;
        if let Err(error) = std::fs::read_to_string(path) {
            return vec![Finding::fail(
                LINE,
                Code::Config,
                format!("{job}: cannot read {}: {error}", path.display()),
                "put it there, or let this user read it",
            )];
        }
    }
    if count == 0 {
        return Vec::new();
    }
    vec![Finding::ok(LINE, format!("{count} can be read"))]
}
