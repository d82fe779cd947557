//! `doctor` proves a site that is in order, and names the line of each thing that isn't.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nightdrop_compose::{Keys, MariaDb, Postgres, S3, S3Kind, policy};
use serde_json::{Value, json};

use crate::gate::{Gate, Hold};
use crate::message::departures;
use crate::process::{Ended, Process};
use crate::site::{PATIENCE, Site, on_each};

/// What one `doctor` said.
struct Said {
    ended: Ended,
}

impl Said {
    /// The verdict of a line, and what was found.
    fn line(&self, name: &str) -> (String, String) {
        let page: Value = serde_json::from_str(&self.ended.stdout).unwrap();
        let lines = page["lines"].as_array().unwrap();
        let line = lines
            .iter()
            .find(|line| line["line"] == name)
            .unwrap_or_else(|| panic!("no line {name}: {:?}", self.ended));
        let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            text("verdict") == "ok",
            text("remedy").is_empty(),
            "{name}: what isn't so says what to do"
        );
        (text("verdict"), text("found"))
    }

    /// What is said to do about a line.
    fn remedy(&self, name: &str) -> String {
        let page: Value = serde_json::from_str(&self.ended.stdout).unwrap();
        let mut lines = page["lines"].as_array().unwrap().iter();
        let line = lines.find(|line| line["line"] == name).unwrap();
        line["remedy"].as_str().unwrap_or_default().to_owned()
    }

    /// All lines with this verdict.
    fn with(&self, verdict: &str) -> Vec<String> {
        let page: Value = serde_json::from_str(&self.ended.stdout).unwrap();
        let lines = page["lines"].as_array().unwrap().iter();
        lines
            .filter(|line| line["verdict"] == verdict)
            .map(|line| line["line"].as_str().unwrap().to_owned())
            .collect()
    }

    fn is_proven(&self) {
        assert_eq!(self.ended.code, Some(0), "{:?}", self.ended);
        assert_eq!(self.with("fail"), self.with("unproven"), "none of either");
    }

    /// Just these lines fail, and the first of them gives the code.
    fn fails(&self, lines: &[&str], code: i32) {
        assert_eq!(self.with("fail"), lines, "{:?}", self.ended);
        assert_eq!(self.ended.code, Some(code), "{:?}", self.ended);
    }
}

impl Site {
    fn doctor(&self) -> Said {
        Said {
            ended: self.consumer(&["doctor", "--json"]),
        }
    }
}

/// A producer jfk with a source that it may only read, and a state folder.
fn producer(site: &Site) -> PathBuf {
    let shared = Postgres::shared().unwrap();
    let source = shared.reader(&shared.database().unwrap()).unwrap();
    std::fs::create_dir_all(site.folder.path().join("jfk-state")).unwrap();
    let job = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS one\"\nmode = \"append\"\n";
    site.producer_config("jfk", &source, "none", job)
}

fn examined(config: &std::path::Path) -> Said {
    let process = Process::start("nightdrop-producer", config, &["doctor", "--json"]);
    Said {
        ended: process.wait(PATIENCE),
    }
}

#[test]
fn a_site_with_the_rights_that_are_printed_is_proven_and_left_as_it_was() {
    let postgres = Postgres::start_with(&[]).unwrap();
    for kind in S3Kind::available() {
        let site = Site::with(S3::shared(kind).unwrap(), &postgres);
        let config = producer(&site);

        // With nothing in the inbox, and with something.
        site.doctor().is_proven();
        assert!(site.is_inbox_empty(), "{:?}", site.keys());
        examined(&config).is_proven();
        let left = site.keys();
        assert!(
            left.len() == 1 && left[0].starts_with("inbox/jfk/nightdrop_probe/"),
            "{left:?}"
        );
        site.drop(&departures("2013-01-31T05:00:00Z"));
        site.doctor().is_proven();
        assert_eq!(site.keys().len(), 2);

        site.once();
        assert!(site.is_inbox_empty(), "{:?}", site.keys());
        assert_eq!(
            site.rows("SELECT state FROM nightdrop.file ORDER BY state"),
            ["loaded", "noted"]
        );
        let after = site.doctor();
        after.is_proven();
        assert_eq!(
            after.line("Postgres: report tables").1,
            "as their jobs' results need them: 1"
        );
        let folder = std::fs::read_dir(site.folder.path().join("jfk-state")).unwrap();
        assert_eq!(folder.count(), 0, "the spool is as it was");
    }
}

