//! Starts an S3 server with an inbox, and a Postgres, for trying things by hand, and prints a producer's and a
//! consumer's configuration for them. They end with this process.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::Result;
use clap::Parser;
use nightdrop_compose::{Database, Inbox, Keys, Postgres, S3, S3Kind, folder};

/// An S3 server with an inbox, and a Postgres, for trying Nightdrop by hand.
///
/// Prints a producer's and a consumer's configuration for them, and the commands that use these. All of it ends,
/// and is removed, with this process.
#[derive(Parser)]
#[command(name = "stack")]
struct Cli {
    /// Which S3 server: minio, where it is installed, or seaweedfs
    #[arg(default_value = "seaweedfs", value_parser = ["minio", "seaweedfs"])]
    server: String,
}

fn main() -> Result<()> {
    let kind = match Cli::parse().server.as_str() {
        "minio" => S3Kind::Minio,
        _ => S3Kind::SeaweedFs,
    };
    let s3 = S3::shared(kind)?;
    let inbox = s3.inbox()?;
    let postgres = Postgres::shared()?;
    let (source, reports) = (postgres.database()?, postgres.database()?);
    let folder = folder("stack")?;

    let producer = producer(&inbox, &inbox.producer("jfk")?, &source, &folder)?;
    let consumer = consumer(&inbox, &reports, &folder)?;
    println!("{kind}, process {}", s3.pid()?);
    println!("Postgres, process {}", postgres.pid()?);
    for (name, text) in [("jfk.toml", producer), ("consumer.toml", consumer)] {
        let path = folder.join(name);
        fs::write(&path, &text)?;
        println!("\n# {}\n{text}", path.display());
    }
    let here = folder.display();
    println!("In another terminal:");
    println!("  cargo run --bin nightdrop-producer -- -c {here}/jfk.toml run greeting");
    println!("  cargo run --bin nightdrop-consumer -- -c {here}/consumer.toml once");
    println!(
        "  psql {} -c 'SELECT * FROM jfk.greeting'",
        reports.with_password()
    );
    println!("\nPress Ctrl-D to end it.");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A producer with one job, whose source is a database of its own.
fn producer(inbox: &Inbox, keys: &Keys, source: &Database, folder: &Path) -> Result<String> {
    Ok(format!(
        r#"producer  = "jfk"
state_dir = "{state}"

{bucket}
[source.ops]
url      = "{url}"
password = "{password}"

[job.greeting]
source = "ops"
query  = "SELECT 'hello' AS word, now() AS said_at"
mode   = "append"
"#,
        state = folder.join("state").display(),
        bucket = bucket(inbox, "jfk", keys, folder)?,
        url = source.url,
        password = secret(folder, "jfk_db", &source.password)?,
    ))
}

/// A consumer of what it drops.
fn consumer(inbox: &Inbox, reports: &Database, folder: &Path) -> Result<String> {
    Ok(format!(
        r#"{bucket}
[postgres]
url      = "{url}"
password = "{password}"
"#,
        bucket = bucket(inbox, "reader", &inbox.reader(), folder)?,
        url = reports.url,
        password = secret(folder, "reports", &reports.password)?,
    ))
}

/// `[bucket]`, for one user of it.
fn bucket(inbox: &Inbox, user: &str, keys: &Keys, folder: &Path) -> Result<String> {
    Ok(format!(
        r#"[bucket]
url        = "{url}"
endpoint   = "{endpoint}"
region     = "{region}"
access_key = "{access_key}"
secret_key = "{secret_key}"
"#,
        url = inbox.url(),
        endpoint = inbox.endpoint,
        region = inbox.region,
        access_key = secret(folder, &format!("{user}_s3_user"), &keys.access_key)?,
        secret_key = secret(folder, &format!("{user}_s3"), &keys.secret_key)?,
    ))
}

/// Puts a secret into a file, and says it as a configuration does.
fn secret(folder: &Path, name: &str, secret: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, secret)?;
    Ok(format!("file:{}", path.display()))
}
