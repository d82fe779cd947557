//! One run of one job: query → spool → bucket.

use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount};
use nightdrop_bucket::Bucket;
use nightdrop_schema::{Compression, Header, Job, Timestamptz, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::{Config, JobConfig},
    drain::drain,
    outgoing::Outgoing,
    parameters,
    progress::Progress,
    source::{self, Described, Query, Sink},
    spool::{Entry, Spool, Turn},
};

/// What a run dropped.
#[derive(Debug)]
pub struct Report {
    /// The result of this run, as it lay in the spool.
    pub entry: Entry,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: usize,
    /// The instant that it is as of.
    pub as_of: Timestamptz,
    /// Results of earlier runs that this one put.
    pub earlier: usize,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            entry,
            rows,
            columns,
            as_of,
            earlier,
            took,
        } = self;
        write!(
            f,
            "{} rows × {columns} columns as of {as_of}, {} in {:.1} s: {}",
            HumanCount(*rows),
            HumanBytes(entry.size),
            took.as_secs_f64(),
            entry.key
        )?;
        match earlier {
            0 => Ok(()),
            1 => write!(f, " (and an earlier result)"),
            _ => write!(f, " (and {earlier} earlier results)"),
        }
    }
}

/// Runs a job: asks its source, commits the result to the spool, puts it. What earlier runs left in
/// the spool is tried once before, and goes first in the end.
///
/// # Errors
/// The job has no result, or it has and it could not be put: then it waits in the spool.
pub async fn run(
    config: &Config,
    job: &Job,
    job_config: &JobConfig,
    bucket: &Bucket,
    stop: &CancellationToken,
) -> Result<Report, Error> {
    let started = Instant::now();
    let query = job_config.query()?;
    let turn = Spool::new(config.producer.clone(), &config.state_dir).lock(job)?;
    let mut progress = Progress::new(job.as_str());

    let mut earlier = put_earlier(&turn, bucket, stop).await?;

    let mut sink = ToSpool {
        turn: &turn,
        query: &query,
        config: job_config,
        compression: config.bucket.compress,
        progress: &mut progress,
        begun: None,
    };
    job_config.source.run(&query, &mut sink, stop).await?;
    let Begun {
        outgoing,
        columns,
        as_of,
    } = sink.whole()?;
    let rows = outgoing.rows();
    let entry = outgoing.commit()?;

    progress.say("putting it into the bucket");
    let gone = drain(&turn, bucket, config.bucket.put_for, stop).await?;
    earlier += gone.len().saturating_sub(1);
    Ok(Report {
        entry,
        rows,
        columns,
        as_of,
        earlier,
        took: started.elapsed(),
    })
}

/// A bucket that is down must not keep the query from being asked on time: each entry is tried once.
async fn put_earlier(
    turn: &Turn,
    bucket: &Bucket,
    stop: &CancellationToken,
) -> Result<usize, Error> {
    match drain(turn, bucket, Duration::ZERO, stop).await {
        Ok(gone) => Ok(gone.len()),
        Err(Error::Bucket { error, .. }) => {
            tracing::warn!("results of earlier runs wait on in the spool: {error}");
            Ok(0)
        }
        // This run has nothing in the spool yet.
        Err(Error::StoppedPutting) => Err(source::Error::Stopped.into()),
        Err(error) => Err(error),
    }
}

/// What a job's message says before its rows.
pub(crate) fn header(config: &JobConfig, query: &Query, columns: &[Described]) -> Header {
    for described in columns {
        // `count(*)`, `?column?`: what databases call a column that nobody named.
        if described.column.name.as_str().contains(['(', '?']) {
            tracing::warn!(
                "column \"{}\" has no name of its own, and reports will have to quote it; alias it: `count(*) AS n`",
                described.column.name
            );
        }
    }
    Header {
        mode: config.mode.clone(),
        columns: columns
            .iter()
            .map(|described| described.column.clone())
            .collect(),
        parameters: parameters::recorded(&query.parameters),
        next_by: None,
    }
}

/// Writes what streams out of a source into the spool.
struct ToSpool<'a> {
    turn: &'a Turn,
    query: &'a Query,
    config: &'a JobConfig,
    compression: Compression,
    progress: &'a mut Progress,
    begun: Option<Begun<'a>>,
}

struct Begun<'a> {
    outgoing: Outgoing<'a>,
    columns: usize,
    as_of: Timestamptz,
}

impl<'a> ToSpool<'a> {
    /// The result, if it is one that the job may drop.
    fn whole(self) -> Result<Begun<'a>, Error> {
        let begun = self.begun.ok_or(source::Error::Silent)?;
        let (rows, min_rows) = (begun.outgoing.rows(), self.config.min_rows);
        if rows < min_rows {
            return Err(Error::TooFewRows { rows, min_rows });
        }
        Ok(begun)
    }
}

impl Sink for ToSpool<'_> {
    fn begin(&mut self, as_of: Timestamptz, columns: &[Described]) -> Result<(), Error> {
        let header = header(self.config, self.query, columns);
        let outgoing = self.turn.begin(as_of, &header, self.compression)?;
        self.begun = Some(Begun {
            outgoing,
            columns: columns.len(),
            as_of,
        });
        Ok(())
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let Begun { outgoing, .. } = self.begun.as_mut().ok_or(source::Error::Silent)?;
        let before = outgoing.rows();
        outgoing.value(value)?;
        if outgoing.rows() > before {
            self.progress.row(outgoing.bytes());
        }
        Ok(())
    }
}