#[test]
fn a_page_for_people_names_what_failed_and_what_to_do() {
    let site = Site::anywhere();
    let config = producer(&site);
    std::fs::remove_dir(site.folder.path().join("jfk-state")).unwrap();
    let ended = Process::start("nightdrop-producer", &config, &["doctor"]).wait(PATIENCE);
    assert_eq!(ended.code, Some(73), "{ended:?}");
    let fails = |line: &&str| line.starts_with("FAIL  ");
    let failed: Vec<&str> = ended.stdout.lines().filter(fails).collect();
    assert_eq!(failed.len(), 1, "{}", ended.stdout);
    assert!(
        failed[0].contains("spool: write, fsync, rename"),
        "{}",
        failed[0]
    );
    assert!(
        ended.stdout.contains("→ let state_dir be a folder"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("could not prove  spool: room"),
        "{}",
        ended.stdout
    );
}

/// A policy with one more statement.
fn with(policy: &str, action: &str, resource: &str) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    let statement = json!({"Effect": "Allow", "Action": [action], "Resource": [resource]});
    policy["Statement"].as_array_mut().unwrap().push(statement);
    policy.to_string()
}

/// A policy without one of its actions.
fn without(policy: &str, action: &str) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        let actions = statement["Action"].as_array_mut().unwrap();
        actions.retain(|known| known != action);
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    policy.to_string()
}

#[test]
fn a_producers_key_that_may_do_more_than_put_is_named() {
    on_each(|site| {
        let bucket = &site.inbox.bucket;
        let printed = policy::producer(bucket, "jfk").unwrap();
        let all = format!("arn:aws:s3:::{bucket}/*");
        let own = format!("arn:aws:s3:::{bucket}/inbox/jfk/*");
        let whole = format!("arn:aws:s3:::{bucket}");
        let lists = with(&printed, "s3:ListBucket", &whole).replace(
            "\"s3:ListBucket\"]",
            "\"s3:ListBucket\"],\"Condition\":{\"StringLike\":{\"s3:prefix\":[\"inbox/jfk/*\"]}}",
        );
        assert!(lists.contains("s3:prefix"));
        for (name, policy, lines) in [
            (
                "reads",
                with(&printed, "s3:GetObject", &own),
                &["bucket: get is refused", "bucket: head is refused"][..],
            ),
            ("lists", lists, &["bucket: list is refused"]),
            (
                "deletes",
                with(&printed, "s3:DeleteObject", &own),
                &["bucket: delete is refused"],
            ),
            (
                "puts",
                with(&printed, "s3:PutObject", &all),
                &["bucket: put elsewhere is refused"],
            ),
            (
                "none",
                with(
                    &without(&printed, "s3:PutObject"),
                    "s3:GetObjectTagging",
                    &own,
                ),
                &["bucket: put below its own prefix"],
            ),
        ] {
            eprintln!("a key that {name}");
            site.give("jfk", site.inbox.user(name, &policy).unwrap());
            examined(&producer(&site)).fails(lines, 77);
        }
        // All of it was tried on keys that nobody has.
        let mut left = site.keys();
        left.retain(|key| !key.starts_with("inbox/jfk/nightdrop_probe/"));
        assert_eq!(left, [""; 0]);
    });
}

#[test]
fn a_readers_key_that_may_put_or_lacks_a_right_is_named() {
    on_each(|mut site| {
        let bucket = site.inbox.bucket.clone();
        let printed = policy::reader(&bucket).unwrap();
        let all = format!("arn:aws:s3:::{bucket}/*");
        for (name, policy, line) in [
            (
                "puts",
                with(&printed, "s3:PutObject", &all),
                "bucket: put is refused",
            ),
            (
                "deletes",
                with(&printed, "s3:DeleteObject", &all),
                "bucket: delete elsewhere is refused",
            ),
            (
                "no-list",
                without(&printed, "s3:ListBucket"),
                "bucket: list below inbox/",
            ),
            (
                "no-get",
                without(&printed, "s3:GetObject"),
                "bucket: get below inbox/",
            ),
            (
                "no-delete",
                without(&printed, "s3:DeleteObject"),
                "bucket: delete below inbox/",
            ),
        ] {
            eprintln!("a key: {name}");
            site.reader = Some(site.inbox.user(name, &policy).unwrap());
            let said = site.doctor();
            let failed: Vec<String> = said.with("fail");
            let of_bucket: Vec<&String> = failed
                .iter()
                .filter(|line| line.starts_with("bucket"))
                .collect();
            assert_eq!(of_bucket, [line], "{:?}", said.ended);
            assert_eq!(said.ended.code, Some(77));
        }
        site.reader = None;
        assert!(site.is_inbox_empty(), "{:?}", site.keys());
    });
}

