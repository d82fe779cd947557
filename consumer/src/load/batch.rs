//! Many small files in one transaction, a savepoint for each job.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use nightdrop_schema::{Header, Job, Mode, Producer, RunId};
use sqlx::postgres::PgConnection;

use sqlx::{Acquire, PgTransaction};

use super::replace::Replaced;
use super::widen::widen;
use super::{
    Error, Open, Rows, Target, Watch, append, begin, lock_job, not_ahead, open, other_content,
    replace, upsert,
};
use crate::destination::Destination;
use crate::failpoint::failpoint;
use crate::ledger::claim::File;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::ledger::verdict::{self, Content, Tally, Verdict};
use crate::ledger::{life, pause};
use crate::pool::Pool;
use crate::remedy::Remedy;
use crate::sqlstate;

/// Rows go to Postgres in pieces of about so many bytes.
const PIECE: usize = 512 * 1024;

/// A file that is read and checked.
#[derive(Debug)]
pub struct Ready {
    /// Its row in the ledger.
    pub file: File,
    /// What is in it.
    pub content: Content,
    /// What it says of itself: mode and columns.
    pub header: Header,
    /// Its rows in binary COPY format.
    pub rows: Vec<u8>,
}

/// The files of one job, by time, then by arrival.
#[derive(Debug)]
pub struct Group {
    /// Whose.
    pub producer: Producer,
    /// Which job's.
    pub job: Job,
    /// Where they go.
    pub destination: Destination,
    /// The files.
    pub files: Vec<Ready>,
}

/// What a batch came to. Files that it doesn't name are still claimed.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Files that have their verdict.
    pub tally: Tally,
    /// Files that will never load, to be parked.
    pub unfit: Vec<(i64, Reason)>,
    /// Jobs whose table refused, with what Postgres says.
    pub refused: Vec<(Producer, Job, String)>,
    /// Files of jobs that another consumer is loading just now, or that are to be settled anew.
    pub busy: Vec<i64>,
    /// Jobs that were retired, or are just now, or whose table is not as it was: what is known of their
    /// tables is to be forgotten.
    pub elsewhere: Vec<(Producer, Job)>,
}

/// Loads the groups and writes the verdicts, in one commit.
///
/// # Errors
/// When nothing could be committed: Postgres is away, or another consumer was first.
pub async fn load(
    pool: &Pool,
    watch: &Watch,
    groups: &[Group],
    clock_skew: Duration,
) -> Result<Loaded, Error> {
    let mut connection = pool.lend().await?;
    let work = transaction(&mut connection, watch, groups, clock_skew);
    let done = watch.unless_lost(work).await?;
    watch.end(connection).await;
    Ok(done)
}

async fn transaction(
    connection: &mut PgConnection,
    watch: &Watch,
    groups: &[Group],
    clock_skew: Duration,
) -> Result<Loaded, Error> {
    let token = watch.token;
    let mut transaction = connection.begin().await?;
    let now = begin(&mut transaction, watch).await?;
    let files = || groups.iter().flat_map(|group| &group.files);
    let ids: Vec<i64> = files().map(|ready| ready.file.id).collect();
    let ours: HashSet<i64> = verdict::lock(&mut transaction, token, &ids)
        .await?
        .into_iter()
        .collect();
    failpoint("load: files locked");
    let runs: Vec<(Producer, RunId)> = files()
        .map(|ready| (ready.file.key.producer().clone(), ready.file.key.run()))
        .collect();
    let loaded = verdict::loaded(&mut transaction, &runs).await?;
    let jobs: Vec<_> = groups
        .iter()
        .map(|group| (&group.producer, &group.job, group.destination.life))
        .collect();
    let lives = life::hold(&mut transaction, &jobs).await?;

    let mut sorting = Sorting {
        ours,
        loaded,
        seen: HashSet::new(),
    };
    let mut verdicts = Vec::with_capacity(ids.len());
    let mut result = Loaded::default();
    for group in groups {
        if !lives.contains(&group.destination.life) {
            let whose = (group.producer.clone(), group.job.clone());
            result.elsewhere.push(whose);
            let files = group.files.iter().map(|ready| ready.file.id);
            result.busy.extend(files);
            continue;
        }
        let mut fresh = Vec::with_capacity(group.files.len());
        for ready in &group.files {
            match sorting.sort(ready) {
                Sorted::Fresh => match not_ahead(ready.content.as_of, now, clock_skew) {
                    Ok(()) => fresh.push(ready),
                    Err(reason) => result.unfit.push((ready.file.id, reason)),
                },
                Sorted::Duplicate => {
                    verdicts.push(Verdict::read(
                        ready.file.id,
                        State::Duplicate,
                        ready.content.clone(),
                    ));
                }
                Sorted::OtherContent => result.unfit.push((ready.file.id, other_content())),
                Sorted::NotNow => {}
            }
        }
        if !fresh.is_empty() {
            load_group(
                &mut transaction,
                watch,
                group,
                &fresh,
                &mut verdicts,
                &mut result,
            )
            .await?;
        }
    }
    let jobs: Vec<_> = groups
        .iter()
        .filter(|group| lives.contains(&group.destination.life))
        .map(|group| (&group.producer, &group.job))
        .filter(|whose| {
            !result
                .refused
                .iter()
                .any(|(producer, job, _)| (producer, job) == *whose)
        })
        .collect();
    pause::end(&mut transaction, &jobs).await?;
    verdict::write(&mut transaction, token, &verdicts).await?;
    failpoint("load: verdicts written");
    transaction.commit().await?;
    failpoint("load: committed");
    result.tally = Tally::of(&verdicts);
    Ok(result)
}

