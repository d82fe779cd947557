//! Alarms go out by themselves, to a webhook that the test plays.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use nightdrop_compose::binary_with_fail_points;
use serde_json::{Value, json};

use super::{in_seconds, promising};
use crate::crashes::gate_before_s3;
use crate::message::{departures, message};
use crate::process::Process;
use crate::site::{PATIENCE, Site, let_pass, until, until_within};

const KEY: &[u8] = b"an altogether secret key";

/// What a webhook was sent.
#[derive(Clone, Debug)]
pub(super) struct Received {
    headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Received {
    /// As <https://www.standardwebhooks.com> has a receiver do it: one of the signatures is that of the id, the
    /// timestamp and the raw body, and the timestamp is not old.
    fn verify(&self) {
        let of = |name: &str| self.headers[name].as_str();
        let (id, at) = (of("webhook-id"), of("webhook-timestamp"));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{id}.{at}.{}", self.body).as_bytes());
        let mac = mac.finalize().into_bytes();
        let signed = of("webhook-signature")
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"))
            .any(|one| STANDARD.decode(one).is_ok_and(|one| one == mac.as_slice()));
        assert!(signed, "{self:?}");
        let sent: i64 = at.parse().unwrap();
        assert!((chrono::Utc::now().timestamp() - sent).abs() < 300, "{at}");
    }
}

/// What it answers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Status(u16),
    /// 204, a second after it has come.
    Slowly,
    Silence,
    /// 400 for what holds this, 204 for all else.
    Refuses(&'static str),
}

/// A webhook, on a port of its own.
pub(super) struct Receiver {
    at: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub(super) fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            at: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer)),
            received: Arc::default(),
        };
        let (answer, received) = (Arc::clone(&this.answer), Arc::clone(&this.received));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, received) = (Arc::clone(&answer), Arc::clone(&received));
                std::thread::spawn(move || serve(&stream.unwrap(), &answer, &received));
            }
        });
        this
    }

    pub(super) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// All that came; none of it was forged.
    pub(super) fn received(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap().clone();
        received.iter().for_each(Received::verify);
        received
    }

    /// The texts of what came, each id once.
    pub(super) fn told(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut told = Vec::new();
        for one in self.received() {
            let id = one.headers["webhook-id"].clone();
            if !ids.contains(&id) {
                ids.push(id);
                let event: Value = serde_json::from_str(&one.body).unwrap();
                let data = &event["data"];
                told.push(
                    format!(
                        "{} {} {}/{}",
                        event["type"], data["kind"], data["producer"], data["job"]
                    )
                    .replace('"', ""),
                );
            }
        }
        told
    }

    pub(super) fn wait_for(&self, told: &[&str]) {
        // After a look that took long, the next is a minute later; so is the sixth attempt.
        until_within(2 * PATIENCE, &format!("{told:?}"), || self.told() == told);
    }

    /// A site whose consumers tell it.
    pub(super) fn site(&self) -> Site {
        self.site_with("")
    }

    /// The same, with more in their configuration.
    pub(super) fn site_with(&self, lines: &str) -> Site {
        let site = Site::anywhere();
        let secret = site.folder.path().join("webhook");
        std::fs::write(&secret, format!("whsec_{}\n", STANDARD.encode(KEY))).unwrap();
        let (at, secret) = (self.at, secret.display());
        site.configured(&format!(
            "[[webhook]]\nurl = \"http://{at}/hook\"\nsecret = \"file:{secret}\"\n{lines}"
        ))
    }
}

fn serve(stream: &TcpStream, answer: &Mutex<Answer>, received: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut headers = HashMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        assert!(line.starts_with("POST "), "{line}");
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let now = *answer.lock().unwrap();
        match now {
            Answer::Silence => {
                // Until the other side has had enough.
                let _ = reader.read_line(&mut line);
                return;
            }
            Answer::Status(_) | Answer::Slowly | Answer::Refuses(_) => {
                let status = match now {
                    Answer::Status(status) => status,
                    Answer::Refuses(what) if body.contains(what) => 400,
                    _ => 204,
                };
                if status == 204 {
                    received.lock().unwrap().push(Received { headers, body });
                }
                if now == Answer::Slowly {
                    let_pass(Duration::from_secs(1));
                }
                let _ = write!(&*stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            }
        }
    }
}

