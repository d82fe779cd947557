//! From the PUT's answer to the row that a reader sees.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use csv::StringRecord;
use futures::{StreamExt as _, stream};
use nightdrop_compose::Database;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::sleep;

use crate::bench::{Options, say};
use crate::check::{self, TABLE};
use crate::contender::ALL;
use crate::figures::{Sample, Spread, percentile};
use crate::runner::{Runner, until};
use crate::stack::Stack;
use crate::table::Table;
use crate::work::{Form, JOB, Named, Object, PRODUCERS, Work};

/// What marks the rows that are waited for.
const MARK: &str = "PROBE";

/// `poll.max` of the consumer that is measured, in seconds.
const POLL_MAX: f64 = 1.0;

/// How often Postgres is asked for a row; what is measured is at most this and one query too long.
const LOOK: Duration = Duration::from_millis(2);

/// The same under load, which asking would add to.
const LOOK_LOADED: Duration = Duration::from_millis(10);

/// The steady loads, as parts of what work S had a second in this run.
const PARTS: [(f64, &str); 4] = [(0.125, "⅛"), (0.25, "¼"), (0.375, "⅜"), (0.5, "½")];

/// How often a marked row is dropped under load.
const PROBE: Duration = Duration::from_millis(50);

/// Files a second, where work S wasn't measured in this run.
const FALLBACK: f64 = 1000.0;

/// What was measured, in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// `poll.max` of the consumer.
    pub poll_max: f64,
    /// Nothing else comes; sorted.
    pub idle: Vec<f64>,
    /// With steady loads beside.
    pub loaded: Vec<Loaded>,
    /// Most memory of the consumer under these, in bytes.
    pub peak: u64,
    /// Work L with `run`: from the PUT's beginning to the commit.
    pub large: Vec<f64>,
    /// The same from the PUT's answer.
    pub large_after_put: Vec<f64>,
}

/// With a steady load beside.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    /// What part of the rate of work S it was meant to be.
    pub part: &'static str,
    /// Files a second that it was meant to have.
    pub rate: f64,
    /// Files a second that it had: fewer, where this machine can't make and load as many at once.
    pub reached: f64,
    /// In seconds; sorted.
    pub took: Vec<f64>,
}

/// Measures idle, loaded, and with one large result.
///
/// # Errors
/// When a row doesn't come.
pub async fn measure(
    options: &Options,
    stack: &Stack,
    narrow: &Table,
    year: &Table,
    samples: &[Sample],
    logs: &Path,
) -> Result<Latency> {
    let config = format!("[poll]\nmax = \"{POLL_MAX}s\"\n");
    say("latency: idle");
    let database = stack.postgres.database()?;
    let runner = Runner::start(stack, &database, &config, &logs.join("latency-run.log"))?;
    let mut probes = Probes::ready(stack, &database, narrow).await?;
    let idle = idle(&mut probes, options.scaled(100, 4)).await?;
    let whole_rate = rate_of_s(samples).unwrap_or(FALLBACK * options.scale.max(0.05));
    let time = Duration::from_secs(u64::try_from(options.scaled(30, 3))?);
    let mut loads = Vec::new();
    for (fraction, part) in PARTS {
        let rate = whole_rate * fraction;
        say(&format!("latency: with {rate:.0} results a second beside"));
        let (took, reached) = loaded(&mut probes, narrow, rate, time).await?;
        loads.push(Loaded {
            part,
            rate,
            reached,
            took,
        });
    }
    let peak = runner.peak()?;
    drop(runner);
    stack.drop_box.clear().await?;
    stack.remove(&database).await?;

    let (mut large, mut large_after_put) = (Vec::new(), Vec::new());
    for run in 1..=options.runs {
        say(&format!("latency: one large result with `run`, run {run}"));
        let (whole, after) = one_large(stack, year, &config, &logs.join("large-run.log")).await?;
        large.push(whole);
        large_after_put.push(after);
    }
    Ok(Latency {
        poll_max: POLL_MAX,
        idle,
        loaded: loads,
        peak,
        large,
        large_after_put,
    })
}

/// What this run loaded of work S, in files a second; none if there was too little of it to tell.
fn rate_of_s(samples: &[Sample]) -> Option<f64> {
    let ours = |empty: bool, work: &'static str| {
        let chosen = samples.iter().filter(move |sample| {
            sample.contender == ALL[0].name
                && sample.empty == empty
                && (empty || sample.work == work)
        });
        Spread::of(
            chosen
                .filter(|sample| !sample.work.starts_with('P'))
                .map(|sample| sample.seconds),
        )
    };
    let (start_up, whole) = (ours(true, "")?, ours(false, "S")?);
    #[expect(clippy::cast_precision_loss, reason = "some thousands of files")]
    let files = samples
        .iter()
        .find(|sample| sample.work == "S" && !sample.empty)
        .map(|sample| sample.files as f64)?;
    if files < 1000.0 {
        return None;
    }
    Some(files / (whole.median - start_up.median).max(0.001))
}

