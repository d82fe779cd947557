//! What became of a file, written in the same transaction as its rows.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use nightdrop_runtime::trace::Parent;
use nightdrop_schema::{Header, Job, Mode, Producer, RunId, Timestamptz};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgTransaction, Row};
use uuid::Uuid;

use super::reason::{Cause, Reason};
use super::state::State;
use super::{instant, interval};

/// What reading a file's body told.
#[derive(Clone, Debug)]
pub struct Content {
    /// The exact instant that it is as of.
    pub as_of: Timestamptz,
    /// SHA-256 of the inflated body.
    pub hash: [u8; 32],
    /// How many rows.
    pub rows: u64,
    /// What a result says of itself; none for a note.
    pub said: Option<Said>,
    /// The trace that it belongs to.
    pub trace: Option<Parent>,
}

/// What the ledger keeps of a result's header.
#[derive(Clone, Debug)]
pub struct Said {
    mode: &'static str,
    extent: Extent,
    next_by: Option<Timestamptz>,
    /// What the query ran with, as JSON, where it is so little that the ledger keeps it.
    parameters: Option<String>,
}

impl Said {
    /// By this header.
    pub fn by(header: &Header) -> Self {
        let parameters = header.parameters.as_ref();
        Self {
            mode: header.mode.as_str(),
            extent: extent(&header.mode),
            next_by: header.next_by,
            parameters: parameters.and_then(little),
        }
    }
}

/// These parameters as JSON, unless that is longer than the ledger keeps.
fn little(parameters: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let mut room = [0; PARAMETERS];
    let mut left = &mut room[..];
    serde_json::to_writer(&mut left, parameters).ok()?;
    let length = PARAMETERS - left.len();
    String::from_utf8(room[..length].to_vec()).ok()
}

/// What became of one file.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its row.
    pub file: i64,
    /// Where it ends.
    pub state: State,
    /// What is in it, where that could be read.
    pub content: Option<Content>,
    /// Why, where it isn't in the reports; for a note, what it says.
    pub reason: Option<Reason>,
    /// When a held file is tried again.
    pub retry_in: Option<Duration>,
}

impl Verdict {
    /// A verdict on a file whose rows are in the reports, or needn't be.
    pub fn read(file: i64, state: State, content: Content) -> Self {
        Self {
            file,
            state,
            content: Some(content),
            reason: None,
            retry_in: None,
        }
    }

    /// A verdict on a file that carries no rows: what it says is the reason.
    pub fn noted(file: i64, content: Content, note: Reason) -> Self {
        Self {
            content: Some(content),
            ..Self::because(file, note)
        }
    }

    /// Where a file comes to for this reason.
    pub fn because(file: i64, reason: Reason) -> Self {
        Self {
            file,
            state: reason.cause.state(),
            content: None,
            reason: Some(reason),
            retry_in: None,
        }
    }
}

/// Locks those of the files that the token still holds, and names them. A file that another consumer
/// has taken over meanwhile is not among them, and must not be loaded.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn lock(
    transaction: &mut PgTransaction<'_>,
    token: Uuid,
    files: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id FROM nightdrop.file
         WHERE id = ANY($2) AND token = $1 AND state = 'waiting' ORDER BY id FOR UPDATE",
    )
    .bind(token)
    .bind(files)
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The hashes of those runs that are loaded already, pruned ones among them: one statement sees a run that
/// is being pruned in one of the two.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn loaded(
    connection: &mut PgConnection,
    runs: &[(Producer, RunId)],
) -> Result<HashMap<(Producer, RunId), Vec<u8>>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT wanted.at, coalesce(f.body_hash, s.body_hash)
         FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS wanted (producer, run_id, at)
         LEFT JOIN nightdrop.file f
           ON f.producer = wanted.producer AND f.run_id = wanted.run_id AND f.state = 'loaded'
         LEFT JOIN nightdrop.seen s ON s.producer = wanted.producer AND s.run_id = wanted.run_id
         WHERE coalesce(f.body_hash, s.body_hash) IS NOT NULL",
    )
    .bind(
        runs.iter()
            .map(|(producer, _)| producer.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        runs.iter()
            .map(|(_, run)| *run.as_uuid())
            .collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let at: i64 = row.try_get(0)?;
            let run = usize::try_from(at - 1).ok().and_then(|at| runs.get(at));
            let run = run.ok_or(sqlx::Error::RowNotFound)?;
            Ok((run.clone(), row.try_get(1)?))
        })
        .collect()
}

/// What a loaded `replace` covers: its range's column and half-open bounds, or all of the job.
pub type Extent = Option<(String, i64, i64)>;

/// The extent of a `replace`; none for the other modes.
pub fn extent(mode: &Mode) -> Extent {
    let Mode::Replace { range: Some(range) } = mode else {
        return None;
    };
    Some((range.column.to_string(), range.from.raw(), range.to.raw()))
}

