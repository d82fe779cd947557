//! `docs/message-format.md` against the schemas and the code: a page that lies is worse than none.

use std::collections::BTreeMap;
use std::path::Path;

use nightdrop_schema::{Caps, Type};
use serde_json::Value;

use crate::schemas::schema;
use crate::{bytes, file, one_cell, read};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/message-format.md");
    String::from_utf8(bytes(&path)).unwrap()
}

/// The rows of the table that follows a text, without its head.
fn table_after(page: &str, text: &str) -> Vec<Vec<String>> {
    let (_, after) = page
        .split_once(text)
        .unwrap_or_else(|| panic!("the page has no {text:?}"));
    let lines = after.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

fn unquoted(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// The code in a cell: what stands between backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Members and whether they are required, as a table says.
fn told(page: &str, text: &str) -> BTreeMap<String, bool> {
    table_after(page, text)
        .iter()
        .map(|row| (unquoted(&row[0]), row[1] == "yes"))
        .collect()
}

/// Members and whether they are required, as the parts of a schema say.
fn known(parts: &[&Value]) -> BTreeMap<String, bool> {
    let names = |part: &Value| -> Vec<String> {
        part["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let required = |name: &str| {
        parts.iter().any(|part| {
            part["required"]
                .as_array()
                .is_some_and(|all| all.contains(&name.into()))
        })
    };
    parts
        .iter()
        .flat_map(|part| names(part))
        .map(|name| (name.clone(), required(&name)))
        .collect()
}

#[test]
fn the_tables_of_members_are_those_of_the_schemas() {
    let page = page();
    let result = schema("result");
    let of = |name: &str| &result["$defs"][name];
    assert_eq!(
        told(&page, "## The envelope"),
        known(&[of("envelope"), &result])
    );
    assert_eq!(told(&page, "## The result"), known(&[of("result")]));
    assert_eq!(
        told(&page, "The members of a column:"),
        known(&[of("column")])
    );
    assert_eq!(
        told(&page, "`nightdrop.failed.v1` tells"),
        known(&[&schema("failed")["$defs"]["failure"]])
    );
}

#[test]
fn the_table_of_types_is_that_of_the_code_and_its_examples_are_read() {
    let rows = table_after(&page(), "## Types");
    let told: Vec<(String, String)> = rows
        .iter()
        .map(|row| (unquoted(&row[0]), unquoted(&row[2])))
        .collect();
    let known = Type::ALL.map(|ty| (ty.as_str().to_owned(), ty.postgres().to_owned()));
    assert_eq!(told, known);
    for row in rows {
        assert!(code(&row[3]).next().is_some(), "{row:?}");
        for cell in code(&row[3]) {
            read(one_cell(&unquoted(&row[0]), cell).as_bytes())
                .unwrap_or_else(|why| panic!("{row:?}: {why}"));
        }
    }
}

#[test]
fn the_table_of_caps_is_that_of_the_code() {
    let caps = Caps::default();
    let size = |bytes: u64| match bytes.trailing_zeros() {
        30.. => format!("{} GiB", bytes >> 30),
        20.. => format!("{} MiB", bytes >> 20),
        _ => bytes.to_string(),
    };
    let told: BTreeMap<String, String> = table_after(&page(), "## Caps")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let of_the_code = [
        ("file, inflated", size(caps.file)),
        ("one row", size(caps.row as u64)),
        ("one cell", size(caps.cell as u64)),
        ("everything before `rows`", size(caps.head as u64)),
        ("columns", caps.columns.to_string()),
        ("depth of nesting", caps.depth.to_string()),
    ];
    for (name, value) in of_the_code {
        assert_eq!(told.get(name), Some(&value), "{name}");
    }
}

#[test]
fn the_smallest_message_on_the_page_is_the_smallest_example() {
    let page = page();
    let (_, after) = page.split_once("```json file=departures.json\n").unwrap();
    let (message, _) = after.split_once("```").unwrap();
    assert_eq!(
        message.as_bytes(),
        bytes(&file("examples/valid/smallest.json"))
    );
    let key = page
        .lines()
        .find_map(|line| line.strip_prefix("Its key in the bucket is `"))
        .unwrap();
    let key = key.split('`').next().unwrap().parse().unwrap();
    read(message.as_bytes())
        .unwrap()
        .envelope
        .agrees(&key)
        .unwrap();
}

#[test]
fn the_range_on_the_page_is_one() {
    let page = page();
    let (_, after) = page
        .split_once("  ```json\n  \"mode\": \"replace\",")
        .unwrap();
    let (members, _) = after.split_once("```").unwrap();
    let message = one_cell("date", "\"2013-01-30\"")
        .replace(
            r#""mode": "append","#,
            &format!(r#""mode": "replace",{members}"#),
        )
        .replace(r#""name": "x""#, r#""name": "flight_date""#);
    read(message.as_bytes()).unwrap();
}

#[test]
fn the_sentence_on_the_page_is_what_the_reader_says() {
    let rows: Vec<&str> = (0..18)
        .map(|row| {
            if row == 17 {
                r#"["UA", 1545.0]"#
            } else {
                r#"["UA", 1]"#
            }
        })
        .collect();
    let message = String::from_utf8(bytes(&file("examples/valid/smallest.json"))).unwrap();
    let message = message
        .replace(r#"["UA", 1545], ["AA", 1141]"#, &rows.join(", "))
        .replace(": 2\n", ": 18\n");
    let Err(error) = read(message.as_bytes()) else {
        panic!("1545.0 is read as an int64")
    };
    assert!(page().contains(&format!("\n{error}\n")), "{error}");
}
