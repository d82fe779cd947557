//! What `grants` prints is enough for each of the three roles, and each can do no more.

use nightdrop_compose::Database;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::message::message;
use crate::site::{Site, until};

/// A site whose database belongs to none of the three.
struct Granted {
    site: Site,
    owner: Database,
    consumer: Database,
    reader: Database,
    runtime: tokio::runtime::Runtime,
}

impl Granted {
    fn new() -> Self {
        let mut site = Site::unprepared();
        let name = site.database.name().to_owned();
        let of = |who: &str| site.database.of(&format!("{name}_{who}"), who);
        let (owner, consumer, reader) = (of("owner"), of("consumer"), of("reader"));
        site.database = consumer.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            site,
            owner,
            consumer,
            reader,
            runtime,
        }
    }

    /// What `grants` prints for the site's roles.
    fn printed(&self, words: &[&str]) -> String {
        let name = self.site.database.name();
        let (owner, reader) = (format!("{name}_owner"), format!("{name}_reader"));
        let mut all = vec!["grants", "--owner", &owner, "--reader", &reader];
        all.extend(words);
        let ended = self.site.consumer(&all);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Applies it, as the database's administrator would.
    fn grant(&self, words: &[&str]) {
        self.site.administer(&self.printed(words));
        for role in [&self.owner, &self.consumer, &self.reader] {
            let name = role_of(role);
            self.site.administer(&format!(
                "ALTER ROLE \"{name}\" PASSWORD '{}'",
                role.password
            ));
        }
    }

    fn migrate(&mut self) {
        let ended = self.site.consumer_as(&self.owner, &["migrate"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// The SQLSTATE that a role's statement is refused with; nothing where it is done.
    fn says(&self, role: &Database, sql: &str) -> Option<String> {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&role.with_password()).await.unwrap();
            match sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut connection)
                .await
            {
                Ok(_) => None,
                Err(sqlx::Error::Database(error)) => {
                    Some(format!("{}: {error}", error.code().unwrap_or_default()))
                }
                Err(error) => panic!("{sql}: {error}"),
            }
        })
    }

    fn done(&self, role: &Database, sql: &str) {
        assert_eq!(self.says(role, sql), None, "{}: {sql}", role_of(role));
    }

    fn refused(&self, role: &Database, sql: &str) {
        let said = self.says(role, sql).unwrap_or_default();
        assert!(
            said.starts_with("42501"),
            "{}: {sql}: {said:?}",
            role_of(role)
        );
    }

    fn count(&self, what: &str) -> i64 {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.site.administrator.with_password())
                .await
                .unwrap();
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {what}")))
                .fetch_one(&mut connection)
                .await
                .unwrap_or(-1)
        })
    }
}

fn role_of(database: &Database) -> String {
    let url: url::Url = database.url.parse().unwrap();
    url.username().to_owned()
}

/// A sentence may quote a value of a file that was not loaded, and its bytes do.
fn views_show_nothing_that_was_not_loaded(granted: &Granted) {
    assert_eq!(
        granted.count(
            "information_schema.columns WHERE table_schema = 'nightdrop' AND (column_name = 'error' OR data_type = 'bytea')
             AND table_name IN (SELECT viewname FROM pg_views WHERE schemaname = 'nightdrop')"
        ),
        0
    );
    assert_eq!(
        granted.count("nightdrop.load_history WHERE state = 'parked'"),
        1
    );
}