pub(super) const STARTED: &str = "nightdrop.alarm.started late jfk/departures";
pub(super) const ENDED: &str = "nightdrop.alarm.ended late jfk/departures";

#[test]
fn an_alarm_is_told_once_when_it_starts_and_once_when_it_ends_however_many_consumers_run() {
    let receiver = Receiver::new(Answer::Status(204));
    let site = receiver.site();
    site.once();
    let consumers: Vec<_> = (0..3).map(|_| site.start(&["run"])).collect();
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    receiver.wait_for(&[STARTED]);
    // Each has looked at least once more.
    let_pass(Duration::from_secs(6));
    site.drop(&promising(&in_seconds(-5), &in_seconds(3600)));
    receiver.wait_for(&[STARTED, ENDED]);
    let_pass(Duration::from_secs(6));
    assert_eq!(receiver.received().len(), 2);
    site.wait_for("SELECT count(*) FROM nightdrop.outbox", &["0"]);

    for consumer in consumers {
        consumer.signal("TERM");
        assert_eq!(consumer.wait(PATIENCE).code, Some(0));
    }
}

#[test]
fn alarms_outlive_a_webhook_that_is_down_and_a_consumer_that_dies_and_come_in_order() {
    let receiver = Receiver::new(Answer::Status(500));
    let site = receiver.site();
    site.once();
    let consumer = site.start(&["run"]);
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    site.wait_for(
        "SELECT error FROM nightdrop.outbox",
        &["it answered 500 Internal Server Error"],
    );
    let first = site.rows("SELECT message FROM nightdrop.outbox");
    let untold = "alarms that a [[webhook]] doesn't take: 1; the last time: it answered 500 Internal Server Error\n";
    let checked = site.consumer(&["check"]).stdout;
    assert!(checked.ends_with(untold), "{checked}");
    // What is wrong ends, and something else begins, while nobody can be told.
    site.drop(&promising(&in_seconds(-5), &in_seconds(3600)));
    site.wait_for("SELECT count(*) FROM nightdrop.outbox", &["2"]);
    consumer.kill();
    site.drop(&departures(&in_seconds(-4)).with("row_count", json!(3)));
    let consumer = site.start(&["run"]);
    site.wait_for("SELECT count(*) FROM nightdrop.outbox", &["3"]);
    assert_eq!(receiver.told(), [""; 0]);

    receiver.answers(Answer::Status(204));
    receiver.wait_for(&[
        STARTED,
        ENDED,
        "nightdrop.alarm.started parked jfk/departures",
    ]);
    site.wait_for("SELECT count(*) FROM nightdrop.outbox", &["0"]);
    assert_eq!(
        receiver.received()[0].headers["webhook-id"],
        first[0],
        "the same at each attempt"
    );
    assert!(
        !consumer.log().contains("/hook"),
        "an address may be a secret"
    );
}

/// Where a consumer is ended on an alarm's way, and how often the alarm comes then.
pub(crate) const KILLS: [(&str, usize); 5] = [
    ("alarm: written", 1),
    ("alarm: committed", 1),
    ("alarm: claimed", 1),
    // Nobody knows whether it was taken: only its id tells the receiver.
    ("alarm: sent", 2),
    ("alarm: removed", 1),
];

#[test]
fn an_alarm_is_neither_lost_nor_told_twice_wherever_its_consumer_dies() {
    std::thread::scope(|scope| {
        for (point, comes) in KILLS {
            scope.spawn(move || {
                let receiver = Receiver::new(Answer::Status(204));
                let site = receiver.site();
                site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
                let mut command =
                    Command::new(binary_with_fail_points("nightdrop-consumer").unwrap());
                command.arg("-c").arg(site.config()).arg("run");
                command.env("FAILPOINTS", format!("{point}=return"));
                let ended = Process::spawn(&mut command).wait(PATIENCE);
                assert_eq!(ended.signal, Some(6), "{point}: {ended:?}");

                let _consumer = site.start(&["run"]);
                // A message in the dead consumer's hands is taken over after three quarters of a minute.
                let done = "SELECT (SELECT count(*) FROM nightdrop.alarm), (SELECT count(*) FROM nightdrop.outbox)";
                until_within(2 * PATIENCE, point, || {
                    site.try_rows(done).is_ok_and(|rows| rows == ["1|0"])
                });
                // And the next look finds nothing new.
                let_pass(Duration::from_secs(6));
                assert_eq!(receiver.told(), [STARTED], "{point}");
                assert_eq!(receiver.received().len(), comes, "{point}");
            });
        }
    });
}

