//! The files of one job in one transaction with others': where its table refuses a file's data, the rest
//! are loaded without it.

use futures::StreamExt;
use futures::stream;
use nightdrop_schema::{Column, Header, Job, Mode, Producer};
use sqlx::{Acquire, PgTransaction};

use super::batch::Loaded;
use super::replace::Replaced;
use super::widen::widen;
use super::{
    Error, Open, Rows, Target, Watch, append, lock_job, of_its_table, open, replace, upsert,
};
use crate::destination::Destination;
use crate::ledger::claim::File;
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::state::State;
use crate::ledger::verdict::{Content, Verdict};
use crate::remedy::Remedy;

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

impl Ready {
    /// How much memory it takes: a few rows may have long descriptions of many columns.
    pub fn bytes(&self) -> usize {
        let columns = self.header.columns.iter().map(|column| {
            let description = column.description.as_ref().map_or(0, String::len);
            size_of::<Column>() + column.name.as_str().len() + description
        });
        self.rows.len() + columns.sum::<usize>()
    }
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

/// Loads the files of one job. Where a file's data is refused, the others are loaded without it.
pub(super) async fn load_group(
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
                            .push((ready.file.id, upsert::repeated_key(&ready.header)));
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