#[test]
fn three_roles_are_enough_and_none_can_do_more() {
    let mut granted = Granted::new();
    granted.grant(&[]);

    // The consumer's role may not make its own tables, and the message says who does.
    let ended = granted.site.consumer(&["once"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(
        ended.stderr.contains("run `nightdrop-consumer migrate`"),
        "{ended:?}"
    );

    granted.migrate();
    let owner = granted.owner.clone();
    granted.done(
        &owner,
        "CREATE VIEW nightdrop.look AS SELECT count(*) AS files FROM nightdrop.file",
    );
    granted.grant(&[]);

    // All that a consumer does: new schemas and tables, each mode, a new column, a file that is parked.
    let site = &granted.site;
    let rows = json!([["UA", 1545], ["AA", 1141]]);
    let keyed = |producer: &str, time: &str| {
        message(producer, "fares", time)
            .with("mode", json!("upsert"))
            .with("primary_key", json!(["flight"]))
            .rows(&rows)
    };
    site.drop(&message("jfk", "departures", "2013-01-31T05:00:00Z"));
    site.drop(&message("jfk", "fleet", "2013-01-31T05:00:00Z").with("mode", json!("replace")));
    site.drop(&keyed("jfk", "2013-01-31T05:00:00Z"));
    site.drop(&keyed("lga", "2013-01-31T05:00:00Z"));
    site.once();
    site.drop(&message("jfk", "fleet", "2013-01-31T06:00:00Z").with("mode", json!("replace")));
    site.drop(&keyed("lga", "2013-01-31T06:00:00Z"));
    site.drop(
        &message("jfk", "departures", "2013-01-31T06:00:00Z")
            .with(
                "columns",
                json!([{"name": "carrier", "type": "string"}, {"name": "gate", "type": "string"}]),
            )
            .rows(&json!([["UA", "B12"]])),
    );
    site.drop(&message("jfk", "departures", "2013-01-31T07:00:00Z").with("row_count", json!(3)));
    site.once();
    for (what, count) in [
        ("jfk.departures", 3),
        ("jfk.departures WHERE gate = 'B12'", 1),
        ("jfk.fleet", 2),
        ("lga.fares", 2),
        ("nightdrop.file WHERE state = 'loaded'", 7),
        ("nightdrop.parked", 1),
    ] {
        assert_eq!(granted.count(what), count, "{what}");
    }
    assert_eq!(granted.site.consumer(&["status"]).code, Some(0));

    let reader = granted.reader.clone();
    for allowed in [
        "SELECT carrier, gate FROM jfk.departures",
        "SELECT flight FROM lga.fares",
        "SELECT files FROM nightdrop.look",
        "SELECT producer, job, as_of, next_by, late, failing FROM nightdrop.freshness",
        "SELECT file, key, state, reason, lag FROM nightdrop.load_history",
    ] {
        granted.done(&reader, allowed);
    }
    for forbidden in [
        "SELECT bytes FROM nightdrop.parked",
        "SELECT error FROM nightdrop.file",
        "SELECT version FROM nightdrop.migration",
        "SELECT body FROM nightdrop.outbox",
        "SELECT target FROM nightdrop.alarm",
        "INSERT INTO jfk.departures (_producer) VALUES ('jfk')",
        "DELETE FROM jfk.departures",
        "TRUNCATE jfk.departures",
        "CREATE TABLE jfk.mine (a bigint)",
        "CREATE SCHEMA mine",
        "CREATE TEMP TABLE mine (a bigint)",
        "CREATE VIEW nightdrop.mine AS SELECT 1",
    ] {
        granted.refused(&reader, forbidden);
    }

    views_show_nothing_that_was_not_loaded(&granted);

    consumers_role_can_do_no_more(&granted);
    granted
        .site
        .drop(&message("jfk", "departures", "2013-01-31T08:00:00Z"));
    granted.site.once();
    assert_eq!(granted.count("jfk.departures"), 5);
}

fn consumers_role_can_do_no_more(granted: &Granted) {
    let name = granted.site.database.name().to_owned();
    let consumer = granted.consumer.clone();
    for forbidden in [
        "DROP TABLE nightdrop.parked",
        "TRUNCATE nightdrop.parked",
        "ALTER TABLE nightdrop.file ADD COLUMN mine text",
        "ALTER TABLE nightdrop.file DISABLE TRIGGER file_transition",
        "DROP INDEX nightdrop.file_loaded_once",
        "CREATE TABLE nightdrop.mine (a bigint)",
        "CREATE OR REPLACE VIEW nightdrop.look AS SELECT 0::bigint AS files",
        "DELETE FROM nightdrop.migration",
        "UPDATE nightdrop.migration SET success = false",
        "CREATE TABLE public.mine (a bigint)",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        &format!("ALTER DATABASE {name} SET work_mem = '1GB'"),
        &format!("SET ROLE {name}_owner"),
    ] {
        granted.refused(&consumer, forbidden);
    }
}

#[test]
fn who_runs_the_grants_again_calls_nothing_that_the_consumers_role_has_made() {
    let mut granted = Granted::new();
    granted.grant(&[]);
    granted.migrate();
    let consumer = granted.consumer.clone();
    let role = role_of(&consumer);
    // A superuser's own schema comes first in its search path.
    granted.done(
        &consumer,
        &format!(
            "CREATE SCHEMA postgres; GRANT USAGE ON SCHEMA postgres TO public;
             CREATE FUNCTION postgres.format(text, regnamespace, text) RETURNS text LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'ALTER ROLE \"{role}\" SUPERUSER'; RETURN pg_catalog.format($1, $2, $3); END $$"
        ),
    );
    granted.grant(&[]);
    assert_eq!(
        granted.count(&format!("pg_roles WHERE rolname = '{role}' AND rolsuper")),
        0
    );
}

#[test]
fn a_role_that_may_become_another_is_refused() {
    let mut granted = Granted::new();
    granted.grant(&[]);
    granted.migrate();
    let role = role_of(&granted.consumer);
    let sql = granted.printed(&[]);
    granted.site.administer(&format!(
        "ALTER ROLE \"{role}\" NOINHERIT; GRANT pg_write_server_files TO \"{role}\""
    ));
    let said = granted.says(&granted.site.administrator, &sql);
    let said = said.unwrap_or_default();
    assert!(
        said.contains("is a member of pg_write_server_files"),
        "{said}"
    );
    let doctor = granted.site.consumer(&["doctor"]);
    assert!(
        doctor.stdout.contains("a member of pg_write_server_files"),
        "{doctor:?}"
    );
}

#[test]
fn a_consumer_ends_its_own_sessions_and_no_one_elses() {
    let mut granted = Granted::new();
    granted.grant(&[]);
    granted.migrate();
    let pid = |role: &Database| {
        granted.runtime.block_on(async {
            let mut connection = PgConnection::connect(&role.with_password()).await.unwrap();
            let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            (connection, pid)
        })
    };
    let (_own, own) = pid(&granted.consumer);
    let (_other, other) = pid(&granted.reader);
    let terminate = |pid: i32| format!("SELECT pg_terminate_backend({pid})");
    granted.done(&granted.consumer, &terminate(own));
    granted.refused(&granted.consumer, &terminate(other));
}

#[test]
fn strictly_only_named_producers_get_tables() {
    let mut granted = Granted::new();
    granted.grant(&["--strict", "jfk"]);
    granted.migrate();
    let site = &granted.site;
    site.drop(&message("jfk", "departures", "2013-01-31T05:00:00Z"));
    site.drop(&message("lga", "departures", "2013-01-31T05:00:00Z"));
    site.once();
    assert_eq!(granted.count("jfk.departures"), 2);
    assert_eq!(
        granted.count("lga.departures"),
        -1,
        "there is no such table"
    );
    // The job rests, and nothing is lost.
    assert_eq!(
        granted.count("nightdrop.file WHERE producer = 'lga' AND state = 'waiting'"),
        1
    );
    assert_eq!(
        granted
            .count("nightdrop.pause WHERE producer = 'lga' AND error LIKE '%permission denied%'"),
        1
    );
    let consumer = granted.consumer.clone();
    granted.refused(&consumer, "CREATE SCHEMA lga");
    granted.done(&granted.reader, "SELECT carrier FROM jfk.departures");

    granted.grant(&["--strict", "jfk", "lga"]);
    until("lga's job to be tried again", || {
        granted.site.once();
        granted.count("lga.departures") == 2
    });
    granted.done(&granted.reader, "SELECT carrier FROM lga.departures");
}

#[test]
fn a_site_of_one_role_becomes_one_of_three() {
    let mut granted = Granted::new();
    let name = granted.site.database.name().to_owned();
    // As it was: one role, which made all there is.
    granted.site.administer(&format!(
        "CREATE ROLE {name}_consumer LOGIN PASSWORD 'consumer'; GRANT ALL ON DATABASE {name} TO {name}_consumer"
    ));
    granted
        .site
        .drop(&message("jfk", "departures", "2013-01-31T05:00:00Z"));
    granted.site.once();

    granted.grant(&[]);

    let (consumer, reader) = (granted.consumer.clone(), granted.reader.clone());
    granted.refused(&consumer, "ALTER TABLE nightdrop.file ADD COLUMN mine text");
    granted.refused(&consumer, "DROP SCHEMA nightdrop CASCADE");
    granted.done(&reader, "SELECT carrier FROM jfk.departures");
    granted.refused(&reader, "SELECT bytes FROM nightdrop.parked");
    granted.migrate();
    granted
        .site
        .drop(&message("jfk", "departures", "2013-01-31T06:00:00Z"));
    granted.site.once();
    assert_eq!(granted.count("jfk.departures"), 4);
}

#[test]
fn a_role_that_owns_the_database_is_refused_by_name() {
    let mut granted = Granted::new();
    let name = granted.site.database.name().to_owned();
    let owner_of_all = granted.consumer.url.replace("_consumer@", "@");
    granted.site.database = Database {
        url: owner_of_all,
        password: String::new(),
    };
    let said = granted
        .says(&granted.site.administrator, &granted.printed(&[]))
        .unwrap();
    assert!(
        said.contains(&format!("the database belongs to {name}")),
        "{said}"
    );
    // Nothing of it was done.
    assert_eq!(
        granted.count(&format!("pg_roles WHERE rolname = '{name}_owner'")),
        0
    );
}
