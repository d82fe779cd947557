//! The nastiest values of each type. What Postgres sent is loaded back into Postgres, through the file and the
//! contract's reader, and compared there, where equality is what a report would see.

use nightdrop_compose::{MariaDb, Postgres};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::server::{on_mysql, on_postgres, postgres};
use crate::site::Site;

/// Column, type, and values.
const NASTY: &[(&str, &str, &[&str])] = &[
    ("bool", "boolean", &["true", "false"]),
    ("int2", "smallint", &["-32768", "32767"]),
    ("int4", "integer", &["-2147483648", "2147483647"]),
    (
        "int8",
        "bigint",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740993",
        ],
    ),
    (
        "numeric",
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "12345678901234567890123456789012345678",
            "-0.00000000000000000000000000000000000001",
            "1e100",
            "1.10",
            "0",
        ],
    ),
    (
        "float4",
        "real",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "3.4028235e38",
            "1e-45",
            "1.1",
            "'-0'",
            "16777216",
        ],
    ),
    (
        "float8",
        "double precision",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1.7976931348623157e308",
            "5e-324",
            "0.1",
            "'-0'",
            "1e22",
            "123456789012345680000",
        ],
    ),
    (
        "text",
        "text",
        &[
            "''",
            "'\\N'",
            "'NULL'",
            "E'tab\\tnewline\\nreturn\\r'",
            "'\"quotes\" ''single'' \\ back'",
            "'😀 ä 漢 \u{202e}'",
            "E'\\x01\\x1f\\x7f'",
            "' spaces '",
            "repeat('x', 100000)",
        ],
    ),
    ("char", "char(5)", &["''", "'ab'", "'abcde'"]),
    (
        "bytea",
        "bytea",
        &[
            "''",
            "'\\x00'",
            "'\\x00ff00'",
            "'\\x5c4e'",
            "decode(repeat('00ff', 50000), 'hex')",
        ],
    ),
    (
        "date",
        "date",
        &[
            "'4713-01-01 BC'",
            "'0001-01-01'",
            "'5874897-12-31'",
            "'infinity'",
            "'-infinity'",
            "'2000-02-29'",
        ],
    ),
    (
        "time",
        "time",
        &["'00:00'", "'23:59:59.999999'", "'12:00:00.000001'"],
    ),
    (
        "timestamp",
        "timestamp",
        &[
            "'4713-01-01 00:00 BC'",
            "'0044-03-15 12:00:00.5 BC'",
            "'1999-12-31 23:59:59.999999'",
            "'294276-12-31 23:59:59.999999'",
            "'infinity'",
            "'-infinity'",
        ],
    ),
    (
        "timestamptz",
        "timestamptz",
        &[
            "'4713-01-01 00:00+00 BC'",
            "'2013-03-10 02:30:00-05'",
            "'2013-01-31 05:00:00.000001+05:30'",
            "'294276-12-31 23:59:59.999999+00'",
            "'infinity'",
            "'-infinity'",
        ],
    ),
    (
        "uuid",
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        ],
    ),
    (
        "json",
        "json",
        &[
            "'{\"n\": 123456789012345678901234567890.123456789, \"e\": 1e100, \"z\": 1.50}'",
            "'\"\"'",
            "'[]'",
            "'{\"\": {\"é\": \"\\u00e9\\ud83d\\ude00\"}}'",
        ],
    ),
    (
        "jsonb",
        "jsonb",
        &[
            "'{\"n\": 0.00000000000000000000000000000001}'",
            "'[[[[]]]]'",
            "'false'",
        ],
    ),
    (
        "interval",
        "interval",
        &["'-1 year 2 days -03:04:05.678901'", "'0'"],
    ),
    (
        "array",
        "text[]",
        &["'{}'", "'{NULL,\"NULL\",\"\",\"a,b\",\"\\\\\"}'"],
    ),
    ("inet", "inet", &["'::1'", "'10.0.0.1/8'"]),
    ("range", "numrange", &["'empty'", "'(,1.5]'"]),
    ("bits", "varbit", &["B''", "B'0001'"]),
    ("money", "money", &["'-92233720368547758.08'"]),
];

