//! One large file in a transaction of its own: its rows go to Postgres while they are read.

use std::time::Duration;

use futures::StreamExt;
use nightdrop_schema::{Envelope, Header, Mode};
use sqlx::postgres::PgConnection;

use sqlx::{Acquire, PgTransaction};
use uuid::Uuid;

use super::replace::Replaced;
use super::widen::widen;
use super::{
    Error, Open, Rows, Target, Watch, append, begin, lock_job, not_ahead, of_its_table, open,
    other_content, replace, upsert,
};
use crate::destination::Destination;
use crate::failpoint::failpoint;
use crate::ledger::claim::File;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::ledger::verdict::{self, Content, Decided, Verdict};
use crate::ledger::{life, pause};
use crate::pool::Pool;
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
    Decided(Vec<Decided>),
    /// It will never load: to be parked.
    Unfit(Reason),
    /// Its table refused: its job rests.
    Refused(String),
    /// Another consumer's by now, or its job is being loaded elsewhere.
    NotNow,
    /// Its job was retired, or is just now, or its table is not as it was: what is known of it is to be
    /// forgotten.
    Elsewhere,
}

/// Loads the file and writes its verdict, in one commit. `content` is asked for when the rows have
/// ended well.
///
/// # Errors
/// When nothing could be committed: the rows were interrupted, or Postgres is away.
pub async fn load(
    pool: &Pool,
    watch: &Watch,
    opened: Opened<'_>,
    rows: Rows<'_>,
    content: impl FnOnce() -> Option<Content>,
    clock_skew: Duration,
) -> Result<Outcome, Error> {
    let mut connection = pool.lend().await?;
    let work = see_through(&mut connection, watch, opened, rows, content, clock_skew);
    let done = watch.unless_lost(work).await;
    if matches!(done, Ok(Outcome::Decided(_))) {
        watch.end(connection).await;
    }
    match done {
        Err(Error::Changed) => Ok(Outcome::Elsewhere),
        Err(Error::Postgres(error)) => match Error::from(error) {
            error if error.remedy() == Remedy::Park => Ok(Outcome::Unfit(Reason::new(
                Cause::Refused,
                format!("Postgres refused it: {error}"),
            ))),
            error if of_its_table(&error) == Remedy::Pause => Ok(Outcome::Refused(format!(
                "{}: {error}",
                opened.destination.name
            ))),
            error => Err(error),
        },
        done => done,
    }
}

/// How far a transaction came.
enum Step {
    /// As far as it could.
    Done(Outcome),
    /// Its rows are not wanted; the file must still be whole, and that takes reading it to its end.
    Unwanted,
}

async fn see_through(
    connection: &mut PgConnection,
    watch: &Watch,
    opened: Opened<'_>,
    mut rows: Rows<'_>,
    content: impl FnOnce() -> Option<Content>,
    clock_skew: Duration,
) -> Result<Outcome, Error> {
    let run = (opened.file.key.producer().clone(), opened.file.key.run());
    let again = !verdict::loaded(connection, std::slice::from_ref(&run))
        .await?
        .is_empty();
    let mut content = Some(content);
    if again {
        tracing::info!(file = opened.file.id, key = %opened.file.key, "this run is loaded already: read to its end, to be compared");
    } else {
        let step = transaction(
            connection,
            watch,
            opened,
            &mut rows,
            &mut content,
            clock_skew,
        )
        .await?;
        if let Step::Done(outcome) = step {
            return Ok(outcome);
        }
    }
    // No transaction is open meanwhile: it would be ended as idle, and hold its locks for so long.
    while let Some(piece) = rows.next().await {
        piece.map_err(|super::Interrupted| Error::Interrupted)?;
    }
    let content = content
        .take()
        .and_then(|content| content())
        .ok_or(Error::Interrupted)?;
    without_rows(connection, watch, opened, content, clock_skew).await
}

