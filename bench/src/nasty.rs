//! Values that are easily lost, a result that comes twice, and a file that is cut: each goes through each contender by
//! itself, and is not timed.

use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use csv::StringRecord;
use nightdrop_schema::Type;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use crate::check::{self, TABLE};
use crate::contender::Contender;
use crate::measure;
use crate::stack::Stack;
use crate::table::{Column, NULL, Table};
use crate::work::{Object, Work};

/// What a contender got wrong; empty where nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Who.
    pub contender: String,
    /// What it read.
    pub source: String,
    /// A sentence for each thing.
    pub wrong: Vec<String>,
}

/// A column, what is said when it is wrong, and its values.
const VALUES: [(&str, Type, &str, &[&str]); 9] = [
    (
        "big",
        Type::Int64,
        "rounds integers above 2^53",
        &[
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            NULL,
        ],
    ),
    (
        "amount",
        Type::Decimal,
        "rounds decimals",
        &[
            "12345678901234567890.123456789",
            "0.1",
            "-0.00000000000000000001",
            NULL,
        ],
    ),
    (
        "ratio",
        Type::Float64,
        "changes doubles",
        &["0.1", "1.7976931348623157e308", "5e-324", NULL],
    ),
    (
        "name",
        Type::String,
        "changes texts",
        &[
            "",
            "NULL",
            "\\N",
            " 007 ",
            "a \"b\",\tc\\d\ne",
            "\u{1F6EB} \u{e9}",
            "2013-01-01",
            NULL,
        ],
    ),
    (
        "day",
        Type::Date,
        "changes dates",
        &["0001-01-01", "2013-03-31", "9999-12-31", NULL],
    ),
    (
        "at",
        Type::Timestamptz,
        "loses time zones",
        &[
            "2013-01-01T05:00:00.123456+05:30",
            "2013-06-30T23:59:59.999999Z",
            "2013-11-03T01:30:00-04:00",
            NULL,
        ],
    ),
    (
        "local",
        Type::Timestamp,
        "changes local times",
        &["2013-03-31T02:30:00.000001", "1900-01-01T00:00:00", NULL],
    ),
    (
        "tag",
        Type::Uuid,
        "changes UUIDs",
        &["01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11", NULL],
    ),
    (
        "extra",
        Type::Json,
        "changes JSON",
        &[
            r#"{"n": 12345678901234567890123, "t": "a\"b"}"#,
            "[1, [2.50], {}]",
            r#"{"a": {"b": null}}"#,
            NULL,
        ],
    ),
];

/// A table of one nasty column beside the number of its row.
fn table((name, ty, _, values): (&'static str, Type, &str, &[&str])) -> Table {
    Table {
        columns: vec![
            Column {
                name: "id",
                ty: Type::Int64,
            },
            Column { name, ty },
        ],
        rows: values
            .iter()
            .enumerate()
            .map(|(number, value)| StringRecord::from(vec![number.to_string().as_str(), value]))
            .collect(),
    }
}

/// Sends all of it through a contender.
///
/// # Errors
/// When the bench itself fails.
pub async fn judge(
    stack: &Stack,
    contender: Contender,
    small: &Table,
    logs: &Path,
) -> Result<Verdict> {
    let mut wrong = Vec::new();
    for column in VALUES {
        let table = table(column);
        let rows = table.rows.len();
        let work = Work::new("nasty", String::new(), table, 1, rows);
        let objects = work.objects(contender.reads)?;
        let trial = Trial::new(stack, contender, &work.table, logs, column.0).await?;
        let code = trial.run(&[&objects]).await?;
        if let Some(sentence) = trial.values(&work.table, column.2, code).await? {
            wrong.push(sentence);
        }
        trial.end().await?;
    }
    wrong.extend(twice(stack, contender, small, logs).await?);
    wrong.extend(cut(stack, contender, small, logs).await?);
    Ok(Verdict {
        contender: contender.name.to_owned(),
        source: contender.source().to_owned(),
        wrong,
    })
}

/// The same objects lie in the bucket again, as they do after a crash between commit and DELETE.
async fn twice(
    stack: &Stack,
    contender: Contender,
    small: &Table,
    logs: &Path,
) -> Result<Option<String>> {
    let work = Work::new("twice", String::new(), small.clone(), 4, 10);
    let objects = work.objects(contender.reads)?;
    let trial = Trial::new(stack, contender, small, logs, "twice").await?;
    trial.run(&[&objects, &objects]).await?;
    let rows = trial.rows().await?;
    trial.end().await?;
    Ok((rows != Some(40)).then(|| match rows {
        Some(rows) => format!("after a crash between commit and DELETE: {rows} rows of 40"),
        None => "after a crash between commit and DELETE: no table".to_owned(),
    }))
}

/// One of ten files ends half-way. What matters is what became of the others.
async fn cut(
    stack: &Stack,
    contender: Contender,
    small: &Table,
    logs: &Path,
) -> Result<Option<String>> {
    let work = Work::new("cut", String::new(), small.clone(), 10, 10);
    let mut objects: Vec<Object> = work.objects(contender.reads)?;
    let bad = &mut objects[4];
    let cut = bad.body.len() * 3 / 4 + 7;
    bad.body = Bytes::copy_from_slice(&bad.body[..cut]);
    let trial = Trial::new(stack, contender, small, logs, "cut").await?;
    let code = trial.run(&[&objects, &[]]).await?;
    let rows = trial.rows().await?.unwrap_or(0);
    trial.end().await?;
    Ok((rows != 90).then(|| {
        let ended = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit {code}"));
        format!("one cut file of ten, two runs: {rows} rows of the other nine's 90, {ended}")
    }))
}

/// One contender on a database of its own.
struct Trial<'a> {
    stack: &'a Stack,
    contender: Contender,
    table: &'a Table,
    database: nightdrop_compose::Database,
    folder: std::path::PathBuf,
    log: std::path::PathBuf,
}

