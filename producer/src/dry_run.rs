//! `run --dry-run`: what a run would drop, without touching spool or bucket.

use std::{fmt::Write as _, io};

use indicatif::HumanCount;
use nightdrop_schema::{Envelope, Job, Key, RunId, Timestamptz, Value, Writer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    config::{Config, JobConfig},
    job::header,
    progress::Progress,
    source::{self, Described, Query, Sink},
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
    stop: &CancellationToken,
) -> Result<String, Error> {
    let query = job_config.query()?;
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
    begun.ok_or(source::Error::Silent)?.page(job_config)
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
}

impl Sink for Preview<'_> {
    fn begin(&mut self, as_of: Timestamptz, columns: &[Described]) -> Result<(), Error> {
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
        let header = header(self.job_config, self.query, columns);
        let writer = Writer::new(io::sink(), &envelope, &header).map_err(Error::written)?;
        self.begun = Some(Begun {
            key,
            as_of,
            columns: columns.to_vec(),
            writer,
            first: Vec::new(),
        });
        Ok(())
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let begun = self.begun.as_mut().ok_or(source::Error::Silent)?;
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
            "key   {}\nas of {}\nmode  {}\n\n{}\n{} rows",
            self.key,
            self.as_of,
            job_config.mode.as_str(),
            table::table(
                vec![
                    "column".to_owned(),
                    "in the source".to_owned(),
                    "travels as".to_owned()
                ],
                types
            ),
            HumanCount(rows),
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
