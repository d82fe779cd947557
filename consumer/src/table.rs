//! Report tables as values: their names, the statements that make and extend them, and what may not
//! be done to them. Pure; `destination.rs` carries it out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use nightdrop_schema::{Column, Header, Job, Mode, Producer, Type};
use serde::Deserialize;

use crate::ledger::reason::{Cause, Reason};

/// The columns that every report table has, before its own: name, type.
pub const SERVICE: [(&str, &str); 3] = [
    ("_producer", "text"),
    ("_as_of", "timestamp with time zone"),
    ("_file", "bigint"),
];

/// A table's name, with its schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Name {
    /// Such as `reports`.
    pub schema: String,
    /// Such as `departures`.
    pub table: String,
}

/// What is wrong with a table's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Not of the form `schema.table`.
    #[error("{0:?} is no table name; write schema.table, each of 1 to 63 bytes")]
    Form(String),
    /// A schema that is Postgres's own or ours.
    #[error("the schema {0:?} is not for reports; name another")]
    Reserved(String),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits =
            |part: &str| (1..=63).contains(&part.len()) && !part.chars().any(char::is_control);
        let (schema, table) = text
            .split_once('.')
            .filter(|(schema, table)| fits(schema) && fits(table) && !table.contains('.'))
            .ok_or_else(|| NameError::Form(text.to_owned()))?;
        if schema.starts_with("pg_") || matches!(schema, "information_schema" | "nightdrop") {
            return Err(NameError::Reserved(schema.to_owned()));
        }
        Ok(Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
        })
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl Name {
    /// Where a job's results go unless a route says otherwise.
    pub fn of(producer: &Producer, job: &Job) -> Self {
        Self {
            schema: producer.to_string(),
            table: job.to_string(),
        }
    }

    /// For use in a statement.
    pub fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }

    /// The same as the catalog knows it.
    pub fn class(&self) -> String {
        format!("{}::regclass", literal(&self.quoted()))
    }
}

/// The one function that puts a name into a statement.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same for a text constant, where Postgres takes no parameter (comments).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A comma-separated list of names.
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(identifier)
        .collect::<Vec<_>>()
        .join(", ")
}

/// All columns of a COPY of this result, service columns first.
pub fn copy_columns(header: &Header) -> String {
    let own = header.columns.iter().map(|column| column.name.as_str());
    identifiers(SERVICE.iter().map(|(name, _)| *name).chain(own))
}

/// The statements that make a table for a result.
pub fn create(name: &Name, header: &Header, origin: &str) -> Vec<String> {
    let service = SERVICE
        .iter()
        .map(|(name, ty)| format!("{} {ty} NOT NULL", identifier(name)));
    let own = header.columns.iter().map(|column| {
        format!(
            "{} {}",
            identifier(column.name.as_str()),
            column.ty.postgres()
        )
    });
    let columns = service.chain(own).collect::<Vec<_>>().join(",\n    ");
    let table = name.quoted();
    let mut statements = vec![
        format!("CREATE TABLE {table} (\n    {columns}\n)"),
        format!("COMMENT ON TABLE {table} IS {}", literal(origin)),
        format!(
            "COMMENT ON COLUMN {table}.\"_producer\" IS 'Who dropped the result that this row came in.'"
        ),
        format!(
            "COMMENT ON COLUMN {table}.\"_as_of\" IS 'The instant that the result is as of: its source''s clock.'"
        ),
        format!(
            "COMMENT ON COLUMN {table}.\"_file\" IS 'The result file: its row in nightdrop.file.'"
        ),
    ];
    statements.extend(
        header
            .columns
            .iter()
            .filter_map(|column| describe(name, column)),
    );
    statements.extend(index(name, &header.mode));
    statements
}

/// The one statement that adds columns, and those that describe them.
pub fn add(name: &Name, columns: &[&Column]) -> Vec<String> {
    let added = columns.iter().map(|column| {
        let own = identifier(column.name.as_str());
        format!("ADD COLUMN {own} {}", column.ty.postgres())
    });
    let added = added.collect::<Vec<_>>().join(", ");
    let alter = format!("ALTER TABLE {} {added}", name.quoted());
    let comments = columns.iter().filter_map(|column| describe(name, column));
    [alter].into_iter().chain(comments).collect()
}

