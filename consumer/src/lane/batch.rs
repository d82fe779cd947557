//! Small files, some hundreds at a time: fetched and decoded at once, loaded in one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nightdrop_schema::{Job, Producer};

use super::lease::Lease;
use super::queue::Queue;
use super::{AWAY, BUSY, Error, Progress, give_back, unfit};
use crate::consumer::Consumer;
use crate::destination::{self, Destination};
use crate::failpoint::failpoint;
use crate::fetch::{self, Fetched};
use crate::ledger::claim::{Claim, File, Lane};
use crate::ledger::pause;
use crate::ledger::reason::Reason;
use crate::ledger::taken;
use crate::ledger::verdict::{Tally, Verdict};
use crate::load::batch::{Loaded, load};
use crate::load::{Group, Ready, Watch};
use crate::park;
use crate::remedy::Remedy;
use crate::traces;

/// So many GETs at once.
const FETCHES: usize = 128;

/// Once a batch holds so many bytes, as far as can be told beforehand, no more of its files are asked for: the rest
/// is given back.
const BYTES: usize = 8 * 1024 * 1024;

/// Once it holds so many, what is still under way is given back too: it took more memory than others of its job did.
const TOO_MANY: usize = BYTES / 2 * 3;

/// Claims a batch and sees it through. Of several side by side one claims, one fetches, the others load.
///
/// # Errors
/// When the bucket or Postgres is away; what has no verdict by then is given back.
pub async fn pass(consumer: &Consumer) -> Result<Progress, Error> {
    let company = &consumer.company;
    let _under_way = company.batch().await;
    let mut claiming = company.claiming().await;
    let changes = company.changes();
    if claiming.is_in_vain(changes) {
        return Ok(Progress::default());
    }
    let claim = super::claim(consumer, Lane::Batch(company.size())).await?;
    if claim.files.is_empty() {
        claiming.found_nothing(changes);
        return Ok(Progress::default());
    }
    let lease = Lease::keep(consumer, &claim);
    let fetching = company.fetching().await;
    drop(claiming);
    let begun = Instant::now();
    let (fetched, ended) = fetch(consumer, &claim.files).await;
    drop(fetching);
    let fitted = fetched.files();
    let done = work(consumer, &claim, fetched, &lease.watch).await;
    drop(lease);
    match ended {
        Ended::MemoryFull => company.fitted(fitted),
        Ended::Fetched | Ended::Broken => company.learn(claim.files.len(), begun.elapsed()),
    }
    if !matches!(done, Ok(decided) if decided == claim.files.len()) {
        give_back(consumer, &claim, Duration::ZERO).await;
    }
    company.changed();
    Ok(Progress {
        claimed: claim.files.len(),
        decided: done?,
    })
}

/// The files of a claim, sorted by what came of fetching them.
#[derive(Default)]
struct Sorted {
    ready: Vec<Ready>,
    verdicts: Vec<Verdict>,
    bad: Vec<(i64, Reason, Bytes)>,
    large: Vec<i64>,
    away: Vec<(i64, fetch::Error)>,
}

impl Sorted {
    fn files(&self) -> usize {
        let Self {
            ready,
            verdicts,
            bad,
            large,
            away,
        } = self;
        ready.len() + verdicts.len() + bad.len() + large.len() + away.len()
    }
}

/// Why fetching ended.
enum Ended {
    /// All files were fetched.
    Fetched,
    /// No more fit in.
    MemoryFull,
    /// A signal came, or the bucket is away.
    Broken,
}

