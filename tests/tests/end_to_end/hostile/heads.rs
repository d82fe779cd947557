//! Files that are as they should be, with little in their rows and much before them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CEILING, PROGRAM, key};
use crate::large::peak_of;
use crate::message::{Message, message};
use crate::site::Site;
use nightdrop_schema::Compression;

/// Fewer than a batch takes, and more than would be little.
const FILES: usize = 40;

/// Drops results with this in their heads, as small as they are packed, and gives what the consumer took to load them.
fn memory_for(head: impl Fn(Message) -> Message) -> u64 {
    let site = Site::anywhere();
    let files = (0..FILES).map(|minute| {
        let time = format!("2013-01-31T{:02}:{:02}:00Z", minute / 60, minute % 60);
        head(message("jfk", "departures", &time))
    });
    for file in files {
        let body = zstd::encode_all(file.body().as_bytes(), 1).unwrap();
        site.drop_as(&key(&file, Compression::Zstd), &body);
    }
    let (peak, program) = peak_of(site.start(&["once"]), Duration::from_mins(5));
    assert_eq!(
        site.rows("SELECT state, count(*) FROM nightdrop.file GROUP BY 1"),
        [format!("loaded|{FILES}")]
    );
    eprintln!(
        "peak resident {} MiB, {} of them the program itself",
        peak >> 20,
        program >> 20
    );
    peak - program
}

#[test]
fn what_stands_before_the_rows_of_many_files_takes_little_memory() {
    let parameters = json!({"ids": vec![0; 100_000]});
    let own = memory_for(|file| file.with("parameters", parameters.clone()));
    assert!(own + PROGRAM < CEILING, "parameters took {own} bytes");

    let columns: Vec<Value> = ["carrier", "flight"]
        .iter()
        .zip(["string", "int64"])
        .map(|(name, ty)| json!({"name": name, "type": ty, "description": "x".repeat(400_000)}))
        .collect();
    let own = memory_for(|file| file.with("columns", json!(columns)));
    assert!(own + PROGRAM < CEILING, "descriptions took {own} bytes");
}
