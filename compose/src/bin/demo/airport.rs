//! The three sources: each airport's flights and weather in a database of its own, and of its own
//! kind.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nightdrop_compose::{MariaDb, Postgres};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    Connection as _, Database as Driver, MySqlConnection, PgConnection, QueryBuilder,
    SqliteConnection,
};

use crate::page::thousands;

/// An airport with its database, filled.
pub(crate) struct Airport {
    /// As a producer: `jfk`.
    pub(crate) name: &'static str,
    /// The config file's `url` of the source.
    pub(crate) url: String,
    /// The password of the role that may only read; SQLite has none.
    pub(crate) password: Option<String>,
    /// What runs there, with its version.
    database: String,
    holds: Vec<(&'static str, usize)>,
    /// Where it has one of its own, that lives as long as the airport.
    _server: Option<Postgres>,
}

/// One of `examples/data`'s files, cut down to one airport.
struct Rows {
    columns: Vec<String>,
    rows: Vec<csv::StringRecord>,
}

impl Airport {
    /// `SQLite 3.50.4: 7,950 flights, 742 weather rows`
    pub(crate) fn holdings(&self) -> String {
        let counts: Vec<String> = self
            .holds
            .iter()
            .map(|(table, count)| match *table {
                "weather" => format!("{} weather rows", thousands(*count)),
                table => format!("{} {table}", thousands(*count)),
            })
            .collect();
        format!("{}: {}", self.database, counts.join(", "))
    }

    pub(crate) async fn on_postgres(name: &'static str, tables: &[&'static str]) -> Result<Self> {
        // A server of its own: the reports' is another.
        let server = Postgres::start()?;
        let owner = server.database()?;
        let mut connection = PgConnection::connect(&owner.with_password()).await?;
        sqlx::raw_sql(include_str!(
            "../../../../examples/demo/sources/postgres.sql"
        ))
        .execute(&mut connection)
        .await?;
        let mut holds = vec![];
        for table in tables {
            let rows = Rows::of(table, name)?;
            let mut csv = csv::Writer::from_writer(vec![]);
            for row in &rows.rows {
                csv.write_record(row)?;
            }
            let copy = format!(
                "COPY {table} ({}) FROM STDIN (FORMAT csv)",
                rows.columns.join(", ")
            );
            let mut stream = connection.copy_in_raw(&copy).await?;
            stream.send(csv.into_inner()?).await?;
            stream.finish().await?;
            holds.push((*table, rows.rows.len()));
        }
        let version: String = sqlx::query_scalar("SELECT split_part(version(), ' ', 2)")
            .fetch_one(&mut connection)
            .await?;
        let reader = server.reader(&owner)?;
        Ok(Self {
            name,
            url: reader.url,
            password: Some(reader.password),
            database: format!("PostgreSQL {version}"),
            holds,
            _server: Some(server),
        })
    }

    pub(crate) async fn on_mariadb(name: &'static str, tables: &[&'static str]) -> Result<Self> {
        let server = MariaDb::shared()?;
        let owner = server.database()?;
        let mut connection = MySqlConnection::connect(&owner.with_password()).await?;
        sqlx::raw_sql(include_str!(
            "../../../../examples/demo/sources/mariadb.sql"
        ))
        .execute(&mut connection)
        .await?;
        let mut holds = vec![];
        for table in tables {
            let rows = Rows::of(table, name)?;
            // A TIMESTAMP has no offset: it is UTC in our session.
            for mut insert in rows.inserts(table, |field| field.trim_end_matches('Z')) {
                insert.build().execute(&mut connection).await?;
            }
            holds.push((*table, rows.rows.len()));
        }
        let version: String = sqlx::query_scalar("SELECT version()")
            .fetch_one(&mut connection)
            .await?;
        let version = version.split('-').next().unwrap_or_default();
        let reader = server.reader(&owner)?;
        Ok(Self {
            name,
            url: reader.url,
            password: Some(reader.password),
            database: format!("MariaDB {version}"),
            holds,
            _server: None,
        })
    }

    pub(crate) async fn on_sqlite(
        name: &'static str,
        tables: &[&'static str],
        folder: &Path,
    ) -> Result<Self> {
        let file = folder.join(format!("{name}.db"));
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(include_str!("../../../../examples/demo/sources/sqlite.sql"))
            .execute(&mut connection)
            .await?;
        let mut holds = vec![];
        for table in tables {
            let rows = Rows::of(table, name)?;
            let mut transaction = connection.begin().await?;
            for mut insert in rows.inserts(table, |field| field) {
                insert.build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            holds.push((*table, rows.rows.len()));
        }
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(Self {
            name,
            url: format!("sqlite://{}", file.display()),
            password: None,
            database: format!("SQLite {version}"),
            holds,
            _server: None,
        })
    }
}

impl Rows {
    fn of(table: &str, airport: &str) -> Result<Self> {
        let file = data().join(format!("{table}.csv"));
        let mut reader = csv::Reader::from_path(&file)
            .with_context(|| format!("can't read {}", file.display()))?;
        let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let origin = columns.iter().position(|column| column == "origin");
        let mut rows = vec![];
        for row in reader.records() {
            let row = row?;
            if origin.is_none_or(|origin| row[origin].eq_ignore_ascii_case(airport)) {
                rows.push(row);
            }
        }
        Ok(Self { columns, rows })
    }

    /// Statements for databases that take text for any type, some hundreds of rows each. A field
    /// that is empty is NULL; `as_taken` makes of the others what the database takes.
    fn inserts<'a, D>(
        &'a self,
        table: &str,
        as_taken: fn(&str) -> &str,
    ) -> impl Iterator<Item = QueryBuilder<D>>
    where
        D: Driver,
        Option<&'a str>: sqlx::Encode<'a, D> + sqlx::Type<D>,
    {
        let into = format!("INSERT INTO {table} ({}) ", self.columns.join(", "));
        self.rows.chunks(500).map(move |rows| {
            let mut insert = QueryBuilder::new(into.as_str());
            insert.push_values(rows, |mut fields, row| {
                for field in row {
                    fields.push_bind(Some(as_taken(field)).filter(|field| !field.is_empty()));
                }
            });
            insert
        })
    }
}

/// The folder of the real data.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data")
}
