//! What must hold whatever reader and key parser are given. Each function panics where a promise is broken and does
//! nothing else: a fuzzer's targets, and an ordinary test of the schema crate (`tests/fuzz.rs`), call them.

use std::io::{self, Read};

use nightdrop_schema::copy::Rows;
use nightdrop_schema::{Caps, Data, Envelope, Error, INBOX, Key, Kind, Reader, Summary, Type};
use serde::de::IgnoredAny;

/// Buffers, and how many bytes come at a time: what is read must not depend on either.
const WAYS: [(usize, usize); 4] = [(1, 1), (7, 3), (64, usize::MAX), (1000, 17)];

/// What no sentence is longer than: it is read by a person, and kept in a ledger.
const SENTENCE: usize = 1000;

/// What has been read, to its end.
#[derive(Debug, PartialEq)]
struct Message {
    envelope: Envelope,
    data: Data,
    copy: Vec<u8>,
    summary: Summary,
}

/// Holds the reader to its promises over any bytes.
///
/// # Panics
/// If one is broken.
pub fn message(bytes: &[u8]) {
    let whole = read(bytes, Caps::default(), 256 << 10);
    match &whole {
        Ok(message) => accepted(message, bytes),
        Err(error) => refused(error),
    }
    for (buffer, at_once) in WAYS {
        let slowly = read(Slowly(bytes, at_once), Caps::default(), buffer);
        match (&whole, &slowly) {
            (Ok(whole), Ok(slowly)) => {
                assert_eq!(whole, slowly, "buffer {buffer}, {at_once} at once");
            }
            (Err(whole), Err(slowly)) => assert_eq!(
                (whole.kind, whole.to_string()),
                (slowly.kind, slowly.to_string()),
                "buffer {buffer}, {at_once} at once"
            ),
            (whole, slowly) => {
                panic!("buffer {buffer}, {at_once} at once: {slowly:?}, at first {whole:?}")
            }
        }
    }
    let small = Caps {
        file: 2000,
        cell: 40,
        row: 120,
        head: 600,
        depth: 8,
        columns: 4,
    };
    for buffer in [1, 5000] {
        match (&whole, read(bytes, small.clone(), buffer)) {
            (Ok(whole), Ok(small)) => assert_eq!(*whole, small),
            (Ok(_), Err(error)) => assert!(is_of_size(&error), "with small caps: {error}"),
            (Err(_), Err(error)) => refused(&error),
            (Err(whole), Ok(_)) => panic!("only small caps accept it; large ones say: {whole}"),
        }
    }
}

/// Holds the key parser to its promises over any bytes.
///
/// # Panics
/// If one is broken.
pub fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.parse::<Key>() {
        Ok(key) => {
            assert_eq!(
                key.to_string(),
                text,
                "a key that parses prints itself back"
            );
            let again = Key::new(
                key.producer().clone(),
                key.job().clone(),
                key.time(),
                key.run(),
                key.compression(),
            );
            assert_eq!(again.as_ref(), Ok(&key), "its parts make it again");
            assert!(
                text.starts_with(INBOX) && text.split('/').count() == 4 && text.is_ascii(),
                "{text}"
            );
        }
        Err(error) => sentence(&error.to_string()),
    }
}

fn read(from: impl Read, caps: Caps, buffer: usize) -> Result<Message, Error> {
    let mut reader = Reader::with_buffer(from, caps, buffer);
    let (envelope, data) = reader.open()?;
    let columns = match &data {
        Data::Result(header) => header.columns.len(),
        Data::Probe | Data::Failed(_) => 0,
    };
    let mut rows = Rows::new(0, [], u16::try_from(columns).unwrap_or(u16::MAX));
    let mut count = 0;
    while reader.next_row(&mut rows)? {
        count += 1;
    }
    let summary = reader.finish()?;
    assert_eq!(
        summary.rows, count,
        "the rows that were given are those that were counted"
    );
    Ok(Message {
        envelope,
        data,
        copy: rows.take(),
        summary,
    })
}

fn accepted(message: &Message, bytes: &[u8]) {
    assert_eq!(message.summary.bytes, bytes.len() as u64);
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        panic!("it is no JSON: {error}");
    }
    let Data::Result(header) = &message.data else {
        assert!(message.copy.is_empty(), "a note has no rows");
        return;
    };
    let mut rest = Field(&message.copy);
    for row in 0..message.summary.rows {
        assert_eq!(
            usize::from(rest.sixteen()),
            header.columns.len(),
            "row {row}"
        );
        for column in &header.columns {
            match rest.field() {
                Some(field) => well_formed(field, column.ty),
                None => assert!(column.nullable, "row {row}: null in {}", column.name),
            }
        }
    }
    assert!(
        rest.0.is_empty(),
        "{} bytes behind the last row",
        rest.0.len()
    );
}

/// What the types' `_recv` functions of Postgres insist on.
fn well_formed(field: &[u8], ty: Type) {
    match ty {
        Type::Bool => assert!(matches!(field, [0 | 1])),
        Type::Int64 | Type::Float64 | Type::Timestamp | Type::Timestamptz => {
            assert_eq!(field.len(), 8);
        }
        Type::Time => {
            assert!(matches!(field, [0, ..]) && field.len() == 8);
        }
        Type::Date => assert_eq!(field.len(), 4),
        Type::Uuid => assert_eq!(field.len(), 16),
        Type::Bytes => {}
        Type::String => assert!(std::str::from_utf8(field).is_ok() && !field.contains(&0)),
        Type::Json => {
            assert_eq!(field[0], 1, "the version of jsonb's binary form");
            assert!(serde_json::from_slice::<IgnoredAny>(&field[1..]).is_ok());
        }
        Type::Decimal => numeric(field),
    }
}

fn numeric(field: &[u8]) {
    let mut rest = Field(field);
    let (digits, weight, sign, scale) = (
        rest.sixteen(),
        rest.sixteen(),
        rest.sixteen(),
        rest.sixteen(),
    );
    assert!(
        matches!(sign, 0 | 0x4000 | 0xc000 | 0xd000 | 0xf000),
        "the sign {sign:#x}"
    );
    assert!(scale < 0x4000, "{scale} digits after the point");
    assert_eq!(rest.0.len(), 2 * usize::from(digits), "weight {weight}");
    while !rest.0.is_empty() {
        assert!(
            rest.sixteen() < 10_000,
            "a digit to the base of ten thousand"
        );
    }
}

/// What is left of a COPY.
struct Field<'a>(&'a [u8]);

impl<'a> Field<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(count);
        self.0 = rest;
        first
    }

    fn sixteen(&mut self) -> u16 {
        let bytes = self.bytes(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let bytes = self.bytes(4);
        match i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) {
            -1 => None,
            length => Some(self.bytes(usize::try_from(length).expect("a length"))),
        }
    }
}

fn refused(error: &Error) {
    assert_ne!(
        error.kind,
        Kind::Io,
        "there is nothing wrong with reading from memory: {error}"
    );
    sentence(&error.to_string());
}

fn sentence(text: &str) {
    assert!(text.len() <= SENTENCE, "{} bytes: {text}", text.len());
    assert!(!text.contains(|char: char| char.is_control()), "{text:?}");
}

/// Too many columns break the contract for every reader; all other caps are this one's own.
fn is_of_size(error: &Error) -> bool {
    error.kind == Kind::TooLarge || error.path == "data.columns"
}

/// Gives so many bytes at a time.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(into.len());
        self.0.read(&mut into[..count])
    }
}
