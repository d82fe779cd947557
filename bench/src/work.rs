//! The works: what lies in the bucket before a contender starts.

use std::ops::Range;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::table::Table;

/// The producers whose results lie in the bucket.
pub const PRODUCERS: [&str; 3] = ["ewr", "jfk", "lga"];

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Nightdrop's message: one JSON object, rows as arrays.
    Messages,
    /// The same rows as NDJSON, an object a line, without an envelope.
    Lines,
}

impl Form {
    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Lines => "NDJSON",
        }
    }
}

/// One object for the bucket.
#[derive(Debug, Clone)]
pub struct Object {
    /// `inbox/…`
    pub key: String,
    /// What is in it.
    pub body: Bytes,
}

/// Results of one table.
#[derive(Debug)]
pub struct Work {
    /// Its letter.
    pub name: &'static str,
    /// What it is, for the report.
    pub title: String,
    /// All rows.
    pub table: Table,
    /// Which rows each result has.
    results: Vec<Range<usize>>,
    /// How many rows of `table` the results go round.
    rows: usize,
}

impl Work {
    /// `count` results of `rows` rows each; where the table has fewer, it begins anew.
    pub fn new(name: &'static str, title: String, table: Table, count: usize, rows: usize) -> Self {
        let results = (0..count)
            .map(|number| number * rows..(number + 1) * rows)
            .collect();
        Self {
            name,
            title,
            rows: table.rows.len(),
            table,
            results,
        }
    }

    /// How many results.
    pub fn results(&self) -> usize {
        self.results.len()
    }

    /// How many rows in all of them.
    pub fn rows(&self) -> usize {
        self.results.iter().map(ExactSizeIterator::len).sum()
    }

    /// All rows as one CSV, as often as the results have them.
    pub fn csv(&self) -> Vec<u8> {
        let whole = self.table.csv();
        let (times, rest) = (self.rows() / self.rows, self.rows() % self.rows);
        let mut csv = whole.repeat(times);
        let part = Table {
            columns: self.table.columns.clone(),
            rows: self.table.rows[..rest].to_vec(),
        };
        csv.extend(part.csv());
        csv
    }

    /// The objects in this form. Each call gives new runs.
    ///
    /// # Errors
    /// When there are more results than there are seconds.
    pub fn objects(&self, form: Form) -> Result<Vec<Object>> {
        self.results
            .iter()
            .enumerate()
            .map(|(number, rows)| self.object(form, number, rows.clone()))
            .collect()
    }

    fn object(&self, form: Form, number: usize, rows: Range<usize>) -> Result<Object> {
        let producer = PRODUCERS[number % PRODUCERS.len()];
        let rows = rows
            .map(|row| row % self.rows)
            .collect::<Vec<_>>()
            .into_iter();
        let named = Named::new(producer, JOB, number)?;
        Ok(match form {
            Form::Messages => Object {
                key: named.key("json"),
                body: named.message(&self.table.message_data(rows)).into(),
            },
            Form::Lines => Object {
                key: named.key("jsonl"),
                body: self.table.lines(rows).into(),
            },
        })
    }
}

/// The job that all works are results of.
pub const JOB: &str = "departures";

/// Whose result an object is, and of when.
#[derive(Debug, Clone)]
pub struct Named {
    producer: &'static str,
    job: &'static str,
    time: DateTime<Utc>,
    run: Uuid,
}

impl Named {
    /// The result of a new run, as of so many seconds after the year began.
    ///
    /// # Errors
    /// When that is beyond all calendars.
    pub fn new(producer: &'static str, job: &'static str, seconds: usize) -> Result<Self> {
        let year = DateTime::from_timestamp(1_356_998_400, 0).context("2013 is an instant")?;
        let after = Duration::try_seconds(i64::try_from(seconds)?).context("too long")?;
        Ok(Self {
            producer,
            job,
            time: year + after,
            run: Uuid::now_v7(),
        })
    }

    /// Where it lies.
    pub fn key(&self, suffix: &str) -> String {
        let Self {
            producer, job, run, ..
        } = self;
        let time = self.time.format("%Y%m%dT%H%M%SZ");
        format!("inbox/{producer}/{job}/{time}-{run}.{suffix}")
    }

    /// The whole message.
    pub fn message(&self, data: &str) -> String {
        let Self {
            producer, job, run, ..
        } = self;
        let time = self.time.format("%Y-%m-%dT%H:%M:%SZ");
        format!(
            r#"{{"specversion":"1.0","type":"nightdrop.result.v1","id":"{run}","source":"{producer}","subject":"{job}","time":"{time}","data":{data}}}"#
        )
    }
}
