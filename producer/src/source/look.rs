//! What `doctor` wants to know of a source: whether a snapshot can be read, by a role that can't write.

use std::{collections::BTreeMap, time::Duration};

use nightdrop_runtime::findings::Wire;
use nightdrop_schema::{Timestamptz, Value};
use tokio_util::sync::CancellationToken;

use super::{Error, Kind, Opening, Query, Sink, Source, mysql_look, postgres_look};
use crate::interval::Part;

/// What is known of the way to a source, and of who goes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// How the connection is secured.
    pub wire: Wire,
    /// Whether it stays on this machine.
    pub stays_here: bool,
    /// What it can write.
    pub writes: Writes,
}

/// What a role can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    /// Nothing.
    Nothing,
    /// This, and maybe more: a few words.
    Something(String),
    /// That can't be seen, for this reason.
    Unknown(String),
}

impl Source {
    /// Reads a row in a snapshot, by the way that a job's query goes. Gives the source's clock.
    ///
    /// # Errors
    /// As [`Source::run`].
    pub async fn try_out(
        &self,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> Result<Timestamptz, crate::Error> {
        let query = Query {
            sql: "SELECT 1 AS one".to_owned(),
            parameters: Vec::new(),
            part: Part::Whole,
            types: BTreeMap::new(),
            timeout,
        };
        let mut clock = Clock(None);
        self.run(&query, &mut clock, stop).await?;
        clock.0.ok_or(Error::Silent.into())
    }

    /// Looks at the connection and at the role. None for a file, which is opened for reading only.
    ///
    /// # Errors
    /// The server refuses, or isn't there.
    pub async fn look(&self) -> Result<Option<Look>, Error> {
        let password = self.read_password()?;
        match self.kind {
            Kind::Postgres => postgres_look::look(&self.url, password.as_ref())
                .await
                .map(Some),
            Kind::MySql => mysql_look::look(&self.url, password.as_ref())
                .await
                .map(Some),
            Kind::Sqlite => Ok(None),
        }
    }
}

/// Takes nothing but the clock.
struct Clock(Option<Timestamptz>);

impl Sink for Clock {
    fn begin(&mut self, opening: &Opening<'_>) -> Result<(), crate::Error> {
        self.0 = Some(opening.as_of);
        Ok(())
    }

    fn value(&mut self, _: Value<'_>) -> Result<(), crate::Error> {
        Ok(())
    }
}
