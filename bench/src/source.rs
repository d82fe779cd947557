//! Work P's sources: the same flights in Postgres, MariaDB and SQLite, each with an empty twin for start-up.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nightdrop_compose::{MariaDb, Postgres};
use nightdrop_schema::Type;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Database as Driver, MySqlConnection, QueryBuilder, SqliteConnection};

use crate::check;
use crate::stack::{Stack, secret};
use crate::table::{NULL, Table};

/// The table with all rows, and the one with none.
pub const TABLES: [&str; 2] = ["flights", "flights_none"];

/// A database that results are taken from.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it is chosen on the command line.
    pub name: &'static str,
    /// As it stands in a producer's configuration.
    pub url: String,
    /// The password of the role that may only read; SQLite has none.
    pub password: Option<String>,
    /// With the password, as tools take it.
    pub whole_url: String,
}

impl Source {
    /// The flights in a database of the reporting Postgres.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn postgres(server: &Postgres, flights: &Table) -> Result<Self> {
        let owner = server.database()?;
        let reader = server.reader(&owner)?;
        let mut connection = check::connect(&owner).await?;
        sqlx::raw_sql(include_str!("../../examples/demo/sources/postgres.sql"))
            .execute(&mut connection)
            .await?;
        check::copy(&mut connection, TABLES[0], flights, &flights.csv()).await?;
        sqlx::raw_sql("CREATE TABLE flights_none (LIKE flights)")
            .execute(&mut connection)
            .await?;
        sqlx::raw_sql("VACUUM ANALYZE flights")
            .execute(&mut connection)
            .await?;
        Ok(Self {
            name: "postgres",
            whole_url: reader.with_password(),
            url: reader.url,
            password: Some(reader.password),
        })
    }

    /// The flights in MariaDB; none where it isn't installed.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn mariadb(flights: &Table) -> Result<Option<Self>> {
        if !MariaDb::available() {
            return Ok(None);
        }
        let server = MariaDb::shared()?;
        let owner = server.database()?;
        let mut connection = MySqlConnection::connect(&owner.with_password()).await?;
        sqlx::raw_sql(include_str!("../../examples/demo/sources/mariadb.sql"))
            .execute(&mut connection)
            .await?;
        let mut transaction = connection.begin().await?;
        // A TIMESTAMP has no offset: it is UTC in our session.
        let as_taken: fn(Type, &str) -> &str = |ty, cell| match ty {
            Type::Timestamptz => cell.trim_end_matches('Z'),
            _ => cell,
        };
        for mut insert in inserts(flights, as_taken) {
            insert.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        sqlx::raw_sql("CREATE TABLE flights_none LIKE flights")
            .execute(&mut connection)
            .await?;
        let reader = server.reader(&owner)?;
        Ok(Some(Self {
            name: "mariadb",
            whole_url: reader.with_password(),
            url: reader.url,
            password: Some(reader.password),
        }))
    }

    /// The flights in a SQLite file.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn sqlite(stack: &Stack, flights: &Table) -> Result<Self> {
        let file = stack.folder.join("flights.db");
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let definition = include_str!("../../examples/demo/sources/sqlite.sql");
        sqlx::raw_sql(definition).execute(&mut connection).await?;
        let mut transaction = connection.begin().await?;
        for mut insert in inserts(flights, |_, cell| cell) {
            insert.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        let twin: String = sqlx::query_scalar("SELECT replace(sql, 'flights', 'flights_none') FROM sqlite_schema WHERE name = 'flights'")
            .fetch_one(&mut connection)
            .await
            .context("the table flights")?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(twin))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        let url = format!("sqlite://{}", file.display());
        Ok(Self {
            name: "sqlite",
            whole_url: url.clone(),
            url,
            password: None,
        })
    }

    /// The lines of `[source.ops]`, its secret beside them.
    ///
    /// # Errors
    /// When the secret can't be written.
    pub fn lines(&self, folder: &Path) -> Result<String> {
        let password = match &self.password {
            Some(password) => {
                let password = secret(folder, "source", password)?;
                format!("password = \"{password}\"\n")
            }
            None => String::new(),
        };
        Ok(format!("[source.ops]\nurl = \"{}\"\n{password}", self.url))
    }

    /// Where the file of a SQLite database is.
    pub fn file(&self) -> Option<PathBuf> {
        self.url.strip_prefix("sqlite://").map(PathBuf::from)
    }
}

/// Statements for databases that take text for any type, some hundreds of rows each.
fn inserts<'a, D>(
    table: &'a Table,
    as_taken: fn(Type, &str) -> &str,
) -> impl Iterator<Item = QueryBuilder<D>>
where
    D: Driver,
    Option<&'a str>: sqlx::Encode<'a, D> + sqlx::Type<D>,
{
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let into = format!("INSERT INTO {} ({}) ", TABLES[0], names.join(", "));
    table.rows.chunks(1000).map(move |rows| {
        let mut insert = QueryBuilder::new(into.as_str());
        insert.push_values(rows, |mut cells, row| {
            for (column, cell) in table.columns.iter().zip(row) {
                cells.push_bind((cell != NULL).then(|| as_taken(column.ty, cell)));
            }
        });
        insert
    })
}
