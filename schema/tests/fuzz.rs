//! Whatever bytes come: the promises of `fuzz/src/lib.rs`, over the kept corpus, over the examples, and over changes of
//! them for as long as `NIGHTDROP_FUZZ` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test fails by it, and the promises are another crate's interface"
)]

#[path = "../fuzz/src/lib.rs"]
mod promises;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// What a change puts in: what parsers stumble over.
const WORDS: [&str; 56] = [
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[[]]",
    "{\"a\":1}",
    "{\"a\":1,\"\\u0061\":2}",
    "\"\"",
    "\"NaN\"",
    "NaN",
    "\"-Infinity\"",
    "-Infinity",
    "0",
    "-0",
    "00",
    "1.0",
    "1e5",
    "-1E-5",
    "1e309",
    "5e-325",
    "1e131072",
    "9223372036854775807",
    "-9223372036854775809",
    "\"9223372036854775808\"",
    "0.1234567890123456789",
    "\"\\ud834\"",
    "\"\\ud834\\udd1e\"",
    "\"\\udd1e\"",
    "\"\\u0000\"",
    "\"\\u00e9\"",
    "\"\\x\"",
    "\"\u{7f}\u{2028}𝄞\"",
    "\"AA==\"",
    "\"AB==\"",
    "\"2013-02-29\"",
    "\"-4712-01-01\"",
    "\"+294277-01-01T00:00:00Z\"",
    "\"23:59:60\"",
    "\"24:00:00\"",
    "\"infinity\"",
    "\"2013-01-31T05:00:00.1234560Z\"",
    "\"2013-01-31T05:00:00-15:59:59\"",
    "\"01935B2E-7F3A-7C31-8D5E-2F1B5D0C9A11\"",
    "\"json\"",
    "\"decimal\"",
    "\"upsert\"",
    "\"replace\"",
    "\"range\"",
    "\"rows\":",
    "\"row_count\":0,",
    "\"data\":{},",
    "\"type\":\"nightdrop.probe.v1\",",
    "\"nullable\":false,",
    " ",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// One change of a message's bytes. Where it says a token, it is of JSON: a string, a word, a mark.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    NewByte(Index, u8),
    Cut(Index),
    Word(Index, &'static str),
    NewWord(Index, &'static str),
    Without(Index, usize),
    Twice(Index, usize),
    Swapped(Index, Index),
    Spliced(Index, Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let word = || prop::sample::select(&WORDS[..]);
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::NewByte(at, byte)),
        1 => at().prop_map(Change::Cut),
        6 => (at(), word()).prop_map(|(at, word)| Change::Word(at, word)),
        2 => (at(), word()).prop_map(|(at, word)| Change::NewWord(at, word)),
        2 => (at(), 1..8_usize).prop_map(|(at, count)| Change::Without(at, count)),
        2 => (at(), 1..30_usize).prop_map(|(at, count)| Change::Twice(at, count)),
        2 => (at(), at()).prop_map(|(one, other)| Change::Swapped(one, other)),
        2 => (at(), at(), 1..30_usize).prop_map(|(at, from, count)| Change::Spliced(at, from, count)),
    ]
}

/// The tokens of what was JSON once, every byte of it in one of them.
fn tokens(bytes: &[u8]) -> Vec<&[u8]> {
    let mut tokens = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => {
                let mut at = 1;
                while at < rest.len() && rest[at] != b'"' {
                    at += 1 + usize::from(rest[at] == b'\\');
                }
                (at + 1).min(rest.len())
            }
            byte if byte.is_ascii_alphanumeric() || *byte == b'-' => rest
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte))
                .unwrap_or(rest.len()),
            _ => 1,
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind;
    }
    tokens
}

impl Change {
    fn apply(&self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        if bytes.is_empty() {
            return changed;
        }
        match self {
            Self::Byte(at, byte) => changed[at.index(bytes.len())] = *byte,
            Self::NewByte(at, byte) => changed.insert(at.index(bytes.len()), *byte),
            Self::Cut(at) => changed.truncate(at.index(bytes.len())),
            _ => return self.apply_to_tokens(tokens(bytes), &tokens(other)),
        }
        changed
    }