/// Tells the files that are to be loaded from those that are not.
struct Sorting {
    ours: HashSet<i64>,
    loaded: HashMap<(Producer, RunId), Vec<u8>>,
    seen: HashSet<(Producer, RunId)>,
}

enum Sorted {
    Fresh,
    Duplicate,
    OtherContent,
    /// Another consumer's by now, or the second of a run within this batch: the next batch will tell.
    NotNow,
}

impl Sorting {
    fn sort(&mut self, ready: &Ready) -> Sorted {
        if !self.ours.contains(&ready.file.id) {
            return Sorted::NotNow;
        }
        let run = (ready.file.key.producer().clone(), ready.file.key.run());
        match self.loaded.get(&run) {
            Some(hash) if hash[..] == ready.content.hash => Sorted::Duplicate,
            Some(_) => Sorted::OtherContent,
            None if self.seen.insert(run) => Sorted::Fresh,
            None => Sorted::NotNow,
        }
    }
}

/// Loads the files of one job. Where a file's data is refused, the others are loaded without it.
async fn load_group(
    transaction: &mut PgTransaction<'_>,
    watch: &Watch,
    group: &Group,
    files: &[&Ready],
    verdicts: &mut Vec<Verdict>,
    result: &mut Loaded,
) -> Result<(), Error> {
    let locks = files
        .first()
        .is_some_and(|ready| !matches!(ready.header.mode, Mode::Append));
    if locks && !lock_job(transaction, &group.producer, &group.job).await? {
        result.busy.extend(files.iter().map(|ready| ready.file.id));
        return Ok(());
    }
    // Parts still to be loaded, the first on top: order matters to `replace` and `upsert`.
    let mut parts = vec![files];
    while let Some(part) = parts.pop() {
        let mut savepoint = transaction.begin().await?;
        match load_part(&mut savepoint, watch, group, part).await {
            Ok(done) => {
                savepoint.commit().await?;
                verdicts.extend(done.verdicts);
                result.unfit.extend(done.unfit);
            }
            Err(Error::Changed) => {
                savepoint.rollback().await?;
                result
                    .elsewhere
                    .push((group.producer.clone(), group.job.clone()));
                parts.push(part);
                let rest = parts.into_iter().flatten().map(|ready| ready.file.id);
                result.busy.extend(rest);
                return Ok(());
            }
            Err(error) => match (of_its_table(&error), part) {
                (Remedy::Park, [one]) => {
                    savepoint.rollback().await?;
                    result.unfit.push((
                        one.file.id,
                        Reason::new(Cause::Refused, format!("Postgres refused it: {error}")),
                    ));
                }
                (Remedy::Park, many) => {
                    savepoint.rollback().await?;
                    let (first, second) = many.split_at(many.len() / 2);
                    parts.extend([second, first]);
                }
                (Remedy::Pause, _) => {
                    savepoint.rollback().await?;
                    let sentence = format!("{}: {error}", group.destination.name);
                    result
                        .refused
                        .push((group.producer.clone(), group.job.clone(), sentence));
                    return Ok(());
                }
                (Remedy::Retry | Remedy::Hold | Remedy::Halt, _) => return Err(error),
            },
        }
    }
    Ok(())
}

