//! What holds for all values: what the writer writes the reader reads back equal, and nothing less than all of it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::io::{self, Read};

use nightdrop_schema::{
    Bound, Caps, Column, Data, Date, Decimal, Envelope, Error, Header, Json, Kind, Mode, Range,
    Reader, RowSink, Time, Timestamp, Timestamptz, Type, Value, Writer,
};
use proptest::prelude::*;
use uuid::Uuid;

/// A value that owns what it borrows elsewhere.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Null,
    Bool(bool),
    Int64(i64),
    Decimal(String),
    /// By its bits, so that each NaN equals itself; all arrive as one.
    Float64(u64),
    String(String),
    Bytes(Vec<u8>),
    Date(Date),
    Time(Time),
    Timestamp(Timestamp),
    Timestamptz(Timestamptz),
    Uuid(Uuid),
    Json(String),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Int64(integer) => Value::Int64(*integer),
            Self::Decimal(text) => Value::Decimal(Decimal::parse(text).unwrap()),
            Self::Float64(bits) => Value::Float64(f64::from_bits(*bits)),
            Self::String(text) => Value::String(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Date(date) => Value::Date(*date),
            Self::Time(time) => Value::Time(*time),
            Self::Timestamp(timestamp) => Value::Timestamp(*timestamp),
            Self::Timestamptz(instant) => Value::Timestamptz(*instant),
            Self::Uuid(uuid) => Value::Uuid(*uuid),
            Self::Json(text) => Value::Json(Json::parse(text).unwrap()),
        }
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(bool),
            Value::Int64(integer) => Self::Int64(integer),
            Value::Decimal(decimal) => Self::Decimal(decimal.as_str().to_owned()),
            Value::Float64(double) => Self::Float64(double.to_bits()),
            Value::String(text) => Self::String(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_owned()),
            Value::Date(date) => Self::Date(date),
            Value::Time(time) => Self::Time(time),
            Value::Timestamp(timestamp) => Self::Timestamp(timestamp),
            Value::Timestamptz(instant) => Self::Timestamptz(instant),
            Value::Uuid(uuid) => Self::Uuid(uuid),
            Value::Json(json) => Self::Json(json.as_str().to_owned()),
        }
    }
}

/// Text of all that JSON has to escape, all that it may, and all else.
fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        2 => proptest::char::range('\u{1}', '\u{1f}'),
        1 => Just('"'), 1 => Just('\\'), 1 => Just('/'), 1 => Just('\u{7f}'), 1 => Just('\u{2028}'),
        2 => any::<char>().prop_filter("U+0000 is in no text", |char| *char != '\0'),
    ];
    prop::collection::vec(char, 0..40).prop_map(String::from_iter)
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[+-]?([0-9]{1,50}(\\.[0-9]{0,50})?|\\.[0-9]{1,50})",
        2 => "[+-]?[0-9]{1,10}(\\.[0-9]{1,10})?[eE][+-]?[0-9]{1,4}",
        1 => prop::sample::select(vec!["NaN", "Infinity", "-Infinity", "1e131071", "1e-16383"]).prop_map(str::to_owned),
    ]
}

