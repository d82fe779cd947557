//! Producers that are not ours: whatever writes one JSON file and makes one PUT.

use std::path::Path;
use std::process::Command;

use nightdrop_schema::{Compression, Key, Timestamptz};

use crate::process::Process;
use crate::site::{PATIENCE, on_each};

const PAGE: &str = include_str!("../../../docs/message-format.md");

#[test]
fn the_smallest_message_of_the_page_written_by_hand_is_loaded() {
    on_each(|site| {
        let (_, rest) = PAGE.split_once("```json file=departures.json\n").unwrap();
        let (message, _) = rest.split_once("```").unwrap();
        let key = Key::new(
            "jfk".parse().unwrap(),
            "departures".parse().unwrap(),
            Timestamptz::parse("2013-01-31T05:00:00Z").unwrap(),
            "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap(),
            Compression::None,
        )
        .unwrap();
        assert!(PAGE.contains(&format!("`{key}`")), "the page names its key");
        site.drop_as(&key, message.as_bytes());
        site.once();
        assert_eq!(
            site.rows("SELECT carrier, flight FROM jfk.departures ORDER BY 1"),
            ["AA|1141", "UA|1545"]
        );
    });
}

#[test]
fn the_producer_in_python_needs_nothing_of_the_consumer() {
    on_each(|site| {
        let database = site.folder.path().join("lga.db");
        let made = Command::new("python3")
            .args(["-c", "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('CREATE TABLE flights (day, carrier, flight, fare)')\nd.execute(\"INSERT INTO flights VALUES ('2013-01-31', 'UA', 9223372036854775807, '120.50'), ('2013-01-31', 'AA', 1, NULL)\")\nd.commit()"])
            .arg(&database)
            .status()
            .unwrap();
        assert!(made.success(), "python3 is needed");
        let keys = site.keys_of("lga");
        let bucket = site.inbox.url();
        let mut python = Command::new("python3");
        python
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("../examples/python/nightdrop_producer.py"),
            )
            .args([
                "--producer",
                "lga",
                "--job",
                "flights",
                "--bucket",
                bucket.trim_start_matches("s3://"),
            ])
            .args([
                "--endpoint",
                &site.inbox.endpoint,
                "--mode",
                "upsert",
                "--primary-key",
                "flight",
            ])
            .args([
                "--column",
                "day:date",
                "--column",
                "carrier:string",
                "--column",
                "flight:int64",
                "--column",
                "fare:decimal",
            ])
            .arg(&database)
            .arg("SELECT day, carrier, flight, fare FROM flights")
            .env("AWS_ACCESS_KEY_ID", &keys.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_key)
            .env("AWS_DEFAULT_REGION", &site.inbox.region);
        let ended = Process::spawn(&mut python).wait(PATIENCE);
        assert_eq!(
            ended.code,
            Some(0),
            "{ended:?} (boto3 is needed: pip install boto3)"
        );
        site.once();
        assert_eq!(
            site.rows("SELECT day, carrier, flight, fare FROM lga.flights ORDER BY carrier"),
            [
                "2013-01-31|AA|1|null",
                "2013-01-31|UA|9223372036854775807|120.50"
            ]
        );
    });
}