/// The statement that gives the columns of a table without rows the types of this result.
pub fn retype(name: &Name, header: &Header, table: &BTreeMap<String, String>) -> String {
    let changed = header.columns.iter().filter(|column| {
        let ty = table.get(column.name.as_str());
        ty.is_some_and(|ty| !is_same(column.ty, ty))
    });
    let changed = changed.map(|column| {
        let (own, ty) = (identifier(column.name.as_str()), column.ty.postgres());
        format!("ALTER COLUMN {own} TYPE {ty} USING NULL::{ty}")
    });
    let changed = changed.collect::<Vec<_>>().join(", ");
    format!("ALTER TABLE {} {changed}", name.quoted())
}

/// What a table is called once its job is retired: Postgres's names end at 63 bytes.
pub fn retired(table: &str, now: DateTime<Utc>) -> String {
    let suffix = now.format("_retired_%Y%m%dt%H%M%S").to_string();
    let mut end = table.len().min(63 - suffix.len());
    while !table.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &table[..end])
}

/// The statements that keep a table under another name.
pub fn retire(name: &Name, to: &Name, comment: &str) -> [String; 2] {
    [
        format!(
            "ALTER TABLE {} RENAME TO {}",
            name.quoted(),
            identifier(&to.table)
        ),
        format!("COMMENT ON TABLE {} IS {}", to.quoted(), literal(comment)),
    ]
}

fn describe(name: &Name, column: &Column) -> Option<String> {
    let description = column.description.as_deref()?;
    let column = identifier(column.name.as_str());
    Some(format!(
        "COMMENT ON COLUMN {}.{column} IS {}",
        name.quoted(),
        literal(&description.replace('\0', ""))
    ))
}

/// The index that a mode works with: a producer's key for `upsert` (unique, for it decides which row
/// is which), a producer's rows or range for `replace`.
pub fn index(name: &Name, mode: &Mode) -> Option<String> {
    let (unique, columns) = match mode {
        Mode::Append => return None,
        Mode::Replace { range: None } => ("", identifiers(["_producer"])),
        Mode::Replace { range: Some(range) } => {
            ("", identifiers(["_producer", range.column.as_str()]))
        }
        Mode::Upsert { primary_key } => (
            "UNIQUE ",
            conflict_target(primary_key.iter().map(AsRef::as_ref)),
        ),
    };
    Some(format!(
        "CREATE {unique}INDEX ON {} ({columns})",
        name.quoted()
    ))
}

/// What an upsert's rows are told apart by.
pub fn conflict_target<'a>(primary_key: impl IntoIterator<Item = &'a str>) -> String {
    identifiers(["_producer"].into_iter().chain(primary_key))
}

/// How a result fits its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit<'a> {
    /// Columns that the table lacks, and that are to be added.
    pub missing: Vec<&'a Column>,
    /// What is done to each column's values on their way.
    pub widened: Vec<Widening>,
}

/// How a value becomes one of a wider type, the same value still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// Its bytes are the column's own.
    AsItIs,
    /// An int64 for a `numeric` column.
    Numeric,
    /// A json for a `json` column, which keeps the text as it is.
    JsonText,
}

/// Compares a result's columns with those that its table has (name to type, as `format_type` writes it).
///
/// # Errors
/// The reason to park the file: a column of another type, or, where the columns are the table's
/// owner's, one that the table doesn't have.
pub fn fit<'a>(
    name: &Name,
    header: &'a Header,
    table: &BTreeMap<String, String>,
    routed: bool,
) -> Result<Fit<'a>, Reason> {
    let mut fit = Fit::default();
    for column in &header.columns {
        let widening = match table.get(column.name.as_str()) {
            None if routed => return Err(unknown(name, column)),
            None => {
                fit.missing.push(column);
                Widening::AsItIs
            }
            Some(ty) if is_same(column.ty, ty) => Widening::AsItIs,
            Some(ty) if routed => {
                holds(column.ty, ty).ok_or_else(|| changed(name, column, ty, routed))?
            }
            Some(ty) => return Err(changed(name, column, ty, routed)),
        };
        fit.widened.push(widening);
    }
    Ok(fit)
}

fn unknown(name: &Name, column: &Column) -> Reason {
    Reason::new(
        Cause::ColumnUnknown,
        format!(
            "column {} is not in {name}, whose columns are its owner's; add it: ALTER TABLE {} ADD COLUMN {} {}",
            column.name,
            name.quoted(),
            identifier(column.name.as_str()),
            column.ty.postgres(),
        ),
    )
}

