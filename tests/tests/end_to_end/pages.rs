//! The status page, as it comes over HTTP: what it says, to whom, and what it never says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nightdrop_compose::{Postgres, S3, S3Kind};
use serde_json::json;

use crate::message::{Message, departures, message};
use crate::outages::{health, probe};
use crate::site::{PATIENCE, Site, until};

pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Asks as a browser would.
pub fn ask(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        let _ = write!(request, "Host: {address}\r\n");
    }
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let headers = head.lines().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

/// The page once it says all of this.
fn saying(address: &str, path: &str, all: &[&str]) -> String {
    let mut page = String::new();
    let mut lacks = Vec::new();
    let begun = Instant::now();
    loop {
        if probe(address, "/livez").is_some() {
            page = ask(address, path, &[]).body;
            lacks = all
                .iter()
                .filter(|text| !page.contains(**text))
                .collect::<Vec<_>>();
            if lacks.is_empty() {
                return page;
            }
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{path} doesn't say {lacks:?}\n{page}"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A run that failed, with this text.
pub fn failed(message: &Message, text: &str) -> String {
    json!({
        "specversion": "1.0", "type": "nightdrop.failed.v1", "id": message.id.to_string(),
        "source": message.source, "subject": message.subject, "time": message.time,
        "data": {"code": 77, "kind": "source", "message": text}
    })
    .to_string()
}

/// Three rows are promised, and two are there.
fn bad(message: Message) -> Message {
    message.with("row_count", json!(3))
}

fn file(site: &Site, condition: &str) -> String {
    site.rows(&format!("SELECT id FROM nightdrop.file WHERE {condition}"))
        .concat()
}

#[test]
fn the_page_shows_how_every_job_stands_what_is_wrong_and_what_to_do() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    site.drop(&departures("2013-01-30T05:00:00Z"));
    site.drop(&departures("2013-01-31T05:00:00Z").with("next_by", json!("2013-02-01T05:40:00Z")));
    let weather = message("ewr", "weather", "2013-01-31T05:00:00Z");
    site.drop(&weather.with("next_by", json!("2999-01-01T00:00:00Z")));
    site.drop(&bad(message("lga", "fleet", "2013-01-31T06:00:00Z")));
    let run = departures("2013-02-01T05:00:00Z");
    site.drop_as(
        &run.key(),
        failed(&run, "the source refused the credentials").as_bytes(),
    );
    let _consumer = site.start(&["run"]);
    decided(&site, 5);

    let parked = file(&site, "state = 'parked'");
    let page = saying(
        &address,
        "/",
        &[
            "<title>3 things are wrong · Nightdrop</title>",
            "<dt>Jobs</dt><dd>3</dd>",
            "<div class=\"tile bad\"><dt>Parked</dt><dd>1</dd></div>",
            "<div class=\"tile\"><dt>Held</dt><dd>0</dd></div>",
            "<span class=\"overdue\">",
            "A result was due by 2013-02-01 05:40:00Z, and the newest in the reports is as of 2013-01-31 05:00:00Z",
            "the source refused the credentials",
            "; its last run failed",
            "See FAILING: what ends that ends this",
            "href=\"./jobs/jfk/departures\"",
            "href=\"./jobs/ewr/weather\"",
            "href=\"./jobs/lga/fleet\"",
            "<title>Rows of the last 2 results: 2 to 2, the newest 2</title>",
            "<title>Lag of the last result: ",
            &format!("href=\"./files/{parked}\""),
            "data.row_count",
            " by this consumer, since ",
            "for a thousand",
            "<span class=\"badge good\">usable</span>",
        ],
    );
    for state in ["late", "failing", "parked", "on time"] {
        assert!(
            page.contains(&format!(">{state}</span>")),
            "{state}: {page}"
        );
    }
    for said in [
        "<caption>",
        "scope=\"col\"",
        "scope=\"row\"",
        "<html lang=\"en\">",
    ] {
        assert!(page.contains(said), "{said}");
    }

    // What waits, and what rests.
    site.rest("ewr", "weather");
    site.drop_all(
        &[1, 2, 3].map(|hour| message("ewr", "weather", &format!("2013-02-01T0{hour}:00:00Z"))),
    );
    saying(
        &address,
        "/",
        &[" 3 waiting, the oldest put ", ">resting</span>"],
    );
    site.execute(
        "DELETE FROM nightdrop.pause; UPDATE nightdrop.file SET retry_at = now() + interval '1 h' WHERE state = 'waiting'",
    );
    let waits = file(&site, "state = 'waiting' ORDER BY id LIMIT 1");
    saying(&address, &format!("/files/{waits}"), &["put off until "]);
}

#[test]
fn the_page_of_a_job_and_of_a_file_say_what_explain_says() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    let columns = json!([
        {"name": "carrier", "type": "string", "description": "IATA's two letters"},
        {"name": "flight", "type": "int64"}
    ]);
    site.drop(&departures("2013-01-30T05:00:00Z").with("columns", columns.clone()));
    site.drop(&departures("2013-01-31T05:00:00Z").with("columns", columns));
    site.drop(&bad(departures("2013-01-31T06:00:00Z")));
    let run = departures("2013-01-29T05:00:00Z");
    site.drop_as(
        &run.key(),
        failed(&run, "the query took longer than 10m").as_bytes(),
    );
    let _consumer = site.start(&["run"]);
    decided(&site, 4);
    site.wait_for("SELECT count(gone_at) FROM nightdrop.file", &["4"]);

    let (parked, loaded) = (
        file(&site, "state = 'parked'"),
        file(&site, "as_of = '2013-01-31T05:00:00Z'"),
    );
    saying(
        &address,
        "/jobs/jfk/departures",
        &[
            "<h1>jfk/departures</h1>",
            "as of <time datetime=\"2013-01-31T05:00:00Z\">2013-01-31 05:00:00Z</time>",
            "<code>jfk.departures</code>, append",
            "<desc>Rows of the last 2 results: 2 to 2, the newest 2</desc>",
            "<polyline",
            "<desc>Lag of the last 2 results: ",
            "IATA's two letters",
            "bigint",
            "The last run that failed",
            "the query took longer than 10m",
            &format!("href=\"../../files/{parked}\""),
            &format!("href=\"../../files/{loaded}\""),
        ],
    );
    for id in [&parked, &loaded] {
        let page = saying(
            &address,
            &format!("/files/{id}"),
            &["href=\"../jobs/jfk/departures\""],
        );
        let explained = site.consumer(&["explain", id]).stdout;
        // What is to be typed is set in another type there.
        let sentence = explained.lines().nth(1).unwrap().replace('`', "");
        assert!(plain(&page).contains(&sentence), "{sentence}\n{page}");
    }
    let page = ask(&address, &format!("/files/{parked}"), &[]).body;
    assert!(
        page.contains(&format!(
            "<code>nightdrop-consumer parked export {parked}</code>"
        )),
        "{page}"
    );

    for nowhere in [
        "/jobs/jfk/arrivals",
        "/jobs/JFK/x",
        "/jobs/jfk",
        "/files/999",
        "/files/x",
        "/files/-1",
        "/x",
    ] {
        let answer = ask(&address, nowhere, &[]);
        assert_eq!(answer.status, 404, "{nowhere}");
        assert!(answer.body.contains("</main>"), "{nowhere}");
    }
}

/// The text of a page, as a person reads it.
fn plain(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in page.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[test]
fn whatever_comes_in_is_text_on_every_page_and_no_page_shows_what_was_parked_or_is_secret() {
    const SCRIPT: &str = "<script>alert('x')</script>\"&";
    const MARKER: &str = "only the file has this";
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    let columns = json!([
        {"name": "<b onclick=alert(1)>", "type": "string", "description": "<script src=//x></script>"},
        {"name": "flight", "type": "int64"}
    ]);
    site.drop(&departures("2013-01-30T05:00:00Z").with("columns", columns));
    let run = departures("2013-01-31T05:00:00Z");
    site.drop_as(&run.key(), failed(&run, SCRIPT).as_bytes());
    // Its second column is not what it says: the sentence names the column, and quotes the value.
    let columns =
        json!([{"name": "secret", "type": "string"}, {"name": "<script>", "type": "int64"}]);
    let parked = message("lga", "fleet", "2013-01-31T05:00:00Z");
    site.drop(
        &parked
            .with("columns", columns)
            .rows(&json!([[MARKER, "<script>"]])),
    );
    let strange = site
        .inbox
        .request(&site.inbox.root(), "PUT", "inbox/aaa/%3Cscript%3E", "x");
    assert_eq!(strange.unwrap().status, 200);
    let _consumer = site.start(&["run"]);
    decided(&site, 4);
    site.execute(&format!(
        "INSERT INTO nightdrop.pause (producer, job, until, error) VALUES ('jfk', 'departures', now() + interval '1 h', '{}');
         INSERT INTO nightdrop.breaker (host, server, state, since, error) VALUES ('<script>', 'bucket', 'closed', now(), '<script>')",
        SCRIPT.replace('\'', "''")
    ));

    let escaped = "&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;";
    let mut pages = vec![
        saying(
            &address,
            "/",
            &[
                escaped,
                "inbox/aaa/&lt;script&gt;",
                ">parked</span>",
                "&lt;script&gt;, int64",
            ],
        ),
        saying(
            &address,
            "/jobs/jfk/departures",
            &[
                escaped,
                "&lt;b onclick=alert(1)&gt;",
                "&lt;script src=//x&gt;",
            ],
        ),
        saying(&address, "/jobs/lga/fleet", &["&lt;script&gt;, int64"]),
    ];
    for id in site.rows("SELECT id FROM nightdrop.file") {
        pages.push(saying(&address, &format!("/files/{id}"), &["</main>"]));
    }
    assert_eq!(pages.len(), 7);
    assert!(pages.iter().any(|page| page.contains("parked export")));
    let reader = site.inbox.reader();
    for page in &pages {
        for never in [
            "<script",
            "<b ",
            MARKER,
            &reader.secret_key,
            &reader.access_key,
            &site.database.password,
        ] {
            assert!(!page.contains(never), "{never} in {page}");
        }
    }
}

/// What every answer of the pages carries, whatever it says.
fn is_cautious(answer: &Answer) {
    let header = |name: &str| answer.headers.get(name).map_or("", String::as_str);
    let policy = header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self' data:;"),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    for inline in ["<script", "style=", "<style", "onclick", "http-equiv"] {
        assert!(!answer.body.contains(inline), "{inline}");
    }
}

/// `/livez`, `/readyz` and `/metrics`, for whoever asks.
fn machines_are_answered(address: &str) {
    until("/readyz to be well", || {
        probe(address, "/readyz").is_some_and(|(status, _)| status == 200)
    });
    for path in ["/livez", "/metrics"] {
        assert_eq!(
            probe(address, path).map(|(status, _)| status),
            Some(200),
            "{path}"
        );
    }
}

#[test]
fn on_loopback_the_pages_are_for_this_machine_and_say_so_to_browsers() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    let _consumer = site.start(&["run"]);
    machines_are_answered(&address);
    saying(&address, "/", &["<h1>"]);
    for (path, status) in [
        ("/", 200),
        ("/style.css", 200),
        ("/jobs/jfk/x", 404),
        ("/x", 404),
        ("/files/1", 404),
    ] {
        let answer = ask(&address, path, &[]);
        assert_eq!(answer.status, status, "{path}");
        is_cautious(&answer);
        assert!(!answer.headers.contains_key("refresh"));
    }
    // A page of somebody else's, whose name was bent to this address, in a browser on this machine.
    for path in ["/", "/style.css", "/x"] {
        let answer = ask(&address, path, &[("Host", "nightdrop.example:9464")]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("set [http] token"), "{}", answer.body);
        is_cautious(&answer);
    }
    // Only who asks for it sees it anew by itself.
    let answer = ask(&address, "/?refresh", &[]);
    assert_eq!(
        answer.headers.get("refresh").map(String::as_str),
        Some("60")
    );
    assert!(answer.body.contains("Stop that"), "{}", answer.body);
}

