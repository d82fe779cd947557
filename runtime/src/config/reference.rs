//! The reference of a configuration file, made from the types that it is read into: what a key is called, what may
//! stand there, what counts where it is left out, and what its doc comment says. `docs/configuration.md` and `--help`
//! show it.

use std::fmt::{self, Write as _};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

/// The keys of a file, table by table.
#[derive(Debug, Clone)]
pub struct Reference(Vec<Table>);

#[derive(Debug, Clone)]
struct Table {
    /// As it stands in the file: `[bucket]`, `[[route]]`, `[job.NAME]`; empty for the top.
    name: String,
    meaning: String,
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    name: String,
    takes: String,
    default: Option<String>,
    required: bool,
    meaning: String,
}

/// The reference of a file that is read into `T`.
pub fn of<T: JsonSchema>() -> Reference {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut tables = Vec::new();
    if let Some(top) = schema.as_object() {
        walk(top, "", "", &mut tables);
    }
    tables.retain(|table| !table.keys.is_empty());
    Reference(tables)
}

/// A table's keys, then the tables in it.
fn walk(schema: &Map<String, Value>, path: &str, brackets: &str, tables: &mut Vec<Table>) {
    let (open, close) = (brackets, brackets.replace('[', "]"));
    let mut table = Table {
        name: format!("{open}{path}{close}"),
        meaning: text(schema, "description"),
        keys: Vec::new(),
    };
    let mut inside = Vec::new();
    let required = |name: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|names| names.iter().any(|known| known == name))
    };
    for (name, value) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let Some(key) = value.as_object() else {
            continue;
        };
        let below = |last: &str| match path {
            "" => format!("{name}{last}"),
            _ => format!("{path}.{name}{last}"),
        };
        if let Some(table) = as_table(key) {
            inside.push((with_meaning(table, key), below(""), "["));
        } else if let Some(table) = key
            .get("items")
            .and_then(Value::as_object)
            .and_then(as_table)
        {
            inside.push((with_meaning(table, key), below(""), "[["));
        } else if let Some(table) = key
            .get("additionalProperties")
            .and_then(Value::as_object)
            .and_then(as_table)
        {
            inside.push((with_meaning(table, key), below(".NAME"), "["));
        } else {
            table.keys.push(Key {
                name: name.clone(),
                takes: takes(key),
                default: key.get("default").and_then(default),
                required: required(name),
                meaning: text(key, "description"),
            });
        }
    }
    tables.push(table);
    for (schema, path, brackets) in inside {
        walk(&schema, &path, brackets, tables);
    }
}

/// The table that a value is, if it is one; or may be, if it may be left out.
fn as_table(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    if schema.contains_key("properties") {
        return Some(schema);
    }
    let choices = schema.get("anyOf").and_then(Value::as_array)?;
    choices
        .iter()
        .filter_map(Value::as_object)
        .find_map(as_table)
}

/// What is said of the key says more than what is said of its type.
fn with_meaning(table: &Map<String, Value>, key: &Map<String, Value>) -> Map<String, Value> {
    let mut table = table.clone();
    if let Some(meaning) = key.get("description") {
        table.insert("description".to_owned(), meaning.clone());
    }
    table
}

/// What may stand there, in words.
fn takes(schema: &Map<String, Value>) -> String {
    let choice = |value: &Value| value.as_str().map(|choice| format!("`\"{choice}\"`"));
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices
            .iter()
            .filter_map(choice)
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(only) = schema.get("const") {
        return choice(only).unwrap_or_default();
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(choices) = schema.get(several).and_then(Value::as_array) {
            let choices = choices.iter().filter_map(Value::as_object).map(takes);
            return choices
                .filter(|choice| choice != "null")
                .collect::<Vec<_>>()
                .join(", ");
        }
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !format.starts_with("uint")
    {
        return format.to_owned();
    }
    let of = |items: &Value| items.as_object().map(takes).unwrap_or_default();
    if let Some(items) = schema.get("items") {
        return format!("list of {}", of(items));
    }
    if let Some(values) = schema
        .get("additionalProperties")
        .filter(|values| values.is_object())
    {
        return format!("table of {}", of(values));
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let named = types
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "string" => "text",
            "integer" => "number",
            "boolean" => "`true`, `false`",
            other => other,
        });
    named.collect::<Vec<_>>().join(", ")
}

/// As it would stand in the file; nothing says that it is left out.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(of) if of.is_empty() => None,
        Value::Array(of) if of.is_empty() => None,
        // One that is read by a function of its own, which doesn't say how it is written.
        Value::Object(of) if of.contains_key("secs") => {
            let seconds = of.get("secs").and_then(Value::as_u64).unwrap_or_default();
            let text = super::duration::text(std::time::Duration::from_secs(seconds));
            Some(format!("{text:?}"))
        }
        other => Some(other.to_string()),
    }
}

/// The first paragraph, on one line.
fn text(schema: &Map<String, Value>, member: &str) -> String {
    let text = schema
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Reference {
    /// As a page of Markdown, below a heading of the second level.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        for table in &self.0 {
            if !table.name.is_empty() {
                let _ = writeln!(page, "\n### `{}`", table.name);
                if !table.meaning.is_empty() {
                    let _ = writeln!(page, "\n{}", table.meaning);
                }
            }
            page += "\n| key | value | left out | meaning |\n|---|---|---|---|\n";
            for key in &table.keys {
                let default = match (&key.default, key.required) {
                    (_, true) => "must be there".to_owned(),
                    (Some(default), false) => format!("`{default}`"),
                    (None, false) => String::new(),
                };
                let cell = |text: &str| text.replace('|', "\\|");
                let _ = writeln!(
                    page,
                    "| `{}` | {} | {} | {} |",
                    key.name,
                    cell(&key.takes),
                    cell(&default),
                    cell(&key.meaning)
                );
            }
        }
        page
    }
}

impl fmt::Display for Reference {
    /// As `--help` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| text.replace('`', "");
        for table in &self.0 {
            writeln!(f)?;
            if !table.name.is_empty() {
                writeln!(f, "{}", table.name)?;
            }
            for key in &table.keys {
                let default = match (&key.default, key.required) {
                    (_, true) => "; must be there".to_owned(),
                    (Some(default), false) => format!("; {default} unless said"),
                    (None, false) => String::new(),
                };
                writeln!(f, "  {} ({}{default})", key.name, plain(&key.takes))?;
                writeln!(f, "      {}", plain(&key.meaning))?;
            }
        }
        Ok(())
    }
}

/// For `#[schemars(with = "String", extend("format" = DURATION))]`: what `config::duration` reads.
pub const DURATION: &str = "duration, such as `\"15m\"`";

/// The same for `config::size`.
pub const SIZE: &str = "size, such as `\"64MiB\"`";

/// A secret by reference.
pub const SECRET: &str = "`\"env:NAME\"` or `\"file:/path\"`";
