//! `docs/restore.md` by deed: Postgres goes back in time, what was deleted since comes back by the page's own
//! commands, and the reports are what they were.

use std::path::Path;
use std::process::Command;

use nightdrop_compose::{Postgres, S3Kind};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::message::{Message, departures, message};
use crate::site::Site;

/// The commands of the page that begin with these words behind their fence.
fn block(info: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/restore.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once(&format!("```{info}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs commands of the page as the bucket's administrator.
fn run(site: &Site, commands: &str, since: &str) {
    let root = site.inbox.root();
    let folder = site.folder.path().join("mc");
    let go = Path::new(&std::env::var_os("HOME").unwrap_or_default()).join("go/bin");
    let mut path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    path.push(go);
    let alias = site.inbox.endpoint.replacen(
        "//",
        &format!("//{}:{}@", root.access_key, root.secret_key),
        1,
    );
    let output = Command::new("sh")
        .args(["-euc", commands])
        .current_dir(site.folder.path())
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("BUCKET", &site.inbox.bucket)
        .env("ENDPOINT", &site.inbox.endpoint)
        .env("SINCE", since)
        .env("MC_CONFIG_DIR", folder)
        .env("MC_HOST_site", alias)
        .env("AWS_DEFAULT_REGION", &site.inbox.region)
        .env("AWS_ACCESS_KEY_ID", &root.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &root.secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{commands}\n{output:?}"
    );
}

/// A program of Postgres on the site's database.
fn postgres(site: &Site, program: &str, arguments: &[&str], file: &Path) {
    let program = Postgres::shared().unwrap().program(program).unwrap();
    let output = Command::new(&program)
        .args(arguments)
        .arg(format!("--dbname={}", site.administrator.with_password()))
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", program.display());
}

/// Puts an empty database in the place of the site's.
async fn empty(site: &Site) {
    let superuser = Postgres::shared().unwrap().superuser();
    let mut connection = PgConnection::connect(&superuser.with_password())
        .await
        .unwrap();
    let name = site.database.name();
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

fn days(time: &str, from: &str, to: &str, rows: &Value) -> Message {
    message("jfk", "days", time)
        .with("mode", json!("replace"))
        .with(
            "columns",
            json!([{"name": "day", "type": "date"}, {"name": "n", "type": "int64"}]),
        )
        .with("range", json!({"column": "day", "from": from, "to": to}))
        .rows(rows)
}

fn fleet(time: &str, rows: &Value) -> Message {
    message("lga", "fleet", time)
        .with("mode", json!("upsert"))
        .with("primary_key", json!(["carrier"]))
        .rows(rows)
}

fn wings(time: &str, n: i64) -> Message {
    message("lga", "wings", time)
        .with("mode", json!("replace"))
        .rows(&json!([["AA", n]]))
}

/// All that a reader of the reports can see, but for the numbers of files; and what is not in them.
fn reports(site: &Site) -> Vec<String> {
    [
        "SELECT _producer, _as_of, carrier, flight FROM jfk.departures ORDER BY 2, 4",
        "SELECT _producer, _as_of, day, n FROM jfk.days ORDER BY 3",
        "SELECT _producer, _as_of, carrier, flight FROM lga.fleet ORDER BY 3",
        "SELECT _producer, _as_of, carrier, flight FROM lga.wings ORDER BY 3",
        "SELECT DISTINCT key, state, reason FROM nightdrop.file WHERE state = 'parked' ORDER BY 1",
    ]
    .iter()
    .flat_map(|query| site.rows(query))
    .collect()
}

fn back(kind: S3Kind, undelete: &str) {
    let site = Site::on(kind);
    run(&site, &block("sh setup=aws"), "");
    let bad = |time: &str| {
        let bad = departures(time);
        site.drop_as(&bad.key(), b"{");
    };
    site.drop(&departures("2013-01-01T00:00:00Z"));
    site.drop(&days(
        "2013-01-01T00:00:00Z",
        "2013-01-01",
        "2013-01-03",
        &json!([["2013-01-01", 1], ["2013-01-02", 1]]),
    ));
    site.drop(&fleet(
        "2013-01-01T00:00:00Z",
        &json!([["AA", 1], ["UA", 1]]),
    ));
    bad("2013-01-01T01:00:00Z");
    site.once();

    // What the page calls the beginning of the backup, less what clocks may differ.
    let since = site.rows(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '1 h', 'YYYY-MM-DD\"T\"HH24:MI:SS')",
    );
    let backup = site.folder.path().join("reports.dump");
    let file = format!("--file={}", backup.display());
    postgres(
        &site,
        "pg_dump",
        &["-Fc", &file],
        Path::new("--no-password"),
    );

    // A day goes on: each mode, a job that is new, one that was corrected by a later result, a bad file.
    site.drop(&departures("2013-01-02T00:00:00Z").rows(&json!([["B6", 2]])));
    site.drop(&days(
        "2013-01-02T00:00:00Z",
        "2013-01-03",
        "2013-01-04",
        &json!([["2013-01-03", 2]]),
    ));
    site.drop(&fleet("2013-01-02T00:00:00Z", &json!([["AA", 2]])));
    site.drop(&wings("2013-01-02T00:00:00Z", 2));
    bad("2013-01-02T01:00:00Z");
    site.once();
    site.drop(&days(
        "2013-01-03T00:00:00Z",
        "2013-01-01",
        "2013-01-02",
        &json!([["2013-01-01", 3]]),
    ));
    site.drop(&fleet(
        "2013-01-01T12:00:00Z",
        &json!([["AA", 0], ["B6", 0]]),
    ));
    site.drop(&wings("2013-01-03T00:00:00Z", 3));
    site.once();
    let before = reports(&site);
    assert_eq!(before.len(), 3 + 3 + 3 + 1 + 2, "{before:?}");
    assert_eq!(site.keys(), Vec::<String>::new());

    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(empty(&site));
    postgres(&site, "pg_restore", &["--exit-on-error"], &backup);
    site.grant();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
    site.once();
    assert_eq!(
        site.rows("SELECT to_regclass('lga.wings'), (SELECT count(*) FROM jfk.departures)"),
        ["null|2"],
        "what is deleted doesn't come back by itself"
    );

    for _ in 0..2 {
        run(&site, &block(undelete), &since[0]);
        assert_eq!(
            site.keys().len(),
            12,
            "all that was ever put is there again"
        );
        site.once();
        assert_eq!(reports(&site), before);
        assert_eq!(site.keys(), Vec::<String>::new());
    }
}

#[test]
fn what_was_loaded_after_a_backup_comes_back_by_the_aws_command_line() {
    for kind in S3Kind::available() {
        back(kind, "sh undelete=aws");
    }
}

#[test]
fn what_was_loaded_after_a_backup_comes_back_by_the_minio_client() {
    // Where MinIO isn't installed, its client isn't either.
    if S3Kind::available().contains(&S3Kind::Minio) {
        back(S3Kind::Minio, "sh undelete=mc");
    }
}

#[test]
fn what_a_replica_lacks_is_still_in_the_bucket_with_delete_after() {
    let mut site = Site::anywhere();
    site.in_bucket = "delete_after = \"1h\"\n".into();
    site.drop(&departures("2013-01-01T00:00:00Z"));
    site.once();
    let replica = site.folder.path().join("replica.dump");
    let file = format!("--file={}", replica.display());
    postgres(
        &site,
        "pg_dump",
        &["-Fc", &file],
        Path::new("--no-password"),
    );
    site.drop(&departures("2013-01-02T00:00:00Z"));
    site.drop(&wings("2013-01-02T00:00:00Z", 2));
    site.once();
    let before = site.rows("SELECT _as_of, flight FROM jfk.departures ORDER BY 1, 2");

    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(empty(&site));
    postgres(&site, "pg_restore", &["--exit-on-error"], &replica);
    site.grant();
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["2"]);
    site.once();
    assert_eq!(
        site.rows("SELECT _as_of, flight FROM jfk.departures ORDER BY 1, 2"),
        before
    );
    assert_eq!(site.rows("SELECT flight FROM lga.wings"), ["2"]);
}
