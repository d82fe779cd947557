//! Where in the file an error of the TOML reader lies, and what it says without its values.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Line and key of a byte range of a TOML text.
pub(super) struct Place {
    /// From 1.
    pub(super) line: usize,
    /// The key, dotted from the top.
    pub(super) key: String,
    /// The table that the key stands in, dotted from the top.
    pub(super) table: String,
}

impl Place {
    pub(super) fn of(text: &str, span: Option<Range<usize>>) -> Self {
        let start = span.as_ref().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        // A text that is no TOML has no keys to name: the line must do. What
        // concerns the file as a whole has none either.
        let mut path = Vec::new();
        if let Ok(table) = DeTable::parse(text)
            && span.is_some_and(|span| span != table.span())
        {
            descend(table.get_ref(), start, &mut path);
        }
        let table = path
            .split_last()
            .map_or_else(String::new, |(_, table)| dotted(table));
        Self {
            line,
            key: dotted(&path),
            table,
        }
    }
}

/// The path of keys to what stands at `at`. A table's own span is just its
/// header, so what is inside is tried before the key and the header.
fn descend(table: &DeTable<'_>, at: usize, path: &mut Vec<String>) -> bool {
    table.iter().any(|(key, value)| {
        path.push(key.get_ref().to_string());
        let found = inside(value.get_ref(), &value.span(), at, path) || key.span().contains(&at);
        if !found {
            path.pop();
        }
        found
    })
}

fn inside(value: &DeValue<'_>, span: &Range<usize>, at: usize, path: &mut Vec<String>) -> bool {
    match value {
        DeValue::Table(table) => descend(table, at, path) || span.contains(&at),
        DeValue::Array(items) => {
            let last = path.len().saturating_sub(1);
            let name = path[last].clone();
            for (index, item) in items.iter().enumerate() {
                path[last] = format!("{name}[{index}]");
                if inside(item.get_ref(), &item.span(), at, path) {
                    return true;
                }
            }
            path[last] = name;
            span.contains(&at)
        }
        _ => span.contains(&at),
    }
}

fn dotted(path: &[String]) -> String {
    path.join(".")
}

/// The key and the known keys of serde's own sentence about an unknown field
/// (`serde::de::Error::unknown_field`): "unknown field `a`, expected one of `b`, `c`".
pub(super) fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let known = rest
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    Some((key.to_owned(), known))
}

/// serde puts the value that it found into its sentence ("invalid type: string
/// "hunter2", expected …"). What was found stays, its value goes.
pub(super) fn without_values(message: &str) -> String {
    if let Some(key) = message.strip_prefix("missing field `") {
        return format!("\"{}\" is missing", key.trim_end_matches('`'));
    }
    for what in ["invalid type: ", "invalid value: "] {
        let Some(rest) = message.strip_prefix(what) else {
            continue;
        };
        let Some((found, expected)) = rest.rsplit_once(", expected ") else {
            continue;
        };
        let kind: String = found
            .chars()
            .take_while(|c| !matches!(c, '"' | '`'))
            .collect();
        return format!("{what}{}, expected {expected}", kind.trim_end());
    }
    message.to_owned()
}