#[test]
fn beyond_loopback_the_pages_need_a_token_and_machines_none() {
    let (address, lines) = health();
    let open = lines.replace("127.0.0.1", "0.0.0.0");
    let mut site = Site::anywhere().configured(&open);
    let consumer = site.start(&["run"]);
    machines_are_answered(&address);
    for path in ["/", "/jobs/jfk/departures", "/files/1", "/style.css", "/x"] {
        let answer = ask(&address, path, &[]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer
                .body
                .contains("set [http] token = \"env:NAME\" or \"file:/path\""),
            "{}",
            answer.body
        );
        is_cautious(&answer);
    }
    consumer.kill();

    let token = site.folder.path().join("token");
    std::fs::write(&token, "0123456789-the-first-token\n").unwrap();
    site = site.configured(&format!("{open}token = \"file:{}\"\n", token.display()));
    let _consumer = site.start(&["run"]);
    machines_are_answered(&address);
    let as_who = |header: &str| ask(&address, "/", &[("Authorization", header)]);
    let answer = ask(&address, "/", &[]);
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.headers["www-authenticate"],
        "Basic realm=\"Nightdrop\", charset=\"UTF-8\""
    );
    is_cautious(&answer);
    // `someone:0123456789-the-first-token`, and the same with another last letter.
    let right = "Basic c29tZW9uZTowMTIzNDU2Nzg5LXRoZS1maXJzdC10b2tlbg==";
    until("the page to be read", || as_who(right).status == 200);
    assert_eq!(
        as_who("Basic c29tZW9uZTowMTIzNDU2Nzg5LXRoZS1maXJzdC10b2tlbQ==").status,
        401
    );

    // Another one holds at once, and one that is gone lets nobody in.
    std::fs::write(&token, "0123456789-another-token").unwrap();
    assert_eq!(as_who(right).status, 401);
    std::fs::write(&token, "short").unwrap();
    let answer = as_who(right);
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("shorter than 16 bytes"),
        "{}",
        answer.body
    );
    std::fs::remove_file(&token).unwrap();
    let answer = as_who(right);
    assert_eq!(answer.status, 503);
    assert!(
        !answer.body.contains(&token.display().to_string()),
        "{}",
        answer.body
    );
    machines_are_answered(&address);
}