/// Small results with a marked row each, and a way to see them.
struct Probes<'a> {
    stack: &'a Stack,
    connection: PgConnection,
    table: Table,
    next: usize,
}

impl<'a> Probes<'a> {
    /// Drops a first one, so that the table is there, and gives marked rows an index: looking for them costs nothing.
    async fn ready(stack: &'a Stack, database: &Database, narrow: &Table) -> Result<Self> {
        let connection = check::connect(database).await?;
        let table = Table {
            columns: narrow.columns.clone(),
            rows: Vec::new(),
        };
        let mut probes = Self {
            stack,
            connection,
            table,
            next: 0,
        };
        let (object, number) = probes.object()?;
        stack.drop_box.fill(&[object]).await?;
        until("the first row", Duration::from_millis(50), async || {
            // There is no table before the first result.
            Ok(probes
                .seen(&[number])
                .await
                .is_ok_and(|seen| !seen.is_empty()))
        })
        .await?;
        let index = format!("CREATE INDEX ON {TABLE} (flight) WHERE carrier = '{MARK}'");
        sqlx::raw_sql(AssertSqlSafe(index))
            .execute(&mut probes.connection)
            .await?;
        Ok(probes)
    }

    fn object(&mut self) -> Result<(Object, i64)> {
        self.next += 1;
        let number = self.next.to_string();
        let cells = self.table.columns.iter().map(|column| match column.name {
            "carrier" => MARK,
            "flight" => &number,
            "time_hour" => "2013-01-01T10:00:00Z",
            "origin" => "JFK",
            _ => "0",
        });
        self.table.rows = vec![StringRecord::from(cells.collect::<Vec<_>>())];
        let named = Named::new(PRODUCERS[self.next % PRODUCERS.len()], JOB, self.next)?;
        let body = named.message(&self.table.message_data([0].into_iter()));
        Ok((
            Object {
                key: named.key("json"),
                body: body.into(),
            },
            i64::try_from(self.next)?,
        ))
    }

    /// Those of `numbers` whose rows are there.
    async fn seen(&mut self, numbers: &[i64]) -> Result<Vec<i64>> {
        let query =
            format!("SELECT flight FROM {TABLE} WHERE carrier = '{MARK}' AND flight = ANY($1)");
        Ok(sqlx::query_scalar(AssertSqlSafe(query))
            .bind(numbers)
            .fetch_all(&mut self.connection)
            .await?)
    }

    /// Drops one and waits for its row: seconds.
    async fn one(&mut self) -> Result<f64> {
        let (object, number) = self.object()?;
        self.stack.drop_box.fill(&[object]).await?;
        let since = Instant::now();
        until("a row", LOOK, async || {
            Ok(!self.seen(&[number]).await?.is_empty())
        })
        .await?;
        Ok(since.elapsed().as_secs_f64())
    }
}