/// What the loaded results of a job cover that come after this one: by time, then by arrival. Those of
/// a life of the job before it was retired don't count: their rows are elsewhere, or were of another kind.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn newer(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
    as_of: Timestamptz,
    file: i64,
) -> Result<Vec<Extent>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT f.range_column, f.range_from, f.range_to
         FROM nightdrop.file f JOIN nightdrop.job j USING (producer, job)
         WHERE f.producer = $1 AND f.job = $2 AND f.state = 'loaded' AND (f.as_of, f.id) > ($3, $4)
           AND f.decided_at >= j.created_at",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    .bind(instant(as_of))
    .bind(file)
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter()
        .map(|row| {
            let column: Option<String> = row.try_get(0)?;
            Ok(match column {
                Some(column) => Some((column, row.try_get(1)?, row.try_get(2)?)),
                None => None,
            })
        })
        .collect()
}

/// What the ledger says of a file that has its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whose.
    pub producer: String,
    /// Which job's.
    pub job: String,
    /// Where it ended.
    pub state: State,
    /// Why, where it isn't in the reports.
    pub cause: Option<Cause>,
    /// The instant that it is as of.
    pub as_of: DateTime<Utc>,
    /// When it was put, by the bucket's clock.
    pub put_at: Option<DateTime<Utc>>,
    /// When it was decided, by Postgres's clock.
    pub at: DateTime<Utc>,
    /// Stored bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
}

/// How many files came to which state, and how many rows are in the reports by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Results loaded.
    pub loaded: u64,
    /// Their rows.
    pub rows: u64,
    /// Results superseded.
    pub superseded: u64,
    /// Files that brought a loaded run again.
    pub duplicates: u64,
    /// Files parked.
    pub parked: u64,
    /// Files left in the bucket.
    pub held: u64,
    /// Files without rows.
    pub noted: u64,
    /// Files that are no longer there.
    pub missing: u64,
}

impl Tally {
    /// Counts these files.
    pub fn of(decided: &[Decided]) -> Self {
        let mut tally = Self::default();
        for file in decided {
            let count = match file.state {
                State::Loaded => {
                    tally.rows += file.rows;
                    &mut tally.loaded
                }
                State::Superseded => &mut tally.superseded,
                State::Duplicate => &mut tally.duplicates,
                State::Parked => &mut tally.parked,
                State::Held => &mut tally.held,
                State::Noted => &mut tally.noted,
                State::Missing => &mut tally.missing,
                // No verdict leads there.
                State::Waiting | State::Redriven | State::Dropped => continue,
            };
            *count += 1;
        }
        tally
    }

    /// All files, whatever became of them.
    pub fn files(&self) -> u64 {
        self.loaded
            + self.superseded
            + self.duplicates
            + self.parked
            + self.held
            + self.noted
            + self.missing
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.rows += other.rows;
        self.superseded += other.superseded;
        self.duplicates += other.duplicates;
        self.parked += other.parked;
        self.held += other.held;
        self.noted += other.noted;
        self.missing += other.missing;
    }
}

/// So many bytes of what a query ran with are kept at most, of each result.
const PARAMETERS: usize = 2_000;

