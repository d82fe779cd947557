//! A producer of one's own: rows from anywhere, the same way into the bucket.
//!
//! ```sh
//! cargo run --package nightdrop-producer --example own_source -- file:///srv/drop /var/lib/nightdrop/lga
//! ```

use std::{env, process::ExitCode, time::Duration};

use nightdrop_bucket::{Bucket, Settings};
use nightdrop_producer::{drain, spool::Spool};
use nightdrop_schema::{Column, Compression, Header, Mode, Timestamptz, Type, Value};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    match drop_runways().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What, where, and what to do: that is what it displays.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn drop_runways() -> Result<(), Box<dyn std::error::Error>> {
    let [url, state_dir] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: URL STATE_DIR")?;

    // What the rows are. `replace`: each result is all there is.
    let header = Header {
        mode: Mode::Replace { range: None },
        columns: vec![
            Column::new("runway".parse()?, Type::String),
            Column::new("feet".parse()?, Type::Int64),
        ],
        parameters: None,
        next_by: None,
    };

    // One run at a time; into the spool, durably.
    let turn = Spool::new("lga".parse()?, state_dir).lock(&"runways".parse()?)?;
    let as_of = Timestamptz::from_unix_micros(1_357_016_400_000_000).ok_or("out of range")?;
    let mut result = turn.begin(as_of, &header, Compression::Zstd)?;
    for (runway, feet) in [("04/22", 7_001), ("13/31", 7_003)] {
        result.row([Value::String(runway), Value::Int64(feet)])?;
    }
    let entry = result.commit()?;

    // From here on nothing can be lost: what is not put now, the next run puts first.
    let settings = Settings {
        url: url.parse()?,
        endpoint: None,
        region: None,
        imds: false,
        keys: None,
    };
    drain(
        &turn,
        &Bucket::open(settings)?,
        Duration::from_mins(15),
        &CancellationToken::new(),
    )
    .await?;
    println!("{}", entry.key);
    Ok(())
}
