//! The ledger's shape, and whether the report tables are still what their jobs' results need.

use std::collections::BTreeMap;

use nightdrop_runtime::exit::Code;
use nightdrop_runtime::findings::Finding;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::consumer::Consumer;
use crate::ledger::shape::{self, Shape};
use crate::migrate;
use crate::pool::Pool;
use crate::table::{self, Name};

const MIGRATIONS: &str = "Postgres: migrations";
const TABLES: &str = "Postgres: report tables";

pub(super) const LINES: &[&str] = &[MIGRATIONS, TABLES];

/// By names and not by `regclass`, which needs rights of its own.
const DESTINATIONS: &str = "SELECT
    j.producer || '/' || j.job, j.table_schema, j.table_name, d.routed, s.columns::text,
    c.oid IS NOT NULL,
    c.oid IS NOT NULL AND pg_has_role(c.relowner, 'USAGE'),
    (SELECT coalesce(array_agg(privilege), '{}')
     FROM unnest(ARRAY['SELECT', 'INSERT'] || CASE j.mode WHEN 'append' THEN '{}' WHEN 'replace' THEN ARRAY['DELETE']
                                                          ELSE ARRAY['UPDATE'] END::text[]) privilege
     WHERE NOT has_table_privilege(c.oid, privilege)),
    coalesce(has_schema_privilege(n.oid, 'USAGE'), true),
    (SELECT json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))::text
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
 FROM nightdrop.job j JOIN nightdrop.destination d USING (table_schema, table_name)
 LEFT JOIN nightdrop.shape s ON s.producer = j.producer AND s.job = j.job
 LEFT JOIN pg_namespace n ON n.nspname = j.table_schema
 LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = j.table_name
 ORDER BY 1";

pub(super) async fn look(consumer: &Consumer) -> Result<Vec<Finding>, sqlx::Error> {
    match migrate::pending(consumer.pool()).await {
        Ok(pending) if pending.is_empty() => {
            let mut lines = vec![Finding::ok(MIGRATIONS, "none is pending")];
            lines.extend(tables(consumer.pool()).await?);
            Ok(lines)
        }
        Ok(pending) => {
            let versions: Vec<_> = pending
                .iter()
                .map(|(version, _)| version.to_string())
                .collect();
            Ok(vec![
                Finding::fail(
                    MIGRATIONS,
                    Code::Config,
                    format!("pending: {}", versions.join(", ")),
                    "run `nightdrop-consumer migrate` as the ledger's owner, and what `nightdrop-consumer grants` prints",
                ),
                Finding::unproven(
                    TABLES,
                    Code::Config,
                    "the ledger is older than this binary",
                    "apply what is pending, then ask again",
                ),
            ])
        }
        Err(migrate::Error::Unavailable(error)) => Err(error),
        Err(error) => Ok(vec![Finding::fail(
            MIGRATIONS,
            Code::Config,
            error.to_string(),
            "bring the ledger back to what `migrate` made",
        )]),
    }
}

/// One line for all that are in order, and one for each that isn't.
async fn tables(pool: &Pool) -> Result<Vec<Finding>, sqlx::Error> {
    let rows = sqlx::query(DESTINATIONS).fetch_all(pool).await?;
    let (mut wrong, mut fit, mut unknown) = (Vec::new(), 0, Vec::new());
    let mut first = None;
    for row in &rows {
        let found = Found::of(row)?;
        match found.problem() {
            Some((what, code, remedy)) => {
                let line = format!("table {}: {what}", found.name);
                first.get_or_insert(code);
                wrong.push(Finding::fail(line, code, remedy.0, remedy.1));
            }
            None if found.shape.is_none() => unknown.push(found.job),
            None => fit += 1,
        }
    }
    let sum = match (wrong.len(), unknown.as_slice()) {
        (0, []) => Finding::ok(TABLES, format!("as their jobs' results need them: {fit}")),
        (0, [first, ..]) => Finding::unproven(
            TABLES,
            Code::Config,
            format!(
                "{fit} are in order; of {} jobs, {first} the first, no result has come since migration 11, which writes down what columns they have",
                unknown.len()
            ),
            "ask again after their next results",
        ),
        (wrong, _) => Finding::fail(
            TABLES,
            first.unwrap_or(Code::Config),
            format!(
                "{wrong} of {} are not as their jobs' results need them",
                rows.len()
            ),
            "see the lines below",
        ),
    };
    Ok([vec![sum], wrong].concat())
}

/// A job's table, as it is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a row of a query that asks yes or no four times"
)]
struct Found {
    job: String,
    name: Name,
    routed: bool,
    /// What the job's results look like, if one has come since that is written down.
    shape: Option<Shape>,
    there: bool,
    owned: bool,
    lacks: Vec<String>,
    usable: bool,
    columns: BTreeMap<String, String>,
}

