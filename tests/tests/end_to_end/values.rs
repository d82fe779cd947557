//! Every value arrives as it was in the source: database → bucket → reports, compared row by row.

use nightdrop_compose::MariaDb;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection};

use crate::process::Process;
use crate::site::{PATIENCE, Site, on_each};

/// One column of every type that Postgres has a message type for, and some that travel as their text.
/// Values are SQL, a row each.
const POSTGRES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "32767"]),
    ("integer", &["-2147483648", "2147483647"]),
    (
        "bigint",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740993",
        ],
    ),
    (
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "12345678901234567890123456789012345678",
            "-0.00000000000000000000000000000000000001",
            "1.10",
            "0.000",
            "1e-10",
            "-10000",
            "9999.9999",
        ],
    ),
    (
        "real",
        &[
            "'NaN'",
            "'-Infinity'",
            "3.4028235e38",
            "1e-45",
            "1.1",
            "'-0'",
        ],
    ),
    (
        "double precision",
        &[
            "'NaN'",
            "'Infinity'",
            "1.7976931348623157e308",
            "5e-324",
            "0.1",
            "'-0'",
            "123456789012345680000",
        ],
    ),
    (
        "text",
        &[
            "''",
            "'\\N'",
            "'NULL'",
            "E'tab\\tnewline\\nreturn\\r'",
            "'\"quotes\" ''single'' \\ back'",
            "'😀 ä 漢'",
            "E'\\x01\\x1f\\x7f'",
            "repeat('x', 70000)",
        ],
    ),
    ("varchar(10)", &["'ten chars!'", "'  '"]),
    (
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
        &[
            "'4713-01-01 BC'",
            "'0001-01-01'",
            "'5874897-12-31'",
            "'infinity'",
            "'-infinity'",
            "'2000-02-29'",
        ],
    ),
    ("time", &["'00:00'", "'23:59:59.999999'"]),
    (
        "timestamp",
        &[
            "'0044-03-15 12:00:00.5 BC'",
            "'1999-12-31 23:59:59.999999'",
            "'294276-12-31 23:59:59.999999'",
            "'infinity'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'4713-01-01 00:00+00 BC'",
            "'2013-03-10 02:30:00-05'",
            "'2013-01-31 05:00:00.000001+05:30'",
            "'-infinity'",
        ],
    ),
    (
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        ],
    ),
    (
        "jsonb",
        &[
            "'{\"n\": 123456789012345678901234567890.123456789, \"e\": 1e100, \"z\": 1.50}'",
            "'\"\\u00e9\\ud83d\\ude00\"'",
            "'[[[[]]]]'",
            "'false'",
        ],
    ),
    ("text[]", &["'{}'", "'{NULL,\"NULL\",\"\",\"a,b\"}'"]),
    ("interval", &["'-1 year 2 days -03:04:05.678901'"]),
    ("inet", &["'10.0.0.1/8'"]),
    ("ops.mood", &["'sad'", "'so so'"]),
];

/// Runs a job named `nasty` of the producer `jfk`, and then the consumer.
fn through(site: &Site, source: &str, query: &str, types: &str) {
    let job = format!(
        "[job.nasty]\nsource = \"db\"\nmode = \"append\"\nquery = '''{query}'''\n{types}\n"
    );
    let config = site.producer_reading("jfk", source, "zstd", &job);
    let ended = Process::start("nightdrop-producer", &config, &["run", "nasty"]).wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    site.once();
    assert_eq!(site.states(), ["loaded|null"]);
}

