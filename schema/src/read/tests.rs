//! What the reader promises beyond the examples of `v1/`: order, size, memory, and what wins when much is wrong.

use std::io;

use super::*;
use crate::column::Type;

const ENVELOPE: &str = r#""specversion":"1.0","type":"nightdrop.result.v1","id":"01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11","source":"jfk","subject":"departures","time":"2013-01-31T05:00:00Z""#;
const DATA: &str = r#""mode":"append","columns":[{"name":"carrier","type":"string"},{"name":"flight","type":"int64"}]"#;

fn message(rows: &str, count: u64) -> String {
    format!(r#"{{{ENVELOPE},"data":{{{DATA},"rows":{rows},"row_count":{count}}}}}"#)
}

fn one_cell(ty: Type, cell: &str) -> String {
    let columns = format!(r#""mode":"append","columns":[{{"name":"x","type":"{ty}"}}]"#);
    format!(r#"{{{ENVELOPE},"data":{{{columns},"rows":[[{cell}]],"row_count":1}}}}"#)
}

/// Keeps what it is given, as text.
#[derive(Default)]
struct Kept {
    row: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl RowSink for Kept {
    fn start(&mut self) {
        self.row.clear();
    }

    fn value(&mut self, column: usize, value: Value<'_>) {
        assert_eq!(column, self.row.len());
        self.row.push(format!("{value:?}"));
    }

    fn end(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }
}

/// Gives so many bytes at a time.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(into.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

type Whole = (Envelope, Data, Vec<Vec<String>>, Summary);

fn read_from(from: impl Read, caps: Caps, buffer: usize) -> Result<Whole, Error> {
    let mut reader = Reader::with_buffer(from, caps, buffer);
    let (envelope, data) = reader.open()?;
    let mut kept = Kept::default();
    while reader.next_row(&mut kept)? {}
    let summary = reader.finish()?;
    Ok((envelope, data, kept.rows, summary))
}

fn read(message: impl AsRef<[u8]>) -> Result<Whole, Error> {
    read_from(message.as_ref(), Caps::default(), input::BUFFER)
}

fn refusal(message: impl AsRef<[u8]>) -> (Kind, String) {
    let error = read(message).err().unwrap();
    (error.kind, error.to_string())
}

#[test]
fn a_message_is_read_alike_however_its_bytes_come() {
    let message = message(
        "[ [\"U\\u0041\", 1545 ] , [null,\"-7\"],[\"é𝄞\",9223372036854775807]]\n",
        3,
    );
    let whole = read(&message).unwrap();
    assert_eq!(whole.2[1], ["Null", "Int64(-7)"]);
    for buffer in [1, 2, 3, 7, 64, 1000] {
        for at_once in [1, 2, 5, 1000] {
            let slowly = Slowly(message.as_bytes(), at_once);
            assert_eq!(
                read_from(slowly, Caps::default(), buffer).unwrap(),
                whole,
                "{buffer} {at_once}"
            );
        }
    }
}

#[test]
fn the_envelope_may_stand_anywhere_in_a_small_file() {
    let (first, rest) = ENVELOPE.split_once(",\"id\"").unwrap();
    let data = format!(r#""data":{{{DATA},"rows":[["UA",1]],"row_count":1}}"#);
    let traceparent = r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#;
    for message in [
        format!("{{{data},{ENVELOPE},{traceparent}}}"),
        format!("{{{first},{data},\"id\"{rest},{traceparent}}}"),
        format!("{{{ENVELOPE},{data},\"x\":[],{traceparent}}}"),
        format!("{{{ENVELOPE},{traceparent},{data}}}"),
    ] {
        for buffer in [1, 100, 100_000] {
            let (envelope, _, rows, _) =
                read_from(message.as_bytes(), Caps::default(), buffer).unwrap();
            assert_eq!(envelope.source.as_str(), "jfk");
            assert!(envelope.traceparent.is_some(), "{message}");
            assert_eq!(rows.len(), 1);
        }
    }
}

/// A message whose rows alone have more than 8 MiB.
fn large(before: &str, after: &str) -> String {
    let mut rows = String::from("[");
    let mut count = 0;
    while rows.len() <= SMALL {
        rows.push_str(
            "[\"0123456789012345678901234567890123456789012345678901234567890123456789\",1],",
        );
        count += 1;
    }
    rows.pop();
    rows.push(']');
    format!(r#"{{{before}"data":{{{DATA},"rows":{rows},"row_count":{count}}}{after}}}"#)
}

#[test]
fn in_a_large_file_the_envelope_stands_before_data() {
    assert!(read(large(&format!("{ENVELOPE},"), ",\"x\":1")).is_ok());
    let (kind, sentence) = refusal(large("", &format!(",{ENVELOPE}")));
    assert_eq!(kind, Kind::Contract);
    assert!(sentence.starts_with(
        "specversion: does not stand before data, and the file has more than 8388608 bytes"
    ));
    let (kind, sentence) = refusal(large(&format!("{ENVELOPE},"), ",\"traceparent\":\"00\""));
    assert_eq!(kind, Kind::Contract);
    assert!(
        sentence.starts_with(
            "traceparent: stands after data, and the file has more than 8388608 bytes"
        )
    );
}

#[test]
fn after_a_large_head_the_buffer_is_small_again() {
    let message = large(&format!("{ENVELOPE},"), "");
    let mut reader = Reader::new(message.as_bytes(), Caps::default());
    reader.open().unwrap();
    assert!(reader.input.memory() > SMALL);
    while reader.next_row(&mut Kept::default()).unwrap() {}
    assert_eq!(reader.input.memory(), input::BUFFER);
}

#[test]
fn after_a_large_row_the_memory_is_given_back() {
    let text = format!("\\n{}", "x".repeat(4 << 20));
    let mut rows = format!("[[\"{text}\",1]");
    for _ in 0..400_000 {
        rows.push_str(",[\"UA\",1545678901234567]");
    }
    rows.push(']');
    let message = message(&rows, 400_001);
    let mut reader = Reader::new(message.as_bytes(), Caps::default());
    reader.open().unwrap();
    while reader.next_row(&mut Kept::default()).unwrap() {}
    assert_eq!(reader.input.memory(), input::BUFFER);
    assert!(reader.scratch.memory() <= input::BUFFER);
}

#[test]
fn an_unknown_version_wins_over_what_else_is_wrong_with_the_envelope() {
    let other = |envelope: &str| format!("{{{envelope}}}");
    for message in [
        other(r#""type":"nightdrop.result.v2","source":17,"data":"AAAA""#),
        other(r#""type":"nightdrop.result.v2","source":"jfk","source":"lga","data":{}"#),
        other(r#""specversion":"2.0","data":[{"a":1}],"type":"nightdrop.result.v2""#),
        other(r#""type":"nightdrop.result.v2""#),
    ] {
        assert_eq!(refusal(&message).0, Kind::UnknownVersion, "{message}");
    }
    // It is not known what the type is.
    assert_eq!(
        refusal(r#"{"source":"jfk","source":"jfk","type":"nightdrop.result.v2"}"#).0,
        Kind::Contract
    );
    assert_eq!(refusal(r#"{"type":17}"#).0, Kind::Contract);
    assert_eq!(
        refusal(r#"{"type":"nightdrop.result.v2","source":}"#).0,
        Kind::Syntax
    );
}

#[test]
fn any_cut_is_an_error_by_name() {
    let message = message("[[\"U\\u0041\",1545],[\"é\",-1]]", 2);
    for cut in 0..message.len() {
        let (kind, sentence) = refusal(&message.as_bytes()[..cut]);
        assert_eq!(kind, Kind::Truncated, "{cut}: {sentence}");
    }
    assert_eq!(
        refusal(&message[..message.find("545").unwrap()]).1,
        format!(
            "the file ends within data.rows[0], after {} bytes; write it to its end, then upload it",
            message.find("545").unwrap()
        )
    );
}

#[test]
fn a_file_cut_within_rows_that_stand_before_the_envelope_is_truncated() {
    let message = format!(r#"{{"data":{{{DATA},"rows":[["UA",1]],"row_count":1}},{ENVELOPE}}}"#);
    for cut in 0..message.len() {
        assert_eq!(
            refusal(&message.as_bytes()[..cut]).0,
            Kind::Truncated,
            "{cut}"
        );
    }
}

#[test]
fn only_white_space_may_stand_behind_the_message() {
    let message = message("[]", 0);
    let spaces = " \n\r\t".repeat(100_000);
    let summary = read(format!("{message}{spaces}")).unwrap().3;
    assert_eq!(
        summary,
        Summary {
            rows: 0,
            bytes: (message.len() + spaces.len()) as u64
        }
    );
    for more in ["x", "{}", "\0", "]"] {
        let (kind, sentence) = refusal(format!("{message}{spaces}{more}"));
        assert_eq!(kind, Kind::Syntax);
        assert!(sentence.contains("stands behind the message"), "{sentence}");
    }
}

#[test]
fn no_cap_is_exceeded_and_memory_stays_below_them() {
    let caps = || Caps {
        head: 1000,
        row: 200,
        cell: 100,
        file: 3000,
        ..Caps::default()
    };
    let refused = |message: &str, buffer: usize| {
        let error = read_from(message.as_bytes(), caps(), buffer).err().unwrap();
        assert_eq!(error.kind, Kind::TooLarge, "{error}");
        error.to_string()
    };
    let long = |bytes: usize| "x".repeat(bytes);
    for buffer in [16, 100_000] {
        let head = message("[]", 0).replacen('{', &format!("{{\"x\":\"{}\",", long(1000)), 1);
        assert_eq!(
            refused(&head, buffer),
            "what stands before the rows has more than 1000 bytes; make it smaller"
        );
        let tail = message("[]", 0).replace("}}", &format!("}},\"x\":\"{}\"}}", long(1000)));
        assert_eq!(
            refused(&tail, buffer),
            "what stands after the rows has more than 1000 bytes; make it smaller"
        );
        let cell = message(&format!("[[null,1],[\"{}\",1]]", long(99)), 2);
        assert_eq!(
            refused(&cell, buffer),
            "data.rows[1][0] (carrier, string): the cell has more than 100 bytes; make it smaller"
        );
        let row = message(&format!("[[null,1],[null,{}1]]", " ".repeat(200)), 2);
        assert_eq!(
            refused(&row, buffer),
            "data.rows[1]: the row has more than 200 bytes; make it smaller"
        );
        let file = message(&format!("[{}[null,1]]", "[null,1],".repeat(400)), 401);
        assert!(refused(&file, buffer).starts_with("the file has more than 3000 bytes"));
    }
    // A row that never ends takes no more memory than the cap.
    let endless = io::Read::chain(
        io::Cursor::new(message("[[\"", 0).split_once("[[\"").unwrap().0.to_owned() + "[[\""),
        io::repeat(b'x'),
    );
    let mut reader = Reader::new(endless, Caps::default());
    reader.open().unwrap();
    assert_eq!(
        reader.next_row(&mut Kept::default()).err().unwrap().kind,
        Kind::TooLarge
    );
    assert!(reader.input.memory() <= (32 << 20) + 1);
}

#[test]
fn a_cell_that_does_not_end_within_its_cap_is_not_waited_for() {
    let endless = io::Read::chain(
        io::Cursor::new(message("[[\"UA", 0).split_once("UA").unwrap().0.to_owned()),
        io::repeat(b'x'),
    );
    let mut reader = Reader::new(endless, Caps::default());
    reader.open().unwrap();
    let error = reader.next_row(&mut Kept::default()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "data.rows[0][0] (carrier, string): the cell has more than 16777216 bytes; make it smaller"
    );
    assert!(reader.input.memory() <= 32 << 20);
}

#[test]
fn of_a_large_row_that_is_wrong_at_its_end_nobody_gets_a_value() {
    // More than what is there at first, when all of a small file is looked at.
    let text = "x".repeat(SMALL);
    let message = message(&format!("[[\"{text}\",1.5]]"), 1);
    let mut reader = Reader::new(message.as_bytes(), Caps::default());
    reader.open().unwrap();
    let mut kept = Kept::default();
    assert!(reader.next_row(&mut kept).is_err());
    assert!(kept.row.is_empty());
}

#[test]
fn space_without_end_behind_the_message_is_refused() {
    let message = message("[]", 0);
    let endless = io::Read::chain(message.as_bytes(), io::repeat(b' '));
    let error = read_from(endless, Caps::default(), 1000).err().unwrap();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (
            Kind::TooLarge,
            "what stands after the rows has more than 1048576 bytes; make it smaller"
        )
    );
}

#[test]
fn a_cell_just_within_the_cap_is_read() {
    let caps = Caps {
        cell: 10,
        ..Caps::default()
    };
    let read = |cell: &str| read_from(one_cell(Type::String, cell).as_bytes(), caps.clone(), 64);
    assert!(read("\"12345678\"").is_ok());
    assert_eq!(read("\"123456789\"").err().unwrap().kind, Kind::TooLarge);
}

#[test]
fn depth_is_counted_from_the_message_down() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(one_cell(Type::Json, &nested(124))).is_ok());
    assert_eq!(
        refusal(one_cell(Type::Json, &nested(125))).0,
        Kind::TooLarge
    );
    let unknown =
        |levels| message("[]", 0).replacen('{', &format!("{{\"x\":{},", nested(levels)), 1);
    assert!(read(unknown(127)).is_ok());
    assert_eq!(refusal(unknown(128)).0, Kind::TooLarge);
}

#[test]
fn an_error_of_the_source_is_no_error_of_the_message_and_can_be_tried_again() {
    struct Flaky<'a>(&'a [u8], bool);
    impl Read for Flaky<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(io::ErrorKind::ConnectionReset.into())
            } else {
                Slowly(self.0, 40)
                    .read(into)
                    .inspect(|count| self.0 = &self.0[*count..])
            }
        }
    }
    fn insist<T>(mut call: impl FnMut() -> Result<T, Error>) -> T {
        loop {
            match call() {
                Ok(done) => return done,
                Err(error) => assert_eq!(error.kind, Kind::Io, "{error}"),
            }
        }
    }
    let message = message("[[\"UA\",1],[\"AA\",2]]", 2);
    let mut reader = Reader::with_buffer(Flaky(message.as_bytes(), false), Caps::default(), 16);
    let mut kept = Kept::default();
    insist(|| reader.open());
    while insist(|| reader.next_row(&mut kept)) {}
    assert_eq!(kept.rows.len(), 2);
}

#[test]
fn a_caller_who_forgets_rows_is_told_so() {
    let message = message("[[\"UA\",1]]", 1);
    let start = || Reader::new(message.as_bytes(), Caps::default());
    assert_eq!(
        start().next_row(&mut Kept::default()).err().unwrap().kind,
        Kind::Io
    );
    assert_eq!(start().finish().err().unwrap().kind, Kind::Io);
    let mut reader = start();
    reader.open().unwrap();
    assert_eq!(reader.open().err().unwrap().kind, Kind::Io);
    assert_eq!(reader.finish().err().unwrap().kind, Kind::Io);
}

#[test]
fn row_count_may_stand_anywhere_in_data_but_once() {
    for message in [
        format!(r#"{{{ENVELOPE},"data":{{"row_count":0,{DATA},"rows":[]}}}}"#),
        format!(r#"{{{ENVELOPE},"data":{{{DATA},"row_count":0,"rows":[]}}}}"#),
        message("[]", 0),
    ] {
        assert!(read(&message).is_ok(), "{message}");
    }
    let twice =
        format!(r#"{{{ENVELOPE},"data":{{"row_count":0,{DATA},"rows":[],"row_count":0}}}}"#);
    assert_eq!(
        refusal(twice).1,
        "data: an object has the member \"row_count\" twice; write it once"
    );
    let late = format!(r#"{{{ENVELOPE},"data":{{{DATA},"rows":[],"row_count":0,"rows":[]}}}}"#);
    assert_eq!(
        refusal(late).1,
        "data: an object has the member \"rows\" twice; write it once"
    );
    let envelope = format!(
        r#"{{{ENVELOPE},"data":{{{DATA},"rows":[],"row_count":0}},"time":"2013-01-31T05:00:00Z"}}"#
    );
    assert_eq!(
        refusal(envelope).1,
        "an object has the member \"time\" twice; write it once"
    );
}

#[test]
fn a_row_count_that_is_not_that_of_the_rows_is_refused() {
    for count in [0, 2] {
        let sentence = format!(
            "data.row_count: says {count}, there are 1 rows; write all rows and their count"
        );
        assert_eq!(
            refusal(message("[[\"UA\",1]]", count)),
            (Kind::Contract, sentence)
        );
    }
}

#[test]
fn numbers_are_judged_by_their_text() {
    for (ty, cell, value) in [
        (Type::Int64, "-0", "Int64(0)"),
        (
            Type::Int64,
            "123456789012345678",
            "Int64(123456789012345678)",
        ),
        (
            Type::Int64,
            "1234567890123456789",
            "Int64(1234567890123456789)",
        ),
        (
            Type::Int64,
            "-9223372036854775808",
            "Int64(-9223372036854775808)",
        ),
        (Type::Int64, "\"-0007\"", "Int64(-7)"),
        (Type::Int64, "\"\\u0037\"", "Int64(7)"),
        (Type::Decimal, "1e5", "Decimal(Decimal(\"1e5\"))"),
        (Type::Decimal, "0.10", "Decimal(Decimal(\"0.10\"))"),
        (
            Type::Decimal,
            "\"12345678901234567890123456789.50\"",
            "Decimal(Decimal(\"12345678901234567890123456789.50\"))",
        ),
        (Type::Float64, "-0.0", "Float64(-0.0)"),
        (Type::Float64, "0e999", "Float64(0.0)"),
        (Type::Float64, "5e-324", "Float64(5e-324)"),
        (
            Type::Float64,
            "9007199254740993",
            "Float64(9007199254740992.0)",
        ),
        (Type::Float64, "\"-Infinity\"", "Float64(-inf)"),
    ] {
        assert_eq!(
            read(one_cell(ty, cell)).unwrap().2,
            [[value]],
            "{ty} {cell}"
        );
    }
    for (ty, cell, why) in [
        (Type::Int64, "1545.0", "1545.0 has a point; write 1545"),
        (
            Type::Int64,
            "1545.5",
            "1545.5 has a point; round it in the query, or make the column a decimal",
        ),
        (
            Type::Int64,
            "1e3",
            "1e3 has an exponent; write all its digits",
        ),
        (
            Type::Int64,
            "\"1e3\"",
            "\"1e3\" is no int64; write its digits alone",
        ),
        (
            Type::Int64,
            "\"\"",
            "\"\" is no int64; write its digits alone",
        ),
        (
            Type::Float64,
            "1e309",
            "1e309 is too large for a double; make the column a decimal",
        ),
        (
            Type::Float64,
            "-2e-324",
            "-2e-324 is not zero, but too small for a double; make the column a decimal",
        ),
    ] {
        assert_eq!(
            refusal(one_cell(ty, cell)).1,
            format!("data.rows[0][0] (x, {ty}): {why}")
        );
    }
    for cell in [
        "007", "-007", "01", "+1", "-", "1.", ".5", "1e", "0x1F", "1_000", "NaN",
    ] {
        assert_eq!(
            refusal(one_cell(Type::Int64, cell)).0,
            Kind::Syntax,
            "{cell}"
        );
        assert_eq!(
            refusal(one_cell(Type::Decimal, cell)).0,
            Kind::Syntax,
            "{cell}"
        );
    }
}

#[test]
fn json_comes_as_it_was_written_but_null_is_null() {
    let read = |cell| read(one_cell(Type::Json, cell)).unwrap().2[0][0].clone();
    assert_eq!(
        read("{\"b\" : [1.50,\n1e400], \"a\":\"\\u00e9\"}"),
        "Json(Json(\"{\\\"b\\\" : [1.50,\\n1e400], \\\"a\\\":\\\"\\\\u00e9\\\"}\"))"
    );
    assert_eq!(read("null"), "Null");
    assert_eq!(read("[null]"), "Json(Json(\"[null]\"))");
    assert_eq!(read("\"null\""), "Json(Json(\"\\\"null\\\"\"))");
}

#[test]
fn what_an_error_shows_is_short_and_has_no_control_characters() {
    let sentence = refusal(one_cell(
        Type::Date,
        &format!("\"\\u001b[31m{}\"", "x".repeat(1000)),
    ))
    .1;
    assert!(
        sentence.len() < 200 && !sentence.contains('\u{1b}'),
        "{sentence}"
    );
    let name = format!("{{\"\\u001b{}\":}}", "x".repeat(1000));
    let sentence = refusal(name).1;
    assert!(
        sentence.len() < 200 && !sentence.contains('\u{1b}'),
        "{sentence}"
    );
}
