//! Starts an S3 server with an inbox, and a Postgres, for trying things by hand, and prints what a
//! config file needs. They end with this process.

use std::io::Read as _;

use anyhow::Result;
use nightdrop_compose::{Postgres, S3, S3Kind};

fn main() -> Result<()> {
    let kind = match std::env::args().nth(1).as_deref() {
        Some("minio") => S3Kind::Minio,
        Some("seaweedfs") | None => S3Kind::SeaweedFs,
        Some(other) => anyhow::bail!("unknown S3 server {other}; say minio or seaweedfs"),
    };
    let s3 = S3::shared(kind)?;
    let inbox = s3.inbox()?;
    let postgres = Postgres::shared()?;
    let database = postgres.database()?;
    println!("{kind}, process {}", s3.pid()?);
    println!(
        "  url = \"{}\"\n  endpoint = \"{}\"\n  region = \"{}\"",
        inbox.url(),
        inbox.endpoint,
        inbox.region
    );
    for (user, keys) in [
        ("reader", inbox.reader()),
        ("producer jfk", inbox.producer("jfk")?),
    ] {
        println!(
            "  {user}: access_key {}, secret_key {}",
            keys.access_key, keys.secret_key
        );
    }
    println!(
        "Postgres, process {}\n  url = \"{}\", password {}",
        postgres.pid()?,
        database.url,
        database.password
    );
    println!("Press Ctrl-D to end both.");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
