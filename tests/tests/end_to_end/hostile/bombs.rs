//! What is small as it is stored, and without end once it is inflated.

use std::io::Write;

use nightdrop_schema::Compression;

use super::body::{GIB, MIB, Part, gzip, instead, much, text, zstd};
use super::{Hostile, bomb, plain};

/// What a compression can do.
pub(super) fn compressed() -> Vec<Hostile> {
    vec![
        Hostile {
            what: "a window of 128 MiB",
            compression: Compression::Zstd,
            stored: Box::new(|message| {
                let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
                packed.window_log(27).unwrap();
                packed.write_all(message.body().as_bytes()).unwrap();
                packed.finish().unwrap()
            }),
            reason: "undecodable",
            sentence: "the file asks for a zstd window of more than 8 MiB; compress it without --long, or with --long=23",
        },
        Hostile {
            what: "a gigabyte in gzip",
            compression: Compression::Gzip,
            stored: Box::new(|message| gzip(instead(message, "UA", vec![much("x", GIB)]))),
            reason: "too_large",
            sentence: "data.rows[0][0] (carrier, string): the cell has more than 16777216 bytes; make it smaller",
        },
        bomb(
            "rows without end",
            |message| {
                instead(
                    message,
                    "[\"UA\"",
                    vec![much("[null,null],", GIB), text("[\"UA\"")],
                )
            },
            "too_large",
            "the file has more than 67108864 bytes, inflated; split the result",
        ),
        bomb(
            "space without end in the rows",
            |message| instead(message, "[\"UA\"", vec![much(" ", GIB), text("[\"UA\"")]),
            "too_large",
            "data.rows[0]: the row has more than 33554432 bytes; make it smaller",
        ),
        bomb(
            "space without end behind the message",
            |message| vec![text(message.body()), much("\n", GIB)],
            "too_large",
            "what stands after the rows has more than 1048576 bytes; make it smaller",
        ),
        Hostile {
            what: "rows in twenty thousand frames",
            compression: Compression::Zstd,
            stored: Box::new(|message| {
                let body = message.body();
                let (before, behind) = body.split_once("[\"UA\"").unwrap();
                let rows = Part("[null,null],".into(), 20_000);
                zstd(vec![text(before), rows, text(format!("[\"UA\"{behind}"))])
            }),
            reason: "contract",
            sentence: "data.row_count: says 2, there are 20002 rows; write all rows and their count",
        },
    ]
}

/// What a row can do.
pub(super) fn rows() -> Vec<Hostile> {
    vec![
        bomb(
            "a cell of a gigabyte",
            |message| instead(message, "UA", vec![much("x", GIB)]),
            "too_large",
            "data.rows[0][0] (carrier, string): the cell has more than 16777216 bytes; make it smaller",
        ),
        bomb(
            "an integer of a gigabyte",
            |message| instead(message, "1545", vec![much("1", GIB)]),
            "too_large",
            "data.rows[0][1] (flight, int64): the cell has more than 16777216 bytes; make it smaller",
        ),
        bomb(
            "a cell of a gigabyte, all of it escaped",
            |message| instead(message, "UA", vec![much("\\u0041", GIB)]),
            "too_large",
            "data.rows[0][0] (carrier, string): the cell has more than 16777216 bytes; make it smaller",
        ),
        bomb(
            "a gigabyte where a row is due",
            |message| {
                instead(
                    message,
                    "[\"UA\",1545]",
                    vec![text("\""), much("x", GIB), text("\"")],
                )
            },
            "too_large",
            "data.rows[0]: the row has more than 33554432 bytes; make it smaller",
        ),
        bomb(
            "a cell within its cap, then one of a gigabyte",
            |message| {
                let rows = vec![
                    much("x", 15 * MIB),
                    text("\",1],[\""),
                    much("x", 15 * MIB),
                    text("\","),
                    much("1", GIB),
                ];
                instead(message, "UA\",1545", rows)
            },
            "too_large",
            "data.rows[1][1] (flight, int64): the cell has more than 16777216 bytes; make it smaller",
        ),
        bomb(
            "a full row with a cell too many",
            |message| {
                let columns = "\"columns\":[{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"b\",\"type\":\"string\"}],\"mode\":\"append\",\"rows\":[[\"";
                let body = message.body();
                let (before, _) = body.split_once("\"data\":{").unwrap();
                let cell = || much("\\u0041", 14 * MIB);
                let end = text("\",1]],\"row_count\":1}}");
                vec![
                    text(format!("{before}\"data\":{{{columns}")),
                    cell(),
                    text("\",\""),
                    cell(),
                    end,
                ]
            },
            "contract",
            "data.rows[0]: has 3 cells for 2 columns; write one for each",
        ),
    ]
}

/// What can stand before the rows.
pub(super) fn heads() -> Vec<Hostile> {
    vec![
        bomb(
            "a member without end before the rows",
            |message| {
                instead(
                    message,
                    "\"mode\"",
                    vec![text("\"x\":\""), much("x", GIB), text("\",\"mode\"")],
                )
            },
            "too_large",
            "what stands before the rows has more than 1048576 bytes; make it smaller",
        ),
        bomb(
            "rows without end before the envelope",
            |message| {
                let body = message.body();
                let (envelope, data) = body.split_once("\"data\":").unwrap();
                let (before, behind) = data[..data.len() - 1].split_once("[\"UA\"").unwrap();
                let envelope = envelope[1..].trim_end_matches(',');
                let start = text(format!("{{\"data\":{before}"));
                vec![
                    start,
                    much("[null,null],", 32 * MIB),
                    text(format!("[\"UA\"{behind},{envelope}}}")),
                ]
            },
            "contract",
            "specversion: does not stand before data, and the file has more than 8388608 bytes",
        ),
        bomb(
            "a million columns",
            |message| {
                instead(
                    message,
                    "\"columns\":[",
                    vec![
                        text("\"columns\":["),
                        much("{\"name\":\"x\",\"type\":\"json\"},", 28_000_000),
                    ],
                )
            },
            "too_large",
            "what stands before the rows has more than 1048576 bytes; make it smaller",
        ),
        plain(
            "thirty thousand columns",
            |message| {
                message.body().replace(
                    "\"columns\":[",
                    &format!(
                        "\"columns\":[{}",
                        (0..30_000)
                            .map(|n| format!("{{\"name\":\"{n}\",\"type\":\"bool\"}},"))
                            .collect::<Vec<_>>()
                            .concat()
                    ),
                )
            },
            "contract",
            "data.columns: there are 30002 columns, 500 is the most",
        ),
        bomb(
            "members without end",
            |message| {
                instead(
                    message,
                    "\"specversion\"",
                    vec![
                        text(
                            (0..2_000_000)
                                .map(|n| format!("\"{n}\":0,"))
                                .collect::<Vec<_>>()
                                .concat(),
                        ),
                        text("\"specversion\""),
                    ],
                )
            },
            "too_large",
            "what stands before the rows has more than 1048576 bytes; make it smaller",
        ),
    ]
}