async fn work(
    consumer: &Consumer,
    claim: &Claim,
    fetched: Sorted,
    watch: &Watch,
) -> Result<usize, Error> {
    let Sorted {
        ready,
        verdicts,
        bad,
        large,
        mut away,
    } = fetched;
    let mut tally = Tally::default();
    let mut sent = 0;
    // Good files first: what is bad never delays them.
    let mut unfit = Vec::new();
    let begun = SystemTime::now();
    let groups = group(consumer, ready, &mut unfit, begun).await?;
    if !groups.is_empty() {
        let loaded = load(
            consumer.pool(),
            watch,
            &groups,
            consumer.config.load.clock_skew,
        )
        .await?;
        traces::loaded(&loaded.decided, begun);
        for ready in groups.iter().flat_map(|group| &group.files) {
            let of = |(id, _): &&(i64, Reason)| *id == ready.file.id;
            if let Some((_, reason)) = loaded.unfit.iter().find(of) {
                traces::unfit(
                    &ready.file,
                    ready.content.trace.as_ref(),
                    reason.cause,
                    begun,
                );
            }
        }
        tally += consumer.count(&loaded.decided);
        settle(consumer, claim, loaded, &mut unfit).await?;
    }
    drop(groups);

    for (id, reason, _) in &bad {
        warn(&claim.files, *id, reason);
    }
    if !verdicts.is_empty() || !bad.is_empty() {
        tally += consumer.count(
            &park::decide(consumer.pool(), claim.token, verdicts, bad, consumer.room()).await?,
        );
    }
    if !large.is_empty() {
        taken::send_to_stream(consumer.pool(), claim.token, &large).await?;
        failpoint("claim: sent to the streams");
        sent = large.len() as u64;
        consumer.streams.notify_one();
    }
    let parked = park_unfit(consumer, claim, unfit).await?;
    tally += parked.tally;
    away.extend(parked.away);
    let ids: Vec<i64> = away.iter().map(|(id, _)| *id).collect();
    if !ids.is_empty() {
        taken::put_off(consumer.pool(), claim.token, &ids, AWAY).await?;
    }
    match away.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(usize::try_from(tally.files() + sent).unwrap_or(usize::MAX)),
    }
}

/// Fetches and decodes until all are there, memory is full, or the bucket is away. One object that it
/// fails to give says nothing of those beside it.
async fn fetch(consumer: &Consumer, files: &[File]) -> (Sorted, Ended) {
    let mut sorted = Sorted::default();
    let (mut bytes, mut failures) = (0, 0);
    let mut queue = Queue::new(files);
    let mut arriving = FuturesUnordered::new();
    let ended = loop {
        while arriving.len() < FETCHES
            && let Some(fetching) = queue.next(BYTES)
        {
            let fetch = consumer.fetch.clone();
            arriving.push(async move {
                let fetched = fetch.run(fetching.file.clone()).await;
                (fetching, fetched)
            });
        }
        // A stop signal lets what is read be loaded; the rest is given back.
        let one = tokio::select! {
            () = consumer.stop.cancelled() => break Ended::Broken,
            one = arriving.next() => one,
        };
        let Some((fetching, one)) = one else {
            break if queue.is_empty() {
                Ended::Fetched
            } else {
                Ended::MemoryFull
            };
        };
        if !matches!(one, Fetched::Away(..)) {
            failures = 0;
        }
        let held = one.bytes();
        queue.fetched(&fetching, held);
        bytes += held;
        match one {
            Fetched::Ready(ready) => sorted.ready.push(*ready),
            Fetched::Note(verdict) | Fetched::Settled(verdict) => sorted.verdicts.push(*verdict),
            Fetched::Bad(id, reason, stored) => sorted.bad.push((id, reason, stored)),
            Fetched::Large(id) => sorted.large.push(id),
            Fetched::Away(id, error) => {
                failures += 1;
                let everyone = error.remedy() == Remedy::Halt;
                sorted.away.push((id, error));
                if everyone || failures >= FETCHES {
                    break Ended::Broken;
                }
            }
        }
        if bytes > TOO_MANY {
            break Ended::MemoryFull;
        }
    };
    (sorted, ended)
}

