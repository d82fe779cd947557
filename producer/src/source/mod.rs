//! Where rows come from: Postgres, MySQL and MariaDB, SQLite. Each runs one query in one read-only
//! snapshot and pushes what it reads into a [`Sink`], row by row: memory does not grow with the
//! result.
//!
//! Here: what the three have in common. Not here: what becomes of the rows.

mod error;
mod look;
mod mysql;
mod mysql_cell;
mod mysql_look;
mod postgres;
mod postgres_look;
mod postgres_open;
mod postgres_types;
mod sqlite;
mod sqlite_types;

use std::{collections::BTreeMap, time::Duration};

use nightdrop_runtime::{postgres::is_loopback, secret::Secret};
use nightdrop_schema::{Column, ColumnName, Timestamptz, Type, Value};
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    error::{Error, UrlError},
    look::{Look, Writes},
};
use crate::{
    cursor::Since,
    interval::{Interval, Part},
    parameters::{Parameter, Placeholder},
    text_form,
};

/// A database to read from. No secret is in it: passwords are read at each use.
#[derive(Debug, Clone)]
pub struct Source {
    kind: Kind,
    url: Url,
    password: Option<Secret>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Postgres,
    MySql,
    Sqlite,
}

/// What a source is asked.
#[derive(Debug, Clone)]
pub struct Query {
    /// One statement that returns rows, with the source's own placeholders: `$1` or `?`.
    pub sql: String,
    /// Bound to the placeholders, in order.
    pub parameters: Vec<Placeholder>,
    /// Which rows it asks for.
    pub part: Part,
    /// The type of a column, by its name, where the source can't tell it or tells another.
    pub types: BTreeMap<String, Type>,
    /// How long all of it may take, connecting included. Then it is cancelled on the server.
    pub timeout: Duration,
}

/// A column of a result, and what it is in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The column in the message.
    pub column: Column,
    /// The type as the source names it, for people.
    pub source_type: String,
}

/// What is known of a result before its rows.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The source's clock when its snapshot began.
    pub as_of: Timestamptz,
    /// What each value of a row is, in order.
    pub columns: &'a [Described],
    /// What was bound to the placeholders, in order.
    pub parameters: &'a [Parameter],
    /// Which rows it is about; none if it is about all.
    pub interval: Option<&'a Interval>,
    /// Of a cursor's interval: whether the open transactions of others could be looked at.
    pub others_seen: Option<bool>,
}

/// Takes a result as it streams out of a source.
pub trait Sink {
    /// Once, before all values, also for a result without rows.
    ///
    /// # Errors
    /// The result can't be taken; nothing more will be sent.
    fn begin(&mut self, opening: &Opening<'_>) -> Result<(), crate::Error>;

    /// One value, in the order of the columns; the row ends with its last.
    ///
    /// # Errors
    /// The value can't be taken; nothing more will be sent.
    fn value(&mut self, value: Value<'_>) -> Result<(), crate::Error>;
}

/// What a query asks for by the source's clock: its interval, and what its placeholders stand for.
struct Asked {
    interval: Option<Interval>,
    parameters: Vec<Parameter>,
}

impl Query {
    /// `columns` are looked at for a window only.
    fn asked(&self, clock: Timestamptz, columns: &[Described]) -> Result<Asked, Error> {
        let interval = self.part.at(clock, columns)?;
        let parameters = Interval::bind(interval.as_ref(), &self.parameters)?;
        Ok(Asked {
            interval,
            parameters,
        })
    }

    /// A cursor's part, which open transactions are looked at for.
    fn since(&self) -> Option<Since> {
        match &self.part {
            Part::Cursor(since) => Some(*since),
            Part::Whole | Part::Window { .. } => None,
        }
    }

    /// The server's own limit, for when we are gone. Were it not longer than ours, the two would race,
    /// and a query that took too long would at times be called a server that went away.
    fn timeout_on_server(&self) -> Duration {
        const LONGER: Duration = Duration::from_secs(5);
        self.timeout.saturating_add(LONGER)
    }

    /// Whether the ends of the interval are of the type of a column.
    fn is_window(&self) -> bool {
        matches!(self.part, Part::Window { .. })
    }
}

impl Source {
    /// A source by its URL: `postgres://user@host/database`, `mysql://…` (MariaDB too), or
    /// `sqlite:///file`.
    ///
    /// # Errors
    /// Another scheme, or a URL with a password in it.
    pub fn new(url: Url, password: Option<Secret>) -> Result<Self, UrlError> {
        let kind = match url.scheme() {
            "postgres" | "postgresql" => Kind::Postgres,
            "mysql" | "mariadb" => Kind::MySql,
            "sqlite" => Kind::Sqlite,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(UrlError::Password);
        }
        Ok(Self {
            kind,
            url,
            password,
        })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Runs `query` in a read-only snapshot and pushes the result into `sink`.
    ///
    /// When the timeout has passed, or `stop` is cancelled, the query is cancelled on the server
    /// before this returns.
    ///
    /// # Errors
    /// What went wrong, and whose fault it is: see [`Error`]. What the sink said comes back as it was.
    pub async fn run(
        &self,
        query: &Query,
        sink: &mut impl Sink,
        stop: &CancellationToken,
    ) -> Result<(), crate::Error> {
        let limits = Limits {
            timeout: query.timeout,
            deadline: Instant::now() + query.timeout,
            stop,
        };
        let password = self.read_password()?;
        match self.kind {
            Kind::Postgres => {
                postgres::run(&self.url, password.as_ref(), query, sink, &limits).await
            }
            Kind::MySql => mysql::run(&self.url, password.as_ref(), query, sink, &limits).await,
            Kind::Sqlite => sqlite::run(&self.url, query, sink, &limits),
        }
    }

    fn read_password(&self) -> Result<Option<SecretString>, Error> {
        Ok(self.password.as_ref().map(Secret::read).transpose()?)
    }
}

/// How long a source may take, and who may end it before.
struct Limits<'a> {
    timeout: Duration,
    deadline: Instant,
    stop: &'a CancellationToken,
}

impl Limits<'_> {
    /// `work`, unless the deadline or the stop comes first; then it is dropped half-way.
    async fn bound<T>(
        &self,
        work: impl Future<Output = Result<T, crate::Error>>,
    ) -> Result<T, crate::Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(self.over().into()),
            done = tokio::time::timeout_at(self.deadline, work) => {
                done.unwrap_or_else(|_| Err(self.over().into()))
            }
        }
    }

    /// Which of the two it was.
    fn over(&self) -> Error {
        if self.stop.is_cancelled() {
            Error::Stopped
        } else {
            Error::Timeout(self.timeout)
        }
    }
}