fn changed(name: &Name, column: &Column, ty: &str, routed: bool) -> Reason {
    let own = column.ty.postgres();
    let advice = if routed {
        format!(
            "which can't hold each of its values as it is; cast it in the query, or have the table's owner change it: ALTER TABLE {} ALTER COLUMN {} TYPE {own}",
            name.quoted(),
            identifier(column.name.as_str()),
        )
    } else {
        "give it its old type again, or another name".to_owned()
    };
    let between = if routed { ", " } else { "; " };
    Reason::new(
        Cause::ChangedType,
        format!(
            "column {} is {} ({own}) here and {ty} in {name}{between}{advice}",
            column.name,
            column.ty.as_str(),
        ),
    )
}

/// Whether a table's column is of the very type, all of it: one with a precision would round in silence.
fn is_same(ty: Type, column: &str) -> bool {
    let full = full_name(ty);
    column == full
        || match ty {
            // All the digits that there are.
            Type::Time | Type::Timestamp | Type::Timestamptz => {
                column.replacen("(6)", "", 1) == full
            }
            _ => false,
        }
}

/// What is done to a value for a wider column, if anything; none if the column can't hold each value of
/// the type as it is.
fn holds(ty: Type, column: &str) -> Option<Widening> {
    match (ty, column) {
        (Type::Int64, "numeric") => Some(Widening::Numeric),
        (Type::Int64, limited) => {
            let (precision, scale) = limited
                .strip_prefix("numeric(")?
                .strip_suffix(')')?
                .split_once(',')?;
            let (precision, scale): (i32, i32) = (precision.parse().ok()?, scale.parse().ok()?);
            // 2^63 has 19 digits.
            (scale >= 0 && precision - scale >= 19).then_some(Widening::Numeric)
        }
        (Type::String, "character varying") => Some(Widening::AsItIs),
        (Type::Json, "json") => Some(Widening::JsonText),
        _ => None,
    }
}

