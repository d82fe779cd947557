//! One run of one job: query → spool → bucket.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::HumanBytes;
use nightdrop_bucket::Bucket;
use nightdrop_runtime::trace::{Kind, Parent, Span};
use nightdrop_schema::{Bound, Compression, Header, Job, Mode, RunId, Timestamptz, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    config::{Config, JobConfig, Reads},
    count::counted,
    cursor::Since,
    drain::Patience,
    interval::{Guard, Interval, Part},
    outgoing::Outgoing,
    parameters,
    progress::Progress,
    source::{self, Opening, Query, Sink},
    spool::{Entry, Spool, Turn},
    watermark::{Fingerprint, Step, Watermark},
    window::Slot,
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
    /// The rows that it is about; none if all.
    pub interval: Option<Interval>,
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
            interval,
            earlier,
            took,
        } = self;
        let columns = counted(*columns as u64, "column");
        write!(f, "{} × {columns}", counted(*rows, "row"))?;
        if let Some(interval) = interval {
            write!(f, " in {interval}")?;
        }
        write!(
            f,
            " as of {as_of}, {} in {:.1} s: {}",
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

/// What a command line asks of a job beyond its configuration.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// `--start`: where a cursor begins.
    pub start: Option<Timestamptz>,
    /// `--from` and `--to`: the slots of a window, instead of the last that has ended.
    pub range: Option<(String, String)>,
}

impl Ask {
    /// The slots that are asked for; `[None]` is the last that has ended.
    ///
    /// # Errors
    /// The job has no use for a flag.
    pub(crate) fn slots(&self, job: &Job, reads: &Reads) -> Result<Vec<Option<Slot>>, Error> {
        let flags = |sentence: String| Err(Error::Flags(sentence));
        if self.start.is_some() && !matches!(reads, Reads::Cursor(_)) {
            return flags(format!("--start: [job.{job}] has no cursor to start"));
        }
        match (&self.range, reads) {
            (None, _) => Ok(vec![None]),
            (Some((from, to)), Reads::Window(window)) => {
                let slots = window.slots(from, to).map_err(Error::Flags)?;
                Ok(slots.into_iter().map(Some).collect())
            }
            (Some(_), Reads::Whole | Reads::Cursor(_)) => flags(format!(
                "--from and --to: [job.{job}] has no window; what it reads is not said on the command line"
            )),
        }
    }
}

/// What a run reads, and the step that its watermark takes with it.
pub(crate) fn reading(
    config: &JobConfig,
    slot: Option<Slot>,
    ask: &Ask,
    watermark: &Watermark,
) -> Result<(Query, Option<Step>), Error> {
    match &config.reads {
        Reads::Whole => Ok((config.query(Part::Whole)?, None)),
        Reads::Window(window) => {
            let window = window.clone();
            Ok((config.query(Part::Window { window, slot })?, None))
        }
        Reads::Cursor(cursor) => {
            let mut query = config.query(Part::Whole)?;
            let of = Fingerprint::new(&query.sql, &query.parameters, config.source.url().as_str());
            let step = watermark.step(&of, ask.start, cursor.start)?;
            query.part = Part::Cursor(Since {
                from: step.from(),
                lag: cursor.lag,
            });
            Ok((query, Some(step)))
        }
    }
}

/// Runs a job: asks its source, commits the result to the spool, puts it; of a backfill one result
/// for each slot. What earlier runs left in the spool is tried once before, and goes first in the
/// end.
///
/// # Errors
/// The job has no result, or it has and it could not be put: then it waits in the spool.
pub async fn run(
    config: &Config,
    job: &Job,
    job_config: &JobConfig,
    ask: &Ask,
    bucket: &Bucket,
    patience: &mut Patience,
    stop: &CancellationToken,
) -> Result<Vec<Report>, Error> {
    let slots = ask.slots(job, &job_config.reads)?;
    let turn = Spool::new(config.producer.clone(), &config.state_dir).lock(job)?;
    let mut progress = Progress::new(job.as_str());
    let mut gone = Vec::new();
    // A bucket that is down must not keep the query from being asked on time.
    let ended = patience.briefly(&turn, bucket, stop, &mut gone).await;
    left_for_later(&turn, ended)?;
    let mut earlier = gone.len();

    let last = slots.len() - 1;
    let mut reports = Vec::new();
    for (index, slot) in slots.into_iter().enumerate() {
        let mut span = Span::begin("run", Kind::Root, None);
        span.set("nightdrop.producer", config.producer.to_string());
        span.set("nightdrop.job", job.to_string());
        let to = To {
            turn: &turn,
            trace: span.parent(),
        };
        let asked = ask_source(config, job_config, slot, ask, &to, &mut progress, stop).await;
        let mut report = match asked {
            Ok(report) => report,
            Err(error) => {
                // A backfill is looked at by who asked for it.
                if ask.range.is_none()
                    && let Err(why) = turn.tell(&error)
                {
                    tracing::warn!("nobody is told that the run failed: {why}");
                }
                failed(&mut span, &error);
                // The slots before it are whole; the first thing that went wrong is what is said.
                let _ = patience.drain(&turn, bucket, stop).await;
                return Err(error);
            }
        };
        progress.say("putting it into the bucket");
        let gone = if index == last {
            patience
                .drain(&turn, bucket, stop)
                .await
                .inspect_err(|error| failed(&mut span, error))?
                .len()
        } else {
            let mut gone = Vec::new();
            let ended = patience.once(&turn, bucket, stop, &mut gone).await;
            left_for_later(&turn, ended)?;
            gone.len()
        };
        report.earlier = std::mem::take(&mut earlier) + gone.saturating_sub(1);
        reports.push(report);
    }
    Ok(reports)
}

