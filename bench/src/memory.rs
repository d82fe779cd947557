//! A result of 2 GB: how much memory it takes to load, and to send.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nightdrop_bucket::{Bucket, Keys, Settings};
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::bench::{Options, say};
use crate::check::{self, TABLE};
use crate::contender::consumer_config;
use crate::extract;
use crate::measure;
use crate::source::Source;
use crate::stack::Stack;
use crate::table::Table;
use crate::work::{JOB, Named};

/// Bytes of the message.
const WHOLE: usize = 2_000_000_000;

/// What one of our programs needed.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Which.
    pub program: String,
    /// Bytes of the message.
    pub bytes: u64,
    /// Its rows.
    pub rows: usize,
    /// From start to end.
    pub seconds: f64,
    /// Most memory resident, in bytes.
    pub peak: u64,
}

/// Loads one, and sends one.
///
/// # Errors
/// When one of them fails.
pub async fn measure(
    options: &Options,
    stack: &Stack,
    year: &Table,
    logs: &Path,
) -> Result<Vec<Memory>> {
    let all = 0..year.rows.len();
    let data = year.message_data(all.into_iter());
    let (head, rest) = data
        .split_once("\"rows\":[")
        .context("a message has rows")?;
    let (rows, _) = rest.rsplit_once("\n]").context("rows end")?;
    let times = options.scaled(WHOLE / rows.len(), 2);
    say(&format!(
        "memory: one result of {} MB",
        rows.len() * times / 1_000_000
    ));
    let consumer = load(stack, year, (head, rows), times, logs).await?;
    let producer = send(stack, year, times, logs).await?;
    Ok(vec![consumer, producer])
}

async fn load(
    stack: &Stack,
    year: &Table,
    (head, rows): (&str, &str),
    times: usize,
    logs: &Path,
) -> Result<Memory> {
    let named = Named::new("jfk", JOB, 0)?;
    let count = year.rows.len() * times;
    let file = stack.folder.join("large.json");
    let mut message = BufWriter::new(std::fs::File::create(&file)?);
    let whole = named.message(&format!("{head}\"rows\":[\u{0}\n],\"row_count\":{count}}}"));
    let (before, after) = whole.split_once('\u{0}').context("the place of the rows")?;
    message.write_all(before.as_bytes())?;
    for time in 0..times {
        if time > 0 {
            message.write_all(b",")?;
        }
        message.write_all(rows.as_bytes())?;
    }
    message.write_all(after.as_bytes())?;
    message.into_inner().context("the large file")?.sync_all()?;
    let bytes = std::fs::metadata(&file)?.len();
    let jfk = stack.jfk.clone();
    let keys = move || {
        Ok(Keys {
            access_key: jfk.access_key.clone().into(),
            secret_key: jfk.secret_key.clone().into(),
        })
    };
    let inbox = &stack.drop_box.inbox;
    let bucket = Bucket::open(Settings {
        url: inbox.url().parse()?,
        endpoint: Some(inbox.endpoint.parse()?),
        region: Some(inbox.region.clone()),
        imds: false,
        keys: Some(Arc::new(keys)),
    })?;
    bucket.put(&named.key("json").parse()?, &file).await?;
    std::fs::remove_file(&file)?;

    let database = stack.postgres.database()?;
    let folder = nightdrop_compose::folder("large")?;
    let config = consumer_config(stack, &database, &folder, "")?;
    let mut command = Command::new(&stack.consumer);
    command
        .arg("once")
        .arg("-c")
        .arg(config)
        .env_remove("RUST_LOG");
    let measured = measure::run(&mut command, &logs.join("memory-consumer.log"), &[])?;
    ensure!(
        measured.ended_well(),
        "the consumer ended with {:?}",
        measured.code
    );
    let mut connection = check::connect(&database).await?;
    let loaded: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {TABLE}")))
        .fetch_one(&mut connection)
        .await?;
    drop(connection);
    ensure!(loaded == i64::try_from(count)?, "{loaded} rows of {count}");
    stack.remove(&database).await?;
    stack.drop_box.clear().await?;
    Ok(Memory {
        program: "nightdrop-consumer once".to_owned(),
        bytes,
        rows: count,
        seconds: measured.wall.as_secs_f64(),
        peak: measured.peak,
    })
}

async fn send(stack: &Stack, year: &Table, times: usize, logs: &Path) -> Result<Memory> {
    let source = Source::postgres(&stack.postgres, year).await?;
    let folder = nightdrop_compose::folder("large")?;
    let from = format!("flights, generate_series(1, {times})");
    let mut command = extract::ALL[0].command(stack, &source, &from, year, &folder)?;
    let measured = measure::run(&mut command, &logs.join("memory-producer.log"), &[])?;
    ensure!(
        measured.ended_well(),
        "the producer ended with {:?}",
        measured.code
    );
    let bytes = stack
        .drop_box
        .list()
        .await?
        .iter()
        .map(|(_, size)| size)
        .sum();
    stack.drop_box.clear().await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(Memory {
        program: "nightdrop-producer run, from Postgres".to_owned(),
        bytes,
        rows: year.rows.len() * times,
        seconds: measured.wall.as_secs_f64(),
        peak: measured.peak,
    })
}