/// A type's name as `format_type` gives it.
pub(crate) fn full_name(ty: Type) -> &'static str {
    match ty {
        Type::Time => "time without time zone",
        Type::Timestamp => "timestamp without time zone",
        Type::Timestamptz => "timestamp with time zone",
        Type::Bool
        | Type::Int64
        | Type::Decimal
        | Type::Float64
        | Type::String
        | Type::Bytes
        | Type::Date
        | Type::Uuid
        | Type::Json => ty.postgres(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(mode: Mode, columns: &[(&str, Type)]) -> Header {
        let columns = columns.iter().map(|(name, ty)| Column {
            name: name.parse().unwrap(),
            ty: *ty,
            description: None,
            nullable: true,
        });
        Header {
            mode,
            columns: columns.collect(),
            parameters: None,
            next_by: None,
        }
    }

    #[test]
    fn a_route_names_a_schema_and_a_table_that_are_not_postgress_or_ours() {
        assert_eq!(
            "reports.departures".parse::<Name>().unwrap().quoted(),
            r#""reports"."departures""#
        );
        for form in ["departures", "a.b.c", ".b", "a.", "a.b\nc"] {
            assert_eq!(form.parse::<Name>(), Err(NameError::Form(form.into())));
        }
        for reserved in [
            "nightdrop.file",
            "pg_catalog.pg_class",
            "information_schema.tables",
        ] {
            assert!(
                matches!(reserved.parse::<Name>(), Err(NameError::Reserved(_))),
                "{reserved}"
            );
        }
    }

    #[test]
    fn names_stay_as_they_are_whatever_they_hold() {
        let mut header = header(
            Mode::Upsert {
                primary_key: vec!["the \"key\"".parse().unwrap()],
            },
            &[
                ("the \"key\"", Type::Int64),
                ("select", Type::Decimal),
                ("Größe; --", Type::Json),
            ],
        );
        header.columns[1].description = Some("it's \"theirs\"".into());
        let name = Name {
            schema: "jfk".into(),
            table: "user".into(),
        };
        insta::assert_snapshot!(create(&name, &header, "Results of jfk's job.").join(";\n"));
    }

    #[test]
    fn a_column_of_another_type_is_named_with_both_types() {
        let name = Name {
            schema: "jfk".into(),
            table: "departures".into(),
        };
        let table = BTreeMap::from([
            ("flight".to_owned(), "bigint".to_owned()),
            ("at".to_owned(), "time without time zone".to_owned()),
        ]);
        let same = header(Mode::Append, &[("flight", Type::Int64), ("at", Type::Time)]);
        assert_eq!(
            fit(&name, &same, &table, true).unwrap(),
            Fit {
                missing: Vec::new(),
                widened: vec![Widening::AsItIs; 2],
            }
        );
        let changed = header(Mode::Append, &[("flight", Type::String)]);
        insta::assert_snapshot!(
            fit(&name, &changed, &table, false).unwrap_err().sentence,
            @"column flight is string (text) here and bigint in jfk.departures; give it its old type again, or another name"
        );
        insta::assert_snapshot!(
            fit(&name, &changed, &table, true).unwrap_err().sentence,
            @r#"column flight is string (text) here and bigint in jfk.departures, which can't hold each of its values as it is; cast it in the query, or have the table's owner change it: ALTER TABLE "jfk"."departures" ALTER COLUMN "flight" TYPE text"#
        );
    }

    #[test]
    fn a_retired_tables_name_says_when_and_fits() {
        let now = "2026-11-21T01:02:03Z".parse().unwrap();
        assert_eq!(
            retired("departures", now),
            "departures_retired_20261121t010203"
        );
        let long = retired(&"ä".repeat(31), now);
        assert_eq!(long, format!("{}_retired_20261121t010203", "ä".repeat(19)));
        assert!(long.len() <= 63);
    }

    #[test]
    fn a_routed_tables_columns_are_its_owners() {
        let name = Name {
            schema: "reports".into(),
            table: "departures".into(),
        };
        let wider = header(Mode::Append, &[("fare", Type::Decimal)]);
        let table = BTreeMap::new();
        assert_eq!(fit(&name, &wider, &table, false).unwrap().missing.len(), 1);
        insta::assert_snapshot!(
            fit(&name, &wider, &table, true).unwrap_err().sentence,
            @r#"column fare is not in reports.departures, whose columns are its owner's; add it: ALTER TABLE "reports"."departures" ADD COLUMN "fare" numeric"#
        );
    }

    #[test]
    fn a_column_takes_another_type_only_where_a_route_has_one_that_holds_each_of_its_values() {
        let name: Name = "reports.departures".parse().unwrap();
        let how = |ty: Type, column: &str, routed: bool| {
            let header = header(Mode::Append, &[("c", ty)]);
            let table = BTreeMap::from([("c".to_owned(), column.to_owned())]);
            fit(&name, &header, &table, routed)
                .map(|fit| fit.widened[0])
                .map_err(|reason| reason.cause)
        };
        for (ty, column, widening) in [
            (Type::Int64, "numeric", Widening::Numeric),
            (Type::Int64, "numeric(19,0)", Widening::Numeric),
            (Type::Int64, "numeric(30,11)", Widening::Numeric),
            (Type::String, "character varying", Widening::AsItIs),
            (Type::Json, "json", Widening::JsonText),
        ] {
            assert_eq!(how(ty, column, true), Ok(widening), "{column}");
            assert_eq!(how(ty, column, false), Err(Cause::ChangedType), "{column}");
        }
        for (ty, column) in [
            (Type::Int64, "integer"),
            (Type::Int64, "smallint"),
            (Type::Int64, "double precision"),
            (Type::Int64, "text"),
            (Type::Int64, "numeric(18,0)"),
            (Type::Int64, "numeric(20,2)"),
            (Type::Int64, "numeric(20,-1)"),
            (Type::Decimal, "numeric(10,2)"),
            (Type::Decimal, "double precision"),
            (Type::Float64, "numeric"),
            (Type::Float64, "real"),
            (Type::String, "character varying(10)"),
            (Type::String, "character(10)"),
            (Type::String, "json"),
            (Type::Date, "timestamp without time zone"),
            (Type::Timestamp, "timestamp with time zone"),
            (Type::Timestamptz, "timestamp without time zone"),
            (Type::Timestamptz, "timestamp(3) with time zone"),
            (Type::Time, "time(0) without time zone"),
            (Type::Time, "time with time zone"),
            (Type::Uuid, "text"),
        ] {
            assert_eq!(how(ty, column, true), Err(Cause::ChangedType), "{column}");
        }
        for routed in [true, false] {
            assert_eq!(
                how(Type::Timestamp, "timestamp(6) without time zone", routed),
                Ok(Widening::AsItIs)
            );
        }
    }
}
