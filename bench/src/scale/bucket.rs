//! LIST of a bucket that is full, and how often it is asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nightdrop_schema::INBOX;
use serde::Serialize;
use tokio::time::sleep;

use super::stub_config;
use crate::bench::{Options, say};
use crate::figures::percentile;
use crate::limits;
use crate::runner::Runner;
use crate::stack::Stack;
use crate::stub::Stub;
use crate::table::Table;
use crate::work::{Form, Work};

/// What AWS takes for 1,000 LIST or PUT requests, in dollars in us-east-1 (<https://aws.amazon.com/s3/pricing/>).
const DOLLARS_A_THOUSAND: f64 = 0.005;

/// LISTs of a real bucket.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// Objects in it.
    pub objects: usize,
    /// All pages, in seconds.
    pub seconds: f64,
    /// The middle page, in seconds.
    pub median: f64,
    /// The slowest, in seconds.
    pub slowest: f64,
}

/// LIST requests with the consumer's own intervals.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    /// What the bucket was like.
    pub when: String,
    /// Of a day, from what was counted.
    pub a_day: f64,
    /// What AWS takes for them in a month of 30 days, in dollars.
    pub dollars_a_month: f64,
}

/// A real bucket, page by page.
pub(super) async fn listing(options: &Options, stack: &Stack, narrow: &Table) -> Result<Listing> {
    let count = options.scaled(100_000, 1_500);
    say(&format!("scale: a bucket with {count} objects"));
    let work = Work::new("list", String::new(), narrow.clone(), count, 1);
    stack.drop_box.fill(&work.objects(Form::Messages)?).await?;
    let bucket = limits::reader(&stack.drop_box.inbox)?;
    let (mut pages, mut seen, mut after) = (Vec::new(), 0, None::<String>);
    loop {
        let since = Instant::now();
        let page = bucket.list(INBOX, after.as_deref()).await?;
        pages.push(since.elapsed().as_secs_f64());
        seen += page.objects.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    ensure!(seen == count, "{seen} objects listed of {count}");
    stack.drop_box.clear().await?;
    let seconds = pages.iter().sum();
    pages.sort_by(f64::total_cmp);
    let at = |percent| percentile(&pages, percent).context("there are pages");
    Ok(Listing {
        objects: count,
        seconds,
        median: at(50.0)?,
        slowest: at(100.0)?,
    })
}

/// With nothing in the bucket, and with a hundred new results each second.
pub(super) async fn requests(
    options: &Options,
    stack: &Stack,
    logs: &Path,
) -> Result<Vec<Requests>> {
    let mut found = Vec::new();
    for busy in [false, true] {
        let when = if busy {
            "100 new results a second"
        } else {
            "idle"
        };
        say(&format!("scale: LIST requests, {when}"));
        let database = stack.postgres.database()?;
        let stub = Stub::start(0).await?;
        let folder = nightdrop_compose::folder("requests")?;
        let config = stub_config(&stub, &database, &folder)?;
        let runner = Runner::with(
            stack,
            &config,
            folder,
            "run",
            &logs.join(format!("requests-{busy}.log")),
        )?;
        // The interval grows to its maximum first.
        sleep(Duration::from_secs(if options.scale < 1.0 {
            2
        } else {
            10
        }))
        .await;
        let (before, since) = (stub.lists(), Instant::now());
        for _ in 0..options.scaled(30, 3) {
            if busy {
                stub.grow();
            }
            sleep(Duration::from_secs(1)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "some hundreds of requests")]
        let a_day = (stub.lists() - before) as f64 / since.elapsed().as_secs_f64() * 86_400.0;
        drop(runner);
        stack.remove(&database).await?;
        found.push(Requests {
            when: when.to_owned(),
            a_day,
            dollars_a_month: a_day * 30.0 / 1000.0 * DOLLARS_A_THOUSAND,
        });
    }
    Ok(found)
}
