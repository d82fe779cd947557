//! A table's name, and how names are written in a statement.

use std::fmt;
use std::str::FromStr;

use nightdrop_schema::{Job, Producer};
use serde::Deserialize;

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

/// The same for a text constant, where Postgres takes no parameter (comments, grants).
pub(crate) fn literal(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
