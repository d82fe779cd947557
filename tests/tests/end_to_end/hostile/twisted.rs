//! What JSON allows or forbids, and what is not true.

use super::body::{instead, much, text};
use super::{Hostile, bomb, plain};

/// What JSON can do.
pub(super) fn twisted() -> Vec<Hostile> {
    let deep = "arrays and objects are nested deeper than the cap allows; make it flatter";
    vec![
        bomb(
            "a hundred million arrays within each other in a cell",
            |message| instead(message, "\"UA\"", vec![much("[", 100_000_000)]),
            "contract",
            "data.rows[0][0] (carrier, string): an array is no string; write a string",
        ),
        bomb(
            "a hundred million arrays within each other in a cell of json",
            |message| {
                let body = message.body().replace(
                    "\"carrier\",\"type\":\"string\"",
                    "\"route\",\"type\":\"json\"",
                );
                let (before, behind) = body.split_once("\"UA\"").unwrap();
                vec![text(before), much("[", 100_000_000), text(behind)]
            },
            "too_large",
            "data.rows[0][0] (route, json): arrays and objects are nested deeper than the cap allows; make it flatter",
        ),
        bomb(
            "a hundred million objects within each other in a member that nobody knows",
            |message| {
                instead(
                    message,
                    "\"mode\"",
                    vec![text("\"x\":"), much("{\"a\":", 500_000_000)],
                )
            },
            "too_large",
            deep,
        ),
        plain(
            "half a surrogate pair",
            |message| message.body().replace("UA", "\\ud834"),
            "contract",
            "data.rows[0][0] (carrier, string): \\ud834 is half of a surrogate pair, which is no text; write both halves",
        ),
        plain(
            "half a surrogate pair in a name",
            |message| message.body().replacen('{', "{\"\\udd1e\":1,", 1),
            "contract",
            "\\udd1e is half of a surrogate pair, which is no text; write both halves",
        ),
        plain(
            "U+0000",
            |message| message.body().replace("UA", "\\u0000"),
            "contract",
            "data.rows[0][0] (carrier, string): \\u0000 is U+0000, which Postgres holds in no text; leave it out",
        ),
    ]
}

/// What is not true.
pub(super) fn untrue() -> Vec<Hostile> {
    vec![
        plain(
            "two producers",
            |message| message.body().replacen('{', "{\"source\":\"lga\",", 1),
            "contract",
            "an object has the member \"source\" twice; write it once",
        ),
        plain(
            "two counts, one by an escape",
            |message| {
                message
                    .body()
                    .replace("\"row_count\":2", "\"row_count\":2,\"row\\u005fcount\":2")
            },
            "contract",
            "data: an object has the member \"row_count\" twice; write it once",
        ),
        plain(
            "a count too high",
            |message| {
                message
                    .body()
                    .replace("\"row_count\":2", "\"row_count\":18446744073709551615")
            },
            "contract",
            "data.row_count: says 18446744073709551615, there are 2 rows; write all rows and their count",
        ),
        plain(
            "a count beyond counting",
            |message| {
                message
                    .body()
                    .replace("\"row_count\":2", "\"row_count\":18446744073709551616")
            },
            "contract",
            "data.row_count: 18446744073709551616 stands there; write the count of rows, as 2",
        ),
        plain(
            "another producer's envelope",
            |message| message.body().replace("\"jfk\"", "\"lga\""),
            "contract",
            "source: lga is not what the key says, jfk; write the same in both",
        ),
        plain(
            "a producer that is a schema of Postgres",
            |message| message.body().replace("\"jfk\"", "\"pg_catalog\""),
            "contract",
            "source: ",
        ),
        plain(
            "U+0000 itself, behind a backslash",
            |message| message.body().replace("UA", "\\\0"),
            "syntax",
            "data.rows[0][0] (carrier, string): \\\\u0000 is no escape of JSON; write \\\\ for a backslash",
        ),
        plain(
            "nothing",
            |_| String::new(),
            "truncated",
            "the file is empty; write a message, then upload it",
        ),
    ]
}
