//! Who may use whom, in the workspace: an arrow that points the wrong way fails here.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a test, a panic is the report, and its name says what it shows"
)]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate, with all of ours that its code may use.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("schema", &[]),
    ("runtime", &[]),
    ("bucket", &["schema"]),
    ("producer", &["bucket", "runtime", "schema"]),
    ("consumer", &["bucket", "runtime", "schema"]),
    (
        "compose",
        &["bucket", "runtime", "schema", "producer", "consumer"],
    ),
    (
        "tests",
        &[
            "bucket", "runtime", "schema", "producer", "consumer", "compose",
        ],
    ),
    (
        "bench",
        &[
            "bucket", "runtime", "schema", "producer", "consumer", "compose",
        ],
    ),
];

#[test]
fn no_crate_uses_one_that_it_may_not_know() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .other_options(["--offline".into()])
        .exec()
        .unwrap();
    let allowed: BTreeMap<String, &[&str]> = ALLOWED
        .iter()
        .map(|(name, uses)| (format!("nightdrop-{name}"), *uses))
        .collect();
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.to_string();
        let uses = allowed
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is new: say here whom it may use"));
        found.push(name.clone());
        for dependency in &package.dependencies {
            let Some(ours) = dependency.name.strip_prefix("nightdrop-") else {
                continue;
            };
            // A test of a library may not know more of the house than the library does.
            assert!(
                uses.contains(&ours),
                "{name} uses {ours}{}",
                if dependency.kind == DependencyKind::Development {
                    " in its tests"
                } else {
                    ""
                }
            );
        }
    }
    found.sort();
    assert_eq!(found, allowed.into_keys().collect::<Vec<_>>());
}

#[test]
fn the_contract_knows_no_network_and_no_async() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .other_options(["--offline".into()])
        .exec()
        .unwrap();
    let schema = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name.as_str() == "nightdrop-schema")
        .expect("the crate schema");
    let dependencies: Vec<&str> = schema
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .collect();
    for io in [
        "tokio",
        "reqwest",
        "sqlx",
        "object_store",
        "axum",
        "futures",
    ] {
        assert!(!dependencies.contains(&io), "schema is pure, and uses {io}");
    }
}
