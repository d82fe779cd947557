//! Files made to do harm: each is refused by name, in little memory, and the good one behind them all loads at once.

pub mod body;
mod bombs;
mod heads;
mod twisted;

use std::time::Duration;

use nightdrop_schema::{Compression, Key};

use self::body::{Part, zstd};
use crate::large::peak_of;
use crate::message::{Message, departures};
use crate::site::Site;

/// What the consumer may have resident, whatever it is sent.
const CEILING: u64 = 64 << 20;

/// What of that the program itself takes, optimized. As tests are built it is twice as large.
const PROGRAM: u64 = 12 << 20;

/// Files of each sort, so that many are read at once.
const COPIES: usize = 2;

type Stored = Box<dyn Fn(&Message) -> Vec<u8>>;

/// A sort of hostile file, and what is said of it.
struct Hostile {
    what: &'static str,
    compression: Compression,
    /// Its bytes as they are stored, if it is this message.
    stored: Stored,
    reason: &'static str,
    sentence: &'static str,
}

/// A file that is stored as it is read.
fn plain(
    what: &'static str,
    body: impl Fn(&Message) -> String + 'static,
    reason: &'static str,
    sentence: &'static str,
) -> Hostile {
    Hostile {
        what,
        compression: Compression::None,
        stored: Box::new(move |message| body(message).into_bytes()),
        reason,
        sentence,
    }
}

/// A small file that is large when it is inflated.
fn bomb(
    what: &'static str,
    body: impl Fn(&Message) -> Vec<Part> + 'static,
    reason: &'static str,
    sentence: &'static str,
) -> Hostile {
    Hostile {
        what,
        compression: Compression::Zstd,
        stored: Box::new(move |message| zstd(body(message))),
        reason,
        sentence,
    }
}

/// Keys that no producer of ours writes, all but the second of which its policy lets through.
const STRANGE: [&str; 4] = [
    "inbox/jfk/departures/..json",
    "inbox/stray",
    "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json.json",
    "inbox/jfk/departures/99999999T999999Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
];

fn key(message: &Message, compression: Compression) -> Key {
    let plain = message.key();
    let (producer, job) = (plain.producer().clone(), plain.job().clone());
    Key::new(producer, job, plain.time(), plain.run(), compression).unwrap()
}

#[test]
fn hostile_files_are_refused_by_name_in_little_memory_and_delay_no_good_one() {
    let site = Site::anywhere().configured("[caps]\nfile = \"64MiB\"\n");
    for key in STRANGE {
        let answer = site
            .inbox
            .request(&site.inbox.root(), "PUT", key, "x")
            .unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let sorts = [
        bombs::compressed(),
        bombs::rows(),
        bombs::heads(),
        twisted::twisted(),
        twisted::untrue(),
    ];
    let mut expected = Vec::new();
    for hostile in sorts.iter().flatten() {
        for _ in 0..COPIES {
            let message = departures("2013-01-31T01:00:00Z");
            let key = key(&message, hostile.compression);
            site.drop_as(&key, &(hostile.stored)(&message));
            expected.push((key, hostile));
        }
    }
    let good = departures("2013-01-31T05:00:00Z");
    site.drop(&good);
    site.as_reader();

    let (peak, program) = peak_of(site.start(&["once"]), Duration::from_mins(10));

    for (
        key,
        Hostile {
            what,
            reason,
            sentence,
            ..
        },
    ) in &expected
    {
        let found = site
            .rows(&format!(
                "SELECT state, reason, error FROM nightdrop.file WHERE key = '{key}'"
            ))
            .concat();
        let as_expected =
            found.starts_with(&format!("parked|{reason}|")) && found.contains(sentence);
        assert!(as_expected, "{what}: {found}");
    }
    assert_eq!(
        site.rows("SELECT count(*) FROM nightdrop.file WHERE state = 'held' AND reason = 'key'"),
        [STRANGE.len().to_string()]
    );
    assert_eq!(
        site.rows("SELECT carrier, flight FROM jfk.departures ORDER BY 2"),
        ["AA|1141", "UA|1545"]
    );
    assert_eq!(site.rows("SELECT to_regclass('lga.departures')"), ["null"]);
    let waited = site.rows("SELECT extract(epoch FROM decided_at - listed_at) FROM nightdrop.file WHERE state = 'loaded'").concat();
    // Large ones have a lane of their own, beside that of the good one.
    let before = site.rows(
        "SELECT count(*) FROM nightdrop.file WHERE state = 'parked' AND NOT streamed AND decided_at < (SELECT decided_at FROM nightdrop.file WHERE state = 'loaded')",
    );
    eprintln!(
        "{} hostile files: peak resident {} MiB, {} of them the program itself; the good one waited {waited} s",
        expected.len(),
        peak >> 20,
        program >> 20,
    );
    assert_eq!(before, ["0"], "it waited for hostile ones");
    let own = peak - program;
    assert!(own + PROGRAM < CEILING, "the consumer took {own} bytes");
}
