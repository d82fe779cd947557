//! The whole way of a job with the real binary, from a SQLite file into a folder: what it prints,
//! what it leaves behind, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that can't go on stops here")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rusqlite::Connection;

const TABLE: &str = "CREATE TABLE flight (id INTEGER PRIMARY KEY, carrier TEXT, fare DECIMAL(10,2), day DATE);
    INSERT INTO flight VALUES (1, 'UA', 12.5, '2013-01-01'), (2, '', NULL, '2013-01-02'), (3, NULL, 7, '2013-01-03')";

/// A producer of its own: a database, a folder to drop into, a state folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(jobs: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("lga.db");
        let connection = Connection::open(&database).unwrap();
        connection.execute_batch(TABLE).unwrap();
        connection.close().unwrap();
        fs::create_dir(folder.path().join("box")).unwrap();
        let root = folder.path().display();
        let config = format!(
            "producer = \"lga\"\nstate_dir = \"{root}/state\"\n\
             [bucket]\nurl = \"file://{root}/box\"\ncompress = \"none\"\n\
             [source.ops]\nurl = \"sqlite://{root}/lga.db\"\n{jobs}"
        );
        fs::write(folder.path().join("lga.toml"), config).unwrap();
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_stdin(arguments, b"")
    }

    fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nightdrop-producer"))
            .arg("-c")
            .arg(self.folder.path().join("lga.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that never reads its stdin may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    fn files(&self, under: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().join(under)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }

    /// The one file in the box, as JSON.
    fn dropped(&self) -> serde_json::Value {
        let files = self.files("box/inbox");
        assert_eq!(files.len(), 1, "{files:?}");
        serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap()
    }

    fn in_spool(&self) -> Vec<PathBuf> {
        self.files("state/spool")
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn job(name: &str, keys: &str) -> String {
    let mode = if keys.contains("mode =") {
        ""
    } else {
        "mode = \"append\"\n"
    };
    format!("[job.{name}]\nsource = \"ops\"\n{mode}{keys}\n")
}

const ALL: &str = "query = \"SELECT * FROM flight\"";

#[test]
fn a_job_s_result_is_dropped_and_nothing_stays_in_the_spool() {
    let site = Site::new(&job("flight", ALL));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line = stdout(&output);
    assert!(
        line.starts_with("flight: 3 rows × 4 columns as of "),
        "{line}"
    );
    assert!(line.contains(": inbox/lga/flight/"), "{line}");
    assert_eq!(
        stderr(&output),
        "",
        "nothing but log lines, and there is nothing to log"
    );
    assert!(site.in_spool().is_empty());

    let message = site.dropped();
    assert_eq!(message["type"], "nightdrop.result.v1");
    assert_eq!(message["source"], "lga");
    assert_eq!(message["subject"], "flight");
    assert_eq!(
        message["data"]["rows"],
        serde_json::json!([
            [1, "UA", "12.5", "2013-01-01"],
            [2, "", null, "2013-01-02"],
            [3, null, "7", "2013-01-03"]
        ])
    );
}

#[test]
fn parameters_are_bound_and_recorded() {
    let keys = "query = \"SELECT id FROM flight WHERE day >= ? AND id < ?\"\n\
        parameters = [{ type = \"date\", value = \"2013-01-02\" }, { type = \"int64\", value = 3 }]";
    let site = Site::new(&job("flight", keys));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let data = &site.dropped()["data"];
    assert_eq!(data["rows"], serde_json::json!([[2]]));
    assert_eq!(
        data["parameters"],
        serde_json::json!({"$1": "2013-01-02", "$2": "3"})
    );
}

#[test]
fn the_mode_is_what_the_job_says() {
    let keys = format!("{ALL}\nmode = \"upsert\"\nprimary_key = [\"id\"]");
    let site = Site::new(&job("flight", &keys));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let data = &site.dropped()["data"];
    assert_eq!(data["mode"], "upsert");
    assert_eq!(data["primary_key"], serde_json::json!(["id"]));
}

#[test]
fn an_empty_result_is_a_result_with_its_columns() {
    let site = Site::new(&job(
        "flight",
        "query = \"SELECT id, fare FROM flight WHERE id > 9\"",
    ));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let data = &site.dropped()["data"];
    assert_eq!(data["rows"], serde_json::json!([]));
    assert_eq!(data["columns"][1]["type"], "decimal");
}

#[test]
fn a_job_that_must_not_be_empty_fails_by_name_and_drops_no_more_than_word_of_it() {
    let site = Site::new(&job("flight", &format!("{ALL}\nmin_rows = 4")));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 65);
    assert!(
        stderr(&output)
            .trim_end()
            .ends_with("flight: the result has 3 rows, and min_rows = 4; nothing was dropped"),
        "{}",
        stderr(&output)
    );
    assert_eq!(site.dropped()["type"], "nightdrop.failed.v1");
    assert!(site.in_spool().is_empty());
}

#[test]
fn a_value_that_its_column_cannot_hold_fails_the_job_by_name() {
    let site = Site::new(&job(
        "flight",
        "query = \"SELECT carrier, day FROM flight\"\ntypes = { carrier = \"int64\" }",
    ));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 65);
    let said = stderr(&output);
    assert!(
        said.contains("row 1, column carrier (text as int64): is TEXT; CAST it, if it is always a number; types = { \"carrier\" = \"string\" } takes it as it is"),
        "{said}"
    );
    assert!(site.in_spool().is_empty());
}

#[test]
fn of_several_jobs_all_run_and_the_first_failing_one_in_the_file_s_order_gives_the_code() {
    let jobs = job(
        "slow",
        "query = \"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) AS n FROM r\"\ntimeout = \"100ms\"",
    ) + &job("wrong", "query = \"SELECT nope FROM flight\"")
        + &job("flight", ALL);
    let site = Site::new(&jobs);
    let output = site.run(&["run", "flight", "wrong", "slow"]);
    assert_eq!(code(&output), 69, "the slow one stands first in the file");
    assert!(stdout(&output).starts_with("flight: 3 rows"));
    let said = stderr(&output);
    assert!(
        said.contains("wrong: [source.ops] the source refused the query: no such column: nope"),
        "{said}"
    );
    assert!(
        said.contains(
            "slow: [source.ops] the query was cancelled after 100ms; let it do less, or raise timeout"
        ),
        "{said}"
    );
    assert_eq!(code(&site.run(&["run", "--all"])), 69);
    assert_eq!(code(&site.run(&["run", "wrong", "flight"])), 65);
}

#[test]
fn a_result_without_end_is_timed_out_however_fast_its_rows_come() {
    let site = Site::new(&job(
        "flight",
        "query = \"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r\"\n\
         timeout = \"300ms\"\ntypes = { n = \"int64\" }",
    ));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 69, "{}", stderr(&output));
    assert!(site.in_spool().is_empty());
}