type Problem = (&'static str, Code, (String, String));

impl Found {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            job: row.try_get(0)?,
            name: Name {
                schema: row.try_get(1)?,
                table: row.try_get(2)?,
            },
            routed: row.try_get(3)?,
            shape: row
                .try_get::<Option<String>, _>(4)?
                .as_deref()
                .map(shape::read),
            there: row.try_get(5)?,
            owned: row.try_get(6)?,
            lacks: row.try_get(7)?,
            usable: row.try_get(8)?,
            columns: row
                .try_get::<Option<String>, _>(9)?
                .and_then(|columns| serde_json::from_str(&columns).ok())
                .unwrap_or_default(),
        })
    }

    fn problem(&self) -> Option<Problem> {
        let (job, name) = (&self.job, &self.name);
        if !self.there {
            return Some((
                "there",
                Code::Config,
                (
                    format!("it is gone, to which results of {job} were loaded"),
                    format!(
                        "bring it back, or let the job begin anew: nightdrop-consumer retire {}",
                        job.replace('/', " ")
                    ),
                ),
            ));
        }
        if !self.usable || !self.lacks.is_empty() {
            let lacks = if self.usable {
                self.lacks.join(", ")
            } else {
                format!("USAGE on the schema {}", name.schema)
            };
            return Some((
                "rights",
                Code::NoPerm,
                (
                    format!("missing: {lacks}"),
                    "run what `nightdrop-consumer grants` prints".to_owned(),
                ),
            ));
        }
        if !self.routed && !self.owned {
            return Some((
                "owner",
                Code::NoPerm,
                (
                    "it is another role's, and new columns can't be added".to_owned(),
                    format!("ALTER TABLE {} OWNER TO the consumer's role", name.quoted()),
                ),
            ));
        }
        self.misfit()
    }

    /// The first column that the job's results could not be loaded into.
    fn misfit(&self) -> Option<Problem> {
        let quoted = self.name.quoted();
        for (column, ty) in table::SERVICE {
            if self.columns.get(column).is_none_or(|found| found != ty) {
                let found = self.columns.get(column).map_or("not there", String::as_str);
                return Some(column_is(
                    column,
                    found,
                    ty,
                    format!("bring it back as {ty}"),
                ));
            }
        }
        for (column, ty) in self.shape.iter().flatten() {
            let own = table::identifier(column);
            match self.columns.get(column) {
                // A table of the job's own gets it again.
                None if !self.routed => {}
                None => {
                    let add = format!("ALTER TABLE {quoted} ADD COLUMN {own} {}", ty.postgres());
                    return Some(column_is(column, "not there", ty.as_str(), add));
                }
                Some(found) if table::takes(*ty, found, self.routed) => {}
                Some(found) => {
                    let alter = format!(
                        "ALTER TABLE {quoted} ALTER COLUMN {own} TYPE {ty} USING {own}::{ty}, which Postgres does where each value can be one; else the job's next result is parked",
                        ty = ty.postgres()
                    );
                    return Some(column_is(column, found, ty.as_str(), alter));
                }
            }
        }
        None
    }
}

fn column_is(column: &str, found: &str, wanted: &str, remedy: String) -> Problem {
    (
        "columns",
        Code::Config,
        (
            format!("{column} is {found}, and results say {wanted}"),
            remedy,
        ),
    )
}

#[cfg(test)]
mod tests {
    use nightdrop_schema::Type;

    use super::*;

    fn found(routed: bool, flight: &str) -> Found {
        let columns = table::SERVICE
            .iter()
            .copied()
            .chain([("flight", flight)])
            .map(|(name, ty)| (name.to_owned(), ty.to_owned()));
        Found {
            job: "jfk/departures".to_owned(),
            name: "jfk.departures".parse().unwrap(),
            routed,
            shape: Some(BTreeMap::from([("flight".to_owned(), Type::Int64)])),
            there: true,
            owned: true,
            lacks: Vec::new(),
            usable: true,
            columns: columns.collect(),
        }
    }

    #[test]
    fn a_column_of_another_type_is_named_unless_a_route_widens_it() {
        let said = |found: &Found| found.problem().map(|(_, _, (said, _))| said);
        assert_eq!(said(&found(false, "bigint")), None);
        assert_eq!(said(&found(true, "numeric")), None);
        for routed in [false, true] {
            assert_eq!(
                said(&found(routed, "integer")).unwrap(),
                "flight is integer, and results say int64"
            );
        }
        assert!(said(&found(false, "numeric")).is_some());
    }

    #[test]
    fn a_table_that_is_gone_or_another_s_is_named() {
        let what = |change: fn(&mut Found)| {
            let mut found = found(false, "bigint");
            change(&mut found);
            found.problem().map(|(what, ..)| what)
        };
        assert_eq!(what(|found| found.there = false), Some("there"));
        assert_eq!(what(|found| found.owned = false), Some("owner"));
        assert_eq!(what(|found| found.usable = false), Some("rights"));
        assert_eq!(
            what(|found| found.lacks = vec!["INSERT".to_owned()]),
            Some("rights")
        );
        assert_eq!(
            what(|found| drop(found.columns.remove("_file"))),
            Some("columns")
        );
    }
}
