//! The JSON Schemas, and what they see of a message.

use jsonschema::ValidatorMap;
use nightdrop_schema::{FAILURE_BYTES, FailureKind, Type};
use serde_json::Value;

use crate::{file, json};

/// The three JSON Schemas, each with its `$defs`.
pub(crate) struct Schemas {
    result: ValidatorMap,
    probe: ValidatorMap,
    failed: ValidatorMap,
}

impl Schemas {
    pub(crate) fn load() -> Self {
        let [result, probe, failed] = ["result", "probe", "failed"].map(|name| {
            let schema = schema(name);
            jsonschema::draft202012::meta::validate(&schema)
                .unwrap_or_else(|why| panic!("{name}: {why}"));
            jsonschema::validator_map_for(&schema).unwrap()
        });
        Self {
            result,
            probe,
            failed,
        }
    }

    /// Whether the schemas refuse a message: its form, or one of its cells by the definition of its column's type.
    pub(crate) fn refuse(&self, message: &Value) -> Option<String> {
        let schema = match message["type"].as_str() {
            Some("nightdrop.probe.v1") => &self.probe,
            Some("nightdrop.failed.v1") => &self.failed,
            _ => &self.result,
        };
        let root = schema.get("#").unwrap();
        if let Some(error) = root.iter_errors(message).next() {
            return Some(format!("{}: {error}", error.instance_path()));
        }
        let types: Vec<&str> = each(&message["data"]["columns"])
            .filter_map(|column| column["type"].as_str())
            .collect();
        for row in each(&message["data"]["rows"]) {
            for (ty, cell) in types.iter().zip(each(row)) {
                if let Some(why) = self.refuse_cell(ty, cell) {
                    return Some(why);
                }
            }
        }
        None
    }

    /// Whether the definition of a type's cells refuses this one.
    pub(crate) fn refuse_cell(&self, ty: &str, cell: &Value) -> Option<String> {
        let definition = self.result.get(&format!("#/$defs/{ty}_cell")).unwrap();
        definition
            .iter_errors(cell)
            .next()
            .map(|error| format!("{ty}: {error}"))
    }
}

/// A JSON Schema by its short name.
pub(crate) fn schema(name: &str) -> Value {
    json(&file(format!("{name}.schema.json")))
}

fn each(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

#[test]
fn the_schemas_stand_alone_and_share_the_definitions_of_the_envelope() {
    let [result, probe, failed] = ["result", "probe", "failed"].map(schema);
    for name in ["envelope", "name", "instant"] {
        let definition = &result["$defs"][name];
        assert!(definition.is_object(), "{name}");
        assert_eq!(&probe["$defs"][name], definition, "{name}");
        assert_eq!(&failed["$defs"][name], definition, "{name}");
    }
    for schema in [result, probe, failed] {
        let text = schema.to_string();
        assert_eq!(
            text.matches("\"$ref\":").count(),
            text.matches("\"$ref\":\"#/$defs/").count()
        );
    }
}

#[test]
fn the_schemas_know_the_types_and_the_kinds_of_failure_that_the_code_knows() {
    let types: Vec<&str> = Type::ALL.map(Type::as_str).to_vec();
    let result = schema("result");
    assert_eq!(
        result["$defs"]["column"]["properties"]["type"]["enum"],
        Value::from(types.clone())
    );
    let cells = result["$defs"]
        .as_object()
        .unwrap()
        .keys()
        .filter_map(|name| name.strip_suffix("_cell"));
    assert_eq!(cells.count(), types.len());

    let failure = &schema("failed")["$defs"]["failure"]["properties"];
    let kinds: Vec<&str> = FailureKind::ALL.map(FailureKind::as_str).to_vec();
    assert_eq!(failure["kind"]["enum"], Value::from(kinds));
    assert_eq!(failure["message"]["maxLength"], Value::from(FAILURE_BYTES));
}

#[test]
fn the_examples_in_the_definitions_of_cells_are_read() {
    for ty in Type::ALL.map(Type::as_str) {
        for cell in each(&schema("result")["$defs"][format!("{ty}_cell")]["examples"]) {
            crate::read(crate::one_cell(ty, &cell.to_string()).as_bytes())
                .unwrap_or_else(|why| panic!("{ty} {cell}: {why}"));
        }
    }
}
