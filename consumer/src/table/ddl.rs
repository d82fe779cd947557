//! The statements that make a table for a result, extend it, and keep it under another name.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use nightdrop_schema::{Column, Header, Mode};

use super::fit::is_same;
use super::name::literal;
use super::{Name, SERVICE, identifier, identifiers};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::fit::tests::header;
    use nightdrop_schema::Type;

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
}