#[test]
fn keys_that_nobody_has_prove_nothing() {
    on_each(|site| {
        let keys = Keys {
            access_key: "nobody".to_owned(),
            secret_key: "nobodys-secret".to_owned(),
        };
        site.give("jfk", keys);
        let said = examined(&producer(&site));
        said.fails(&["bucket: put below its own prefix"], 77);
        for line in ["get", "head", "list", "delete", "put elsewhere"] {
            let line = format!("bucket: {line} is refused");
            assert_eq!(said.line(&line).0, "unproven", "{:?}", said.ended);
        }
    });
}

#[test]
fn a_wrong_region_is_named() {
    let Some(kind) = S3Kind::available()
        .into_iter()
        .find(|kind| *kind == S3Kind::Minio)
    else {
        eprintln!("SeaweedFS takes any region");
        return;
    };
    let mut site = Site::on(kind);
    site.inbox.region = "eu-west-1".to_owned();
    examined(&producer(&site)).fails(&["bucket: region"], 78);
    let said = site.doctor();
    assert!(
        said.with("fail").contains(&"bucket: region".to_owned()),
        "{:?}",
        said.ended
    );
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    on_each(|mut site| {
        let gate = Gate::before(site.inbox.endpoint.trim_start_matches("http://"));
        // Too far for a signature: of that, too, only the clock is to blame.
        gate.date("Thu, 31 Jan 2013 05:00:00 GMT");
        site.inbox.endpoint = format!("http://{}", gate.address);
        let said = examined(&producer(&site));
        assert_eq!(said.line("bucket: clock").0, "fail", "{:?}", said.ended);
        assert_eq!(said.ended.code, Some(78));
        let said = site.doctor();
        assert_eq!(said.line("bucket: clock").0, "fail", "{:?}", said.ended);
    });
}

#[test]
fn a_table_that_no_longer_fits_its_job_is_named() {
    let postgres = Postgres::start_with(&[]).unwrap();
    let kind = S3Kind::available().pop().unwrap();
    let site = Site::with(S3::shared(kind).unwrap(), &postgres);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.once();
    site.doctor().is_proven();
    let changed = |sql: &str| site.administer(sql);
    let line = "table jfk.departures: columns";
    let both = ["Postgres: report tables", line];

    changed("ALTER TABLE jfk.departures ALTER COLUMN flight TYPE integer");
    let said = site.doctor();
    said.fails(&both, 78);
    assert_eq!(
        said.line(line).1,
        "flight is integer, and results say int64"
    );
    // A type that another column of a message could have.
    changed("ALTER TABLE jfk.departures ALTER COLUMN flight TYPE text");
    site.doctor().fails(&both, 78);
    // The remedy is one: Postgres takes it as it stands.
    let remedy = site.doctor().remedy(line);
    changed(remedy.split_once(", which").unwrap().0);
    site.doctor().is_proven();

    changed("ALTER TABLE jfk.departures RENAME TO hidden");
    site.doctor().fails(
        &["Postgres: report tables", "table jfk.departures: there"],
        78,
    );
    changed(
        "ALTER TABLE jfk.hidden RENAME TO departures; ALTER TABLE jfk.departures OWNER TO postgres",
    );
    site.doctor().fails(
        &["Postgres: report tables", "table jfk.departures: rights"],
        77,
    );
}

#[test]
fn a_right_that_the_consumers_role_lacks_or_has_too_much_is_named() {
    let postgres = Postgres::start_with(&[]).unwrap();
    let kind = S3Kind::available().pop().unwrap();
    let site = Site::with(S3::shared(kind).unwrap(), &postgres);
    let name = site.database.name().to_owned();
    for (change, line, back) in [
        (
            format!("REVOKE DELETE ON nightdrop.parked FROM {name}"),
            "Postgres: rights in the ledger",
            format!("GRANT DELETE ON nightdrop.parked TO {name}"),
        ),
        (
            format!("REVOKE CREATE ON DATABASE {name} FROM {name}"),
            "Postgres: rights to make tables",
            format!("GRANT CREATE ON DATABASE {name} TO {name}"),
        ),
        (
            format!("REVOKE TEMPORARY ON DATABASE {name} FROM {name}"),
            "Postgres: right to temporary tables",
            format!("GRANT TEMPORARY ON DATABASE {name} TO {name}"),
        ),
        (
            format!("ALTER ROLE {name} SUPERUSER"),
            "Postgres: least rights",
            format!("ALTER ROLE {name} NOSUPERUSER"),
        ),
    ] {
        site.administer(&change);
        site.doctor().fails(&[line], 77);
        site.administer(&back);
    }
    site.doctor().is_proven();

    site.administer("DELETE FROM nightdrop.migration WHERE version > 1");
    site.doctor().fails(&["Postgres: migrations"], 78);
}

