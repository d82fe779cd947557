//! A ledger that fills up: what a claim costs at each size, and a consumer that works beside it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nightdrop_compose::{Database, Postgres};
use nightdrop_consumer::consumer::Consumer;
use nightdrop_consumer::ledger::claim::{AT_ONCE, Lane, claim};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{migrate, stub_config};
use crate::bench::{Options, say};
use crate::check;
use crate::figures::Spread;
use crate::runner::{Runner, until};
use crate::stack::{SETTINGS, Stack};
use crate::stub::Stub;

/// Claims that are timed at each size of the queue.
const CLAIMS: usize = 20;

/// A claim of a batch with so many files waiting.
#[derive(Debug, Clone, Serialize)]
pub struct Claiming {
    /// Files that wait.
    pub waiting: usize,
    /// Files that one claim takes: as many as it may.
    pub files: usize,
    /// The middle one, in seconds.
    pub median: f64,
    /// The slowest, in seconds.
    pub slowest: f64,
}

/// A consumer beside a queue that is full.
#[derive(Debug, Clone, Serialize)]
pub struct Beside {
    /// Files that waited when it started.
    pub waiting: usize,
    /// For how long it was watched, in seconds.
    pub seconds: f64,
    /// LIST requests that it made.
    pub lists: u64,
    /// Files that it got.
    pub files: u64,
    /// Its most memory, in bytes.
    pub peak: u64,
    /// What Postgres did for it, the most first.
    pub statements: Vec<Statement>,
}

/// One kind of statement, as `pg_stat_statements` has it.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// Its beginning.
    pub text: String,
    /// How often.
    pub calls: i64,
    /// In milliseconds.
    pub mean: f64,
    /// In milliseconds.
    pub most: f64,
}

/// A ledger that fills up: what a claim costs at each size, and then a consumer that works beside it.
pub(super) async fn measure(
    options: &Options,
    stack: &Stack,
    logs: &Path,
) -> Result<(Vec<Claiming>, Beside)> {
    // A server of its own: it counts statements, which none of the contenders' shall pay for.
    let mut settings = SETTINGS.to_vec();
    settings.extend([
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.track=all",
    ]);
    let (server, counts) = match Postgres::start_with(&settings) {
        Ok(server) => (server, true),
        Err(_) => (Postgres::start_with(&SETTINGS)?, false),
    };
    let database = server.database()?;
    let most = options.scaled(1_000_000, 2_000);
    let stub = Stub::start(most).await?;
    let most = stub.objects();
    let folder = nightdrop_compose::folder("queue")?;
    let config = stub_config(&stub, &database, &folder)?;
    migrate(stack, &config)?;
    let mut connection = check::connect(&database).await?;

    let consumer = Consumer::new(
        nightdrop_runtime::config::load(&config)?,
        CancellationToken::new(),
    )?;
    let (mut claims, mut filled) = (Vec::new(), 0);
    for size in [most / 1000, most / 100, most / 10, most] {
        if size <= filled {
            continue;
        }
        say(&format!("scale: {size} waiting"));
        let fill = Stub::waiting(filled, size);
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut connection)
            .await?;
        sqlx::raw_sql("ANALYZE nightdrop.file")
            .execute(&mut connection)
            .await?;
        filled = size;
        claims.push(claiming(&consumer, &mut connection, size).await?);
    }
    drop(consumer);

    if counts {
        count_statements(&server, &database).await?;
    }
    say("scale: a consumer beside a full queue");
    let runner = Runner::with(stack, &config, folder, "run", &logs.join("queue-run.log"))?;
    until("the first file", Duration::from_millis(10), async || {
        Ok(stub.gets() > 0)
    })
    .await?;
    let since = Instant::now();
    sleep(Duration::from_secs(u64::try_from(options.scaled(30, 3))?)).await;
    let peak = runner.peak()?;
    drop(runner);
    let beside = Beside {
        waiting: most,
        seconds: since.elapsed().as_secs_f64(),
        lists: stub.lists(),
        files: stub.gets(),
        peak,
        statements: if counts {
            statements(&server, &database).await?
        } else {
            Vec::new()
        },
    };
    Ok((claims, beside))
}

async fn claiming(
    consumer: &Consumer,
    connection: &mut PgConnection,
    waiting: usize,
) -> Result<Claiming> {
    let mut took = Vec::new();
    // The first claims of a connection plan their statements.
    for turn in 0..CLAIMS + 3 {
        let since = Instant::now();
        let claimed = claim(
            consumer.pool(),
            Uuid::now_v7(),
            Lane::Batch(AT_ONCE),
            &consumer.worker,
            Duration::from_mins(1),
        )
        .await?;
        let seconds = since.elapsed().as_secs_f64();
        let wanted = usize::try_from(AT_ONCE)?.min(waiting);
        ensure!(
            claimed.files.len() == wanted,
            "a claim took {} files, not {wanted}",
            claimed.files.len()
        );
        if turn >= 3 {
            took.push(seconds);
        }
        let back = "UPDATE nightdrop.file SET attempts = 0, token = NULL, worker = NULL, lease_until = NULL WHERE token IS NOT NULL";
        sqlx::raw_sql(back).execute(&mut *connection).await?;
    }
    let spread = Spread::of(took).context("there were claims")?;
    Ok(Claiming {
        waiting,
        files: waiting.min(usize::try_from(AT_ONCE)?),
        median: spread.median,
        slowest: spread.greatest,
    })
}

async fn as_superuser(server: &Postgres, database: &Database) -> Result<PgConnection> {
    let url = server.superuser().with_password();
    let url = url
        .rsplit_once('/')
        .map_or(url.as_str(), |(server, _)| server);
    Ok(PgConnection::connect(&format!("{url}/{}", database.name())).await?)
}

async fn count_statements(server: &Postgres, database: &Database) -> Result<()> {
    let mut connection = as_superuser(server, database).await?;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
        .execute(&mut connection)
        .await?;
    Ok(())
}

async fn statements(server: &Postgres, database: &Database) -> Result<Vec<Statement>> {
    let mut connection = as_superuser(server, database).await?;
    let rows = sqlx::query(
        "SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 90), calls, mean_exec_time, max_exec_time
         FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid
         WHERE datname = current_database() AND query !~* 'pg_stat_statements'
         ORDER BY total_exec_time DESC LIMIT 12",
    )
    .fetch_all(&mut connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Statement {
                text: row.try_get(0)?,
                calls: row.try_get(1)?,
                mean: row.try_get(2)?,
                most: row.try_get(3)?,
            })
        })
        .collect()
}
