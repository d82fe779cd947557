//! Brings the consumer's own tables to the shape that this binary knows.
//!
//! A binary runs on a schema newer than itself: what it doesn't know it leaves alone.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Row, SqlSafeStr};

use crate::pool::{Pool, no_answer};
use crate::remedy::Remedy;
use crate::sqlstate;

/// How long one statement of a migration may take: a ledger can be large.
const PATIENCE: Duration = Duration::from_mins(10);

/// Version, what it is about, and its SQL, oldest first.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "ledger",
        include_str!("../../migrations/0001_ledger.sql"),
    ),
    (
        2,
        "states",
        include_str!("../../migrations/0002_states.sql"),
    ),
    (
        3,
        "claims",
        include_str!("../../migrations/0003_claims.sql"),
    ),
    (4, "watch", include_str!("../../migrations/0004_watch.sql")),
    (
        5,
        "redrive",
        include_str!("../../migrations/0005_redrive.sql"),
    ),
    (6, "keep", include_str!("../../migrations/0006_keep.sql")),
    (
        7,
        "quotas",
        include_str!("../../migrations/0007_quotas.sql"),
    ),
    (8, "ended", include_str!("../../migrations/0008_ended.sql")),
    (9, "told", include_str!("../../migrations/0009_told.sql")),
    (10, "trace", include_str!("../../migrations/0010_trace.sql")),
    (11, "shape", include_str!("../../migrations/0011_shape.sql")),
    (
        12,
        "parameters",
        include_str!("../../migrations/0012_parameters.sql"),
    ),
];

/// Why the tables are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres is away or has no time.
    #[error("migrations: {}", crate::sqlstate::sentence(.0))]
    Unavailable(#[source] sqlx::Error),
    /// The role may not.
    #[error(
        "migration {version} could not be applied: {}; run `nightdrop-consumer migrate` once as the database's owner",
        crate::sqlstate::sentence(.source)
    )]
    Refused {
        /// The first that is pending.
        version: i64,
        /// What Postgres says.
        source: sqlx::Error,
    },
    /// `migrate = false`, and there is something to do.
    #[error("migration {0} is pending; run `nightdrop-consumer migrate`")]
    Pending(i64),
    /// Somebody edited a migration, or the table of those that were applied.
    #[error("migrations: {0}")]
    Broken(#[source] sqlx::migrate::MigrateError),
}

/// The SQL of those that are not applied yet, oldest first.
///
/// # Errors
/// When the table of applied migrations can't be read.
pub async fn pending(pool: &Pool) -> Result<Vec<(i64, &'static str)>, Error> {
    let there: bool = sqlx::query("SELECT to_regclass('nightdrop.migration') IS NOT NULL")
        .fetch_one(pool)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::Unavailable)?;
    let applied: Vec<i64> = if there {
        sqlx::query("SELECT version FROM nightdrop.migration WHERE success")
            .fetch_all(pool)
            .await
            .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
            .map_err(Error::Unavailable)?
    } else {
        Vec::new()
    };
    Ok(MIGRATIONS
        .iter()
        .filter(|(version, ..)| !applied.contains(version))
        .map(|&(version, _, sql)| (version, sql))
        .collect())
}

/// Applies what is pending, one consumer at a time. Gives the versions that were applied.
///
/// # Errors
/// When the role may not, or Postgres is away.
pub async fn apply(pool: &Pool) -> Result<Vec<i64>, Error> {
    let pending: Vec<i64> = pending(pool)
        .await?
        .into_iter()
        .map(|(version, _)| version)
        .collect();
    let Some(&first) = pending.first() else {
        return Ok(pending);
    };
    // Given back to nobody: it may still have the lock under which one consumer at a time migrates, and
    // has other limits than what comes after.
    let mut connection = pool.lend().await.map_err(Error::Unavailable)?;
    sqlx::query("SELECT set_config('statement_timeout', $1, false)")
        .bind(format!("{}s", PATIENCE.as_secs()))
        .execute(&mut *connection)
        .await
        .map_err(Error::Unavailable)?;
    let migrator = migrator();
    let done = tokio::time::timeout(
        PATIENCE * 2,
        migrator.run_direct(None, &mut *connection, false),
    )
    .await
    .unwrap_or_else(|_| Err(no_answer(PATIENCE * 2).into()));
    done.map(|()| pending).map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(source)
        | sqlx::migrate::MigrateError::ExecuteMigration(source, _) => {
            // Another consumer that migrates just now, or a server that restarts, passes.
            if sqlstate::remedy(&source) == Remedy::Retry {
                Error::Unavailable(source)
            } else {
                Error::Refused {
                    version: first,
                    source,
                }
            }
        }
        other => Error::Broken(other),
    })
}

/// Applies what is pending where `migrate` says so, else names it.
///
/// # Errors
/// As [`apply`]; and [`Error::Pending`].
pub async fn at_start(pool: &Pool, migrate: bool) -> Result<(), Error> {
    if migrate {
        for version in apply(pool).await? {
            tracing::info!(version, "migration applied");
        }
        return Ok(());
    }
    match pending(pool).await?.first() {
        Some(&(version, _)) => Err(Error::Pending(version)),
        None => Ok(()),
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, description, sql)| {
            Migration::new(
                version,
                Cow::Borrowed(description),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.create_schema("nightdrop");
    migrator.dangerous_set_table_name("nightdrop.migration");
    migrator.set_ignore_missing(true);
    migrator
}