#[test]
fn more_than_one_statement_is_refused() {
    let site = Site::new(&job("flight", "query = \"SELECT 1 AS a; SELECT 2 AS b\""));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 65);
    assert!(
        stderr(&output).contains("it has more than one statement; write one"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_query_cannot_write() {
    let site = Site::new(&job(
        "flight",
        "query = \"DELETE FROM flight RETURNING id\"",
    ));
    assert_eq!(code(&site.run(&["run", "flight"])), 65);
}

#[test]
fn a_column_that_nobody_named_is_warned_of() {
    let site = Site::new(&job("flight", "query = \"SELECT count(*) FROM flight\""));
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("column \"count(*)\" has no name of its own"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_dry_run_shows_what_would_be_dropped_and_touches_nothing() {
    let site = Site::new(&job("flight", ALL));
    let output = site.run(&["run", "flight", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // The key and the time are others each time.
    let page: Vec<String> = stdout(&output)
        .lines()
        .map(|line| match line.split_once(' ') {
            Some(("key", _)) => "key   …".to_owned(),
            Some(("as", _)) => "as of …".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    insta::assert_snapshot!(page.join("\n"), @"
    flight

    key   …
    as of …
    mode  append

    column   in the source  travels as
    ───────  ─────────────  ──────────
    id       integer        int64
    carrier  text           string
    fare     decimal(10,2)  decimal
    day      date           string

    3 rows:

    id  carrier  fare  day
    ──  ───────  ────  ──────────
    1   UA       12.5  2013-01-01
    2            ∅     2013-01-02
    3   ∅        7     2013-01-03
    ");
    assert!(site.files("box/inbox").is_empty());
    assert!(!site.folder.path().join("state").exists());
}

#[test]
fn what_an_earlier_run_left_in_the_spool_is_dropped_too() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let dropped = site.files("box/inbox").remove(0);
    // As if that run had died between its commit and its PUT; and half a draft beside it.
    let spool = site.folder.path().join("state/spool/flight");
    fs::rename(&dropped, spool.join(dropped.file_name().unwrap())).unwrap();
    fs::write(
        spool.join("01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.draft"),
        "{\"specversion\":",
    )
    .unwrap();

    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output)
            .trim_end()
            .ends_with("(and an earlier result)"),
        "{}",
        stdout(&output)
    );
    assert_eq!(site.files("box/inbox").len(), 2);
    assert!(dropped.exists());
    assert!(site.in_spool().is_empty());
}

#[test]
fn a_run_that_fails_still_drops_what_an_earlier_one_left() {
    let site = Site::new(&(job("flight", ALL) + &job("other", "query = \"SELECT 1 AS one\"")));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let dropped = site.files("box/inbox").remove(0);
    let spool = site.folder.path().join("state/spool/flight");
    fs::rename(&dropped, spool.join(dropped.file_name().unwrap())).unwrap();
    fs::remove_file(site.folder.path().join("lga.db")).unwrap();
    assert_eq!(code(&site.run(&["run", "flight"])), 69);
    assert!(dropped.exists());
}

#[test]
fn drain_puts_what_waits_of_every_job_even_of_one_that_is_configured_no_more() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let dropped = site.files("box/inbox").remove(0);
    let text = fs::read_to_string(&dropped)
        .unwrap()
        .replace("\"subject\":\"flight\"", "\"subject\":\"gone\"");
    let spool = site.folder.path().join("state/spool/gone");
    fs::create_dir(&spool).unwrap();
    fs::write(spool.join(dropped.file_name().unwrap()), text).unwrap();
    let output = site.run(&["drain"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("gone: inbox/lga/gone/"),
        "{}",
        stdout(&output)
    );
    assert_eq!(site.files("box/inbox/lga/gone").len(), 1);
}

#[test]
fn a_second_run_of_a_job_ends_with_75_and_names_the_lock() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let lock = fs::File::open(site.folder.path().join("state/lock/flight.lock")).unwrap();
    lock.lock().unwrap();
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 75);
    assert!(
        stderr(&output).contains("state/lock/flight.lock; wait until it ends"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn list_shows_the_jobs_and_what_waits() {
    let site = Site::new(
        &(job("flight", ALL)
            + &job(
                "weather",
                "mode = \"replace\"\nquery = \"SELECT 1 AS one\"\ntimeout = \"1h\"",
            )),
    );
    let output = site.run(&["list"]);
    assert_eq!(code(&output), 0);
    insta::assert_snapshot!(stdout(&output), @"
    job      source  mode     schedule  time zone  next  timeout  in the spool
    ───────  ──────  ───────  ────────  ─────────  ────  ───────  ────────────
    flight   ops     append   -         -          -     10m      0
    weather  ops     replace  -         -          -     1h       0
    ");
}

#[test]
fn list_shows_when_a_job_fires_next_and_by_which_clock() {
    let schedule = "schedule = \"0 5 * * *\"\ntimezone = \"Asia/Tokyo\"";
    let site = Site::new(&job("flight", &format!("{ALL}\n{schedule}")));
    let listed = stdout(&site.run(&["list"]));
    let flight = listed.lines().last().unwrap();
    for cell in ["0 5 * * *  Asia/Tokyo  20", " 05:00 JST  "] {
        assert!(flight.contains(cell), "{flight}");
    }
}

#[test]
fn a_bucket_that_is_away_is_said_in_a_line_a_try_and_costs_its_patience_once() {
    let site = Site::new(&(job("one", ALL) + &job("two", ALL) + &job("three", ALL)));
    let path = site.folder.path().join("lga.toml");
    let root = site.folder.path().display();
    let away = fs::read_to_string(&path).unwrap().replace(
        &format!("url = \"file://{root}/box\""),
        "url = \"s3://box\"\nendpoint = \"http://127.0.0.1:1\"\nput_for = \"2s\"\n\
         access_key = \"env:HOME\"\nsecret_key = \"env:HOME\"",
    );
    fs::write(&path, away).unwrap();
    let output = site.run(&["run", "--all"]);
    assert_eq!(code(&output), 74);
    let said = stderr(&output);
    for line in said.lines().filter(|line| line.contains("WARN")) {
        assert!(line.len() < 200, "{} characters: {line}", line.len());
        assert!(line.contains("one: not put yet: "), "{line}");
    }
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 3, "{said}");
    for error in errors {
        assert!(error.contains("is safe in the spool at"), "{error}");
    }
    assert_eq!(site.in_spool().len(), 3);
}

#[test]
fn validate_says_what_a_file_is_or_what_is_wrong_with_it() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let file = site.files("box/inbox").remove(0);
    let text = fs::read(&file).unwrap();

    let output = site.run(&["validate", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    assert!(
        stdout(&output).starts_with("ok: lga/flight 20"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output)
            .trim_end()
            .ends_with("Z append 3 rows × 4 columns"),
        "{}",
        stdout(&output)
    );

    for packed in [zstd::encode_all(&text[..], 3).unwrap(), gzip(&text)] {
        assert_eq!(code(&site.run_with_stdin(&["validate", "-"], &packed)), 0);
        let cut = site.run_with_stdin(&["validate", "-"], &packed[..packed.len() / 2]);
        assert_eq!(code(&cut), 65, "{}", stderr(&cut));
    }
    let wrong = String::from_utf8(text)
        .unwrap()
        .replace("[1,\"UA\"", "[1.5,\"UA\"");
    let output = site.run_with_stdin(&["validate", "-"], wrong.as_bytes());
    assert_eq!(code(&output), 65);
    assert!(
        stderr(&output).contains("data.rows[0][0] (id, int64): 1.5 has a point"),
        "{}",
        stderr(&output)
    );
    assert_eq!(code(&site.run(&["validate", "/nowhere.json"])), 64);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn put_drops_a_file_exactly_as_it_is_under_the_key_that_its_envelope_makes() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let first = site.files("box/inbox").remove(0);
    let by_hand = gzip(&fs::read(&first).unwrap());
    fs::remove_file(&first).unwrap();

    let output = site.run_with_stdin(&["put", "-"], &by_hand);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let put = site.files("box/inbox").remove(0);
    assert_eq!(fs::read(&put).unwrap(), by_hand);
    assert_eq!(put, Path::new(&format!("{}.gz", first.display())));
    assert!(site.in_spool().is_empty());

    // The key is of the envelope: what else the file says by now, nobody has read.
    let again = site.run_with_stdin(&["put", "-"], &by_hand);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    let nothing = "was in the bucket already, and nothing was put now";
    assert!(stdout(&again).contains(nothing), "{}", stdout(&again));
    assert!(!stdout(&output).contains(nothing), "{}", stdout(&output));
}

#[test]
fn a_drain_of_nothing_says_so() {
    let site = Site::new(&job("flight", ALL));
    for _ in 0..2 {
        let output = site.run(&["drain"]);
        assert_eq!(code(&output), 0);
        assert_eq!(stdout(&output), "nothing waits in the spool\n");
        assert_eq!(code(&site.run(&["run", "flight"])), 0);
    }
}

#[test]
fn put_refuses_what_is_no_message_and_what_is_another_producer_s() {
    let site = Site::new(&job("flight", ALL));
    assert_eq!(code(&site.run(&["run", "flight"])), 0);
    let text = fs::read_to_string(site.files("box/inbox").remove(0)).unwrap();

    let cut = site.run_with_stdin(&["put", "-"], &text.as_bytes()[..text.len() - 10]);
    assert_eq!(code(&cut), 65, "{}", stderr(&cut));
    let foreign = text.replace("\"source\":\"lga\"", "\"source\":\"jfk\"");
    let output = site.run_with_stdin(&["put", "-"], foreign.as_bytes());
    assert_eq!(code(&output), 65);
    assert!(
        stderr(&output).contains(
            "the file's source is jfk, and this producer is lga; a producer drops only its own"
        ),
        "{}",
        stderr(&output)
    );
    assert_eq!(site.files("box/inbox").len(), 1);
    assert!(site.in_spool().is_empty());
}

#[test]
fn a_command_line_or_a_configuration_that_is_wrong_has_its_own_code() {
    let site = Site::new(&job(
        "flight",
        &format!("{ALL}\ntypes = {{ gone = \"string\" }}"),
    ));
    assert_eq!(code(&site.run(&["run"])), 64);
    assert_eq!(code(&site.run(&["run", "nope"])), 64);
    let output = site.run(&["run", "flight"]);
    assert_eq!(code(&output), 78);
    assert!(
        stderr(&output)
            .contains("types.gone: the result has no such column; it has id, carrier, fare, day"),
        "{}",
        stderr(&output)
    );
    fs::write(site.folder.path().join("lga.toml"), "produce = 1").unwrap();
    assert_eq!(code(&site.run(&["list"])), 78);
}