/// A trace hears how it ended, and nothing of what the source said.
fn failed(span: &mut Span, error: &Error) {
    let code = error.code() as u8;
    span.fail(&format_args!("exit code {code}; the log says why"));
}

/// Where a result goes, and the trace that it belongs to.
struct To<'a> {
    turn: &'a Turn,
    trace: Option<Parent>,
}

/// From the source into the spool.
async fn ask_source(
    config: &Config,
    job_config: &JobConfig,
    slot: Option<Slot>,
    ask: &Ask,
    to: &To<'_>,
    progress: &mut Progress,
    stop: &CancellationToken,
) -> Result<Report, Error> {
    let (started, begun_at) = (Instant::now(), Utc::now());
    let mut span = Span::begin("query", Kind::Calls, to.trace.as_ref());
    span.set("nightdrop.job", to.turn.job().to_string());
    let (query, moves) = reading(job_config, slot, ask, to.turn.watermark())?;
    let mut sink = ToSpool {
        to,
        query: &query,
        config: job_config,
        run: moves
            .as_ref()
            .map_or_else(|| RunId::from(Uuid::now_v7()), Step::run_id),
        compression: config.bucket.compress,
        progress,
        begun_at,
        begun: None,
    };
    let asked = job_config.source.run(&query, &mut sink, stop).await;
    asked.inspect_err(|error| failed(&mut span, error))?;
    let Begun {
        outgoing,
        columns,
        as_of,
        interval,
        ..
    } = sink.whole()?;
    let rows = outgoing.rows();
    span.set("nightdrop.rows", i64::try_from(rows).unwrap_or(i64::MAX));
    let to = match &interval {
        Some(Interval {
            to: Bound::Timestamptz(to),
            ..
        }) => Some(*to),
        _ => None,
    };
    let entry = outgoing.commit_with(moves.as_ref().zip(to))?;
    Ok(Report {
        entry,
        rows,
        columns,
        as_of,
        interval,
        earlier: 0,
        took: started.elapsed(),
    })
}

/// What could not be put is, after the query.
fn left_for_later(turn: &Turn, ended: Result<(), Error>) -> Result<(), Error> {
    match ended {
        Ok(()) => Ok(()),
        Err(Error::Bucket { error, .. }) => {
            tracing::warn!(
                "{}: results of earlier runs wait on in the spool: {}",
                turn.job(),
                error.said()
            );
            Ok(())
        }
        // This run has nothing in the spool yet.
        Err(Error::StoppedPutting) => Err(source::Error::Stopped.into()),
        Err(error) => Err(error),
    }
}

/// What a job's message says before its rows, of a run that began at this instant by our clock.
pub(crate) fn header(
    config: &JobConfig,
    query: &Query,
    opening: &Opening<'_>,
    begun_at: DateTime<Utc>,
) -> Header {
    for described in opening.columns {
        // `count(*)`, `?column?`: what databases call a column that nobody named.
        if described.column.name.as_str().contains(['(', '?']) {
            tracing::warn!(
                "column \"{}\" has no name of its own, and reports will have to quote it; alias it: `count(*) AS n`",
                described.column.name
            );
        }
    }
    Header {
        mode: match opening.interval.and_then(Interval::range) {
            Some(range) => Mode::Replace { range: Some(range) },
            None => config.mode.clone(),
        },
        columns: opening
            .columns
            .iter()
            .map(|described| described.column.clone())
            .collect(),
        parameters: parameters::recorded(&query.parameters, opening.parameters),
        next_by: match query.part {
            // A backfill says nothing of when the next result comes.
            Part::Window { slot: Some(_), .. } => None,
            Part::Whole | Part::Cursor(_) | Part::Window { slot: None, .. } => config
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.next_by(opening.as_of, begun_at)),
        },
    }
}

/// Writes what streams out of a source into the spool.
struct ToSpool<'a> {
    to: &'a To<'a>,
    query: &'a Query,
    config: &'a JobConfig,
    run: RunId,
    compression: Compression,
    progress: &'a mut Progress,
    begun_at: DateTime<Utc>,
    begun: Option<Begun<'a>>,
}

struct Begun<'a> {
    outgoing: Outgoing<'a>,
    columns: usize,
    as_of: Timestamptz,
    interval: Option<Interval>,
    guard: Guard,
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
    fn begin(&mut self, opening: &Opening<'_>) -> Result<(), Error> {
        let header = header(self.config, self.query, opening, self.begun_at);
        let outgoing = self.to.turn.begin_run(
            self.run,
            opening.as_of,
            &header,
            self.compression,
            self.to.trace.as_ref(),
        )?;
        self.begun = Some(Begun {
            outgoing,
            columns: opening.columns.len(),
            as_of: opening.as_of,
            interval: opening.interval.cloned(),
            guard: Guard::new(opening.interval, opening.columns),
        });
        Ok(())
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let Begun {
            outgoing, guard, ..
        } = self.begun.as_mut().ok_or(source::Error::Silent)?;
        guard.see(&value)?;
        let before = outgoing.rows();
        outgoing.value(value)?;
        if outgoing.rows() > before {
            self.progress.row(outgoing.bytes());
        }
        Ok(())
    }
}
