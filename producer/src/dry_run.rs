//! `run --dry-run`: what a run would drop, without touching spool or bucket.

use std::{fmt::Write as _, io};

use chrono::Utc;
use nightdrop_schema::{Envelope, Job, Key, RunId, Timestamptz, Value, Writer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    config::{Config, JobConfig, Reads},
    count::counted,
    interval::{Guard, Interval},
    job::{Ask, header, reading},
    progress::Progress,
    source::{self, Described, Opening, Query, Sink},
    spool::Spool,
    table,
};

/// How many rows are shown.
const SHOWN: usize = 10;

/// Asks the job's source and gives a page that says what would be dropped. The whole result goes
/// through the writer, so that what a run would refuse is refused here.
///
/// # Errors
/// As for a run, but for spool and bucket.
pub async fn dry_run(
    config: &Config,
    job: &Job,
    job_config: &JobConfig,
    ask: &Ask,
    stop: &CancellationToken,
) -> Result<String, Error> {
    let watermark = Spool::new(config.producer.clone(), &config.state_dir).watermark(job);
    let mut pages = Vec::new();
    for slot in ask.slots(job, &job_config.reads)? {
        let (query, _) = reading(job_config, slot, ask, &watermark)?;
        let mut sink = Preview {
            config,
            job,
            job_config,
            query: &query,
            progress: Progress::new(job.as_str()),
            begun: None,
        };
        job_config.source.run(&query, &mut sink, stop).await?;
        let Preview { begun, .. } = sink;
        pages.push(begun.ok_or(source::Error::Silent)?.page(job_config)?);
    }
    Ok(pages.join("\n"))
}

struct Preview<'a> {
    config: &'a Config,
    job: &'a Job,
    job_config: &'a JobConfig,
    query: &'a Query,
    progress: Progress,
    begun: Option<Begun>,
}

struct Begun {
    key: Key,
    as_of: Timestamptz,
    columns: Vec<Described>,
    writer: Writer<io::Sink>,
    first: Vec<Vec<String>>,
    interval: Option<Interval>,
    guard: Guard,
    others_seen: Option<bool>,
    next_by: Option<Timestamptz>,
}

impl Sink for Preview<'_> {
    fn begin(&mut self, opening: &Opening<'_>) -> Result<(), Error> {
        let as_of = opening.as_of;
        let envelope = Envelope {
            id: RunId::from(Uuid::now_v7()),
            source: self.config.producer.clone(),
            subject: self.job.clone(),
            time: as_of,
            traceparent: None,
        };
        let key = Key::new(
            envelope.source.clone(),
            envelope.subject.clone(),
            as_of,
            envelope.id,
            self.config.bucket.compress,
        )?;
        let header = header(self.job_config, self.query, opening, Utc::now());
        let writer = Writer::new(io::sink(), &envelope, &header).map_err(Error::written)?;
        self.begun = Some(Begun {
            key,
            as_of,
            columns: opening.columns.to_vec(),
            writer,
            first: Vec::new(),
            interval: opening.interval.cloned(),
            guard: Guard::new(opening.interval, opening.columns),
            others_seen: opening.others_seen,
            next_by: header.next_by,
        });
        Ok(())
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let begun = self.begun.as_mut().ok_or(source::Error::Silent)?;
        begun.guard.see(&value)?;
        let before = begun.writer.rows();
        if before < SHOWN as u64 {
            match begun.first.last_mut() {
                Some(row) if row.len() < begun.columns.len() => row.push(shown(value)),
                _ => begun.first.push(vec![shown(value)]),
            }
        }
        begun.writer.value(value).map_err(Error::written)?;
        if begun.writer.rows() > before {
            self.progress.row(0);
        }
        Ok(())
    }
}

impl Begun {
    fn page(self, job_config: &JobConfig) -> Result<String, Error> {
        let (_, rows) = self.writer.finish().map_err(Error::written)?;
        let types: Vec<Vec<String>> = self
            .columns
            .iter()
            .map(|described| {
                vec![
                    described.column.name.to_string(),
                    described.source_type.clone(),
                    described.column.ty.as_str().to_owned(),
                ]
            })
            .collect();
        let names = self
            .columns
            .iter()
            .map(|described| described.column.name.to_string())
            .collect();
        let mut page = String::new();
        // Writing to a String can't fail.
        let _ = write!(
            page,
            "key   {}\nas of {}\nmode  {}\n{}{}\n{}\n{}",
            self.key,
            self.as_of,
            job_config.mode.as_str(),
            self.next_by
                .map_or_else(String::new, |by| format!("next  by {by}\n")),
            interval_lines(self.interval.as_ref(), job_config, self.others_seen),
            table::table(
                vec![
                    "column".to_owned(),
                    "in the source".to_owned(),
                    "travels as".to_owned()
                ],
                types
            ),
            counted(rows, "row"),
        );
        if rows < job_config.min_rows {
            let _ = write!(
                page,
                ", and min_rows = {}: a run would drop nothing",
                job_config.min_rows
            );
        }
        if rows > self.first.len() as u64 {
            let _ = write!(page, ", the first {}", self.first.len());
        }
        if !self.first.is_empty() {
            let _ = write!(page, ":\n\n{}", table::table(names, self.first));
        }
        Ok(page)
    }
}

/// Which rows it is about, and what has to be true of the source for them to be all.
fn interval_lines(
    interval: Option<&Interval>,
    job_config: &JobConfig,
    others_seen: Option<bool>,
) -> String {
    let Some(interval) = interval else {
        return String::new();
    };
    match &job_config.reads {
        Reads::Whole => String::new(),
        Reads::Window(window) => format!("slot  {interval}, the clock of {}\n", window.timezone),
        Reads::Cursor(cursor) => {
            let lag = humantime::format_duration(cursor.lag);
            let seen = match others_seen {
                Some(true) => "no transaction that is open now is older",
                _ => {
                    "whether one that is open now is older, this user of the source can't see in full"
                }
            };
            format!(
                "reads {interval}\nlag   {lag}: what a transaction commits that takes longer is never read; {seen}\n"
            )
        }
    }
}

/// A value for people.
fn shown(value: Value<'_>) -> String {
    match value {
        Value::Null => "∅".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Decimal(digits) => digits.as_str().to_owned(),
        Value::Float64(number) => number.to_string(),
        Value::String(text) => text.to_owned(),
        Value::Bytes(bytes) => {
            bytes
                .iter()
                .take(table::WIDEST)
                .fold("0x".to_owned(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                })
        }
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Timestamptz(instant) => instant.to_string(),
        Value::Uuid(uuid) => uuid.to_string(),
        Value::Json(json) => json.as_str().to_owned(),
    }
}