#[tokio::test]
async fn the_nastiest_values_of_postgres_come_back_equal() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let columns: Vec<String> = NASTY
        .iter()
        .map(|(name, ty, _)| format!("\"{name}\" {ty}"))
        .collect();
    on_postgres(
        &database,
        &format!("CREATE TABLE nasty (id serial, {})", columns.join(", ")),
    )
    .await;
    for (name, _, values) in NASTY {
        for value in *values {
            on_postgres(
                &database,
                &format!("INSERT INTO nasty (\"{name}\") VALUES ({value})"),
            )
            .await;
        }
    }
    let expected: usize = NASTY.iter().map(|(_, _, values)| values.len()).sum();

    let message = Site::on(&database).result("SELECT * FROM nasty", "");
    let made: Vec<String> = message
        .header
        .columns
        .iter()
        .map(|column| format!("\"{}\" {}", column.name, column.ty.postgres()))
        .collect();
    let mut connection = postgres(&database).await;
    connection
        .execute(AssertSqlSafe(format!(
            "CREATE TABLE back ({})",
            made.join(", ")
        )))
        .await
        .unwrap();
    let mut copy = connection
        .copy_in_raw("COPY back FROM STDIN (FORMAT binary)")
        .await
        .unwrap();
    copy.send(&message.copy[..]).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), expected as u64);

    for (name, ty, values) in NASTY {
        let back = match *ty {
            // No equality of its own, and what is promised is an equal JSON value.
            "json" => format!("nasty.\"{name}\"::jsonb IS NOT DISTINCT FROM back.\"{name}\""),
            // `-0` equals `0` and so must be told apart by its text; padded text is compared with its padding.
            _ => format!("nasty.\"{name}\"::text IS NOT DISTINCT FROM back.\"{name}\"::{ty}::text"),
        };
        let padded = if *ty == "char(5)" {
            format!(
                "AND rpad(coalesce(nasty.\"{name}\"::text, ''), 5) = rpad(coalesce(back.\"{name}\", ''), 5)"
            )
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT count(nasty.\"{name}\"), count(*) FROM nasty JOIN back USING (id) WHERE {back} {padded}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(
            row.get::<i64, _>(0),
            i64::try_from(values.len()).unwrap(),
            "{name}"
        );
        assert_eq!(
            row.get::<i64, _>(1),
            i64::try_from(expected).unwrap(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_text_that_is_no_utf_8_or_no_json_fails_the_job_by_row_and_column() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let site = Site::on(&database);
    for (query, said) in [
        (
            "SELECT 1 AS id, '24:00'::time AS at",
            "row 1, column at (time without time zone as time): ",
        ),
        (
            "SELECT '{\"a\": 1, \"a\": 2}'::json AS j",
            "row 1, column j (json as json): ",
        ),
        (
            "SELECT g AS id, '{\"a\": \"\\u0000\"}'::json AS j FROM generate_series(1, 2) g",
            "row 1, column j (json as json): ",
        ),
    ] {
        let ended = site.run(query, "");
        assert_eq!(ended.code, Some(65), "{query}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("= \"string\" } takes it as it is"),
            "{}",
            ended.stderr
        );
        let column = if query.contains(" AS at") { "at" } else { "j" };
        site.result(query, &format!("types = {{ {column} = \"string\" }}"));
    }
    // The JSON null would arrive as the null of SQL.
    let ended = site.run("SELECT 'null'::json AS j", "");
    assert_eq!(ended.code, Some(65));
    assert!(
        ended
            .stderr
            .contains("data.rows[0][0] (j, json): the value is the JSON null"),
        "{}",
        ended.stderr
    );
    assert!(site.files("state/spool").is_empty());
}

#[tokio::test]
async fn the_nastiest_values_of_mysql_come_as_they_are() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    on_mysql(
        &database,
        "SET sql_mode = ''; \
         CREATE TABLE nasty (id int, big bigint unsigned, exact decimal(65,0), tiny tinyint(1), f float, d double, \
             t text, b blob, day date, at datetime(6), dur time(6), bits bit(64)); \
         INSERT INTO nasty VALUES \
         (1, 18446744073709551615, 99999999999999999999999999999999999999999999999999999999999999999, -128, \
             3.4028235e38, 5e-324, 'tab\\t\\\\N \"q\" 😀\\0', x'00ff00', '1000-01-01', '9999-12-31 23:59:59.999999', \
             '23:59:59.999999', 0xffffffffffffffff), \
         (2, 0, -1, 127, 16777216, -1e300, '', '', '0000-00-00', '0000-00-00', '-838:59:59', 0)",
    )
    .await;
    let site = Site::on(&database);

    for (column, ty) in [("day", "date"), ("at", "datetime"), ("dur", "time")] {
        let ended = site.run(&format!("SELECT id, {column} FROM nasty ORDER BY id"), "");
        assert_eq!(ended.code, Some(65));
        assert!(
            ended
                .stderr
                .contains(&format!("row 2, column {column} ({ty} as ")),
            "{}",
            ended.stderr
        );
    }
    let ended = site.run("SELECT id, t FROM nasty ORDER BY id", "");
    assert_eq!(
        ended.code,
        Some(65),
        "U+0000 can't be in a text of Postgres"
    );
    assert!(
        ended.stderr.contains("data.rows[0][1] (t, string)"),
        "{}",
        ended.stderr
    );

    let types =
        "types = { day = \"string\", at = \"string\", dur = \"string\", bits = \"decimal\" }";
    let query = "SELECT id, big, exact, tiny, f, d, replace(t, '\\0', '') AS t, b, day, at, dur, bits FROM nasty ORDER BY id";
    let message = site.result(query, types);
    let rows = message.rows();
    assert_eq!(
        rows[0],
        json!([
            1,
            "18446744073709551615",
            "9".repeat(65),
            -128,
            3.402_823_5e38,
            5e-324,
            "tab\t\\N \"q\" 😀",
            "AP8A",
            "1000-01-01",
            "9999-12-31 23:59:59.999999",
            "23:59:59.999999",
            "18446744073709551615"
        ])
    );
    assert_eq!(
        rows[1],
        json!([
            2,
            "0",
            "-1",
            127,
            16_777_216.0,
            -1e300,
            "",
            "",
            "0000-00-00",
            "0000-00-00 00:00:00",
            "-838:59:59",
            "0"
        ])
    );
}

/// A row whose first cell is that long looks, in MySQL's text protocol, like the end of a result.
#[tokio::test]
async fn a_long_first_cell_of_mysql_does_not_end_the_result() {
    if !MariaDb::available() {
        return;
    }
    let database = MariaDb::shared().unwrap().database().unwrap();
    let site = Site::on(&database);
    let query = "SELECT repeat('x', IF(seq = 2, 16777216, 1)) AS t FROM seq_1_to_3";
    let ended = site.run(query, "");
    if ended.code == Some(0) {
        let files = site.files("box");
        assert_eq!(crate::message::Message::read(&files[0]).rows().len(), 3);
    } else {
        // Longer than a cell may be, or than the server sends: either way the job fails by name.
        assert_eq!(ended.code, Some(65), "{}", ended.stderr);
        assert!(site.files("box").is_empty());
    }
}
