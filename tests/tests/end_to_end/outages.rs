//! The database and the bucket go away and come back: `run` survives, and says what is wrong.

use std::io::{Read, Write};
use std::net::TcpStream;

use nightdrop_compose::{Postgres, S3, S3Kind};

use crate::message::departures;
use crate::site::{Site, until};

/// What a health check sees: status and body.
fn probe(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn run_survives_postgres_and_the_bucket_going_away_and_coming_back() {
    for kind in S3Kind::available() {
        let (mut s3, mut postgres) = (S3::start(kind).unwrap(), Postgres::start().unwrap());
        let health = format!("127.0.0.1:{}", free_port());
        let site =
            Site::with(&s3, &postgres).configured(&format!("[http]\nlisten = \"{health}\"\n"));
        let ready = || probe(&health, "/readyz");
        let alive = || assert_eq!(probe(&health, "/livez"), Some((200, "ok\n".into())));
        site.drop(&departures("2013-01-31T05:00:00Z"));

        // Both are away when it starts, and come in the order in which it needs them last.
        postgres.kill().unwrap();
        s3.kill().unwrap();
        let mut consumer = site.start(&["run"]);
        until("/readyz to name Postgres", || {
            ready().is_some_and(|(status, body)| {
                status == 503
                    && !body.contains("postgres: not asked")
                    && body.contains("postgres: ")
            })
        });
        alive();
        s3.restart().unwrap();
        postgres.restart().unwrap();
        site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
        until("/readyz to be well", || {
            ready() == Some((200, "ok\n".into()))
        });

        // Postgres goes away under way.
        postgres.kill().unwrap();
        until("/readyz to name Postgres", || {
            ready().is_some_and(|(status, body)| status == 503 && body.starts_with("postgres: "))
        });
        alive();
        site.drop(&departures("2013-01-31T06:00:00Z"));
        postgres.restart().unwrap();
        site.wait_for("SELECT count(*) FROM jfk.departures", &["4"]);

        // The bucket goes away under way.
        s3.kill().unwrap();
        until("/readyz to name the bucket", || {
            ready().is_some_and(|(status, body)| status == 503 && body.starts_with("bucket: "))
        });
        alive();
        s3.restart().unwrap();
        until("the bucket to take a drop", || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                site.drop(&departures("2013-01-31T07:00:00Z"));
            }))
            .is_ok()
        });
        site.wait_for("SELECT count(*) > 5 FROM jfk.departures", &["true"]);
        until("/readyz to be well", || {
            ready() == Some((200, "ok\n".into()))
        });
        assert_eq!(
            site.rows("SELECT DISTINCT state, attempts FROM nightdrop.file"),
            ["loaded|0"]
        );
        assert!(consumer.is_running());
    }
}