/// One after the other, at moments that lie evenly between two polls.
async fn idle(probes: &mut Probes<'_>, count: usize) -> Result<Vec<f64>> {
    let mut took = Vec::with_capacity(count);
    let mut phase = 0.0;
    for _ in 0..count {
        phase = (phase + 0.618_034) % 1.0;
        sleep(Duration::from_secs_f64(POLL_MAX * phase)).await;
        took.push(probes.one().await?);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

/// Beside a steady load of small results of the same job.
async fn loaded(
    probes: &mut Probes<'_>,
    narrow: &Table,
    rate: f64,
    time: Duration,
) -> Result<(Vec<f64>, f64)> {
    let inbox = probes.stack.drop_box.inbox.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn(steady(
        inbox,
        narrow.clone(),
        rate,
        Arc::clone(&stop),
        Arc::clone(&sent),
    ));
    // It has to be under load before it counts.
    sleep(time / 6).await;
    let (since, before) = (Instant::now(), sent.load(Ordering::Relaxed));
    let (mut took, mut pending) = (Vec::new(), Vec::new());
    let mut next = Duration::ZERO;
    while since.elapsed() < time || !pending.is_empty() {
        if since.elapsed() >= next && since.elapsed() < time {
            next += PROBE;
            let (object, number) = probes.object()?;
            probes.stack.drop_box.fill(&[object]).await?;
            pending.push((number, Instant::now()));
        }
        let numbers: Vec<i64> = pending.iter().map(|(number, _)| *number).collect();
        let seen = probes.seen(&numbers).await?;
        let now = Instant::now();
        pending.retain(|(number, put)| {
            let is_there = seen.contains(number);
            if is_there {
                took.push(now.duration_since(*put).as_secs_f64());
            }
            !is_there
        });
        ensure!(
            since.elapsed() < time * 4 + Duration::from_mins(1),
            "{} rows don't come",
            pending.len()
        );
        sleep(LOOK_LOADED).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands of files")]
    let reached = (sent.load(Ordering::Relaxed) - before) as f64 / since.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    load.await??;
    took.sort_by(f64::total_cmp);
    Ok((took, reached))
}

/// Drops `rate` small results a second, as evenly as it can.
async fn steady(
    inbox: nightdrop_compose::Inbox,
    narrow: Table,
    rate: f64,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Result<()> {
    let drop_box = crate::drop_box::DropBox::new(inbox)?;
    let since = Instant::now();
    let ticks = stream::unfold(0_usize, |number| {
        let stop = Arc::clone(&stop);
        async move {
            #[expect(clippy::cast_precision_loss, reason = "some thousands of files")]
            let due = Duration::from_secs_f64(number as f64 / rate);
            sleep(due.saturating_sub(since.elapsed())).await;
            (!stop.load(Ordering::Relaxed)).then_some((number, number + 1))
        }
    });
    let puts = ticks.map(|number| {
        let (drop_box, narrow, sent) = (&drop_box, &narrow, &sent);
        async move {
            let rows = (0..10)
                .map(|row| (number * 10 + row) % narrow.rows.len())
                .collect::<Vec<_>>();
            let named = Named::new(PRODUCERS[number % PRODUCERS.len()], JOB, number)?;
            let body = named.message(&narrow.message_data(rows.into_iter())).into();
            drop_box
                .fill(&[Object {
                    key: named.key("json"),
                    body,
                }])
                .await?;
            sent.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        }
    });
    let mut puts = std::pin::pin!(puts.buffer_unordered(64));
    while let Some(put) = puts.next().await {
        put?;
    }
    Ok(())
}

/// Work L with `run`: seconds from the PUT's beginning, and from its answer, to the commit.
async fn one_large(stack: &Stack, year: &Table, config: &str, log: &Path) -> Result<(f64, f64)> {
    let database = stack.postgres.database()?;
    let runner = Runner::start(stack, &database, config, log)?;
    let mut connection = check::connect(&database).await?;
    let query = "SELECT EXISTS (SELECT FROM nightdrop.file WHERE state = 'loaded')";
    until("the ledger", Duration::from_millis(50), async || {
        Ok(sqlx::query(query).execute(&mut connection).await.is_ok())
    })
    .await?;
    // It has polled at least once, and is idle.
    sleep(Duration::from_secs_f64(POLL_MAX * 2.0)).await;
    let work = Work::new("L", String::new(), year.clone(), 1, year.rows.len());
    let objects = work.objects(Form::Messages)?;
    stack.checkpoint().await?;
    let begun = Instant::now();
    stack.drop_box.fill(&objects).await?;
    let put = Instant::now();
    until("the large result", LOOK, async || {
        Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
    })
    .await
    .context("a large result with `run`")?;
    let took = (begun.elapsed().as_secs_f64(), put.elapsed().as_secs_f64());
    connection.close().await?;
    drop(runner);
    stack.drop_box.clear().await?;
    stack.remove(&database).await?;
    Ok(took)
}

impl Latency {
    /// p50 and p99 of some figures.
    pub fn percentiles(sorted: &[f64]) -> Option<(f64, f64)> {
        Some((percentile(sorted, 50.0)?, percentile(sorted, 99.0)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_s_is_that_of_its_files_in_the_time_that_start_up_leaves() {
        let sample = |empty: bool, seconds| Sample {
            work: "S".to_owned(),
            contender: ALL[0].name.to_owned(),
            source: "messages".to_owned(),
            run: 1,
            files: if empty { 0 } else { 4000 },
            empty,
            seconds,
            peak: None,
            own_cpu: 0.0,
            postgres_cpu: 0.0,
            s3_cpu: 0.0,
            wrong: None,
        };
        assert_eq!(rate_of_s(&[]), None);
        assert_eq!(
            rate_of_s(&[sample(true, 0.5), sample(false, 4.5)]),
            Some(1000.0)
        );
    }
}
