//! `cursor`, `window`, `schedule` and `timezone`, and whether they fit the job's other keys.

use std::time::Duration;

use nightdrop_schema::Job;

use super::{
    Check, Error, Reads,
    tables::{JobTable, ModeName},
};
use crate::{
    cursor::Cursor,
    parameters::{End, Of, Placeholder},
    schedule::Schedule,
    window::Window,
};

/// How long a result may take from the end of its query to the reports, unless `grace` says so.
const GRACE: Duration = Duration::from_mins(15);

impl Check<'_> {
    /// Which rows the job's runs ask for.
    pub(super) fn reads(&self, job: &Job, table: &JobTable) -> Result<Reads, Error> {
        let wrong = |key: &str, sentence: String| self.wrong(format!("job.{job}.{key}"), sentence);
        if table.cursor.is_some() && table.window.is_some() {
            return Err(wrong(
                "window",
                "cursor is there too; leave one of them out".to_owned(),
            ));
        }
        if table.timezone.is_some() && table.window.is_none() && table.schedule.is_none() {
            return Err(wrong(
                "timezone",
                "only window and schedule have a time zone; leave it out".to_owned(),
            ));
        }
        let reads = if let Some(cursor) = &table.cursor {
            if cursor.lag.is_zero() {
                return Err(wrong(
                    "cursor.lag",
                    "what is committed while the query runs would never be read; write more than the longest transaction that writes takes, such as \"5m\""
                        .to_owned(),
                ));
            }
            if table.mode == Some(ModeName::Replace) {
                return Err(wrong(
                    "mode",
                    "what came since the last run is not all there is; write \"append\" or \"upsert\""
                        .to_owned(),
                ));
            }
            Reads::Cursor(Cursor {
                start: cursor.start.as_ref().map(|instant| instant.0),
                lag: cursor.lag,
            })
        } else if let Some(window) = &table.window {
            if table.mode.is_some_and(|mode| mode != ModeName::Replace) {
                return Err(wrong(
                    "mode",
                    "the result of a window takes the place of what was said of its slot; write \"replace\", or leave it out"
                        .to_owned(),
                ));
            }
            Reads::Window(Window {
                every: window.every.0,
                column: window.column.clone(),
                timezone: table
                    .timezone
                    .as_ref()
                    .map_or(chrono_tz::UTC, |zone| zone.0),
            })
        } else {
            Reads::Whole
        };
        let has = match &reads {
            Reads::Whole => None,
            Reads::Cursor(_) => Some(Of::Cursor),
            Reads::Window(_) => Some(Of::Window),
        };
        self.ends_fit(job, has, &table.parameters)?;
        Ok(reads)
    }

    /// When the job is started.
    pub(super) fn schedule(&self, job: &Job, table: &JobTable) -> Result<Option<Schedule>, Error> {
        let wrong = |key: &str, sentence: String| self.wrong(format!("job.{job}.{key}"), sentence);
        let Some(text) = &table.schedule else {
            return match table.grace {
                Some(_) => Err(wrong(
                    "grace",
                    "without a schedule no result is late; write schedule = \"0 5 * * *\", or leave it out"
                        .to_owned(),
                )),
                None => Ok(None),
            };
        };
        let timezone = table
            .timezone
            .as_ref()
            .map_or(chrono_tz::UTC, |zone| zone.0);
        let patience = table.timeout.saturating_add(table.grace.unwrap_or(GRACE));
        Schedule::new(text, timezone, patience)
            .map(Some)
            .map_err(|why| wrong("schedule", why))
    }

    /// Both ends of the job's interval are bound, and no others.
    fn ends_fit(
        &self,
        job: &Job,
        has: Option<Of>,
        parameters: &[Placeholder],
    ) -> Result<(), Error> {
        let wrong = |sentence| Err(self.wrong(format!("job.{job}.parameters"), sentence));
        for placeholder in parameters {
            if let Placeholder::End(of, end) = placeholder
                && Some(*of) != has
            {
                let of = of.as_str();
                return wrong(format!(
                    "\"{of}.{end}\": the job has no {of}; leave it out, or write {of} = {{ … }}"
                ));
            }
        }
        let Some(of) = has else { return Ok(()) };
        for end in [End::From, End::To] {
            if !parameters.contains(&Placeholder::End(of, end)) {
                let of = of.as_str();
                return wrong(format!(
                    "the query must be told its {of}: `… WHERE x >= $1 AND x < $2` and parameters = [\"{of}.from\", \"{of}.to\"]; \"{of}.{end}\" is missing"
                ));
            }
        }
        Ok(())
    }
}
