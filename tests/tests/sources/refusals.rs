//! An exit code for each way in which a source can say no.

use nightdrop_compose::{Database, MariaDb, Postgres};

use crate::server::{on_mysql, on_postgres};
use crate::site::Site;

fn ends(site: &Site, query: &str, code: i32, said: &str) {
    let ended = site.run(query, "");
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(site.files("state/spool").is_empty());
}

fn all_ways(database: &Database) {
    let site = Site::on(database);
    ends(&site, "SELECT nope", 65, "the source refused the query: ");
    ends(
        &site,
        "SELECT 1 AS a; SELECT 2 AS b",
        65,
        "the source refused the query: ",
    );
    ends(
        &site,
        "SELECT 1 AS a, 2 AS a",
        65,
        "data.columns[1].name: \"a\" names an earlier column too",
    );

    let mut wrong = Site::on(database);
    wrong.set("SOURCE_PASSWORD", "wrong");
    ends(
        &wrong,
        "SELECT 1 AS a",
        77,
        "the source refused the credentials: ",
    );

    let mut empty = Site::on(database);
    empty.set("SOURCE_PASSWORD", "");
    ends(
        &empty,
        "SELECT 1 AS a",
        78,
        "password: env:SOURCE_PASSWORD is empty",
    );

    // Nobody listens on port 1.
    let (scheme, rest) = database.url.split_once("://").unwrap();
    let (user, _) = rest.split_once('@').unwrap();
    let nobody = Site::reading(&format!("url = \"{scheme}://{user}@127.0.0.1:1/x\""));
    ends(&nobody, "SELECT 1 AS a", 69, "the source is unreachable: ");
}

#[tokio::test]
async fn postgres_says_no_and_the_exit_code_says_why() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    all_ways(&database);
    ends(
        &Site::on(&database),
        "SELECT $1::int AS placeholder_without_parameter",
        65,
        "the source refused the query: ",
    );

    on_postgres(&database, "CREATE TABLE t (id int)").await;
    let reader = Site::on(&postgres.reader(&database).unwrap());
    on_postgres(
        &database,
        "REVOKE ALL ON t FROM PUBLIC; CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int)",
    )
    .await;
    ends(
        &reader,
        "SELECT id FROM hidden.t",
        65,
        "permission denied for schema hidden",
    );
    // The owner could write; the transaction can't.
    ends(
        &Site::on(&database),
        "WITH w AS (INSERT INTO t VALUES (1) RETURNING id) SELECT id FROM w",
        65,
        "",
    );

    let mut gone = database.clone();
    let (server, _) = database.url.rsplit_once('/').unwrap();
    gone.url = format!("{server}/no_such_database");
    ends(
        &Site::on(&gone),
        "SELECT 1 AS a",
        78,
        "database \"no_such_database\" does not exist",
    );
}

#[tokio::test]
async fn mysql_says_no_and_the_exit_code_says_why() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    all_ways(&database);
    on_mysql(&database, "CREATE TABLE t (id int)").await;
    // The owner could write; the transaction can't.
    ends(
        &Site::on(&database),
        "INSERT INTO t VALUES (1) RETURNING id",
        65,
        "READ ONLY",
    );
}

#[tokio::test]
async fn parameters_are_bound_with_their_types() {
    let parameters = "parameters = [{ type = \"date\", value = \"2013-01-31\" }, { type = \"decimal\", value = \"1.10\" }, \
        { type = \"string\", value = \"O'Hare; DROP TABLE t\" }, { type = \"timestamptz\", value = \"2013-01-31T05:00:00Z\" }, \
        { type = \"bool\", value = true }, { type = \"bytes\", value = \"x\" }]";
    let postgres = Site::on(&Postgres::shared().unwrap().database().unwrap());
    let message = postgres.result(
        "SELECT $1 + 1 AS day, $2 AS n, $3 AS t, $4 AS at, $5 AS b, $6 AS x, pg_typeof($1)::text AS y",
        parameters,
    );
    assert_eq!(
        message.rows()[0],
        serde_json::json!([
            "2013-02-01",
            "1.10",
            "O'Hare; DROP TABLE t",
            "2013-01-31T05:00:00.000000Z",
            true,
            "eA==",
            "date"
        ])
    );
    if MariaDb::available() {
        let mysql = Site::on(&MariaDb::shared().unwrap().database().unwrap());
        let message = mysql.result(
            "SELECT DATE(?) + INTERVAL 1 DAY AS day, CAST(? AS DECIMAL(5,2)) AS n, ? AS t, CAST(? AS DATETIME(6)) AS at, ? = 1 AS b, ? AS x",
            parameters,
        );
        let row = &message.rows()[0];
        assert_eq!(row[0], "2013-02-01");
        assert_eq!(row[1], "1.10");
        assert_eq!(row[2], "O'Hare; DROP TABLE t");
        assert_eq!(row[3], "2013-01-31T05:00:00.000000");
        assert_eq!(row[4], 1);
        assert_eq!(row[5], "eA==");
    }
}
