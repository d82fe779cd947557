//! What the writer promises by itself. That the reader takes all of it is a property of both, in `tests/round_trip.rs`.

use super::*;
use crate::column::{Column, Type};
use crate::envelope::FailureKind;
use crate::header::{Bound, Mode, Range};
use crate::json::Json;
use crate::moment::Date;
use crate::name::Job;

fn envelope() -> Envelope {
    Envelope {
        id: "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap(),
        source: "jfk".parse().unwrap(),
        subject: "departures".parse().unwrap(),
        time: "2013-01-31T05:00:00Z".parse().unwrap(),
        traceparent: None,
    }
}

fn header(types: &[(&str, Type)]) -> Header {
    let columns = types
        .iter()
        .map(|(name, ty)| Column::new(name.parse().unwrap(), *ty))
        .collect();
    Header {
        mode: Mode::Append,
        columns,
        parameters: None,
        next_by: None,
    }
}

fn flights() -> Header {
    header(&[("carrier", Type::String), ("flight", Type::Int64)])
}

fn writer(header: &Header) -> Writer<Vec<u8>> {
    Writer::new(Vec::new(), &envelope(), header).unwrap()
}

fn refusal<T>(result: Result<T, Error>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn a_result_is_one_object_with_a_row_on_a_line() {
    let mut writer = writer(&flights());
    for (carrier, flight) in [("UA", 1545), ("AA", 1141)] {
        writer.value(Value::String(carrier)).unwrap();
        writer.value(Value::Int64(flight)).unwrap();
    }
    let (message, rows) = writer.finish().unwrap();
    assert_eq!(rows, 2);
    assert_eq!(
        String::from_utf8(message).unwrap(),
        r#"{"specversion":"1.0","type":"nightdrop.result.v1","id":"01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11","source":"jfk","subject":"departures","time":"2013-01-31T05:00:00.000000Z",
"data":{"mode":"append",
"columns":[{"name":"carrier","type":"string"},{"name":"flight","type":"int64"}],
"rows":[
["UA",1545],
["AA",1141]
],"row_count":2}}
"#
    );
}

#[test]
fn a_result_without_rows_is_a_result() {
    let (message, rows) = writer(&flights()).finish().unwrap();
    assert_eq!(rows, 0);
    assert!(
        String::from_utf8(message)
            .unwrap()
            .ends_with("\"rows\":[],\"row_count\":0}}\n")
    );
}

#[test]
fn a_value_of_another_type_is_refused_by_its_place_and_the_row_can_go_on() {
    let mut writer = writer(&flights());
    writer.value(Value::String("UA")).unwrap();
    assert_eq!(
        refusal(writer.value(Value::Float64(1545.0))),
        "data.rows[0][1] (flight, int64): the value is of type float64; give one of the column's type"
    );
    writer.value(Value::Int64(1545)).unwrap();
    let (message, _) = writer.finish().unwrap();
    assert!(
        String::from_utf8(message)
            .unwrap()
            .contains("\n[\"UA\",1545]\n")
    );
}

#[test]
fn a_null_is_refused_where_none_may_be() {
    let mut not_nullable = flights();
    not_nullable.columns[0].nullable = false;
    let upsert = Header {
        mode: Mode::Upsert {
            primary_key: vec!["carrier".parse().unwrap()],
        },
        ..flights()
    };
    for (header, why) in [
        (not_nullable, "not nullable"),
        (upsert, "of the primary key"),
    ] {
        let error = refusal(writer(&header).value(Value::Null));
        assert!(
            error.starts_with("data.rows[0][0] (carrier, string): null, but the column"),
            "{error}"
        );
        assert!(error.contains(why), "{error}");
    }
    writer(&flights()).value(Value::Null).unwrap();
}

#[test]
fn a_row_outside_the_range_is_refused() {
    let day = |text: &str| text.parse::<Date>().unwrap();
    let (from, to) = (
        Bound::Date(day("2013-01-01")),
        Bound::Date(day("2013-02-01")),
    );
    let range = Range {
        column: "day".parse().unwrap(),
        from,
        to,
    };
    let header = Header {
        mode: Mode::Replace { range: Some(range) },
        ..header(&[("day", Type::Date)])
    };
    for (text, good) in [
        ("2013-01-01", true),
        ("2013-01-31", true),
        ("2013-02-01", false),
        ("2012-12-31", false),
        ("infinity", false),
    ] {
        assert_eq!(
            writer(&header).value(Value::Date(day(text))).is_ok(),
            good,
            "{text}"
        );
    }
    assert!(writer(&header).value(Value::Null).is_err());
}

