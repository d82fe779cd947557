//! Rows of text with typed columns: what every form of a result is written from, and every check is made against.

use std::fmt::Write as _;

use csv::StringRecord;
use nightdrop_schema::Type;

/// A cell that is null. No text of ours has U+0000.
pub const NULL: &str = "\0";

/// A column of a result.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type in a message.
    pub ty: Type,
}

/// Rows and what their columns are.
#[derive(Debug, Clone)]
pub struct Table {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The cells as PostgreSQL reads them, or [`NULL`].
    pub rows: Vec<StringRecord>,
}

impl Table {
    /// `name bigint, …`: the columns in PostgreSQL.
    pub fn definition(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\" {}", column.name, column.ty.postgres()))
            .collect();
        columns.join(", ")
    }

    /// The names, quoted, with commas.
    pub fn names(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        columns.join(", ")
    }

    /// `name=int64,…`: as the peers are told.
    pub fn told(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{}={}", column.name, column.ty.as_str()))
            .collect();
        columns.join(",")
    }

    /// The rows as PostgreSQL's CSV: null is nothing at all, the empty text stands in quotes.
    pub fn csv(&self) -> Vec<u8> {
        let mut out = String::new();
        for row in &self.rows {
            for (place, cell) in row.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                if cell == NULL {
                    continue;
                }
                if cell.is_empty() || cell.contains([',', '"', '\n', '\r', '\\']) {
                    out.push('"');
                    out.push_str(&cell.replace('"', "\"\""));
                    out.push('"');
                } else {
                    out.push_str(cell);
                }
            }
            out.push('\n');
        }
        out.into_bytes()
    }

    /// `data` of a message: the columns, then a row on each line.
    pub fn message_data(&self, rows: impl ExactSizeIterator<Item = usize>) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!(r#"{{"name":"{}","type":"{}"}}"#, column.name, column.ty))
            .collect();
        let count = rows.len();
        let mut out = format!(
            r#"{{"mode":"append","columns":[{}],"rows":["#,
            columns.join(",")
        );
        for (number, row) in rows.enumerate() {
            out.push_str(if number == 0 { "\n[" } else { ",\n[" });
            for (place, column) in self.columns.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                push_json(&mut out, column.ty, &self.rows[row][place]);
            }
            out.push(']');
        }
        let _ = write!(out, "\n],\"row_count\":{count}}}");
        out
    }

    /// The same rows as NDJSON: an object on each line.
    pub fn lines(&self, rows: impl Iterator<Item = usize>) -> String {
        let mut out = String::new();
        for row in rows {
            for (place, column) in self.columns.iter().enumerate() {
                out.push(if place == 0 { '{' } else { ',' });
                let _ = write!(out, "\"{}\":", column.name);
                push_json(&mut out, column.ty, &self.rows[row][place]);
            }
            out.push_str("}\n");
        }
        out
    }
}

/// A cell as JSON, as a message has it.
fn push_json(out: &mut String, ty: Type, cell: &str) {
    match ty {
        _ if cell == NULL => out.push_str("null"),
        Type::Bool | Type::Int64 | Type::Float64 | Type::Json => out.push_str(cell),
        _ => out.push_str(&serde_json::Value::from(cell).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            columns: vec![
                Column {
                    name: "n",
                    ty: Type::Int64,
                },
                Column {
                    name: "s",
                    ty: Type::String,
                },
            ],
            rows: vec![
                StringRecord::from(vec!["1", "a \"b\", c"]),
                StringRecord::from(vec![NULL, ""]),
                StringRecord::from(vec!["3", NULL]),
            ],
        }
    }

    #[test]
    fn null_and_the_empty_text_stay_apart_in_each_form() {
        let table = table();
        assert_eq!(
            String::from_utf8_lossy(&table.csv()),
            "1,\"a \"\"b\"\", c\"\n,\"\"\n3,\n"
        );
        assert_eq!(
            table.lines(1..3),
            "{\"n\":null,\"s\":\"\"}\n{\"n\":3,\"s\":null}\n"
        );
        assert!(
            table
                .message_data(1..3)
                .ends_with("\"rows\":[\n[null,\"\"],\n[3,null]\n],\"row_count\":2}")
        );
    }
}
