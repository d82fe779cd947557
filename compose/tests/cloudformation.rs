//! The templates for AWS, created in moto, beside what the programs print.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use nightdrop_bucket::Settings;
use nightdrop_bucket::policy::{Rights, Server};
use serde_json::{Value, json};

/// What `created.py` says.
fn created() -> Result<&'static Value> {
    static CREATED: LazyLock<Result<Value>> = LazyLock::new(create);
    CREATED.as_ref().map_err(|error| anyhow!("{error:#}"))
}

fn create() -> Result<Value> {
    let python = |arguments: &[&str]| {
        Command::new("python3")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(arguments)
            .output()
            .context("python3 is needed")
    };
    let there = python(&["-c", "import boto3, moto, yaml"])?;
    ensure!(
        there.status.success(),
        "boto3, moto and PyYAML are needed: pip install -r .ci/requirements.txt\n{}",
        String::from_utf8_lossy(&there.stderr)
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cloudformation/created.py");
    let output = python(&[script.to_str().context("a path in UTF-8")?])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn rights() -> Result<Rights> {
    Ok(Rights::of(
        &Settings {
            url: "s3://reports-inbox".parse()?,
            endpoint: None,
            region: Some("eu-central-1".to_owned()),
            imds: false,
            keys: None,
        },
        Some(Server::Aws),
    )?)
}

#[test]
fn the_templates_give_the_rights_that_the_programs_print() -> Result<()> {
    let created = created()?;
    let rights = rights()?;
    for (policy, printed) in [
        (&created["bucket"]["policy"], rights.bucket()?),
        (&created["consumer"]["policy"], rights.consumer()),
        (&created["jfk"]["policy"], rights.producer(&"jfk".parse()?)),
        (&created["lga"]["policy"], rights.producer(&"lga".parse()?)),
    ] {
        assert_eq!(*policy, serde_json::from_str::<Value>(&printed)?);
    }
    for who in ["consumer", "jfk", "lga"] {
        let who = &created[who];
        assert_eq!(who["attached"], json!([who["arn"]]));
    }
    assert_eq!(
        (&created["jfk"]["role"], &created["lga"]["user"]),
        (&Value::Null, &Value::Null),
        "a user or a role, not both"
    );
    assert_eq!(
        created["lga"]["trusted"]["Statement"][0]["Principal"],
        json!({"AWS": "arn:aws:iam::123456789012:role/machine"})
    );
    Ok(())
}

#[test]
fn the_bucket_keeps_what_was_deleted_for_a_while_and_what_was_not_for_good() -> Result<()> {
    let created = created()?;
    let bucket = &created["bucket"];
    assert_eq!(bucket["deletion"], "Retain");
    let properties = &bucket["properties"];
    assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
    let rules = properties["LifecycleConfiguration"]["Rules"]
        .as_array()
        .context("rules")?;
    assert!(
        rules
            .iter()
            .any(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1)
    );
    assert!(
        rules
            .iter()
            .any(|rule| rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == "45")
    );
    for rule in rules {
        // A result that nobody has loaded yet is not the lifecycle's to remove.
        for removes in ["ExpirationInDays", "ExpirationDate", "Transitions"] {
            assert_eq!(rule[removes], Value::Null, "{rule}");
        }
    }
    for block in [
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    ] {
        let public = &properties["PublicAccessBlockConfiguration"];
        assert_eq!(public[block], true, "{block}");
    }
    Ok(())
}
