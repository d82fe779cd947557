//! The servers, our own programs, and the peers' Python: what every part of the bench runs on.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nightdrop_compose::{Database, Keys, Postgres, S3, S3Kind};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::drop_box::DropBox;
use crate::python::Python;

/// What is set in Postgres beside its defaults, the same for all contenders. `fsync` and `synchronous_commit` are on.
pub const SETTINGS: [&str; 4] = [
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
];

/// Everything that runs.
pub struct Stack {
    /// The S3 server.
    pub s3: S3,
    /// The reporting Postgres.
    pub postgres: Postgres,
    /// The bucket that contenders are measured on.
    pub drop_box: DropBox,
    /// The key of the producer `jfk`: it can put below its own prefix, and nothing else.
    pub jfk: Keys,
    /// Where the peers run.
    pub python: Python,
    /// `nightdrop-consumer`.
    pub consumer: PathBuf,
    /// `nightdrop-producer`.
    pub producer: PathBuf,
    /// For files that are needed while the bench runs.
    pub folder: PathBuf,
}

impl Stack {
    /// Starts the servers and makes the rest; `release` says which build of our programs is measured, `python` has the
    /// peers.
    ///
    /// # Errors
    /// When something isn't there.
    pub fn start(release: bool, python: &Python) -> Result<Self> {
        let build = if release {
            nightdrop_compose::release_binary
        } else {
            nightdrop_compose::binary
        };
        let (consumer, producer) = (build("nightdrop-consumer")?, build("nightdrop-producer")?);
        let kind = *S3Kind::available()
            .last()
            .context("there is always SeaweedFS")?;
        let s3 = S3::start(kind)?;
        let postgres = Postgres::start_with(&SETTINGS)?;
        let drop_box = DropBox::new(s3.inbox()?)?;
        let jfk = drop_box.inbox.producer("jfk")?;
        let folder = nightdrop_compose::folder("bench")?;
        Ok(Self {
            s3,
            postgres,
            drop_box,
            jfk,
            python: python.clone(),
            consumer,
            producer,
            folder,
        })
    }

    /// The process ids of Postgres and the S3 server.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn servers(&self) -> Result<[u32; 2]> {
        Ok([self.postgres.pid()?, self.s3.pid()?])
    }

    /// Writes what is dirty in Postgres to disk, so that no one pays for what another did.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn checkpoint(&self) -> Result<()> {
        self.as_superuser("CHECKPOINT").await
    }

    /// Removes a database that was measured on.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn remove(&self, database: &Database) -> Result<()> {
        let name = database.name();
        self.as_superuser(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await
    }

    /// One value that Postgres gives: a setting, a count.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn ask(&self, query: &str) -> Result<String> {
        let superuser = self.postgres.superuser().with_password();
        let mut connection = PgConnection::connect(&superuser).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(answer)
    }

    async fn as_superuser(&self, statement: &str) -> Result<()> {
        let superuser = self.postgres.superuser().with_password();
        let mut connection = PgConnection::connect(&superuser).await?;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }
}

/// Writes a secret beside a configuration, and gives what the configuration says for it.
///
/// # Errors
/// When it can't be written.
pub fn secret(folder: &Path, name: &str, value: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, value)?;
    Ok(format!("file:{}", path.display()))
}