/// A file whose rows are not wanted has been read to its end: gives it the verdict that keeps them out.
async fn without_rows(
    connection: &mut PgConnection,
    watch: &Watch,
    opened: Opened<'_>,
    content: Content,
    clock_skew: Duration,
) -> Result<Outcome, Error> {
    let Opened {
        file,
        header,
        destination,
        ..
    } = opened;
    let (producer, job) = (file.key.producer(), file.key.job());
    let mut transaction = connection.begin().await?;
    let now = begin(&mut transaction, watch).await?;
    if verdict::lock(&mut transaction, watch.token, &[file.id])
        .await?
        .is_empty()
    {
        return Ok(Outcome::NotNow);
    }
    if let Err(reason) = not_ahead(content.as_of, now, clock_skew) {
        return Ok(Outcome::Unfit(reason));
    }
    let settled = (producer, job, destination.life);
    if life::hold(&mut transaction, &[settled]).await?.is_empty() {
        return Ok(Outcome::Elsewhere);
    }
    let run = (producer.clone(), file.key.run());
    if let Some(hash) = verdict::loaded(&mut transaction, std::slice::from_ref(&run))
        .await?
        .get(&run)
    {
        if hash[..] != content.hash {
            return Ok(Outcome::Unfit(other_content()));
        }
        let verdict = Verdict::read(file.id, State::Duplicate, content);
        return commit(transaction, watch.token, verdict).await;
    }
    let still = matches!(header.mode, Mode::Replace { .. })
        && lock_job(&mut transaction, producer, job).await?
        && replace::is_superseded(
            &mut transaction,
            producer,
            job,
            header,
            content.as_of,
            file.id,
        )
        .await?;
    if !still {
        // What stood against its rows is gone again: from the beginning.
        return Ok(Outcome::NotNow);
    }
    pause::end(&mut transaction, &[(producer, job)]).await?;
    commit(
        transaction,
        watch.token,
        Verdict::read(file.id, State::Superseded, content),
    )
    .await
}

async fn transaction(
    connection: &mut PgConnection,
    watch: &Watch,
    opened: Opened<'_>,
    rows: &mut Rows<'_>,
    content: &mut Option<impl FnOnce() -> Option<Content>>,
    clock_skew: Duration,
) -> Result<Step, Error> {
    let Opened {
        file,
        envelope,
        header,
        destination,
    } = opened;
    let (producer, job) = (file.key.producer(), file.key.job());
    let mut transaction = connection.begin().await?;
    let now = begin(&mut transaction, watch).await?;
    if verdict::lock(&mut transaction, watch.token, &[file.id])
        .await?
        .is_empty()
    {
        return Ok(Step::Done(Outcome::NotNow));
    }
    failpoint("load: files locked");
    if let Err(reason) = not_ahead(envelope.time, now, clock_skew) {
        return Ok(Step::Done(Outcome::Unfit(reason)));
    }
    let settled = (producer, job, destination.life);
    if life::hold(&mut transaction, &[settled]).await?.is_empty() {
        return Ok(Step::Done(Outcome::Elsewhere));
    }
    if !matches!(header.mode, Mode::Append) && !lock_job(&mut transaction, producer, job).await? {
        return Ok(Step::Done(Outcome::NotNow));
    }
    let target = Target {
        producer,
        job,
        destination,
        header,
        watch,
    };
    let Open { columns, widened } = open(&mut transaction, target).await?;
    let mut widened = widen(rows.boxed(), &widened);
    match &header.mode {
        Mode::Append => {
            append::load(&mut transaction, target, widened).await?;
        }
        Mode::Upsert { .. } => {
            if !upsert::load(&mut transaction, target, &columns, widened)
                .await?
                .is_empty()
            {
                return Ok(Step::Done(Outcome::Unfit(upsert::repeated_key(header))));
            }
        }
        Mode::Replace { .. } => {
            match replace::load(
                &mut transaction,
                target,
                envelope.time,
                file.id,
                &mut widened,
            )
            .await?
            {
                Replaced::Loaded => {}
                Replaced::Superseded => {
                    transaction.rollback().await?;
                    return Ok(Step::Unwanted);
                }
                Replaced::Unfit(reason) => return Ok(Step::Done(Outcome::Unfit(reason))),
            }
        }
    }
    let content = content
        .take()
        .and_then(|content| content())
        .ok_or(Error::Interrupted)?;
    failpoint("file: decoded");
    pause::end(&mut transaction, &[(producer, job)]).await?;
    commit(
        transaction,
        watch.token,
        Verdict::read(file.id, State::Loaded, content),
    )
    .await
    .map(Step::Done)
}

async fn commit(
    mut transaction: PgTransaction<'_>,
    token: Uuid,
    verdict: Verdict,
) -> Result<Outcome, Error> {
    let verdicts = [verdict];
    let decided = verdict::write(&mut transaction, token, &verdicts).await?;
    failpoint("load: verdicts written");
    transaction.commit().await?;
    failpoint("load: committed");
    Ok(Outcome::Decided(decided))
}
