//! The connections as the lanes take them: whatever is asked of Postgres has a limit on this side too,
//! and a connection that was left in the middle of something is never used again.
//!
//! Postgres's own `statement_timeout` is kept by Postgres: one that is cut off can't keep it.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnection, PgPool, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{Connection, Either, Execute, Executor, PgTransaction, Postgres, SqlStr};
use tokio::time::{Instant, timeout_at};

/// How long Postgres works on a statement: its `statement_timeout`, in seconds.
pub const STATEMENT_SECONDS: u64 = 30;

/// How long a statement is waited for: Postgres's own word on it is to arrive before.
pub const LIMIT: Duration = Duration::from_secs(STATEMENT_SECONDS + 10);

/// How long a connection that comes back may take to show that it is in order.
const IN_ORDER: Duration = Duration::from_secs(5);

/// Connections to Postgres. Cheap to clone.
///
/// A statement that is run on it is waited for no longer than [`LIMIT`].
#[derive(Clone, Debug)]
pub struct Pool(pub(crate) PgPool);

impl Pool {
    /// Begins a transaction. Its statements are [`limited`] one by one, or all together.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn begin(&self) -> Result<PgTransaction<'static>, sqlx::Error> {
        limited(self.0.begin()).await
    }

    /// A connection for something else than a few statements.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.0.acquire().await
    }

    /// A connection that is closed, unless it is given back expressly.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn lend(&self) -> Result<Lent, sqlx::Error> {
        self.0.acquire().await.map(|connection| Lent {
            connection: Some(connection),
        })
    }
}

/// Waits for Postgres, no longer than [`LIMIT`].
///
/// What is dropped by that may leave a connection with an answer on its way. The driver reads it before
/// the next statement, and the pool takes no connection back that doesn't answer; but a COPY must not be
/// dropped so: that is for [`Lent`].
///
/// # Errors
/// Those of the work; and an I/O error where there was no answer.
pub fn limited<'a, T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>> + Send + 'a,
) -> BoxFuture<'a, Result<T, E>> {
    within(LIMIT, work)
}

/// The same with a limit of one's own.
///
/// # Errors
/// Those of the work; and an I/O error where there was no answer.
pub fn within<'a, T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>> + Send + 'a,
) -> BoxFuture<'a, Result<T, E>> {
    // On the heap: the future of a transaction is large.
    Box::pin(async move {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(no_answer(limit).into()),
        }
    })
}

/// The error of what was waited for in vain.
pub(crate) fn no_answer(limit: Duration) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} s", limit.as_secs_f32()),
    ))
}

/// Has the pool take back only what answers in time: else a connection that was cut off would keep its
/// place for as long as the system's TCP has patience, a quarter of an hour.
pub(crate) fn taking_back_what_answers(options: PgPoolOptions) -> PgPoolOptions {
    options.after_release(|connection, _| {
        Box::pin(async move { within(IN_ORDER, connection.ping()).await.map(|()| true) })
    })
}

impl<'p> Executor<'p> for &Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answers = (&self.0).fetch_many(query);
        let until = Instant::now() + LIMIT;
        stream::unfold(Some(answers), move |answers| async move {
            let mut answers = answers?;
            match timeout_at(until, answers.next()).await {
                Ok(answer) => answer.map(|answer| (answer, Some(answers))),
                Err(_) => Some((Err(no_answer(LIMIT)), None)),
            }
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        limited((&self.0).fetch_optional(query))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        limited((&self.0).prepare_with(sql, parameters))
    }
}

/// A connection for work that can be broken off half-way, a COPY above all: such a connection answers
/// `Ok` to anything, even to a COMMIT. However this goes out of scope, it is closed at once and without
/// a word; only what ended well is given back.
#[derive(Debug)]
pub struct Lent {
    connection: Option<PoolConnection<Postgres>>,
}

impl Lent {
    /// Nothing is under way on it any more: others may have it.
    pub fn give_back(mut self) {
        drop(self.connection.take());
    }
}

/// What is lent is there until it is given back, which takes it.
const THERE: &str = "a lent connection is there until it is given back";

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect(THERE)
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect(THERE)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Without a farewell: a socket that nobody reads would keep us waiting for it to be sent.
            drop(connection.detach());
        }
    }
}
