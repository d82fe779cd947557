//! One large file in a transaction of its own: its rows go to Postgres while they are read.

use std::time::Duration;

use futures::StreamExt;
use nightdrop_schema::{Envelope, Header, Mode};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Acquire, PgTransaction};
use uuid::Uuid;

use super::batch::repeated_key;
use super::replace::Replaced;
use super::{
    Error, Rows, Target, append, begin, lock_job, not_ahead, other_content, replace, upsert,
};
use crate::destination::Destination;
use crate::ledger::claim::File;
use crate::ledger::pause;
use crate::ledger::verdict::{self, Content, Reason, State, Tally, Verdict};
use crate::remedy::Remedy;

/// A file whose head has been read.
#[derive(Clone, Copy)]
pub struct Opened<'a> {
    /// Its row in the ledger.
    pub file: &'a File,
    /// Who, what, when.
    pub envelope: &'a Envelope,
    /// What it says of itself.
    pub header: &'a Header,
    /// Where its rows go.
    pub destination: &'a Destination,
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// It has its verdict.
    Decided(Tally),
    /// It will never load: to be parked.
    Unfit(Reason),
    /// Its table refused: its job rests.
    Refused(String),
    /// Another consumer's by now, or its job is being loaded elsewhere.
    NotNow,
}

/// Loads the file and writes its verdict, in one commit. `content` is asked for when the rows have
/// ended well.
///
/// # Errors
/// When nothing could be committed: the rows were interrupted, or Postgres is away.
pub async fn load(
    pool: &PgPool,
    token: Uuid,
    opened: Opened<'_>,
    rows: Rows<'_>,
    content: impl FnOnce() -> Option<Content>,
    clock_skew: Duration,
) -> Result<Outcome, Error> {
    let mut connection = pool.acquire().await?;
    let done = transaction(&mut connection, token, opened, rows, content, clock_skew).await;
    let committed = matches!(done, Ok(Outcome::Decided(_)));
    if !committed {
        // A COPY may have been left half-way: such a connection answers anything with Ok.
        let _ = sqlx::Connection::close_hard(connection.detach()).await;
    }
    match done {
        Err(Error::Postgres(error)) => match Error::from(error) {
            error if error.remedy() == Remedy::Park => Ok(Outcome::Unfit(Reason::new(
                "refused",
                format!("Postgres refused it: {error}"),
            ))),
            error if error.remedy() == Remedy::Pause => Ok(Outcome::Refused(format!(
                "{}: {error}",
                opened.destination.name
            ))),
            error => Err(error),
        },
        done => done,
    }
}

async fn transaction(
    connection: &mut PgConnection,
    token: Uuid,
    opened: Opened<'_>,
    mut rows: Rows<'_>,
    content: impl FnOnce() -> Option<Content>,
    clock_skew: Duration,
) -> Result<Outcome, Error> {
    let Opened {
        file,
        envelope,
        header,
        destination,
    } = opened;
    let (producer, job) = (file.key.producer(), file.key.job());
    let mut transaction = connection.begin().await?;
    let now = begin(&mut transaction).await?;
    if verdict::lock(&mut transaction, token, &[file.id])
        .await?
        .is_empty()
    {
        return Ok(Outcome::NotNow);
    }
    if let Err(reason) = not_ahead(envelope.time, now, clock_skew) {
        return Ok(Outcome::Unfit(reason));
    }
    let run = (producer.clone(), file.key.run());
    if let Some(hash) = verdict::loaded(&mut transaction, std::slice::from_ref(&run))
        .await?
        .get(&run)
    {
        // Only its hash is wanted, and that takes reading it to the end.
        while let Some(piece) = rows.next().await {
            piece.map_err(|super::Interrupted| Error::Interrupted)?;
        }
        let content = content().ok_or(Error::Interrupted)?;
        if hash[..] != content.hash {
            return Ok(Outcome::Unfit(other_content()));
        }
        let verdict = Verdict::read(file.id, State::Duplicate, content);
        return commit(transaction, token, verdict).await;
    }
    if !matches!(header.mode, Mode::Append) && !lock_job(&mut transaction, producer, job).await? {
        return Ok(Outcome::NotNow);
    }
    let target = Target {
        producer,
        job,
        destination,
        header,
    };
    let state = match &header.mode {
        Mode::Append => {
            append::load(&mut transaction, target, rows).await?;
            State::Loaded
        }
        Mode::Upsert { .. } => {
            if !upsert::load(&mut transaction, target, rows)
                .await?
                .is_empty()
            {
                return Ok(Outcome::Unfit(repeated_key(header)));
            }
            State::Loaded
        }
        Mode::Replace { .. } => {
            match replace::load(&mut transaction, target, envelope.time, file.id, &mut rows).await?
            {
                Replaced::Loaded => State::Loaded,
                Replaced::Superseded => {
                    // What is superseded must still be a whole, valid result.
                    while let Some(piece) = rows.next().await {
                        piece.map_err(|super::Interrupted| Error::Interrupted)?;
                    }
                    State::Superseded
                }
                Replaced::Unfit(reason) => return Ok(Outcome::Unfit(reason)),
            }
        }
    };
    let content = content().ok_or(Error::Interrupted)?;
    pause::end(&mut transaction, &[(producer, job)]).await?;
    commit(transaction, token, Verdict::read(file.id, state, content)).await
}

async fn commit(
    mut transaction: PgTransaction<'_>,
    token: Uuid,
    verdict: Verdict,
) -> Result<Outcome, Error> {
    let verdicts = [verdict];
    verdict::write(&mut transaction, token, &verdicts).await?;
    transaction.commit().await?;
    Ok(Outcome::Decided(Tally::of(&verdicts)))
}
