//! `examples/python`: its own tests, and its way into the bucket.

use std::path::{Path, PathBuf};

use nightdrop_compose::S3Kind;

use crate::inbox::{Drop, needs, said};

const BOTO3: (&str, &[&str], &str) = (
    "python3",
    &["-c", "import boto3, sqlite3"],
    "pip install boto3",
);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python")
}

/// A database with a row of the values that are easily bent, and a row of nulls.
fn departures(folder: &Path) -> String {
    let database = folder.join("jfk.db");
    let script = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute('CREATE TABLE departures (day, carrier, flight, dep_delay, fare, left_at, details, photo)')
database.execute('INSERT INTO departures VALUES (?, ?, ?, ?, ?, ?, ?, ?)', (
    '2013-01-31', 'U\\u00e9 \\U0001d11e \"\\\\N\"\\t', 2**63 - 1, 0.1, '120.50', '2013-01-31 05:17:00.000001',
    '{\"n\": 12345678901234567890.10}', bytes([0, 1, 255])))
database.execute('INSERT INTO departures (day, flight) VALUES (\\'2013-01-31\\', 1)')
database.commit()
";
    let made = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&database)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    database.to_str().unwrap().to_owned()
}

/// Runs the example, with jfk's key.
fn produce(drop: &Drop, producer: &str, database: &str, query: &str) -> std::process::Output {
    let program = folder().join("nightdrop_producer.py");
    let columns = [
        "day:date",
        "carrier:string",
        "flight:int64",
        "dep_delay:float64",
        "fare:decimal",
        "left_at:timestamp",
        "details:json",
        "photo:bytes",
    ];
    let mut arguments = vec![
        program.to_str().unwrap(),
        "--producer",
        producer,
        "--job",
        "departures",
    ];
    arguments.extend(["--bucket", drop.bucket(), "--endpoint", drop.endpoint()]);
    arguments.extend(["--mode", "upsert", "--primary-key", "flight"]);
    arguments.extend(columns.into_iter().flat_map(|column| ["--column", column]));
    arguments.extend([database, query]);
    drop.run("python3", &arguments, Path::new(".")).unwrap()
}

fn schema_refuses(message: &[u8]) -> Option<String> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/v1/result.schema.json");
    let schema = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let message = serde_json::from_slice(message).unwrap();
    jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&message)
        .next()
        .map(|error| error.to_string())
}

#[test]
fn the_example_s_own_tests_pass() {
    let (program, arguments, install) = BOTO3;
    needs(program, arguments, install);
    let tests = std::process::Command::new("python3")
        .args(["-m", "unittest", "-v"])
        .current_dir(folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = said(&tests);
    assert!(tests.status.success(), "{said}");
    assert!(
        said.contains("test_every_value_of_the_corpus_is_written_as_it_says"),
        "{said}"
    );
}

#[tokio::test]
async fn the_example_drops_what_the_consumer_reads_with_keys_that_can_only_write() {
    let (program, arguments, install) = BOTO3;
    needs(program, arguments, install);
    let folder = tempfile::tempdir().unwrap();
    let database = departures(folder.path());
    for kind in S3Kind::available() {
        let drop = Drop::new(kind).unwrap();
        let done = produce(
            &drop,
            "jfk",
            &database,
            "SELECT * FROM departures ORDER BY rowid",
        );
        assert!(done.status.success(), "{kind}: {}", said(&done));

        let dropped = drop.dropped().await.unwrap();
        assert_eq!(dropped.len(), 1, "{kind}");
        assert_eq!(schema_refuses(&dropped[0].message), None, "{kind}");
        let (_, header, rows) = dropped[0].read().unwrap();
        assert_eq!(header.mode.as_str(), "upsert");
        assert_eq!(rows.len(), 2);
        for value in [
            "String(\"Ué 𝄞 \\\"\\\\N\\\"\\t\")",
            "Int64(9223372036854775807)",
            "Float64(0.1)",
            "Decimal(Decimal(\"120.50\"))",
            "Json(Json(\"{\\\"n\\\": 12345678901234567890.10}\"))",
            "Bytes([0, 1, 255])",
        ] {
            assert!(rows[0].contains(value), "{value} in {}", rows[0]);
        }
        assert_eq!(rows[1].matches("Null").count(), 6, "{}", rows[1]);
        assert!(
            said(&done).contains(&format!("{}: 2 rows", dropped[0].key)),
            "{}",
            said(&done)
        );
    }
}

#[tokio::test]
async fn the_example_names_the_value_that_does_not_fit_and_drops_nothing() {
    let (program, arguments, install) = BOTO3;
    needs(program, arguments, install);
    let folder = tempfile::tempdir().unwrap();
    let database = departures(folder.path());
    let drop = Drop::new(S3Kind::SeaweedFs).unwrap();
    let query = "SELECT day, carrier, flight + 0.5, dep_delay, fare, left_at, details, photo FROM departures ORDER BY rowid";
    let done = produce(&drop, "jfk", &database, query);
    assert!(!done.status.success());
    assert!(
        said(&done).contains(
            "departures: row 0, column flight (int64): 9.223372036854776e+18 is no int64"
        ),
        "{}",
        said(&done)
    );
    assert!(drop.dropped().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_example_says_in_a_sentence_what_the_bucket_or_the_database_refuses() {
    let (program, arguments, install) = BOTO3;
    needs(program, arguments, install);
    let folder = tempfile::tempdir().unwrap();
    let database = departures(folder.path());
    let query = "SELECT * FROM departures";
    let drop = Drop::new(S3Kind::SeaweedFs).unwrap();
    for (producer, database, query, sentence) in [
        (
            "lga",
            database.as_str(),
            query,
            "the bucket refused the result: An error occurred (AccessDenied)",
        ),
        ("jfk", &database, "SELECT nope", "no such column: nope"),
        ("jfk", "/nowhere.db", query, "unable to open database file"),
    ] {
        let done = produce(&drop, producer, database, query);
        assert_eq!(done.status.code(), Some(1));
        let said = said(&done);
        assert!(said.contains("departures: "), "{said}");
        assert!(said.contains(sentence), "{said}");
        assert!(!said.contains("Traceback"), "{said}");
    }
    assert!(drop.dropped().await.unwrap().is_empty());
}
