//! `grants`: the SQL that gives three roles what they need in the reporting Postgres, and no more.
//!
//! The owner makes and changes the consumer's own tables. The consumer reads and writes rows in them, and
//! makes report tables. The reader reads reports, and of the consumer's own things only the views: parked
//! bytes are a producer's secrets until a person has looked.
//!
//! Whoever runs it has the right to make roles; it says the same however often it is run. Tables and views
//! that a migration brings are seen to when it is run again.

use nightdrop_schema::Producer;

use crate::config::Config;
use crate::table::{Name, identifier, literal};

/// Whom to give rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Runs `migrate`.
    pub owner: String,
    /// Runs `run` and `once`.
    pub consumer: String,
    /// Reads reports.
    pub reader: String,
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `[postgres]` table.
    #[error("[postgres] url: {0}")]
    Url(#[from] nightdrop_runtime::postgres::OptionsError),
    /// No database in it.
    #[error("[postgres] url names no database; write postgres://role@host/database")]
    NoDatabase,
    /// What one role may, another would have, too.
    #[error(
        "{0} would be two of the three roles; name others with --owner and --reader (the consumer's is the one in [postgres] url)"
    )]
    NotThree(String),
}

/// The SQL for the database and the role that the configuration names.
///
/// Where `strict` is there, the consumer makes tables only in the schemas of the producers in it, and in
/// those that a route names; else it may make a schema for each producer that comes.
///
/// # Errors
/// The configuration names no database, or the roles aren't three.
pub fn grants(
    config: &Config,
    owner: &str,
    reader: &str,
    strict: Option<&[Producer]>,
) -> Result<String, Error> {
    let options =
        nightdrop_runtime::postgres::options(&config.postgres.url, None, "nightdrop/grants")?;
    let database = options.get_database().ok_or(Error::NoDatabase)?;
    let roles = Roles {
        owner: owner.to_owned(),
        consumer: options.get_username().to_owned(),
        reader: reader.to_owned(),
    };
    for (one, others) in [
        (&roles.owner, [&roles.consumer, &roles.reader]),
        (&roles.consumer, [&roles.owner, &roles.reader]),
    ] {
        if others.contains(&one) {
            return Err(Error::NotThree(one.clone()));
        }
    }
    let mut schemas: Vec<&str> = strict
        .unwrap_or_default()
        .iter()
        .map(Producer::as_str)
        .chain(
            config
                .routes
                .iter()
                .map(|route| route.table.schema.as_str()),
        )
        .collect();
    schemas.sort_unstable();
    schemas.dedup();
    let mut routed: Vec<&Name> = config.routes.iter().map(|route| &route.table).collect();
    routed.sort_unstable();
    routed.dedup();

    let quote = quote(&format!("{database} {roles:?} {routed:?}"));
    let mut sql = roles.made_and_ours(database, &quote);
    sql += &roles.may_make_schemas(database, strict.is_none());
    for schema in schemas {
        sql += &roles.may_make_tables_in(schema);
    }
    for table in routed {
        sql += &roles.may_write_rows_of(table, &quote);
    }
    Ok(sql + &roles.may_read(database, &quote))
}

impl Roles {
    fn made_and_ours(&self, database: &str, quote: &str) -> String {
        format!(
            include_str!("grants/roles.sql"),
            quote = quote,
            database = identifier(database),
            database_name = in_a_comment(database),
            owner = identifier(&self.owner),
            owner_name = in_a_comment(&self.owner),
            owner_text = literal(&self.owner),
            consumer = identifier(&self.consumer),
            consumer_text = literal(&self.consumer),
            reader = identifier(&self.reader),
            reader_text = literal(&self.reader),
        )
    }

    fn may_make_schemas(&self, database: &str, any: bool) -> String {
        let (database, consumer) = (identifier(database), identifier(&self.consumer));
        if any {
            format!(
                include_str!("grants/any_schema.sql"),
                database = database,
                consumer = consumer
            )
        } else {
            format!(
                include_str!("grants/named_schemas_only.sql"),
                database = database,
                consumer = consumer
            )
        }
    }

    fn may_make_tables_in(&self, schema: &str) -> String {
        format!(
            include_str!("grants/schema.sql"),
            schema = identifier(schema),
            owner = identifier(&self.owner),
            consumer = identifier(&self.consumer),
            reader = identifier(&self.reader),
        )
    }

    fn may_write_rows_of(&self, table: &Name, quote: &str) -> String {
        format!(
            include_str!("grants/routed_table.sql"),
            quote = quote,
            table = table.quoted(),
            table_text = literal(&table.quoted()),
            consumer = identifier(&self.consumer),
            consumer_text = literal(&self.consumer),
            reader = identifier(&self.reader),
        )
    }

    fn may_read(&self, database: &str, quote: &str) -> String {
        format!(
            include_str!("grants/reader.sql"),
            quote = quote,
            database = identifier(database),
            consumer = identifier(&self.consumer),
            consumer_text = literal(&self.consumer),
            reader = identifier(&self.reader),
            reader_text = literal(&self.reader),
        )
    }
}

/// What a block of code stands between: in none of the names, or one of them would end it.
fn quote(names: &str) -> String {
    let numbered = (1_u32..).map(|number| format!("$grants{number}$"));
    std::iter::once("$$".to_owned())
        .chain(numbered)
        .find(|quote| !names.contains(quote))
        .unwrap_or_default()
}

/// A name that can't end the line of the comment that it stands in.
fn in_a_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        let text = format!(
            "[bucket]\nurl = \"s3://inbox\"\n[postgres]\nurl = \"{url}\"\n\
             [[route]]\njob = \"departures\"\nproducers = [\"*\"]\ntable = \"reports.departures\"\n"
        );
        nightdrop_runtime::config::parse("consumer.toml", &text).unwrap()
    }

    #[test]
    fn each_role_is_one_of_three() {
        let config = config("postgres://nightdrop_consumer@pg/reports");
        for (owner, reader) in [
            ("nightdrop_consumer", "r"),
            ("o", "nightdrop_consumer"),
            ("x", "x"),
        ] {
            assert!(matches!(
                grants(&config, owner, reader, None),
                Err(Error::NotThree(_))
            ));
        }
    }

    #[test]
    fn no_name_ends_the_code_that_it_stands_in() {
        let mut config = config("postgres://nightdrop_consumer@pg/reports");
        config.routes[0].table = "reports.a$$b$grants1$".parse().unwrap();
        let sql = grants(&config, "o", "r", None).unwrap();
        assert_eq!(sql.matches("DO $grants2$").count(), 5, "{sql}");
        assert_eq!(sql.matches("\n$grants2$;").count(), 5, "{sql}");
        assert!(!sql.contains("DO $$"), "{sql}");
    }

    #[test]
    fn a_url_without_a_database_is_named() {
        let config = config("postgres://nightdrop_consumer@pg");
        let error = grants(&config, "o", "r", None).unwrap_err();
        insta::assert_snapshot!(error, @"[postgres] url names no database; write postgres://role@host/database");
    }

    #[test]
    fn the_sql_is_made_to_be_read() {
        let config = config("postgres://nightdrop_consumer@pg/reports");
        let jfk: Producer = "jfk".parse().unwrap();
        insta::assert_snapshot!(
            grants(&config, "nightdrop_owner", "nightdrop_reader", Some(&[jfk])).unwrap()
        );
    }
}
