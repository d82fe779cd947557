//! 1, 2 and 4 consumers on one backlog, and what the ledger takes up after it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use sqlx::{Connection as _, Row as _};

use super::migrate;
use crate::bench::{Options, say};
use crate::check;
use crate::contender;
use crate::measure;
use crate::runner::Runner;
use crate::stack::Stack;
use crate::table::Table;
use crate::work::{Form, Work};

/// So many consumers on one backlog.
#[derive(Debug, Clone, Serialize)]
pub struct Together {
    /// How many.
    pub consumers: usize,
    /// Files in the backlog.
    pub files: usize,
    /// From the start of the first to the end of the last, in seconds.
    pub seconds: f64,
    /// Processors that the consumers kept busy, on average, together.
    pub own: f64,
    /// That Postgres kept busy.
    pub postgres: f64,
    /// That the S3 server kept busy.
    pub s3: f64,
}

/// What the ledger takes up.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Files in it.
    pub files: i64,
    /// Bytes of its rows, for one file.
    pub table: f64,
    /// Bytes of its indexes, for one file.
    pub indexes: f64,
}

/// So many `once` at the same time, on the same backlog.
pub(super) async fn measure(
    options: &Options,
    stack: &Stack,
    narrow: &Table,
    consumers: usize,
    logs: &Path,
) -> Result<(Together, Ledger)> {
    let files = options.scaled(20_000, 30);
    say(&format!("scale: {consumers} consumers on {files} files"));
    let work = Work::new("backlog", String::new(), narrow.clone(), files, 10);
    let database = stack.postgres.database()?;
    let mut prepared = Vec::new();
    for _ in 0..consumers {
        let folder = nightdrop_compose::folder("together")?;
        prepared.push((
            contender::consumer_config(stack, &database, &folder, "")?,
            folder,
        ));
    }
    migrate(stack, &prepared[0].0)?;
    stack.drop_box.fill(&work.objects(Form::Messages)?).await?;
    stack.checkpoint().await?;

    let servers = stack.servers()?;
    let before = servers.map(measure::cpu);
    let since = Instant::now();
    let mut running = Vec::new();
    for (number, (config, folder)) in prepared.into_iter().enumerate() {
        let log = logs.join(format!("together-{consumers}-{number}.log"));
        running.push(Runner::with(stack, &config, folder, "once", &log)?);
    }
    let ours = measure::reaped();
    for runner in &mut running {
        runner.ended().await?;
    }
    let seconds = since.elapsed().as_secs_f64();
    let own = (measure::reaped() - ours) / seconds;
    let after = servers.map(measure::cpu);
    let busy = |server: usize| (after[server] - before[server]) / seconds;

    let mut connection = check::connect(&database).await?;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM reports.departures")
        .fetch_one(&mut connection)
        .await?;
    ensure!(
        rows == i64::try_from(work.rows())?,
        "{consumers} consumers loaded {rows} rows of {}",
        work.rows()
    );
    let row = sqlx::query(
        "SELECT count(*), pg_table_size('nightdrop.file')::float8, pg_indexes_size('nightdrop.file')::float8 FROM nightdrop.file",
    )
    .fetch_one(&mut connection)
    .await?;
    let count: i64 = row.try_get(0)?;
    #[expect(clippy::cast_precision_loss, reason = "some thousands of files")]
    let each = |bytes: f64| bytes / count as f64;
    let ledger = Ledger {
        files: count,
        table: each(row.try_get(1)?),
        indexes: each(row.try_get(2)?),
    };
    connection.close().await?;
    drop(running);
    stack.drop_box.clear().await?;
    stack.remove(&database).await?;
    Ok((
        Together {
            consumers,
            files,
            seconds,
            own,
            postgres: busy(0),
            s3: busy(1),
        },
        ledger,
    ))
}
