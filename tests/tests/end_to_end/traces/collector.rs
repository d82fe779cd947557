//! A collector that takes what OTLP over HTTP sends, and answers as one does.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub struct Collector {
    pub endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Request {
    path: String,
    content_type: String,
    body: Vec<u8>,
}

/// One span, as far as it matters here.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub begin: u128,
    pub end: u128,
    pub attributes: String,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let to = Arc::clone(&to);
                std::thread::spawn(move || take(stream.unwrap(), &to));
            }
        });
        Self { endpoint, requests }
    }

    /// The spans that came as JSON.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let mut spans = Vec::new();
        for request in requests.iter() {
            assert_eq!(request.path, "/v1/traces");
            assert_eq!(request.content_type, "application/json");
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            for resource in body["resourceSpans"].as_array().unwrap() {
                let service = resource["resource"]["attributes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|attribute| attribute["key"] == "service.name")
                    .unwrap()["value"]["stringValue"]
                    .as_str()
                    .unwrap();
                for scope in resource["scopeSpans"].as_array().unwrap() {
                    for span in scope["spans"].as_array().unwrap() {
                        let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
                        spans.push(Span {
                            name: text("name"),
                            service: service.to_owned(),
                            trace: text("traceId"),
                            id: text("spanId"),
                            parent: text("parentSpanId"),
                            begin: text("startTimeUnixNano").parse().unwrap(),
                            end: text("endTimeUnixNano").parse().unwrap(),
                            attributes: span["attributes"].to_string(),
                            failed: (span["status"]["code"] == 2)
                                .then(|| span["status"]["message"].as_str().unwrap().to_owned()),
                        });
                    }
                }
            }
        }
        spans
    }

    /// All that came as protobuf, one after the other.
    pub fn protobuf(&self) -> Vec<u8> {
        let requests = self.requests.lock().unwrap();
        for request in requests.iter() {
            assert_eq!(request.content_type, "application/x-protobuf");
        }
        requests
            .iter()
            .flat_map(|request| request.body.clone())
            .collect()
    }
}

impl Span {
    pub fn is_of(&self, job: &str) -> bool {
        self.attributes
            .contains(&format!("{{\"stringValue\":\"{job}\"}}"))
    }
}

/// Answers the requests of one connection.
fn take(stream: TcpStream, to: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let (mut length, mut content_type) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "content-type" => value.clone_into(&mut content_type),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        // Once it is answered the program may end, and the test asks.
        to.lock().unwrap().push(Request {
            path,
            content_type,
            body,
        });
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        reader.get_mut().write_all(answer).unwrap();
    }
}
