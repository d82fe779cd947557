//! Word of a run that failed: `nightdrop.failed.v1`, through the spool like a result, so that the reporting side
//! hears of it. What it says is ours alone: no text and no value from the source is in it. The run's own log
//! says more.

use std::io::Write as _;

use chrono::Utc;
use nightdrop_schema::{
    Compression, Envelope, Failure, FailureKind, Key, RunId, Timestamptz, write::failed,
};
use uuid::Uuid;

use crate::{Error, count::counted, source, spool, spool::Turn, watermark};

impl Turn {
    /// Makes word of a failure an entry of the spool, if it is a failure to tell of.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn tell(&self, error: &Error) -> Result<(), Error> {
        let Some((kind, message)) = said(error) else {
            return Ok(());
        };
        let failure = Failure {
            code: error.code() as u8,
            kind,
            message,
        };
        let mut draft = self.draft(Compression::None)?;
        let envelope = Envelope {
            id: RunId::from(Uuid::now_v7()),
            source: draft.producer().clone(),
            subject: draft.job().clone(),
            time: Timestamptz::from_unix_micros(Utc::now().timestamp_micros())
                .unwrap_or(Timestamptz::INFINITY),
            traceparent: None,
        };
        let key = Key::new(
            envelope.source.clone(),
            envelope.subject.clone(),
            envelope.time,
            envelope.id,
            Compression::None,
        )?;
        let body = failed(&envelope, &failure).map_err(Error::Message)?;
        draft
            .write_all(&body)
            .map_err(spool::Error::at(self.folder()))?;
        draft.commit(&key)?;
        Ok(())
    }
}

/// What is told of a failure, if anything: not what only concerns the person at the terminal, nor what keeps the
/// spool from taking word of it.
fn said(error: &Error) -> Option<(FailureKind, String)> {
    use FailureKind::{Config, Contract};
    let (kind, message) = match error {
        Error::Source(error) => return of_source(error),
        Error::Config(_) => (
            Config,
            "the configuration is wrong, or query_file can't be read".to_owned(),
        ),
        Error::Watermark(error) => (Config, of_watermark(error)?.to_owned()),
        Error::Message(_) => (
            Contract,
            "the result breaks a rule of the message".to_owned(),
        ),
        Error::Key(_) => (
            Contract,
            "no key can say the instant that the result is as of".to_owned(),
        ),
        Error::TooFewRows { rows, min_rows } => (
            Contract,
            format!(
                "the result has {}, and min_rows = {min_rows}",
                counted(*rows, "row")
            ),
        ),
        Error::OutsideRange { row, .. } => (
            Contract,
            format!("row {row} lies outside the slot that the result replaces"),
        ),
        Error::NoConfig(_)
        | Error::NoSuchJob { .. }
        | Error::Flags(_)
        | Error::Input { .. }
        | Error::OtherProducer { .. }
        | Error::Policy(_)
        | Error::Spool(_)
        | Error::Bucket { .. }
        | Error::Disk(_)
        | Error::StoppedPutting
        | Error::Print(_) => return None,
    };
    Some((kind, message))
}

fn of_source(error: &source::Error) -> Option<(FailureKind, String)> {
    use FailureKind::{Config, Contract, Source, Timeout};
    let whole = |kind, message: &str| Some((kind, message.to_owned()));
    match error {
        source::Error::Settings(_) => whole(Config, "the source's settings are wrong"),
        source::Error::Secret(_) => whole(Config, "the source's password can't be read"),
        source::Error::Unreachable(_) => whole(Source, "the source is unreachable"),
        source::Error::Credentials(_) => whole(Source, "the source refused the credentials"),
        source::Error::Refused(_) => whole(Source, "the source refused the query"),
        // Says nothing but the configured time.
        source::Error::Timeout(_) => Some((Timeout, error.to_string())),
        source::Error::Silent => whole(
            Source,
            "the source sent values before it said what its columns are",
        ),
        source::Error::Column(_) => whole(Contract, "a column's name can't stand in a message"),
        source::Error::NotYet { .. } => whole(
            Source,
            "nothing to read yet: the source's clock, less the lag, is not after the watermark",
        ),
        source::Error::OpenTransaction { .. } => whole(
            Source,
            "a transaction is open at the source for longer than the lag",
        ),
        // The names of columns are those of the configuration here.
        source::Error::NoWindowColumn { column, .. } => Some((
            Config,
            short(format!("window.column: the result has no column {column}")),
        )),
        source::Error::WindowColumn { column, ty, why } => Some((
            Config,
            short(format!("window.column: {column} travels as {ty}; {why}")),
        )),
        source::Error::UnknownColumn { column, .. } => Some((
            Config,
            short(format!("types.{column}: the result has no such column")),
        )),
        source::Error::Value { row, ty, .. } => Some((
            Contract,
            format!("row {row} has a value that its column, which travels as {ty}, can't hold"),
        )),
        // A person did it, or the machine goes down; and a backfill is somebody's at a terminal.
        source::Error::Stopped | source::Error::SlotNotEnded { .. } => None,
    }
}

fn of_watermark(error: &watermark::Error) -> Option<&'static str> {
    match error {
        watermark::Error::Missing { .. } => {
            Some("there is no watermark: the job never ran, or its state folder was lost")
        }
        watermark::Error::Changed { .. } => {
            Some("the query, its parameters or its source changed since the watermark was set")
        }
        watermark::Error::Moved { .. } => Some("the state folder was copied, restored or moved"),
        watermark::Error::InTheWay { .. } => None,
    }
}

/// As much of a text as a message may have.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(nightdrop_schema::FAILURE_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::Error as Of;

    /// All that a source can say, with something in it that nobody else may read.
    fn of_sources() -> Vec<Error> {
        let secret = || "hunter2".to_owned();
        let said = vec![
            Of::Settings(secret()),
            Of::Unreachable(secret()),
            Of::Credentials(secret()),
            Of::Refused(secret()),
            Of::Timeout(Duration::from_mins(10)),
            Of::Silent,
            Of::Column(
                "_hunter2"
                    .parse::<nightdrop_schema::ColumnName>()
                    .unwrap_err(),
            ),
            Of::NoWindowColumn {
                column: "day".parse().unwrap(),
                known: secret(),
            },
            Of::UnknownColumn {
                column: "d".repeat(600),
                known: secret(),
            },
            Of::Value {
                row: 17,
                column: secret(),
                source_type: "int4".to_owned(),
                ty: nightdrop_schema::Type::Int64,
                sentence: secret(),
                takes_it: nightdrop_schema::Type::String,
            },
            Of::OpenTransaction {
                since: secret(),
                who: secret(),
                lag: Duration::from_mins(5),
            },
        ];
        said.into_iter().map(Error::Source).collect()
    }

    #[test]
    fn nothing_that_the_source_said_is_told() {
        for error in of_sources() {
            let (_, message) = said(&error).unwrap();
            assert!(!message.contains("hunter2"), "{message}");
            assert!(!message.is_empty() && message.len() <= nightdrop_schema::FAILURE_BYTES);
        }
    }

    #[test]
    fn what_a_person_did_is_not_told() {
        for error in [
            Error::Source(Of::Stopped),
            Error::Flags(String::new()),
            Error::StoppedPutting,
        ] {
            assert_eq!(said(&error), None, "{error}");
        }
    }
}
