//! The writer's corpus: what our writer makes of each value, and what our reader makes of each text.

use nightdrop_schema::{
    Column, Date, Decimal, Envelope, Error, Header, Json, Mode, Time, Timestamp, Timestamptz, Type,
    Value, Writer,
};
use serde::Deserialize;

use crate::schemas::Schemas;
use crate::{bytes, file, json, one_cell, read, sent};

#[derive(Deserialize)]
struct Corpus {
    write: Vec<Row>,
    refuse: Vec<Refused>,
}

#[derive(Deserialize)]
struct Row {
    r#type: String,
    value: Option<String>,
    json: String,
    #[serde(default)]
    or: Vec<String>,
}

#[derive(Deserialize)]
struct Refused {
    r#type: String,
    value: String,
}

fn corpus() -> Corpus {
    json(&file("corpus.json"))
}

/// Gives the value that a text of the corpus stands for.
fn with_value<T>(ty: Type, text: Option<&str>, then: impl FnOnce(Value<'_>) -> T) -> T {
    let Some(text) = text else {
        return then(Value::Null);
    };
    match ty {
        Type::Bool => then(Value::Bool(text.parse().unwrap())),
        Type::Int64 => then(Value::Int64(text.parse().unwrap())),
        Type::Decimal => then(Value::Decimal(Decimal::parse(text).unwrap())),
        Type::Float64 => then(Value::Float64(text.parse().unwrap())),
        Type::String => then(Value::String(text)),
        Type::Bytes => then(Value::Bytes(&hexadecimal(text))),
        Type::Date => then(Value::Date(Date::parse(text).unwrap())),
        Type::Time => then(Value::Time(Time::parse(text).unwrap())),
        Type::Timestamp => then(Value::Timestamp(Timestamp::parse(text).unwrap())),
        Type::Timestamptz => then(Value::Timestamptz(Timestamptz::parse(text).unwrap())),
        Type::Uuid => then(Value::Uuid(text.parse().unwrap())),
        Type::Json => then(Value::Json(Json::parse(text).unwrap())),
    }
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let octets = text
        .as_bytes()
        .chunks(2)
        .map(|two| std::str::from_utf8(two).unwrap());
    octets
        .map(|two| u8::from_str_radix(two, 16).unwrap())
        .collect()
}

/// The text of the cell that our writer makes of a value.
fn written(ty: Type, value: Value<'_>) -> Result<String, Error> {
    let envelope = Envelope {
        id: "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap(),
        source: "jfk".parse().unwrap(),
        subject: "departures".parse().unwrap(),
        time: Timestamptz::parse("2013-01-31T05:00:00Z").unwrap(),
        traceparent: None,
    };
    let columns = vec![Column::new("x".parse().unwrap(), ty)];
    let header = Header {
        mode: Mode::Append,
        columns,
        parameters: None,
        next_by: None,
    };
    let mut writer = Writer::new(Vec::new(), &envelope, &header).unwrap();
    writer.value(value)?;
    let (message, _) = writer.finish().unwrap();
    let message = String::from_utf8(message).unwrap();
    let (_, rows) = message.split_once("\"rows\":").unwrap();
    let (rows, _) = rows.rsplit_once(',').unwrap();
    Ok(inside(inside(rows)).to_owned())
}

/// What stands between the brackets of an array.
fn inside(array: &str) -> &str {
    array
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or_else(|| panic!("{array}"))
        .trim()
}

#[test]
fn our_writer_makes_of_every_value_the_json_that_the_corpus_says() {
    for Row {
        r#type,
        value,
        json,
        ..
    } in corpus().write
    {
        let ty: Type = r#type.parse().unwrap();
        let found = with_value(ty, value.as_deref(), |value| written(ty, value).unwrap());
        assert_eq!(found, json, "{ty} {value:?}");
    }
}

#[test]
fn our_reader_makes_of_every_text_the_value_that_the_corpus_says() {
    let schemas = Schemas::load();
    for Row {
        r#type,
        value,
        json,
        or,
    } in corpus().write
    {
        let ty: Type = r#type.parse().unwrap();
        let due = with_value(ty, value.as_deref(), |value| sent(&value));
        for text in std::iter::once(&json).chain(&or) {
            let message = read(one_cell(&r#type, text).as_bytes())
                .unwrap_or_else(|why| panic!("{ty} {text}: {why}"));
            let found = &message.rows[0][0];
            // Of equal JSON the text may differ by spaces, escapes and the order of members.
            if ty == Type::Json && *text != json {
                assert_eq!(document(found), document(&due), "{text}");
            } else {
                assert_eq!(found, &due, "{ty} {value:?} as {text}");
            }
            let cell = serde_json::from_str(text).unwrap();
            assert_eq!(schemas.refuse_cell(&r#type, &cell), None, "{text}");
        }
    }
}

/// The document in a jsonb as it is sent: four bytes of length, one of version, text.
fn document(sent: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&sent[5..]).unwrap()
}

#[test]
fn what_a_writer_must_refuse_our_reader_refuses_or_our_writer_where_it_reads_as_another_value() {
    for Refused { r#type, value } in corpus().refuse {
        let ty: Type = r#type.parse().unwrap();
        let bare = matches!(ty, Type::Bool | Type::Int64 | Type::Float64 | Type::Json);
        let cell = if bare {
            value.clone()
        } else {
            serde_json::to_string(&value).unwrap()
        };
        let refused = match read(one_cell(&r#type, &cell).as_bytes()) {
            Err(_) => true,
            Ok(_) => with_value(ty, Some(&value), |value| written(ty, value).is_err()),
        };
        assert!(refused, "{ty} {value}");
    }
}

#[test]
fn every_type_has_values_and_refusals_of_its_own() {
    let corpus = corpus();
    for ty in Type::ALL.map(Type::as_str) {
        assert!(
            corpus
                .write
                .iter()
                .any(|row| row.r#type == ty && row.value.is_none()),
            "a null {ty}"
        );
        assert!(
            corpus.write.iter().filter(|row| row.r#type == ty).count() > 2,
            "{ty}"
        );
        // There are no wrong octets, and what is not base64 no writer makes of them.
        assert!(
            ty == "bytes" || corpus.refuse.iter().any(|row| row.r#type == ty),
            "{ty}"
        );
    }
}

#[test]
fn the_corpus_can_be_read_in_an_editor() {
    let text = String::from_utf8(bytes(&file("corpus.json"))).unwrap();
    assert!(
        !text
            .chars()
            .any(|char| char != '\n' && (char.is_control() || char == '\u{feff}'))
    );
}