/// What is to be done about an error of one job's rows. A table that somebody else has locked is no
/// reason for other jobs to wait.
pub(super) fn of_its_table(error: &Error) -> Remedy {
    match error {
        Error::Postgres(error) if sqlstate::is_locked_out(error) => Remedy::Pause,
        error => error.remedy(),
    }
}

#[derive(Default)]
struct Part {
    verdicts: Vec<Verdict>,
    unfit: Vec<(i64, Reason)>,
}

async fn load_part(
    savepoint: &mut PgTransaction<'_>,
    watch: &Watch,
    group: &Group,
    files: &[&Ready],
) -> Result<Part, Error> {
    let mut part = Part::default();
    let loaded = |ready: &Ready| Verdict::read(ready.file.id, State::Loaded, ready.content.clone());
    // Files that name the same columns in the same order share one COPY.
    for alike in files.chunk_by(|one, other| same_shape(&one.header, &other.header)) {
        let Some(first) = alike.first() else { continue };
        let target = Target {
            producer: &group.producer,
            job: &group.job,
            destination: &group.destination,
            header: &first.header,
            watch,
        };
        let Open { columns, widened } = open(savepoint, target).await?;
        match &first.header.mode {
            Mode::Append => {
                append::load(savepoint, target, widen(pieces(alike), &widened)).await?;
                part.verdicts
                    .extend(alike.iter().map(|ready| loaded(ready)));
            }
            Mode::Upsert { .. } => {
                let repeated =
                    upsert::load(savepoint, target, &columns, widen(pieces(alike), &widened))
                        .await?;
                for ready in alike {
                    if repeated.contains(&ready.file.id) {
                        part.unfit
                            .push((ready.file.id, repeated_key(&ready.header)));
                    } else {
                        part.verdicts.push(loaded(ready));
                    }
                }
            }
            Mode::Replace { .. } => {
                for ready in alike {
                    let target = Target {
                        header: &ready.header,
                        ..target
                    };
                    let (as_of, file) = (ready.content.as_of, ready.file.id);
                    let one = [*ready];
                    let mut rows = widen(pieces(&one), &widened);
                    match replace::load(savepoint, target, as_of, file, &mut rows).await? {
                        Replaced::Loaded => part.verdicts.push(loaded(ready)),
                        Replaced::Superseded => part.verdicts.push(Verdict::read(
                            file,
                            State::Superseded,
                            ready.content.clone(),
                        )),
                        Replaced::Unfit(reason) => part.unfit.push((file, reason)),
                    }
                }
            }
        }
    }
    check_constraints(savepoint).await?;
    Ok(part)
}

/// What would be checked at the commit is checked now: there it would be nobody's fault, and everybody's
/// loss.
async fn check_constraints(savepoint: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
    sqlx::query("SET CONSTRAINTS ALL IMMEDIATE")
        .execute(&mut **savepoint)
        .await?;
    // The next part may need them to wait again.
    sqlx::query("SET CONSTRAINTS ALL DEFERRED")
        .execute(&mut **savepoint)
        .await
        .map(drop)
}

/// The sentence for a file in which a key comes more than once.
pub(super) fn repeated_key(header: &Header) -> Reason {
    let key = match &header.mode {
        Mode::Upsert { primary_key } => primary_key
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>()
            .join(", "),
        Mode::Append | Mode::Replace { .. } => String::new(),
    };
    Reason::new(
        Cause::RepeatedKey,
        format!(
            "two rows have the same primary_key ({key}); which one counts can't be told: make the query give one row a key"
        ),
    )
}

fn same_shape(one: &Header, other: &Header) -> bool {
    one.columns.len() == other.columns.len()
        && one
            .columns
            .iter()
            .zip(&other.columns)
            .all(|(a, b)| a.name == b.name && a.ty == b.ty)
}

/// The rows of several files, gathered into larger pieces.
fn pieces<'a>(files: &'a [&'a Ready]) -> Rows<'a> {
    let mut rest = files
        .iter()
        .flat_map(|ready| ready.rows.chunks(PIECE))
        .peekable();
    stream::iter(std::iter::from_fn(move || {
        let mut piece = rest.next()?.to_vec();
        while let Some(next) = rest.next_if(|next| piece.len() + next.len() <= PIECE) {
            piece.extend_from_slice(next);
        }
        Some(Ok(piece))
    }))
    .boxed()
}
