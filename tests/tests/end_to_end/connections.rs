//! Whoever reaches the consumer's address, and means it no good: results are loaded, and `/livez` answers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::message::departures;
use crate::outages::{health, probe};
use crate::pages::ask;
use crate::process::Process;
use crate::site::{PATIENCE, Site, until};

const HALF: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Half: ";

/// A connection on which this was sent, as far as it is taken.
fn sent(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may have had to make room by now.
    let _ = stream.write_all(bytes);
    stream
}

/// What comes until the other side closes.
fn received(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answers(address: &str) {
    until("/livez to answer", || {
        probe(address, "/livez").is_some_and(|(status, _)| status == 200)
    });
}

fn answers_soon(address: &str) {
    let begun = Instant::now();
    assert_eq!(probe(address, "/livez"), Some((200, "ok\n".to_owned())));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn hundreds_who_say_nothing_keep_no_result_from_the_reports_and_no_probe_waiting() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    // Fewer descriptors than there are connections.
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 160 && exec \"$@\"", "sh"])
        .arg(nightdrop_compose::binary("nightdrop-consumer").unwrap())
        .arg("-c")
        .arg(site.config())
        .arg("run");
    let consumer = Process::spawn(&mut command);
    answers(&address);

    let mut silent: Vec<_> = (0..400).map(|_| sent(&address, HALF)).collect();
    answers_soon(&address);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.wait_for(
        "SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'",
        &["1"],
    );
    silent.extend((0..400).map(|_| sent(&address, HALF)));
    answers_soon(&address);

    assert!(
        !consumer.log().contains("os error 24"),
        "{}",
        consumer.log()
    );
    consumer.signal("TERM");
    assert_eq!(consumer.wait(PATIENCE).code, Some(0));
}

#[test]
fn a_connection_is_short_and_takes_one_request_of_http_1() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    let _consumer = site.start(&["run"]);
    answers(&address);

    let begun = Instant::now();
    for unfinished in [HALF, b""] {
        let heard = received(&mut sent(&address, unfinished));
        assert!(!heard.contains("200 OK"), "{heard}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");

    let long = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let heard = received(&mut sent(&address, long.as_bytes()));
    assert!(
        heard.is_empty() || heard.starts_with("HTTP/1.1 431 "),
        "{heard}"
    );

    // It would stay open by HTTP's own rules.
    let begun = Instant::now();
    let heard = received(&mut sent(
        &address,
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    ));
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
    assert!(
        heard.to_ascii_lowercase().contains("connection: close\r\n"),
        "{heard}"
    );
    assert!(begun.elapsed() < Duration::from_secs(4));

    // A client that knows of HTTP/2 beforehand, with its settings. Ours would be a frame of type 4.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let heard = received(&mut sent(&address, preface));
    assert!(
        heard.is_empty() || heard.starts_with("HTTP/1.1 4"),
        "{heard:?}"
    );
    answers_soon(&address);
}

#[test]
fn a_token_that_hangs_lets_nobody_in_and_stops_nothing_else() {
    let (address, lines) = health();
    let mut site = Site::anywhere();
    let path = site.folder.path().join("token");
    let pipe = site.folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    site = site.configured(&format!("{lines}token = \"file:{}\"\n", path.display()));
    let consumer = site.start(&["run"]);
    answers(&address);

    // `:0123456789-the-first-token`.
    let right = [(
        "Authorization",
        "Basic OjAxMjM0NTY3ODktdGhlLWZpcnN0LXRva2Vu",
    )];
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(ask(&address, "/", &right).status, 503));
        }
        answers_soon(&address);
    });
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.wait_for(
        "SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'",
        &["1"],
    );
    assert!(
        consumer.log().contains("has not been read within 2 s"),
        "{}",
        consumer.log()
    );

    // What hung ends, and the token is a file.
    std::fs::rename(&path, &pipe).unwrap();
    std::fs::write(&path, "0123456789-the-first-token\n").unwrap();
    std::fs::write(&pipe, "something").unwrap();
    until("the token to let in", || {
        ask(&address, "/", &right).status == 200
    });

    // A reader that still hangs doesn't keep the process.
    std::fs::rename(&pipe, &path).unwrap();
    assert_eq!(ask(&address, "/", &right).status, 503);
    consumer.signal("TERM");
    assert_eq!(consumer.wait(PATIENCE).code, Some(0));
}