#[test]
fn what_would_not_arrive_equal_is_refused() {
    let text = header(&[("x", Type::String)]);
    assert!(refusal(writer(&text).value(Value::String("a\0b"))).contains("U+0000"));
    let json = header(&[("x", Type::Json)]);
    assert!(
        refusal(writer(&json).value(Value::Json(Json::parse(" null ").unwrap())))
            .contains("the JSON null")
    );
}

#[test]
fn a_half_row_is_no_result() {
    let mut writer = writer(&flights());
    writer.value(Value::Null).unwrap();
    assert_eq!(
        refusal(writer.finish()),
        "data.rows[0]: has 1 of 2 values; give all of them"
    );
}

#[test]
fn what_the_reader_would_refuse_before_the_rows_is_refused_at_once() {
    let start =
        |envelope: &Envelope, header: &Header| refusal(Writer::new(Vec::new(), envelope, header));
    let never = Envelope {
        time: crate::Timestamptz::INFINITY,
        ..envelope()
    };
    assert!(start(&never, &flights()).starts_with("time: \"infinity\" is no instant"));
    let probe = Envelope {
        subject: Job::probe(),
        ..envelope()
    };
    assert!(start(&probe, &flights()).starts_with("subject: \"nightdrop_probe\" can't name a job"));
    let mut nul = flights();
    nul.columns[0].description = Some("a\0b".to_owned());
    assert!(start(&envelope(), &nul).contains("U+0000"));
    let mut long = flights();
    long.columns[0].description = Some("a".repeat(1 << 20));
    assert!(start(&envelope(), &long).contains("more than 1048576 bytes"));
    assert!(start(&envelope(), &header(&[])).starts_with("data.columns: there are no columns"));
}

#[test]
fn the_caps_hold_for_the_writer_too() {
    let caps = Caps {
        cell: 10,
        row: 30,
        file: 1000,
        ..Caps::default()
    };
    let text = header(&[
        ("a", Type::String),
        ("b", Type::String),
        ("c", Type::String),
        ("d", Type::String),
    ]);
    let start = || Writer::with_caps(Vec::new(), &envelope(), &text, caps.clone()).unwrap();
    let mut one = start();
    assert!(
        refusal(one.value(Value::String("123456789"))).contains("the cell has more than 10 bytes")
    );
    one.value(Value::String("12345678")).unwrap();
    one.value(Value::String("12345678")).unwrap();
    assert!(
        refusal(one.value(Value::String("12345678"))).contains("the row has more than 30 bytes")
    );
    let mut many = start();
    let full = (0..1000)
        .find_map(|_| many.value(Value::Null).err())
        .unwrap();
    assert!(
        full.to_string()
            .contains("the message has more than 1000 bytes"),
        "{full}"
    );
}

#[test]
fn memory_does_not_grow_with_the_result() {
    let mut writer = Writer::new(std::io::sink(), &envelope(), &flights()).unwrap();
    let text = "x".repeat(1000);
    for _ in 0..10_000 {
        writer.value(Value::String(&text)).unwrap();
        writer.value(Value::Int64(i64::MIN)).unwrap();
        assert!(writer.buffer.capacity() < 4 * BATCH);
    }
    assert_eq!(writer.rows(), 10_000);
}

#[test]
fn probes_and_failures_are_messages_without_rows() {
    let probing = Envelope {
        subject: Job::probe(),
        ..envelope()
    };
    let message = String::from_utf8(probe(&probing).unwrap()).unwrap();
    assert!(
        message.contains("\"type\":\"nightdrop.probe.v1\"")
            && message.ends_with(",\n\"data\":{}}\n"),
        "{message}"
    );
    assert!(probe(&envelope()).is_err());
    let failure = Failure {
        code: 69,
        kind: FailureKind::Timeout,
        message: "the query took \"too\" long".to_owned(),
    };
    let message = String::from_utf8(failed(&envelope(), &failure).unwrap()).unwrap();
    let data = r#""data":{"code":69,"kind":"timeout","message":"the query took \"too\" long"}}"#;
    assert!(
        message.contains("\"type\":\"nightdrop.failed.v1\"") && message.trim_end().ends_with(data),
        "{message}"
    );
    let long = Failure {
        message: "é".repeat(251),
        ..failure
    };
    assert!(
        refusal(failed(&envelope(), &long))
            .starts_with("data.message: has 502 bytes, 500 is the most")
    );
}