    fn apply_to_tokens<'a>(&self, mut tokens: Vec<&'a [u8]>, other: &[&'a [u8]]) -> Vec<u8> {
        let range = |at: &Index, count: usize, of: &[&[u8]]| {
            let start = at.index(of.len());
            start..(start + count).min(of.len())
        };
        match self {
            Self::Word(at, word) => {
                let at = at.index(tokens.len());
                tokens[at] = word.as_bytes();
            }
            Self::NewWord(at, word) => tokens.insert(at.index(tokens.len()), word.as_bytes()),
            Self::Without(at, count) => drop(tokens.drain(range(at, *count, &tokens))),
            Self::Twice(at, count) => {
                let range = range(at, *count, &tokens);
                let twice = tokens[range.clone()].to_vec();
                tokens.splice(range.end..range.end, twice);
            }
            Self::Swapped(one, two) => {
                let count = tokens.len();
                tokens.swap(one.index(count), two.index(count));
            }
            Self::Spliced(at, from, count) if !other.is_empty() => {
                let at = range(at, *count, &tokens);
                tokens.splice(at, other[range(from, *count, other)].iter().copied());
            }
            _ => {}
        }
        tokens.concat()
    }
}

/// Seeds, each changed a little with the help of another.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let seed = prop::sample::select(seeds);
    (seed.clone(), seed, prop::collection::vec(change(), 1..6)).prop_map(
        |(first, other, changes)| {
            changes
                .iter()
                .fold(first, |bytes, change| change.apply(&bytes, &other))
        },
    )
}

/// All files of these folders, in order, with their names.
fn files(folders: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in folders {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "{}", folder.display());
        files.extend(
            paths
                .into_iter()
                .map(|path| (path.clone(), std::fs::read(path).unwrap())),
        );
    }
    files
}

/// How long to go on.
fn patience() -> Duration {
    std::env::var("NIGHTDROP_FUZZ").map_or(Duration::from_secs(2), |text| {
        humantime::parse_duration(&text).expect("NIGHTDROP_FUZZ is a duration as 60s")
    })
}

/// Feeds inputs for a while. What breaks a promise is made smaller, and shown.
fn feed(seeds: Vec<Vec<u8>>, promise: fn(&[u8])) {
    let inputs = changed(seeds);
    let config = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let (begun, patience) = (Instant::now(), patience());
    let mut fed: u64 = 0;
    while begun.elapsed() < patience {
        // A runner counts its cases over all its runs: one that has had them runs no more.
        let outcome = TestRunner::new(config.clone()).run(&inputs, |bytes| {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            std::panic::catch_unwind(|| promise(&bytes)).map_err(|panic| {
                let why = panic.downcast_ref::<String>().cloned();
                let why = why.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                TestCaseError::fail(format!("{}: {shown}", why.unwrap_or_default()))
            })
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
        fed += u64::from(config.cases);
    }
    eprintln!("{fed} inputs in {:?}", begun.elapsed());
}

fn contents(files: Vec<(PathBuf, Vec<u8>)>) -> Vec<Vec<u8>> {
    files.into_iter().map(|(_, bytes)| bytes).collect()
}

const MESSAGES: [&str; 3] = [
    "fuzz/corpus/message",
    "v1/examples/valid",
    "v1/examples/invalid",
];

#[test]
fn the_kept_messages_break_no_promise() {
    for (path, bytes) in files(&MESSAGES) {
        eprintln!("{}", path.display());
        promises::message(&bytes);
    }
}

#[test]
fn the_kept_keys_break_no_promise() {
    for (path, bytes) in files(&["fuzz/corpus/key"]) {
        eprintln!("{}", path.display());
        promises::key(&bytes);
    }
}

#[test]
fn changed_messages_break_no_promise() {
    // Most changes of a large one change the same thing again.
    let mut seeds = contents(files(&MESSAGES));
    seeds.retain(|seed| seed.len() < 8000);
    feed(seeds, promises::message);
}

#[test]
fn changed_keys_break_no_promise() {
    feed(contents(files(&["fuzz/corpus/key"])), promises::key);
}
