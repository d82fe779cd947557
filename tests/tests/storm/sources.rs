//! Three databases whose rows are known: as many as will be asked for, each from its own instant on, so that what a
//! query sees at any time is known too.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nightdrop_compose::{Database, MariaDb, Postgres};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection};
use tempfile::TempDir;

/// A row appears every so many microseconds.
pub const STEP: i64 = 20_000;

/// Jobs that add rows, each its own.
pub const LOGS: i64 = 6;

/// Keys that an `upsert` tells apart.
pub const KEYS: i64 = 7;

/// Days that a `replace` has windows of, from 2013-01-01 on, and the rows of each.
pub const DAYS: i64 = 28;
pub const ROWS_A_DAY: i64 = 5;

pub struct Source {
    /// Who reads it.
    pub producer: &'static str,
    /// Where it is, and the password that it asks for.
    pub url: String,
    pub password: Option<String>,
    /// Its `[job]`s.
    pub jobs: String,
    /// Row `n` appears at this instant plus `n` steps, in microseconds since 1970.
    pub first: i64,
    /// A file's folder, if it is one.
    _folder: Option<TempDir>,
}

#[derive(Clone, Copy)]
struct Dialect {
    placeholders: [&'static str; 2],
    now: &'static str,
    /// What the source can't tell of computed and of text columns.
    latest: &'static str,
    total: &'static str,
    day: &'static str,
}

const POSTGRES: Dialect = Dialect {
    placeholders: ["$1", "$2"],
    now: "now()",
    latest: "",
    total: "",
    day: "",
};

const MARIADB: Dialect = Dialect {
    placeholders: ["?", "?"],
    now: "now(6)",
    ..POSTGRES
};

const SQLITE: Dialect = Dialect {
    placeholders: ["?", "?"],
    now: "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    latest: "types = { k = \"int64\", last = \"int64\" }\n",
    total: "types = { n = \"int64\", last = \"int64\" }\n",
    day: "types = { day = \"date\" }\n",
};

impl Dialect {
    fn jobs(self) -> String {
        let [from, to] = self.placeholders;
        let mut jobs = String::new();
        let cursor = "cursor = { lag = \"1ms\" }\nparameters = [\"cursor.from\", \"cursor.to\"]\nsource = \"db\"\n";
        for log in 0..LOGS {
            write!(jobs,
                "[job.log_{log}]\nmode = \"append\"\n{cursor}\
                 query = \"SELECT id FROM t WHERE at >= {from} AND at < {to} AND id % {LOGS} = {log}\"\n"
            ).unwrap();
        }
        let Self {
            now,
            latest,
            total,
            day,
            ..
        } = self;
        write!(jobs,
            "[job.latest]\nmode = \"upsert\"\nprimary_key = [\"k\"]\n{cursor}{latest}\
             query = \"SELECT id % {KEYS} AS k, max(id) AS last FROM t WHERE at >= {from} AND at < {to} GROUP BY id % {KEYS}\"\n\
             [job.total]\nmode = \"replace\"\nsource = \"db\"\n{total}\
             query = \"SELECT count(*) AS n, coalesce(max(id), 0) AS last FROM t WHERE at < {now}\"\n\
             [job.days]\nsource = \"db\"\nwindow = {{ every = \"1d\", column = \"day\" }}\n{day}\
             parameters = [\"window.from\", \"window.to\"]\n\
             query = \"SELECT id, day FROM s WHERE day >= {from} AND day < {to}\"\n"
        ).unwrap();
        jobs
    }
}

/// Postgres that is killed with the reports', MariaDB where it is installed, and a file.
pub fn three(postgres: &Postgres, blows: Duration) -> Vec<Source> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let seconds = i64::try_from(now).unwrap();
    // Longer than it blows on a busy machine.
    let rows = i64::try_from(blows.as_micros()).unwrap() / STEP * 4 + 60_000;
    let first = seconds * 1_000_000;

    let database = postgres.database().unwrap();
    runtime.block_on(on_postgres(&database, seconds, rows));
    let server = |producer, database: &Database, dialect: Dialect| Source {
        producer,
        url: database.url.clone(),
        password: Some(database.password.clone()),
        jobs: dialect.jobs(),
        first,
        _folder: None,
    };
    let file = |producer| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ops.db");
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            let sql = format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT NOT NULL); CREATE INDEX t_at ON t (at);
                 CREATE TABLE s (id INTEGER, day TEXT NOT NULL);
                 WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
                 INSERT INTO t SELECT n, strftime('%Y-%m-%d %H:%M:%S', {seconds} + n * {STEP} / 1000000, 'unixepoch')
                     || printf('.%06d', n * {STEP} % 1000000) FROM n;
                 WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < {})
                 INSERT INTO s SELECT n, date('2013-01-01', (n / {ROWS_A_DAY}) || ' days') FROM n",
                DAYS * ROWS_A_DAY
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
        Source {
            producer,
            url: format!("sqlite://{}", path.display()),
            password: None,
            jobs: SQLITE.jobs(),
            first,
            _folder: Some(folder),
        }
    };
    let second = if MariaDb::available() {
        let database = MariaDb::shared().unwrap().database().unwrap();
        runtime.block_on(on_mariadb(&database, seconds, rows));
        server("lga", &database, MARIADB)
    } else {
        file("lga")
    };
    vec![server("jfk", &database, POSTGRES), second, file("ewr")]
}

async fn on_postgres(database: &Database, seconds: i64, rows: i64) {
    let mut connection = PgConnection::connect(&database.with_password())
        .await
        .unwrap();
    let sql = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL);
         INSERT INTO t SELECT n, to_timestamp({seconds}) + n * interval '{STEP} us' FROM generate_series(1, {rows}) n;
         CREATE INDEX ON t (at);
         CREATE TABLE s (id bigint, day date NOT NULL);
         INSERT INTO s SELECT n, date '2013-01-01' + (n / {ROWS_A_DAY})::int FROM generate_series(0, {DAYS} * {ROWS_A_DAY} - 1) n"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn on_mariadb(database: &Database, seconds: i64, rows: i64) {
    let mut connection = MySqlConnection::connect(&database.with_password())
        .await
        .unwrap();
    let sql = format!(
        "SET time_zone = '+00:00';
         CREATE TABLE t (id bigint PRIMARY KEY, at timestamp(6) NOT NULL DEFAULT now(6), INDEX (at));
         INSERT INTO t SELECT seq, from_unixtime({seconds}) + INTERVAL seq * {STEP} MICROSECOND FROM seq_1_to_{rows};
         CREATE TABLE s (id bigint, day date NOT NULL);
         INSERT INTO s SELECT seq, date '2013-01-01' + INTERVAL seq DIV {ROWS_A_DAY} DAY FROM seq_0_to_{}",
        DAYS * ROWS_A_DAY - 1
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
