//! The database and the bucket go away and come back: `run` survives, and says what is wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nightdrop_compose::{Postgres, S3, S3Kind, free_port};
use serde_json::{Value, json};

use crate::crashes::{gate_before_postgres, gate_before_s3};
use crate::gate::Hold;
use crate::message::{departures, message};
use crate::site::{Site, until};

/// What a health check sees: status and body.
pub fn probe(address: &str, path: &str) -> Option<(u16, String)> {
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

#[test]
fn run_survives_postgres_and_the_bucket_going_away_and_coming_back() {
    for kind in S3Kind::available() {
        let (mut s3, mut postgres) = (S3::start(kind).unwrap(), Postgres::start().unwrap());
        let (health, lines) = health();
        let site = Site::with(&s3, &postgres).configured(&lines);
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
        // A drop whose answer was lost came twice.
        site.wait_for(
            "SELECT DISTINCT state, attempts FROM nightdrop.file",
            &["loaded|0"],
        );
        assert!(consumer.is_running());
    }
}

/// How long a server is away.
const AWAY: Duration = Duration::from_mins(1);

fn server() -> S3Kind {
    S3Kind::available().pop().unwrap()
}

/// Where health checks are answered, and the lines of the configuration that say so.
pub fn health() -> (String, String) {
    let health = format!("127.0.0.1:{}", free_port().unwrap());
    let lines = format!("[http]\nlisten = \"{health}\"\n");
    (health, lines)
}

/// The breaker of this server, as `status --json` has it.
fn breaker(site: &Site, server: &str) -> Option<Value> {
    let ended = site.consumer(&["status", "--json"]);
    let status: Value = serde_json::from_str(&ended.stdout).ok()?;
    let breakers = status["breakers"].as_array()?;
    breakers
        .iter()
        .find(|breaker| breaker["server"] == server)
        .cloned()
}

/// Watches a consumer until the time is over: it is alive throughout. Gives whether `/readyz` came to say
/// this.
fn alive_until(health: &str, end: Instant, unready: &[&str]) -> bool {
    let mut said = false;
    while Instant::now() < end {
        assert_eq!(probe(health, "/livez"), Some((200, "ok\n".into())));
        said |= probe(health, "/readyz").is_some_and(|(status, body)| {
            status == 503 && unready.iter().all(|text| body.contains(text))
        });
        std::thread::park_timeout(Duration::from_millis(200));
    }
    said
}

#[test]
fn postgres_away_for_a_minute_in_the_middle_of_a_load_costs_nothing_but_the_time() {
    let mut postgres = Postgres::start().unwrap();
    let (health, lines) = health();
    // The breaker is as it is in production.
    let mut site = Site::with(S3::shared(server()).unwrap(), &postgres)
        .configured(&format!("[breaker]\n{lines}"));
    let rows: Vec<Value> = (0..20_000).map(|n| json!(["a carrier", n])).collect();
    site.drop(&departures("2013-01-31T05:00:00Z").rows(&json!(rows)));
    let gate = gate_before_postgres(&mut site);
    gate.hold(Hold::Sent(300_000));
    let consumer = site.start(&["run"]);
    gate.wait();
    postgres.kill().unwrap();
    gate.open();
    let gone = Instant::now();
    site.drop(&departures("2013-01-31T06:00:00Z"));

    assert!(
        alive_until(&health, gone + AWAY, &["postgres: ", "; asked again at "]),
        "{}",
        consumer.log()
    );
    postgres.restart().unwrap();
    site.wait_for("SELECT count(*) FROM jfk.departures", &["20002"]);
    until("/readyz to be well", || {
        probe(&health, "/readyz") == Some((200, "ok\n".into()))
    });
    until("status to tell of it", || {
        breaker(&site, "postgres").is_some_and(|breaker| breaker["state"] == "closed")
    });
    assert_eq!(
        site.rows("SELECT state, attempts FROM nightdrop.file"),
        ["loaded|0", "loaded|0"]
    );
}

#[test]
fn the_bucket_away_for_a_minute_in_the_middle_of_a_list_costs_nothing_but_the_time() {
    let mut s3 = S3::start(server()).unwrap();
    let (health, lines) = health();
    let mut site =
        Site::with(&s3, Postgres::shared().unwrap()).configured(&format!("[breaker]\n{lines}"));
    site.drop(&departures("2013-01-31T05:00:00Z"));
    let gate = gate_before_s3(&mut site);
    gate.hold(Hold::Request("list-type=2"));
    let consumer = site.start(&["run"]);
    gate.wait();
    s3.kill().unwrap();
    gate.open();
    let gone = Instant::now();

    until("the breaker to open", || {
        breaker(&site, "bucket").is_some_and(|breaker| breaker["state"] == "open")
    });
    assert!(
        alive_until(&health, gone + AWAY, &["bucket: ", "; asked again at "]),
        "{}",
        consumer.log()
    );
    s3.restart().unwrap();
    // A server that is up but not yet ready fails a trial, and the next is a minute later.
    crate::site::until_within(Duration::from_mins(4), "the rows to be there", || {
        site.try_rows("SELECT count(*) FROM jfk.departures")
            .unwrap_or_default()
            == ["2"]
    });
    until("/readyz to be well", || {
        probe(&health, "/readyz") == Some((200, "ok\n".into()))
    });
    until("the breaker to close", || {
        breaker(&site, "bucket").is_some_and(|breaker| breaker["state"] == "closed")
    });
    assert_eq!(
        site.rows("SELECT state, attempts FROM nightdrop.file"),
        ["loaded|0"]
    );
}

#[test]
fn a_consumer_that_is_restarted_asks_nothing_of_a_bucket_that_was_away() {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (health, lines) = health();
    let mut site = Site::anywhere().configured(&format!(
        "[breaker]\nfailures = 2\nopen_for = \"10min\"\n{lines}"
    ));
    site.rest("jfk", "departures");
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.once();
    site.endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        // Hung up at once.
        for _ in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let left_alone = || {
        probe(&health, "/readyz").is_some_and(|(status, body)| {
            status == 503 && body.starts_with("bucket: ") && body.contains("; asked again at ")
        })
    };
    let consumer = site.start(&["run"]);
    until("the breaker to open", left_alone);
    until("the ledger to know", || breaker(&site, "bucket").is_some());
    consumer.kill();
    // There is something to be fetched, too.
    site.execute("DELETE FROM nightdrop.pause");
    let before = asked.load(Ordering::SeqCst);

    let _restarted = site.start(&["run"]);
    until("the breaker to be open", left_alone);
    alive_until(&health, Instant::now() + Duration::from_secs(3), &[]);
    assert_eq!(asked.load(Ordering::SeqCst), before);

    // A person who runs `once` is answered at once.
    assert_eq!(site.consumer(&["once"]).code, Some(74));
    assert!(asked.load(Ordering::SeqCst) > before);
}

/// A pod has a name of its own, and never comes again.
#[test]
fn what_a_host_knew_of_the_bucket_that_is_no_more_is_not_told_for_ever() {
    let site = Site::anywhere();
    site.execute(
        "INSERT INTO nightdrop.breaker (host, server, state, since, ask_at, error) VALUES
         ('pod-1', 'bucket', 'open', now() - interval '21 min', now() - interval '20 min', 'away'),
         ('pod-2', 'bucket', 'half_open', now() - interval '20 min', NULL, 'away'),
         ('pod-3', 'bucket', 'open', now(), now() + interval '1 min', 'away'),
         ('pod-4', 'bucket', 'closed', now() - interval '6 days', NULL, 'away'),
         ('pod-5', 'bucket', 'closed', now() - interval '8 days', NULL, 'away'),
         ('pod-6', 'bucket', 'open', now() - interval '9 days', now() - interval '8 days', 'away')",
    );
    site.once();
    let ended = site.consumer(&["status"]);
    let told: Vec<&str> = ended
        .stdout
        .split_ascii_whitespace()
        .filter_map(|word| word.find("pod-").map(|at| &word[at..at + 5]))
        .collect();
    assert_eq!(told, ["pod-3", "pod-4"], "{ended:?}");
    assert_eq!(
        site.rows("SELECT host FROM nightdrop.breaker ORDER BY host"),
        ["pod-1", "pod-2", "pod-3", "pod-4"]
    );
}

#[test]
fn one_object_that_the_bucket_fails_to_give_is_no_outage() {
    let (health, lines) = health();
    let mut site = Site::anywhere().configured(&format!("[breaker]\nfailures = 1\n{lines}"));
    let gate = gate_before_s3(&mut site);
    let sick = departures("2013-01-31T05:00:00Z");
    site.drop(&sick);
    site.drop(&message("lga", "departures", "2013-01-31T05:00:00Z"));
    gate.refuse("/inbox/jfk/");
    let consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM lga.departures", &["2"]);
    until("/readyz to be well", || {
        probe(&health, "/readyz") == Some((200, "ok\n".into()))
    });
    until("it to be tried some times", || {
        let (_, body) = probe(&health, "/readyz").unwrap();
        assert!(!body.contains("bucket: "), "{body}");
        consumer
            .log()
            .matches("nothing was loaded this time")
            .count()
            > 2
    });
    assert_eq!(
        site.rows("SELECT count(*) FROM nightdrop.breaker WHERE server = 'bucket'"),
        ["0"]
    );

    gate.refuse("nothing");
    site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
}
