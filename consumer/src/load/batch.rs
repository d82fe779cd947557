//! Many small files in one transaction, a savepoint for each job.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use nightdrop_schema::{Job, Producer, RunId};
use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::group::load_group;
use super::{Error, Group, Ready, Watch, begin, not_ahead, other_content};
use crate::failpoint::failpoint;
use crate::ledger::reason::Reason;
use crate::ledger::state::State;
use crate::ledger::verdict::{self, Decided, Verdict};
use crate::ledger::{life, pause};
use crate::pool::Pool;

/// What a batch came to. Files that it doesn't name are still claimed.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Files that have their verdict.
    pub decided: Vec<Decided>,
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
    result.decided = verdict::write(&mut transaction, token, &verdicts).await?;
    failpoint("load: verdicts written");
    transaction.commit().await?;
    failpoint("load: committed");
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