fn double() -> impl Strategy<Value = u64> {
    let edges = [
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    prop_oneof![
        3 => any::<u64>().prop_map(|bits| {
            let double = f64::from_bits(bits);
            if double.is_nan() { f64::NAN.to_bits() } else { bits }
        }),
        1 => (-1000..1000).prop_map(|integer| f64::from(integer).to_bits()),
        1 => prop::sample::select(edges.map(f64::to_bits).to_vec()),
    ]
}

/// JSON that has numbers beyond a double, escapes, and space in it.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?",
        text().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud834\udd1e\/\u0041""#.to_owned()),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let space = prop::sample::select(vec!["", " ", "\n\t", "\r\n"]);
        let members = prop::collection::btree_map(text(), inner.clone(), 0..5);
        prop_oneof![
            (prop::collection::vec(inner, 0..5), space.clone()).prop_map(
                |(elements, space)| format!(
                    "[{space}{}{space}]",
                    elements.join(&format!("{space},"))
                )
            ),
            (members, space).prop_map(|(members, space)| {
                let members = members.iter().map(|(name, value)| {
                    format!(
                        "{}{space}:{space}{value}",
                        serde_json::to_string(name).unwrap()
                    )
                });
                format!("{{{space}{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn value(ty: Type) -> BoxedStrategy<Owned> {
    let date =
        prop_oneof![any::<i32>(), -800_000..800_000_i32].prop_filter_map("no day", Date::from_raw);
    let micros = || prop_oneof![3 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    match ty {
        Type::Bool => any::<bool>().prop_map(Owned::Bool).boxed(),
        Type::Int64 => prop_oneof![any::<i64>(), -10..10_i64, Just(i64::MIN), Just(i64::MAX)]
            .prop_map(Owned::Int64)
            .boxed(),
        Type::Decimal => decimal().prop_map(Owned::Decimal).boxed(),
        Type::Float64 => double().prop_map(Owned::Float64).boxed(),
        Type::String => text().prop_map(Owned::String).boxed(),
        Type::Bytes => prop::collection::vec(any::<u8>(), 0..50)
            .prop_map(Owned::Bytes)
            .boxed(),
        Type::Date => date.prop_map(Owned::Date).boxed(),
        Type::Time => (0..86_400_000_000_i64)
            .prop_filter_map("no time", Time::from_raw)
            .prop_map(Owned::Time)
            .boxed(),
        Type::Timestamp => micros()
            .prop_filter_map("no time", Timestamp::from_raw)
            .prop_map(Owned::Timestamp)
            .boxed(),
        Type::Timestamptz => micros()
            .prop_filter_map("no time", Timestamptz::from_raw)
            .prop_map(Owned::Timestamptz)
            .boxed(),
        Type::Uuid => any::<u128>()
            .prop_map(|bits| Owned::Uuid(Uuid::from_u128(bits)))
            .boxed(),
        Type::Json => json()
            .prop_filter("the JSON null is the null of SQL", |text| text != "null")
            .prop_map(Owned::Json)
            .boxed(),
    }
}

fn column_name() -> impl Strategy<Value = String> {
    "[a-zA-Zé\"\\\\ (*]{1,20}"
}

/// A header and rows that fit it, of any types.
fn result() -> impl Strategy<Value = (Header, Vec<Vec<Owned>>)> {
    let types = prop::collection::vec(prop::sample::select(Type::ALL.to_vec()), 1..14);
    (
        types,
        prop::option::of(text()),
        column_name(),
        any::<bool>(),
    )
        .prop_flat_map(|(types, description, name, next)| {
            let columns: Vec<Column> = types
                .iter()
                .enumerate()
                .map(|(place, ty)| Column {
                    description: description.clone(),
                    ..Column::new(format!("{name}{place}").parse().unwrap(), *ty)
                })
                .collect();
            let header = Header {
                mode: Mode::Append,
                columns,
                parameters: next.then(|| {
                    serde_json::from_str(r#"{"from":"2013-01-01","n":[1,null,{"a":0.5}]}"#).unwrap()
                }),
                next_by: next.then(|| Timestamptz::parse("2013-02-01T05:00:00.000001Z").unwrap()),
            };
            let cells: Vec<_> = types
                .iter()
                .map(|ty| prop_oneof![5 => value(*ty), 1 => Just(Owned::Null)])
                .collect();
            (Just(header), prop::collection::vec(cells, 0..8))
        })
}

fn envelope() -> Envelope {
    Envelope {
        id: "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap(),
        source: "jfk".parse().unwrap(),
        subject: "departures".parse().unwrap(),
        time: Timestamptz::parse("2013-01-31T05:00:00.000001Z").unwrap(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

fn write(header: &Header, rows: &[Vec<Owned>]) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(Vec::new(), &envelope(), header)?;
    for cell in rows.iter().flatten() {
        writer.value(cell.value())?;
    }
    Ok(writer.finish()?.0)
}

#[derive(Default)]
struct Kept {
    row: Vec<Owned>,
    rows: Vec<Vec<Owned>>,
}

impl RowSink for Kept {
    fn start(&mut self) {
        self.row.clear();
    }

    fn value(&mut self, _column: usize, value: Value<'_>) {
        self.row.push(value.into());
    }

    fn end(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }
}

fn read(from: impl Read, buffer: usize) -> Result<(Envelope, Data, Vec<Vec<Owned>>), Error> {
    let mut reader = Reader::with_buffer(from, Caps::default(), buffer);
    let (envelope, data) = reader.open()?;
    let mut kept = Kept::default();
    while reader.next_row(&mut kept)? {}
    let summary = reader.finish()?;
    assert_eq!(summary.rows, kept.rows.len() as u64);
    Ok((envelope, data, kept.rows))
}

/// Gives so many bytes at a time.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(into.len());
        self.0.read(&mut into[..count])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_value_of_any_type_is_read_as_it_was_written(
        (header, rows) in result(), buffer in 1..600_usize, at_once in 1..600_usize,
    ) {
        let message = write(&header, &rows).unwrap();
        let (envelope, data, found) = read(Slowly(&message, at_once), buffer).unwrap();
        prop_assert_eq!(envelope, self::envelope());
        prop_assert_eq!(data, Data::Result(header));
        prop_assert_eq!(found, rows);
        // Anyone else can read it too.
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&message).is_ok());
    }

    #[test]
    fn any_cut_is_an_error_and_never_fewer_rows((header, rows) in result(), at in any::<prop::sample::Index>(), buffer in 1..600_usize) {
        let message = write(&header, &rows).unwrap();
        let whole = message.trim_ascii_end().len();
        let cut = at.index(whole);
        let error = read(&message[..cut], buffer).err();
        prop_assert_eq!(error.map(|error| error.kind), Some(Kind::Truncated), "cut after {} of {}", cut, whole);
    }

    #[test]
    fn no_change_of_its_bytes_makes_the_reader_panic_or_an_integer_another_type(
        (header, rows) in result(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
        buffer in 1..600_usize,
    ) {
        let mut message = write(&header, &rows).unwrap();
        for (at, byte, how) in changes {
            let at = at.index(message.len());
            match how {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => drop(message.remove(at)),
            }
        }
        if let Ok((_, Data::Result(header), rows)) = read(&message[..], buffer) {
            for row in &rows {
                prop_assert_eq!(row.len(), header.columns.len());
                for (cell, column) in row.iter().zip(&header.columns) {
                    prop_assert!(cell.value().ty().is_none_or(|ty| ty == column.ty));
                }
            }
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&message).is_ok());
        }
    }

    #[test]
    fn what_json_parse_takes_is_json_and_the_reverse(text in prop_oneof![
        3 => json(),
        2 => "[\\[\\]{}:,\"a-c0-9.eE+ \\\\u-]{0,12}",
        1 => "\\PC{0,20}",
    ]) {
        let ours = Json::parse(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (ours, theirs) {
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
            // A double is all that serde_json makes of a number.
            (Ok(_), Err(why)) => prop_assert!(why.to_string().contains("out of range"), "{:?}: {}", text, why),
            (Err(why), Ok(_)) => {
                let why = why.to_string();
                let named = ["twice", "U+0000", "that Postgres holds"];
                prop_assert!(named.iter().any(|name| why.contains(name)), "{:?}: {}", text, why);
            }
        }
    }

    #[test]
    fn ranges_and_keys_are_read_as_they_were_written(from in any::<i64>(), size in 1..1000_i64, inside in any::<prop::sample::Index>()) {
        let from = from.min(i64::MAX - size);
        let name = || "n".parse().unwrap();
        let range = Range { column: name(), from: Bound::Int64(from), to: Bound::Int64(from + size) };
        let columns = vec![Column { nullable: false, ..Column::new(name(), Type::Int64) }];
        for mode in [Mode::Replace { range: Some(range) }, Mode::Upsert { primary_key: vec![name()] }] {
            let header = Header { mode, columns: columns.clone(), parameters: None, next_by: None };
            let inside = i64::try_from(inside.index(usize::try_from(size).unwrap())).unwrap();
            let rows = vec![vec![Owned::Int64(from + inside)]];
            let (_, data, found) = read(&write(&header, &rows).unwrap()[..], 100).unwrap();
            prop_assert_eq!(data, Data::Result(header));
            prop_assert_eq!(found, rows);
        }
    }
}
