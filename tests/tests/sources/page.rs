//! `docs/sources.md`: each row of its tables is made a column of the server, filled, run, and compared.

use std::fmt::Write as _;

use nightdrop_compose::{MariaDb, Postgres};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, sqlite::SqliteConnectOptions};

use crate::server::{mysql, on_mysql, on_postgres, postgres};
use crate::site::Site;

const PAGE: &str = include_str!("../../../docs/sources.md");

/// One row of a table.
struct Mapping {
    ty: &'static str,
    sql: &'static str,
    travels_as: &'static str,
    message: Value,
}

/// The table after `<!-- table: name -->`.
fn table(name: &str) -> Vec<Mapping> {
    let marker = format!("<!-- table: {name} -->\n");
    let (_, after) = PAGE.split_once(&marker).unwrap();
    let rows: Vec<Mapping> = after
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [ty, sql, travels_as, message, _note] = cells[..] else {
                panic!("{line}")
            };
            let message =
                serde_json::from_str(message).unwrap_or_else(|why| panic!("{line}: {why}"));
            Mapping {
                ty,
                sql,
                travels_as,
                message,
            }
        })
        .collect();
    assert!(
        rows.len() > 10,
        "the table {name} has only {} rows",
        rows.len()
    );
    rows
}

fn columns(table: &[Mapping]) -> String {
    let columns: Vec<String> = table
        .iter()
        .enumerate()
        .map(|(index, row)| format!("c{index} {}", row.ty))
        .collect();
    format!("CREATE TABLE every ({})", columns.join(", "))
}

fn values(table: &[Mapping]) -> String {
    let values: Vec<&str> = table.iter().map(|row| row.sql).collect();
    let nulls = vec!["NULL"; table.len()];
    format!(
        "INSERT INTO every VALUES ({}), ({})",
        values.join(", "),
        nulls.join(", ")
    )
}

fn compare(table: &[Mapping], site: &Site) {
    let message = site.result("SELECT * FROM every", "");
    let mut wrong = String::new();
    let rows = message.rows();
    for (index, row) in table.iter().enumerate() {
        let (_, travels_as) = message.types()[index];
        let cell = &rows[0][index];
        if travels_as != row.travels_as || *cell != row.message {
            let _ = writeln!(
                wrong,
                "{}: the page says {} {}, the producer {travels_as} {cell}",
                row.ty, row.travels_as, row.message
            );
        }
        assert_eq!(rows[1][index], Value::Null, "{}", row.ty);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    // The same types for a result without rows.
    let empty = site.result("SELECT * FROM every WHERE 1 = 0", "");
    assert_eq!(empty.types(), message.types());
    assert!(empty.rows().is_empty());
}

#[tokio::test]
async fn each_postgres_type_travels_as_the_page_says() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let reader = Postgres::shared().unwrap().reader(&database).unwrap();
    let (_, after) = PAGE.split_once("```sql\n").unwrap();
    let (types, _) = after.split_once("```").unwrap();
    let table = table("postgres");
    on_postgres(&database, types).await;
    on_postgres(
        &database,
        &format!("{}; {}", columns(&table), values(&table)),
    )
    .await;
    compare(&table, &Site::on(&reader));
}

/// Types that the page does not name travel as `string`: asked of the server itself.
#[tokio::test]
async fn every_other_postgres_type_travels_as_a_string() {
    let database = Postgres::shared().unwrap().database().unwrap();
    // Whatever can be a column: no pseudo-types, no types of catalog rows.
    let sql = "SELECT format_type(oid, NULL) FROM pg_type \
               WHERE typtype IN ('b', 'r', 'm') AND typname !~ '^_' ORDER BY oid";
    let known: Vec<String> = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut postgres(&database).await)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(known.len() > 50);
    let query: Vec<String> = known
        .iter()
        .enumerate()
        .map(|(index, ty)| format!("NULL::{ty} AS c{index}"))
        .collect();
    let message = Site::on(&database).result(&format!("SELECT {}", query.join(", ")), "");
    let page = table("postgres");
    // The page has the everyday names, the server the standard's.
    let everyday = |ty: &str| match ty {
        "character" | "bpchar" => "char(4)".to_owned(),
        "character varying" => "varchar(20)".to_owned(),
        "bit" => "bit(3)".to_owned(),
        "bit varying" => "varbit".to_owned(),
        "time without time zone" => "time".to_owned(),
        "time with time zone" => "timetz".to_owned(),
        "timestamp without time zone" => "timestamp".to_owned(),
        "timestamp with time zone" => "timestamptz".to_owned(),
        other => other.to_owned(),
    };
    let mut named = 0;
    for (ty, (_, travels_as)) in known.iter().zip(message.types()) {
        let ty = everyday(ty);
        let row = page.iter().find(|row| row.ty == ty);
        named += usize::from(row.is_some());
        assert_eq!(
            travels_as,
            row.map_or("string", |row| row.travels_as),
            "{ty}"
        );
    }
    assert!(
        named > 25,
        "only {named} types of the page were found on the server"
    );
}

#[tokio::test]
async fn each_mysql_type_travels_as_the_page_says() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    let reader = MariaDb::shared().unwrap().reader(&database).unwrap();
    let version: String = sqlx::query("SELECT VERSION()")
        .fetch_one(&mut mysql(&database).await)
        .await
        .unwrap()
        .get(0);
    let (here, elsewhere) = if version.contains("MariaDB") {
        (" (MariaDB)", " (MySQL)")
    } else {
        (" (MySQL)", " (MariaDB)")
    };
    let table: Vec<Mapping> = table("mysql")
        .into_iter()
        .filter(|row| !row.ty.ends_with(elsewhere))
        .map(|row| Mapping {
            ty: row.ty.trim_end_matches(here),
            ..row
        })
        .collect();
    // A TIMESTAMP is null only where it is told that it may be.
    let columns = columns(&table).replace(" timestamp", " timestamp NULL");
    on_mysql(
        &database,
        &format!("SET time_zone = '+00:00'; {columns}; {}", values(&table)),
    )
    .await;
    compare(&table, &Site::on(&reader));
}

#[tokio::test]
async fn each_sqlite_type_travels_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ops.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let table = table("sqlite");
    for sql in [columns(&table), values(&table)] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
    compare(
        &table,
        &Site::reading(&format!("url = \"sqlite://{}\"", file.display())),
    );
}