#[test]
fn a_postgres_that_may_forget_what_it_said_is_named() {
    let careless = Postgres::start_with(&["fsync=off", "full_page_writes=off"]).unwrap();
    let kind = S3Kind::available().pop().unwrap();
    let mut site = Site::with(S3::shared(kind).unwrap(), &careless);
    site.doctor()
        .fails(&["Postgres: fsync", "Postgres: full_page_writes"], 78);

    // A standby that is not waited for.
    site.administer("SELECT pg_create_physical_replication_slot('standby')");
    let said = site.doctor();
    assert_eq!(said.line("Postgres: replication").0, "fail");
    site.in_bucket = "delete_after = \"1h\"".to_owned();
    let said = site.doctor();
    assert_eq!(
        said.line("Postgres: replication").0,
        "ok",
        "{:?}",
        said.ended
    );
}

#[test]
fn a_source_that_refuses_or_may_be_written_to_is_named() {
    let site = Site::anywhere();
    let config = producer(&site);
    let shared = Postgres::shared().unwrap();
    let owner = shared.database().unwrap();
    let job = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS one\"\nmode = \"append\"\n";
    let owns = site.producer_config("jfk", &owner, "none", job);
    assert_eq!(owns, config);
    examined(&owns).fails(&["source db: role can't write"], 77);

    std::fs::write(site.folder.path().join("source"), "wrong").unwrap();
    examined(&owns).fails(&["source db: a read-only snapshot"], 77);
}

#[test]
fn a_secret_that_is_not_there_is_named_as_one() {
    let site = Site::anywhere();
    let config = producer(&site);
    for (file, line) in [
        ("source", "source db: a read-only snapshot"),
        ("jfk-secret", "bucket: answers"),
    ] {
        let path = site.folder.path().join(file);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let said = examined(&config);
        said.fails(&[line], 78);
        let (_, found) = said.line(line);
        assert!(found.contains(&path.display().to_string()), "{found}");
        let remedy = said.remedy(line);
        assert!(remedy.starts_with("make the file"), "{remedy}");
        std::fs::write(&path, kept).unwrap();
    }
    examined(&config).is_proven();
}

#[test]
fn sources_of_every_kind_are_proven_and_a_role_that_may_write_is_named() {
    let site = Site::anywhere();
    producer(&site);
    let job = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS one\"\nmode = \"append\"\n";
    let reading = |source: &str| site.producer_reading("jfk", source, "none", job);
    // A file without a page is a database without a table.
    let file = site.folder.path().join("lga.db");
    std::fs::write(&file, "").unwrap();
    examined(&reading(&format!("url = \"sqlite://{}\"", file.display()))).is_proven();

    if MariaDb::available() {
        let shared = MariaDb::shared().unwrap();
        let owner = shared.database().unwrap();
        let reader = shared.reader(&owner).unwrap();
        examined(&reading(&site.source(&reader))).is_proven();
        let said = examined(&reading(&site.source(&owner)));
        said.fails(&["source db: role can't write"], 77);
    }
}

#[test]
fn servers_that_never_answer_are_named_in_bounded_time() {
    let mut site = Site::anywhere();
    let bucket = Gate::before(site.inbox.endpoint.trim_start_matches("http://"));
    let port = url::Url::parse(&site.database.url).unwrap().port().unwrap();
    let database = Gate::before(&format!("127.0.0.1:{port}"));
    let through = |url: &str| url.replace(&format!("127.0.0.1:{port}"), &database.address);
    let config = producer(&site);
    let text = std::fs::read_to_string(&config).unwrap();
    let text = through(&text).replace(&site.inbox.endpoint, &format!("http://{}", bucket.address));
    std::fs::write(&config, text).unwrap();
    site.database_url = Some(through(&site.database.url));
    site.inbox.endpoint = format!("http://{}", bucket.address);
    bucket.hold(Hold::All);
    database.hold(Hold::All);

    let begun = Instant::now();
    let said = examined(&config);
    said.fails(&["bucket: answers", "source db: a read-only snapshot"], 74);
    let said = site.doctor();
    said.fails(&["bucket: answers", "Postgres: answers"], 74);
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "{:?}",
        begun.elapsed()
    );
    bucket.cut();
    database.cut();
}
