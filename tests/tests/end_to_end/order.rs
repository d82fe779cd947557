//! Whatever comes late, twice, or at the same instant: the reports end as the design's order says.

use serde_json::{Value, json};

use crate::message::{Message, message};
use crate::site::on_each;

/// A `replace` of a range of its first column.
fn ranged(
    job: &str,
    ty: &str,
    time: &str,
    from: &Value,
    to: &Value,
    rows: &[(&Value, i64)],
) -> Message {
    let rows: Vec<Value> = rows.iter().map(|(at, n)| json!([at, n])).collect();
    message("jfk", job, time)
        .with("mode", json!("replace"))
        .with(
            "columns",
            json!([{"name": "at", "type": ty}, {"name": "n", "type": "int64"}]),
        )
        .with("range", json!({"column": "at", "from": from, "to": to}))
        .rows(&json!(rows))
}

#[test]
fn a_range_is_replaced_whatever_its_columns_type_and_however_far_off_its_years() {
    // Each ascends; the years outside 0001 to 9999 are written otherwise by Postgres.
    let columns = [
        (
            "int64",
            json!([i64::MIN, -1, 0, 9_007_199_254_740_993_i64, i64::MAX]),
        ),
        (
            "date",
            json!([
                "-4713-11-24",
                "0000-12-31",
                "2013-01-31",
                "+10000-01-01",
                "+5874897-12-31"
            ]),
        ),
        (
            "timestamp",
            json!([
                "-4713-11-24T00:00:00",
                "-0001-02-03T04:05:06.789",
                "2013-01-31T00:00:00.000001",
                "+12345-06-07T08:09:10",
                "+294276-12-31T23:59:59.999999"
            ]),
        ),
        (
            "timestamptz",
            json!([
                "-4713-11-24T00:00:00Z",
                "-0001-02-03T04:05:06.789Z",
                "2013-01-31T00:00:00.000001+05:45",
                "+12345-06-07T08:09:10Z",
                "+294276-12-31T23:59:59.999999Z"
            ]),
        ),
    ];
    on_each(|site| {
        for (ty, at) in &columns {
            site.drop(&ranged(
                ty,
                ty,
                "2013-02-01T00:00:00Z",
                &at[0],
                &at[4],
                &[(&at[0], 0), (&at[1], 1), (&at[2], 2), (&at[3], 3)],
            ));
        }
        site.once();
        for (ty, at) in &columns {
            // Half-open: the first and the second go, the third stays.
            site.drop(&ranged(
                ty,
                ty,
                "2013-02-02T00:00:00Z",
                &at[0],
                &at[2],
                &[(&at[1], 11)],
            ));
            site.drop(&ranged(ty, ty, "2013-02-03T00:00:00Z", &at[3], &at[4], &[]));
        }
        site.once();
        assert_eq!(
            site.rows("SELECT DISTINCT state, error FROM nightdrop.file"),
            ["loaded|null"]
        );
        for (ty, _) in &columns {
            assert_eq!(
                site.rows(&format!("SELECT n FROM jfk.\"{ty}\" ORDER BY at")),
                ["11", "2"],
                "{ty}"
            );
        }
    });
}