#[test]
fn a_stop_waits_for_the_alarm_that_is_being_sent() {
    let receiver = Receiver::new(Answer::Slowly);
    let site = receiver.site();
    site.once();
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    let consumer = site.start(&["run"]);
    until("the alarm to be under way", || {
        !receiver.received().is_empty()
    });
    consumer.signal("TERM");
    assert_eq!(consumer.wait(PATIENCE).code, Some(0));
    assert_eq!(site.rows("SELECT * FROM nightdrop.outbox"), [""; 0]);
    assert_eq!(receiver.told(), [STARTED]);
}

#[test]
fn a_webhook_that_never_answers_delays_no_result() {
    let receiver = Receiver::new(Answer::Silence);
    let site = receiver.site();
    site.once();
    site.drop(&promising(&in_seconds(-60), &in_seconds(-10)));
    let _consumer = site.start(&["run"]);
    site.wait_for("SELECT attempts > 0 FROM nightdrop.outbox", &["true"]);
    let begun = std::time::Instant::now();
    site.drop(&departures(&in_seconds(-5)));
    site.wait_for(
        "SELECT count(*) FROM nightdrop.file WHERE state = 'loaded'",
        &["2"],
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

/// Where a timer starts `once`, nobody else would tell.
#[test]
fn once_tells_what_is_wrong_though_the_bucket_is_away_or_fails_to_give_an_object() {
    let receiver = Receiver::new(Answer::Status(204));
    let mut site = receiver.site();
    site.drop(&promising(&in_seconds(-60), &in_seconds(3600)));
    site.once();
    assert_eq!(receiver.told(), [""; 0]);

    site.execute("UPDATE nightdrop.file SET next_by = now() - interval '1 s'");
    site.endpoint = Some("http://127.0.0.1:1".to_owned());
    let ended = site.consumer(&["once"]);
    assert_eq!(ended.code, Some(74), "{ended:?}");
    assert_eq!(receiver.told(), [STARTED]);

    let gate = gate_before_s3(&mut site);
    gate.refuse("/inbox/jfk/");
    site.drop(&promising(&in_seconds(-5), &in_seconds(3600)));
    site.drop(&message("lga", "fares", &in_seconds(-5)).with("row_count", json!(3)));
    let ended = site.consumer(&["once"]);
    assert_eq!(ended.code, Some(74), "{ended:?}");
    let parked = "nightdrop.alarm.started parked lga/fares";
    assert_eq!(receiver.told(), [STARTED, parked]);
}

#[test]
fn once_tells_too_and_slack_gets_a_sentence() {
    let receiver = Receiver::new(Answer::Status(204));
    let site = Site::anywhere();
    let url = site.folder.path().join("slack");
    std::fs::write(&url, format!("http://{}/services/T0/B0/x\n", receiver.at)).unwrap();
    let site = site.configured(&format!(
        "[[webhook]]\nurl = \"file:{}\"\nformat = \"slack\"\n",
        url.display()
    ));
    site.drop(&departures(&in_seconds(-5)).with("row_count", json!(3)));
    site.once();
    site.once();
    // Unsigned: the address is the secret.
    let came = receiver.received.lock().unwrap();
    assert_eq!(came.len(), 1, "{came:?}");
    assert_eq!(
        came[0].body,
        r#"{"text":"PARKED jfk/departures: a file could not be loaded, and is kept. What to do: `nightdrop-consumer parked list --producer jfk --job departures` says which and why; `parked show ID` what to do."}"#
    );
    assert!(!came[0].headers.contains_key("webhook-signature"));
}
