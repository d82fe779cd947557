//! MariaDB, where it is installed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

use crate::blocking::blocking;
use crate::database::{Database, random_word};
use crate::once::{Once, once};
use crate::server::{self, Server, Start};
use crate::{home, port, program};

/// A real MariaDB on 127.0.0.1.
pub struct MariaDb {
    server: Server,
    port: u16,
    superuser: Database,
    next: AtomicU32,
}

impl MariaDb {
    /// Whether `mariadbd` and `mariadb-install-db` are installed.
    pub fn available() -> bool {
        mariadbd().is_some() && install_db().is_some()
    }

    /// The server that all tests of this process share, started at first use, ended with the
    /// process.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: Once<MariaDb> = Once::new();
        once(&SHARED, Self::start)
    }

    /// A server of one's own, for tests that kill or stop it. It ends when dropped.
    ///
    /// # Errors
    /// As [`MariaDb::shared`].
    pub fn start() -> Result<Self> {
        let missing = "MariaDB is not installed: `apt-get install mariadb-server`";
        let (mariadbd, install_db) = mariadbd().zip(install_db()).context(missing)?;
        let folder = home::folder("mariadb")?;
        let (data, init) = (folder.join("data"), folder.join("init.sql"));
        let password = random_word();
        // The passwordless root that the installation leaves goes, at each start.
        std::fs::write(
            &init,
            format!(
                "CREATE USER IF NOT EXISTS admin@'127.0.0.1' IDENTIFIED BY '{password}';\n\
                 GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n\
                 DELETE FROM mysql.global_priv WHERE User = 'root';\n\
                 FLUSH PRIVILEGES;\n"
            ),
        )?;
        server::give(&folder)?;
        let mut install = Command::new(install_db);
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg("--skip-name-resolve")
            .arg(format!("--datadir={}", data.display()))
            .current_dir(&folder);
        server::prepare(install, true)?;

        let port = port::free(&[])?;
        let mut arguments = vec!["--no-defaults".into()];
        for argument in [
            &format!("--datadir={}", data.display()),
            &format!("--socket={}", folder.join("socket").display()),
            &format!("--pid-file={}", folder.join("pid").display()),
            &format!("--init-file={}", init.display()),
            &format!("--port={port}"),
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            // Written at each commit, fsynced each second: a kill loses nothing.
            "--innodb-flush-log-at-trx-commit=2",
        ] {
            arguments.push(argument.into());
        }
        let server = Server::start(
            folder,
            Start {
                program: mariadbd,
                arguments,
                environment: vec![],
                ends_by: "KILL",
                refuses_root: true,
            },
        )?;
        let mut mariadb = Self {
            server,
            port,
            superuser: Database::new("mysql", port, "admin", &password, "mysql"),
            next: AtomicU32::new(1),
        };
        mariadb.wait()?;
        Ok(mariadb)
    }

    /// A new empty database (utf8mb4), and a user with all rights on it and no others.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn database(&self) -> Result<Database> {
        let name = format!("nightdrop_{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.execute(&[format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")])?;
        self.user(&name, &name, "ALL")
    }

    /// Another user for `database`, who can read its tables and do nothing else: what a producer
    /// should have.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn reader(&self, database: &Database) -> Result<Database> {
        let name = database.name();
        self.user(name, &format!("{name}_reader"), "SELECT")
    }

    /// The way in for someone with all rights, for arranging what a test needs.
    pub fn superuser(&self) -> &Database {
        &self.superuser
    }

    fn user(&self, database: &str, user: &str, rights: &str) -> Result<Database> {
        let password = random_word();
        self.execute(&[
            format!("CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{password}'"),
            format!("GRANT {rights} ON {database}.* TO {user}@'127.0.0.1'"),
        ])?;
        Ok(Database::new("mysql", self.port, user, &password, database))
    }

    fn execute(&self, statements: &[String]) -> Result<()> {
        blocking(async {
            let mut connection = MySqlConnection::connect(&self.superuser.with_password()).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
                    .execute(&mut connection)
                    .await
                    .with_context(|| format!("mariadb refuses: {statement}"))?;
            }
            Ok(connection.close().await?)
        })
    }

    fn wait(&mut self) -> Result<()> {
        let superuser = self.superuser.with_password();
        self.server.wait(|| {
            blocking(async { Ok(MySqlConnection::connect(&superuser).await?.close().await?) })
        })
    }
}

crate::controls::controls!(MariaDb);

fn mariadbd() -> Option<PathBuf> {
    program::find("mariadbd", &["/usr/sbin".into()])
}

fn install_db() -> Option<PathBuf> {
    program::find("mariadb-install-db", &[])
}