#[test]
fn a_page_is_answered_in_time_while_postgres_hangs_or_is_away() {
    let mut postgres = Postgres::start().unwrap();
    let (address, lines) = health();
    let s3 = S3::shared(S3Kind::available().pop().unwrap()).unwrap();
    let site = Site::with(s3, &postgres).configured(&lines);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    let _consumer = site.start(&["run"]);
    decided(&site, 1);
    saying(&address, "/", &["jfk"]);

    // Somebody has the ledger to himself.
    let held = site.hold("LOCK TABLE nightdrop.file IN ACCESS EXCLUSIVE MODE");
    for path in ["/", "/jobs/jfk/departures", "/files/1"] {
        let begun = Instant::now();
        let answer = ask(&address, path, &[]);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.body.contains("Postgres "), "{}", answer.body);
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }
    drop(held);
    saying(&address, "/", &["Nothing is wrong"]);

    postgres.kill().unwrap();
    let page = saying(
        &address,
        "/",
        &[
            "left alone for a while",
            "What this consumer knows by itself",
        ],
    );
    assert!(page.contains(">away</span>"), "{page}");
    assert_eq!(ask(&address, "/", &[]).status, 503);
}

fn decided(site: &Site, files: usize) {
    site.wait_for(
        "SELECT count(*) FROM nightdrop.file WHERE state <> 'waiting'",
        &[&files.to_string()],
    );
}

