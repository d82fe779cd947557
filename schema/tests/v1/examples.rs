//! The examples: each valid one is read, each invalid one is refused by its own sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nightdrop_schema::{Data, Mode};
use serde::Deserialize;

use crate::schemas::Schemas;
use crate::{bytes, file, json, read};

/// What `examples/invalid.json` says of a file.
#[derive(Debug, Deserialize, PartialEq)]
struct Refusal {
    sentence: String,
    kind: String,
    /// Who is the first to see it: any JSON "parser", the JSON "schema", or only the "consumer".
    seen_by: String,
}

fn examples(folder: &str) -> BTreeMap<String, PathBuf> {
    let folder = std::fs::read_dir(file("examples").join(folder)).unwrap();
    folder
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

#[test]
fn every_valid_example_passes_the_schemas_and_the_reader() {
    let schemas = Schemas::load();
    for (name, path) in examples("valid") {
        let message = bytes(&path);
        read(&message).unwrap_or_else(|why| panic!("{name}: {why}"));
        // As deep as a message may be is a level deeper than serde_json goes.
        if name != "as_deep_as_it_may_be.json" {
            assert_eq!(schemas.refuse(&json(&path)), None, "{name}");
        }
    }
}

#[test]
fn every_mode_and_every_event_has_a_valid_example() {
    let mut missing: Vec<&str> = vec![
        "append", "replace", "range", "upsert", "probe", "failed", "no rows",
    ];
    for path in examples("valid").into_values() {
        let message = read(&bytes(&path)).unwrap();
        let found = match &message.data {
            Data::Result(header) => match &header.mode {
                Mode::Replace { range: Some(_) } => "range",
                mode => mode.as_str(),
            },
            Data::Probe => "probe",
            Data::Failed(_) => "failed",
        };
        missing.retain(|name| *name != found && !(message.rows.is_empty() && *name == "no rows"));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_invalid_example_is_refused_by_its_own_sentence() {
    let schemas = Schemas::load();
    let told: BTreeMap<String, Refusal> = json(&file("examples/invalid.json"));
    let found: BTreeMap<String, Refusal> = examples("invalid")
        .into_iter()
        .map(|(name, path)| {
            let message = bytes(&path);
            let Err(error) = read(&message) else {
                panic!("{name} is read without a word")
            };
            let kind = error.kind.as_str().to_owned();
            let seen_by = match (kind.as_str(), serde_json::from_slice(&message)) {
                ("truncated" | "syntax", _) => "parser",
                (_, Ok(message)) if schemas.refuse(&message).is_some() => "schema",
                _ => "consumer",
            };
            (
                name,
                Refusal {
                    sentence: error.to_string(),
                    kind,
                    seen_by: seen_by.to_owned(),
                },
            )
        })
        .collect();
    if found == told {
        return;
    }
    let names: BTreeSet<&String> = found.keys().chain(told.keys()).collect();
    let differ: Vec<_> = names
        .into_iter()
        .filter(|name| found.get(*name) != told.get(*name))
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("invalid.json");
    std::fs::write(&path, index(&found)).unwrap();
    panic!(
        "examples/invalid.json is not what the reader says about {differ:?}; that is in {}: judge it, then copy it",
        path.display()
    );
}

/// The index as it is kept: a line for each file.
fn index(refusals: &BTreeMap<String, Refusal>) -> String {
    let text = |value: &str| serde_json::to_string(value).unwrap();
    let line = |(name, refusal): (&String, &Refusal)| {
        format!(
            "  {}: {{\"sentence\": {}, \"kind\": {}, \"seen_by\": {}}}",
            text(name),
            text(&refusal.sentence),
            text(&refusal.kind),
            text(&refusal.seen_by)
        )
    };
    let lines: Vec<String> = refusals.iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[test]
fn no_valid_example_can_be_cut_without_being_refused() {
    for (name, path) in examples("valid") {
        let message = bytes(&path);
        let whole = message.trim_ascii_end().len();
        // Every cut of a small file; of a large one each hundredth, and those near its end.
        let step = 1 + whole / 2000;
        for cut in (0..whole).filter(|cut| cut % step == 0 || whole - cut < 200) {
            assert!(
                read(&message[..cut]).is_err(),
                "{name} is read though it was cut after {cut} bytes"
            );
        }
    }
}