#[test]
fn every_value_of_postgres_arrives_as_it_was() {
    on_each(|site| {
        let columns: Vec<String> = POSTGRES
            .iter()
            .enumerate()
            .map(|(at, (ty, _))| format!("c{at} {ty}"))
            .collect();
        site.execute(&format!(
            "CREATE SCHEMA ops; CREATE TYPE ops.mood AS ENUM ('sad', 'so so'); CREATE TABLE ops.nasty (id serial, {})",
            columns.join(", ")
        ));
        for (at, (_, values)) in POSTGRES.iter().enumerate() {
            for value in *values {
                site.execute(&format!("INSERT INTO ops.nasty (c{at}) VALUES ({value})"));
            }
        }
        let source = site.reports_as_source();
        through(&site, &source, "SELECT * FROM ops.nasty", "");

        let total: usize = POSTGRES.iter().map(|(_, values)| values.len()).sum();
        for (at, (ty, values)) in POSTGRES.iter().enumerate() {
            // By their text, for -0 equals 0 and 1.10 equals 1.1; a null is a null and no empty text.
            let equal = format!("o.c{at}::text IS NOT DISTINCT FROM j.c{at}::{ty}::text");
            assert_eq!(
                site.rows(&format!(
                    "SELECT count(*), count(o.c{at}), count(j.c{at}) FROM ops.nasty o JOIN jfk.nasty j USING (id) WHERE {equal}"
                )),
                [format!("{total}|{}|{}", values.len(), values.len())],
                "{ty}"
            );
        }
        // The numbers themselves are numbers there, not their text.
        assert_eq!(
            site.rows("SELECT DISTINCT pg_typeof(c3), pg_typeof(c4), pg_typeof(c6), pg_typeof(c9), pg_typeof(c13), pg_typeof(c15) FROM jfk.nasty"),
            ["bigint|numeric|double precision|bytea|timestamp with time zone|jsonb"]
        );
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn every_value_of_mariadb_arrives_as_it_was() {
    if !MariaDb::available() {
        eprintln!("MariaDB is not installed here: apt-get install mariadb-server");
        return;
    }
    let site = Site::anywhere();
    let database = MariaDb::shared().unwrap().database().unwrap();
    block_on(async {
        let made = "SET sql_mode = ''; \
             CREATE TABLE nasty (id int, big bigint unsigned, exact decimal(65,10), tiny tinyint, f float, d double, \
                 t text, b blob, day date, at datetime(6), stamp timestamp(6) NULL, clock time(6), e enum('a', 'b c'), \
                 s set('x', 'y'), y year, zero date); \
             INSERT INTO nasty VALUES \
             (1, 18446744073709551615, 9999999999999999999999999999999999999999999999999999999.9999999999, -128, \
                 1.1, 5e-324, 'tab\\t\\\\N \"q\" 😀', x'00ff00', '1000-01-01', '9999-12-31 23:59:59.999999', \
                 '2013-01-31 05:00:00.000001', '23:59:59.999999', 'b c', 'x,y', 2013, '0000-00-00'), \
             (2, 0, -1, 127, 16777216, -1e300, '', '', '2000-02-29', '1000-01-01', '1970-01-02', '00:00:00', 'a', '', 1901, '0000-00-00'), \
             (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
        // The session's zone is what a TIMESTAMP is written in.
        let mut connection = MySqlConnection::connect(&database.with_password())
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("SET time_zone = '+00:00'; {made}")))
            .execute(&mut connection)
            .await
            .unwrap();
    });
    let source = site.source(&database);
    through(
        &site,
        &source,
        "SELECT * FROM nasty",
        "types = { zero = \"string\" }",
    );
    assert_eq!(
        site.rows("SELECT id, big, exact, tiny, f, d, t, encode(b, 'hex') AS b, day, at, stamp, clock, e, s, y, zero FROM jfk.nasty ORDER BY id"),
        [
            "1|18446744073709551615|9999999999999999999999999999999999999999999999999999999.9999999999|-128|1.1|5e-324|\
             tab\t\\N \"q\" 😀|00ff00|1000-01-01|9999-12-31T23:59:59.999999|2013-01-31T05:00:00.000001+00:00|\
             23:59:59.999999|b c|x,y|2013|0000-00-00",
            "2|0|-1.0000000000|127|16777216|-1e+300|||2000-02-29|1000-01-01T00:00:00|1970-01-02T00:00:00+00:00|00:00:00|a||1901|0000-00-00",
            "3|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null",
        ]
    );
}

#[test]
fn every_value_of_sqlite_arrives_as_it_was() {
    let site = Site::anywhere();
    let file = site.folder.path().join("lga.db");
    block_on(async {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        let made = "CREATE TABLE nasty (id INTEGER, big INTEGER, exact TEXT, r REAL, t TEXT, b BLOB, flag BOOLEAN, day TEXT, j TEXT); \
             INSERT INTO nasty VALUES \
             (1, 9223372036854775807, '12345678901234567890123456789012345678', 5e-324, 'tab' || char(9) || '\\N \"q\" 😀', \
                 x'00ff00', 1, '2013-01-31', '{\"n\": 123456789012345678901234567890}'), \
             (2, -9223372036854775808, '-0.10', -9e999, '', x'', 0, '-infinity', '[]'), \
             (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
        sqlx::raw_sql(made).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let source = format!("url = \"sqlite://{}\"", file.display());
    let types = "types = { exact = \"decimal\", day = \"date\", j = \"json\" }";
    through(&site, &source, "SELECT * FROM nasty", types);
    assert_eq!(
        site.rows("SELECT id, big, exact, r, t, encode(b, 'hex') AS b, flag, day, j FROM jfk.nasty ORDER BY id"),
        [
            "1|9223372036854775807|12345678901234567890123456789012345678|5e-324|tab\t\\N \"q\" 😀|00ff00|true|2013-01-31|{\"n\": 123456789012345678901234567890}",
            "2|-9223372036854775808|-0.10|-Infinity|||false|-infinity|[]",
            "3|null|null|null|null|null|null|null|null",
        ]
    );
}