/// Files that wait, of a hundred producers.
const BACKLOG: u32 = 200_000;

#[test]
fn a_backlog_makes_no_page_slow() {
    let (address, lines) = health();
    let site = Site::anywhere().configured(&lines);
    site.execute(&format!(
        "INSERT INTO nightdrop.pause (producer, job, until, error)
         SELECT 'p' || n, 'j', now() + interval '1 h', 'a test' FROM generate_series(0, 99) n;
         INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
         SELECT 'inbox/p' || n % 100 || '/j/' || n, 'e', 1, 'p' || n % 100, 'j', now() - n * interval '1 s', gen_random_uuid()
         FROM generate_series(1, {BACKLOG}) n"
    ));
    let _consumer = site.start(&["run"]);
    saying(&address, "/", &["p99"]);
    let last = file(&site, "as_of = (SELECT max(as_of) FROM nightdrop.file)");
    for path in [
        "/",
        "/jobs/p7/j",
        &format!("/files/{last}"),
        "/files/999999999",
    ] {
        let begun = Instant::now();
        let answer = ask(&address, path, &[]);
        eprintln!("{path}: {:?}, {} bytes", begun.elapsed(), answer.body.len());
        assert!(
            matches!(answer.status, 200 | 404),
            "{path}: {}",
            answer.body
        );
        assert!(
            !answer.body.contains("Postgres could not"),
            "{path}: {}",
            answer.body
        );
    }
    saying(
        &address,
        &format!("/files/{last}"),
        &["its job rests until"],
    );
}