/// Groups the files by job, each with the table that its rows go to.
async fn group(
    consumer: &Consumer,
    mut ready: Vec<Ready>,
    unfit: &mut Vec<(i64, Reason)>,
    begun: SystemTime,
) -> Result<Vec<Group>, Error> {
    ready.sort_by_key(|ready| (ready.content.as_of, ready.file.id));
    let mut groups: BTreeMap<(Producer, Job), Group> = BTreeMap::new();
    let mut paused = BTreeSet::new();
    for ready in ready {
        let (producer, job) = (
            ready.file.key.producer().clone(),
            ready.file.key.job().clone(),
        );
        let whose = (producer.clone(), job.clone());
        if paused.contains(&whose) {
            continue;
        }
        match consumer
            .destinations
            .find(
                consumer,
                &producer,
                &job,
                &ready.header,
                groups.contains_key(&whose),
            )
            .await
        {
            Ok(destination) => add(&mut groups, whose, destination, ready),
            Err(destination::Error::Unfit(reason)) => {
                traces::unfit(
                    &ready.file,
                    ready.content.trace.as_ref(),
                    reason.cause,
                    begun,
                );
                unfit.push((ready.file.id, reason));
            }
            // Given back with what has no verdict, and taken again when the first has its own.
            Err(destination::Error::NotYet(..)) => {}
            Err(error) if error.remedy() == Remedy::Pause => {
                rest(consumer, &producer, &job, &error.to_string()).await?;
                groups.remove(&whose);
                paused.insert(whose);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(groups.into_values().collect())
}

fn add(
    groups: &mut BTreeMap<(Producer, Job), Group>,
    whose: (Producer, Job),
    destination: Destination,
    ready: Ready,
) {
    let (producer, job) = whose.clone();
    let group = groups.entry(whose).or_insert_with(|| Group {
        producer,
        job,
        destination: destination.clone(),
        files: Vec::new(),
    });
    if group.destination.life != destination.life {
        // Retired meanwhile: those before were compared with a table that is no longer the job's.
        group.files.clear();
    }
    // A later file may have brought new columns.
    group.destination = destination;
    group.files.push(ready);
}

/// Lets the jobs rest whose tables refused, and takes over what is to be parked.
async fn settle(
    consumer: &Consumer,
    claim: &Claim,
    loaded: Loaded,
    unfit: &mut Vec<(i64, Reason)>,
) -> Result<(), Error> {
    for (producer, job, error) in &loaded.refused {
        rest(consumer, producer, job, error).await?;
    }
    for (producer, job) in &loaded.elsewhere {
        consumer.destinations.forget(producer, job);
    }
    if !loaded.busy.is_empty() {
        taken::put_off(consumer.pool(), claim.token, &loaded.busy, BUSY).await?;
        failpoint("claim: put off");
    }
    unfit.extend(loaded.unfit);
    Ok(())
}

/// A job rests, and what we think we know of its table is forgotten.
pub(super) async fn rest(
    consumer: &Consumer,
    producer: &Producer,
    job: &Job,
    error: &str,
) -> Result<(), Error> {
    tracing::warn!(%producer, %job, error, "the report table refuses: this job rests, all others go on");
    consumer.destinations.forget(producer, job);
    pause::pause(consumer.pool(), producer, job, error).await?;
    Ok(())
}

/// A line for each file that is parked: somebody may be woken by it.
fn warn(files: &[File], id: i64, reason: &Reason) {
    let key = files
        .iter()
        .find(|file| file.id == id)
        .map(|file| file.key.to_string())
        .unwrap_or_default();
    tracing::warn!(file = id, key, reason = reason.cause.as_str(), error = %reason.sentence, "parking a file");
}

async fn park_unfit(
    consumer: &Consumer,
    claim: &Claim,
    unfit: Vec<(i64, Reason)>,
) -> Result<unfit::Parked, Error> {
    let mut files = Vec::with_capacity(unfit.len());
    for (id, reason) in unfit {
        let Some(file) = claim.files.iter().find(|file| file.id == id) else {
            continue;
        };
        warn(&claim.files, id, &reason);
        files.push((file.clone(), reason));
    }
    unfit::park(consumer, claim.token, files).await
}
