//! The README's configuration files are read by the programs, and what it names is there.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a test, a panic is the report, and its name says what it shows"
)]

use std::path::Path;

use nightdrop_runtime::config;

const README: &str = include_str!("../../README.md");

/// The block that begins with these words behind its fence.
fn block(info: &str) -> &'static str {
    let (_, rest) = README
        .split_once(&format!("```{info}\n"))
        .unwrap_or_else(|| panic!("no block {info}"));
    rest.split_once("```").unwrap().0
}

#[test]
fn the_producers_file_is_one_that_the_producer_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jfk.toml");
    std::fs::write(&path, block("toml file=jfk.toml")).unwrap();
    let config = nightdrop_producer::config::Config::load(&path).unwrap();
    assert_eq!(config.producer.as_str(), "jfk");
    assert_eq!(config.jobs.len(), 1);
}

#[test]
fn the_consumers_file_is_one_that_the_consumer_takes() {
    let config: nightdrop_consumer::config::Config =
        config::parse("consumer.toml", block("toml file=consumer.toml")).unwrap();
    assert_eq!(config.routes.len(), 1);
    config.bucket.settings().unwrap();
}

/// A file in a `ConfigMap` of `compose/kubernetes`, whose lines are indented by four.
fn mounted(manifest: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/kubernetes");
    let text = std::fs::read_to_string(path.join(manifest)).unwrap();
    let (_, rest) = text
        .split_once(&format!("\n  {file}: |\n"))
        .unwrap_or_else(|| panic!("{manifest} has no {file}"));
    rest.lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .flat_map(|line| [line.trim_start_matches("    "), "\n"])
        .collect()
}

#[test]
fn the_programs_take_what_kubernetes_mounts() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["jfk.toml", "departures.sql"] {
        let text = mounted("producer.yaml", file);
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    nightdrop_producer::config::Config::load(&folder.path().join("jfk.toml")).unwrap();
    for (manifest, file) in [
        ("consumer.yaml", "consumer.toml"),
        ("migrate.yaml", "owner.toml"),
    ] {
        let config: nightdrop_consumer::config::Config =
            config::parse(file, &mounted(manifest, file)).unwrap();
        config.bucket.settings().unwrap();
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = [
        "README.md",
        "docs/architecture.md",
        "docs/jobs.md",
        "docs/operations.md",
        "docs/sources.md",
        "docs/message-format.md",
        "docs/restore.md",
        "compose/README.md",
        "examples/python/README.md",
    ];
    let mut links = 0;
    for page in pages {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link)
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            assert!(
                root.join(page).parent().unwrap().join(target).exists(),
                "{page}: {link}"
            );
        }
    }
    assert!(links > 10, "only {links} links were found");
}