/// Lets the deadline and the stop be looked at, every now and then, while rows come so fast that
/// nothing ever waits.
async fn breathe() {
    tokio::task::coop::consume_budget().await;
}

/// Whether work ended because it had to, and not by itself: the server may still be at it.
fn was_cut(error: &crate::Error) -> bool {
    matches!(
        error,
        crate::Error::Source(Error::Timeout(_) | Error::Stopped)
    )
}

/// The columns that a source found, with the types that the job says instead.
fn described(
    found: impl IntoIterator<Item = (String, Type, String)>,
    types: &BTreeMap<String, Type>,
) -> Result<Vec<Described>, Error> {
    let columns = found
        .into_iter()
        .map(|(name, ty, source_type)| {
            let ty = types.get(&name).copied().unwrap_or(ty);
            let name: ColumnName = name.parse().map_err(Error::Column)?;
            Ok(Described {
                column: Column {
                    name,
                    ty,
                    description: None,
                    nullable: true,
                },
                source_type,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    for said in types.keys() {
        let known = || {
            columns
                .iter()
                .map(|described| described.column.name.as_str())
        };
        if !known().any(|name| name == said) {
            return Err(Error::UnknownColumn {
                column: said.clone(),
                known: known().collect::<Vec<_>>().join(", "),
            });
        }
    }
    Ok(columns)
}

/// Why a value does not fit its column's type, and the type that would take it as it is.
#[derive(Debug, PartialEq, Eq)]
struct Unfit {
    sentence: String,
    takes_it: Type,
}

impl Unfit {
    /// Bytes that are no text.
    fn bytes(sentence: &str) -> Self {
        Self {
            sentence: sentence.to_owned(),
            takes_it: Type::Bytes,
        }
    }
}

impl From<String> for Unfit {
    fn from(sentence: String) -> Self {
        Self {
            sentence,
            takes_it: Type::String,
        }
    }
}

impl From<&str> for Unfit {
    fn from(sentence: &str) -> Self {
        Self::from(sentence.to_owned())
    }
}

/// A value that its column can't hold, with its place.
fn refused(row: u64, described: &Described, unfit: Unfit) -> Error {
    Error::Value {
        row,
        column: described.column.name.to_string(),
        source_type: described.source_type.clone(),
        ty: described.column.ty,
        sentence: unfit.sentence,
        takes_it: unfit.takes_it,
    }
}

/// A text in UTF-8.
fn utf8(bytes: &[u8]) -> Result<&str, Unfit> {
    std::str::from_utf8(bytes).map_err(|_| Unfit::bytes("is not UTF-8"))
}

/// The instant that a source's clock shows, from its text in UTC.
fn instant(text: &str) -> Result<Timestamptz, Error> {
    let text = if text.ends_with("+00") {
        text.to_owned()
    } else {
        format!("{text}+00")
    };
    match text_form::parse(Type::Timestamptz, &text, &mut String::new()) {
        Ok(Value::Timestamptz(instant)) => Ok(instant),
        _ => Err(Error::Unreachable(format!(
            "its clock says {text:?}, which is no time"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_never_waits_is_ended_all_the_same() {
        let stop = CancellationToken::new();
        let timeout = Duration::from_millis(10);
        let limits = Limits {
            timeout,
            deadline: Instant::now() + timeout,
            stop: &stop,
        };
        let busy = async {
            loop {
                breathe().await;
            }
        };
        let ended: Result<(), crate::Error> = limits.bound(busy).await;
        assert!(was_cut(&ended.unwrap_err()));
    }

    #[test]
    fn a_source_is_one_of_three_and_its_url_holds_no_password() {
        let refusal = |url: &str| {
            Source::new(url.parse().unwrap(), None)
                .unwrap_err()
                .to_string()
        };
        for url in [
            "postgres://db1/x",
            "mysql://db1/x",
            "mariadb://db1/x",
            "sqlite:///x.db",
        ] {
            assert!(Source::new(url.parse().unwrap(), None).is_ok(), "{url}");
        }
        assert!(refusal("oracle://db1/x").starts_with("\"oracle\" is no source"));
        for url in [
            "postgres://me:hunter2@db1/x",
            "mysql://db1/x?password=hunter2",
        ] {
            assert!(refusal(url).starts_with("it holds a password"), "{url}");
            assert!(!refusal(url).contains("hunter2"));
        }
    }
}