/// This program's version, by which the ledger knows who has judged a file.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes the verdicts, and lets go of the bytes of redriven files that are parked no more. All of the
/// files must be locked by [`lock`] in this transaction. Gives what is true once that is committed.
///
/// # Errors
/// When Postgres refuses or is away, and when a file was not ours any more: then nothing may be
/// committed. A violated `file_loaded_once` says that another consumer loaded the same run just now.
pub async fn write(
    transaction: &mut PgTransaction<'_>,
    token: Uuid,
    verdicts: &[Verdict],
) -> Result<Vec<Decided>, sqlx::Error> {
    let contents = || verdicts.iter().map(|verdict| verdict.content.as_ref());
    let said = || contents().map(|content| content.and_then(|content| content.said.as_ref()));
    let extents: Vec<_> = said()
        .map(|said| said.and_then(|said| said.extent.as_ref()))
        .collect();
    let reasons = || verdicts.iter().map(|verdict| verdict.reason.as_ref());
    let rows = sqlx::query(
        "WITH decided AS (
         UPDATE nightdrop.file f
         SET state = v.state, decided_at = clock_timestamp(), token = NULL, lease_until = NULL,
             attempts = attempts - 1, kept = v.state = 'parked',
             gone_at = CASE WHEN v.state = 'missing' THEN now() ELSE f.gone_at END,
             as_of = coalesce(v.as_of, f.as_of), body_hash = v.body_hash, row_count = v.row_count,
             mode = v.mode, range_column = v.range_column, range_from = v.range_from, range_to = v.range_to,
             next_by = v.next_by, parameters = v.parameters,
             traceparent = coalesce(v.traceparent, f.traceparent),
             reason = v.reason, error = v.error, retry_at = now() + v.retry_in,
             judged_by = CASE WHEN v.reason = 'unknown_version'
                              THEN array_append(array_remove(f.judged_by, $15), $15) ELSE f.judged_by END
         FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::bytea[], $6::bigint[], $7::text[],
                     $8::text[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::text[], $13::text[],
                     $14::interval[], $16::text[], $17::text[]) WITH ORDINALITY
              AS v (id, state, as_of, body_hash, row_count, mode, range_column, range_from, range_to,
                    next_by, reason, error, retry_in, traceparent, parameters, at)
         -- In a CASE, of which the planner takes half to be true: of the two conditions as such it expects one
         -- row, and reads all verdicts once for each.
         WHERE f.id = v.id AND CASE WHEN f.token = $1 THEN f.state = 'waiting' END
         RETURNING v.at, f.id, f.kept, f.producer, f.job, f.as_of, f.put_at, f.decided_at, f.size, f.row_count,
                   f.traceparent
         ), done_with AS (
         DELETE FROM nightdrop.parked p USING decided WHERE p.file = decided.id AND NOT decided.kept
         )
         SELECT at, producer, job, as_of, put_at, decided_at, size, row_count, traceparent FROM decided",
    )
    .bind(token)
    .bind(verdicts.iter().map(|verdict| verdict.file).collect::<Vec<_>>())
    .bind(verdicts.iter().map(|verdict| verdict.state.as_str()).collect::<Vec<_>>())
    .bind(contents().map(|content| content.map(|content| instant(content.as_of))).collect::<Vec<_>>())
    .bind(contents().map(|content| content.map(|content| content.hash.to_vec())).collect::<Vec<_>>())
    .bind(
        contents()
            .map(|content| content.map(|content| i64::try_from(content.rows).unwrap_or(i64::MAX)))
            .collect::<Vec<_>>(),
    )
    .bind(said().map(|said| said.map(|said| said.mode)).collect::<Vec<_>>())
    .bind(extents.iter().map(|extent| extent.map(|(column, ..)| column.as_str())).collect::<Vec<_>>())
    .bind(extents.iter().map(|extent| extent.map(|(_, from, _)| *from)).collect::<Vec<_>>())
    .bind(extents.iter().map(|extent| extent.map(|(.., to)| *to)).collect::<Vec<_>>())
    .bind(
        said()
            .map(|said| said.and_then(|said| said.next_by).map(instant))
            .collect::<Vec<_>>(),
    )
    .bind(reasons().map(|reason| reason.map(|reason| reason.cause.as_str())).collect::<Vec<_>>())
    .bind(reasons().map(|reason| reason.map(|reason| reason.sentence.replace('\0', "\u{FFFD}"))).collect::<Vec<_>>())
    .bind(verdicts.iter().map(|verdict| verdict.retry_in.map(interval)).collect::<Vec<_>>())
    .bind(VERSION)
    .bind(
        contents()
            .map(|content| content.and_then(|content| content.trace.as_ref()).map(Parent::to_string))
            .collect::<Vec<_>>(),
    )
    .bind(said().map(|said| said.and_then(|said| said.parameters.as_deref())).collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await?;
    if rows.len() != verdicts.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    not_seen(transaction, verdicts).await?;
    rows.iter().map(|row| decided(row, verdicts)).collect()
}

fn decided(row: &PgRow, verdicts: &[Verdict]) -> Result<Decided, sqlx::Error> {
    let at: i64 = row.try_get("at")?;
    let verdict = usize::try_from(at - 1)
        .ok()
        .and_then(|at| verdicts.get(at))
        .ok_or(sqlx::Error::RowNotFound)?;
    Ok(Decided {
        producer: row.try_get("producer")?,
        job: row.try_get("job")?,
        state: verdict.state,
        cause: verdict.reason.as_ref().map(|reason| reason.cause),
        as_of: row.try_get("as_of")?,
        put_at: row.try_get("put_at")?,
        at: row.try_get("decided_at")?,
        size: row.try_get::<i64, _>("size")?.unsigned_abs(),
        rows: row
            .try_get::<Option<i64>, _>("row_count")?
            .unwrap_or_default()
            .unsigned_abs(),
        traceparent: row.try_get("traceparent")?,
    })
}

/// The unique index knows nothing of a run that another consumer loaded after we looked, and that was
/// pruned since. Only a look after the rows are written finds it for certain: as long as the other's row is
/// there, or is being pruned, they wait for it.
async fn not_seen(
    transaction: &mut PgTransaction<'_>,
    verdicts: &[Verdict],
) -> Result<(), sqlx::Error> {
    let loaded: Vec<i64> = verdicts
        .iter()
        .filter(|verdict| verdict.state == State::Loaded)
        .map(|verdict| verdict.file)
        .collect();
    if loaded.is_empty() {
        return Ok(());
    }
    let seen: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM nightdrop.file f JOIN nightdrop.seen s USING (producer, run_id)
                        WHERE f.id = ANY($1))",
    )
    .bind(loaded)
    .fetch_one(&mut **transaction)
    .await?;
    if seen {
        // As when another consumer took a file over: the next look finds a duplicate.
        Err(sqlx::Error::RowNotFound)
    } else {
        Ok(())
    }
}
