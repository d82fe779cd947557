//! Messages as any producer might write them.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::write::GzEncoder;
use nightdrop_schema::{Compression, Key, RunId};
use serde_json::{Value, json};

/// A result, to be changed at will before it is dropped.
#[derive(Clone)]
pub struct Message {
    pub source: String,
    pub subject: String,
    pub id: RunId,
    pub time: String,
    pub data: Value,
}

/// Two rows of departures at JFK, in a run of its own.
pub fn departures(time: &str) -> Message {
    message("jfk", "departures", time)
}

pub fn message(source: &str, subject: &str, time: &str) -> Message {
    Message {
        source: source.into(),
        subject: subject.into(),
        id: RunId::from(uuid::Uuid::now_v7()),
        time: time.into(),
        data: json!({
            "mode": "append",
            "columns": [{"name": "carrier", "type": "string"}, {"name": "flight", "type": "int64"}],
            "rows": [["UA", 1545], ["AA", 1141]],
            "row_count": 2
        }),
    }
}

impl Message {
    /// The same with other rows.
    pub fn rows(mut self, rows: &Value) -> Self {
        self.data["row_count"] = json!(rows.as_array().map_or(0, Vec::len));
        self.data["rows"] = rows.clone();
        self
    }

    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.data[member] = value;
        self
    }

    pub fn key(&self) -> Key {
        Key::new(
            self.source.parse().unwrap(),
            self.subject.parse().unwrap(),
            nightdrop_schema::Timestamptz::parse(&self.time).unwrap(),
            self.id,
            Compression::None,
        )
        .unwrap()
    }

    /// The same message as another producer's tool might send it: compressed, and so under another key.
    pub fn gzipped(&self) -> (Key, Vec<u8>) {
        let plain = self.key();
        let key = Key::new(
            plain.producer().clone(),
            plain.job().clone(),
            plain.time(),
            plain.run(),
            Compression::Gzip,
        );
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(self.body().as_bytes()).unwrap();
        (key.unwrap(), packed.finish().unwrap())
    }

    /// `rows` last but `row_count`, as the contract wants it: `serde_json` sorts by name.
    pub fn body(&self) -> String {
        let members = self.data.as_object().unwrap();
        let mut before = String::new();
        for (name, value) in members {
            if !matches!(name.as_str(), "rows" | "row_count") {
                write!(before, "{}:{value},", json!(name)).unwrap();
            }
        }
        format!(
            r#"{{"specversion":"1.0","type":"nightdrop.result.v1","id":"{}","source":"{}","subject":"{}","time":"{}","data":{{{before}"rows":{},"row_count":{}}}}}"#,
            self.id,
            self.source,
            self.subject,
            self.time,
            self.data["rows"],
            self.data["row_count"],
        )
    }
}