impl<'a> Trial<'a> {
    async fn new(
        stack: &'a Stack,
        contender: Contender,
        table: &'a Table,
        logs: &Path,
        name: &str,
    ) -> Result<Self> {
        let database = stack.postgres.database()?;
        let folder = stack.folder.join(format!("trial-{}", database.name()));
        std::fs::create_dir(&folder)?;
        contender.prepare(stack, &database, table, &folder).await?;
        let log = logs.join(format!("nasty-{name}-{}.log", contender.name));
        Ok(Self {
            stack,
            contender,
            table,
            database,
            folder,
            log,
        })
    }

    /// Puts each list of objects in turn and starts the contender; gives the last exit code.
    async fn run(&self, turns: &[&[Object]]) -> Result<Option<i32>> {
        let mut code = None;
        for objects in turns {
            self.stack.drop_box.fill(objects).await?;
            let none = Path::new("/dev/null");
            let mut command = self.contender.command(
                self.stack,
                &self.database,
                self.table,
                &self.folder,
                none,
            )?;
            code = measure::run(&mut command, &self.log, &[])?.code;
        }
        Ok(code)
    }

    async fn rows(&self) -> Result<Option<i64>> {
        let mut connection = check::connect(&self.database).await?;
        let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {TABLE}")));
        Ok(count.fetch_one(&mut connection).await.ok())
    }

    /// Compares a nasty column with what was dropped.
    async fn values(
        &self,
        table: &Table,
        sentence: &str,
        code: Option<i32>,
    ) -> Result<Option<String>> {
        let mut connection = check::connect(&self.database).await?;
        check::create(&mut connection, "bench.expected", table).await?;
        check::copy(&mut connection, "bench.expected", table, &table.csv()).await?;
        let column = &table.columns[1];
        let found = match rows(&mut connection, column).await {
            Ok(found) => found,
            Err(error) => {
                return Ok(Some(format!(
                    "{} column: {error:#} (exit {code:?})",
                    column.ty
                )));
            }
        };
        let copies: i64 = found.iter().map(|row| row.copies).sum();
        if copies != i64::try_from(table.rows.len())? {
            return Ok(Some(format!(
                "{} column: {copies} rows of {} (exit {code:?})",
                column.ty,
                table.rows.len()
            )));
        }
        let changed: Vec<String> = found
            .iter()
            .filter(|row| row.changed)
            .map(|row| format!("{} → {}", row.expected, row.got))
            .collect();
        Ok((!changed.is_empty()).then(|| format!("{sentence}: {}", changed.join("; "))))
    }

    async fn end(self) -> Result<()> {
        self.stack.drop_box.clear().await?;
        self.stack.remove(&self.database).await?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

struct Found {
    expected: String,
    got: String,
    changed: bool,
    copies: i64,
}

async fn rows(connection: &mut PgConnection, column: &Column) -> Result<Vec<Found>> {
    let (name, ty) = (column.name, column.ty.postgres());
    // JSON is equal as JSON, a number as a number, all else as text.
    let by = match column.ty {
        Type::Json | Type::Decimal => "",
        _ => "::text",
    };
    // In quotes a text can be told from null.
    let shown = |cell: String| match column.ty {
        Type::String => format!("coalesce('\"' || {cell} || '\"', 'null')"),
        _ => format!("coalesce({cell}, 'null')"),
    };
    let expected = shown(format!("e.\"{name}\"::text"));
    let got = shown(format!("min(a.\"{name}\"::text)"));
    let query = format!(
        "SELECT {expected}, {got}, count(a.id),
                bool_or((a.\"{name}\"::text::{ty}){by} IS DISTINCT FROM (e.\"{name}\"){by})
         FROM bench.expected e LEFT JOIN {TABLE} a ON a.id::text = e.id::text
         GROUP BY e.id, e.\"{name}\" ORDER BY e.id"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Found {
                expected: row.try_get(0)?,
                got: row.try_get(1)?,
                copies: row.try_get(2)?,
                changed: row.try_get(3)?,
            })
        })
        .collect()
}
