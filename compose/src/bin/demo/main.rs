//! `cargo demo`: three airports on three kinds of database report to one Postgres through a bucket
//! that none of them can read. Real servers, real programs, real data; exit 0 only if everything
//! that it tells was so.
//!
//! `cargo demo -- --help`

mod airport;
mod drop_box;
mod page;
mod programs;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use nightdrop_compose::{MariaDb, Postgres, S3, S3Kind};

use airport::Airport;
use page::{Page, thousands};
use programs::Site;

/// What the data has, by `examples/data/README.md`.
const FLIGHTS: i64 = 27_004;
const WEATHER: i64 = 2_226;
const AIRLINES: i64 = 16;

/// Three airports, on three kinds of database, report the flights and the weather of January 2013 to one Postgres,
/// through a bucket that none of them can read.
///
/// Starts real servers on 127.0.0.1, which end with it, and takes about ten seconds. Ends with 0 only if everything
/// that it tells was so.
#[derive(Parser)]
#[command(name = "cargo demo --")]
struct Demo {}

#[tokio::main]
async fn main() -> ExitCode {
    let Demo {} = Demo::parse();
    let page = Page::new();
    let told = match programs::built() {
        Ok(programs) => tell(&page, programs).await,
        Err(error) => Err(error),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            page.failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn tell(page: &Page, [producer, consumer]: [PathBuf; 2]) -> Result<()> {
    let start = Instant::now();
    page.title(
        "Nightdrop: three airports report January 2013 to one Postgres, through a bucket none of them can read",
    );

    page.chapter(
        "The places",
        "real servers on 127.0.0.1, which end with this program",
    );
    let kind = *S3Kind::available()
        .last()
        .context("there is always SeaweedFS")?;
    let since = Instant::now();
    let inbox = S3::shared(kind)?.inbox()?;
    page.row("bucket", &format!("{kind}, {}", inbox.url()), since);
    let since = Instant::now();
    let reports = Postgres::shared()?.database()?;
    page.row(
        "reports",
        &format!("{}, empty", report::version(&reports).await?),
        since,
    );
    let site = Site::new(&inbox, &reports)?;
    let mut airports = vec![];
    for name in ["jfk", "ewr", "lga"] {
        let since = Instant::now();
        let airport = match name {
            "jfk" => Airport::on_postgres(name, &["flights", "weather", "airlines"]).await?,
            "ewr" if MariaDb::available() => {
                Airport::on_mariadb(name, &["flights", "weather"]).await?
            }
            "ewr" => Airport::on_postgres(name, &["flights", "weather"]).await?,
            _ => Airport::on_sqlite(name, &["flights", "weather"], site.folder()).await?,
        };
        page.row(name, &airport.holdings(), since);
        airports.push(airport);
    }
    if kind == S3Kind::SeaweedFs {
        page.note("MinIO is not installed: SeaweedFS stands in for it.");
    }
    if !MariaDb::available() {
        page.note("MariaDB is not installed: a second Postgres stands in for it.");
    }

    page.chapter(
        "The producers",
        "each has a key that puts below its own prefix, and does nothing else",
    );
    for airport in &airports {
        let keys = inbox.producer(airport.name)?;
        site.add_airport(airport, &keys)?;
        page.command(&site.run(&producer, &["run", "--all"], airport.name, &keys.access_key)?);
    }

    page.chapter(
        "The bucket",
        "the results wait: nobody is there to take them, and nobody has to be",
    );
    let lying = drop_box::list(&inbox)?;
    for object in &lying {
        page.object(&object.key, object.size);
    }
    if lying.len() != 7 {
        bail!(
            "7 results should lie in the bucket, two of each airport and the airlines, not {}",
            lying.len()
        );
    }
    page.note(&drop_box::refusals(&inbox, &site.keys("jfk")?, &lying)?);

    page.chapter("The consumer", "loads them, commits, and only then deletes");
    page.command(&site.run(&consumer, &["once"], "consumer", &inbox.reader().access_key)?);
    let left = drop_box::list(&inbox)?;
    if let Some(object) = left.first() {
        bail!(
            "the bucket should be empty after the consumer, but {} is still there",
            object.key
        );
    }
    let counts = report::counts(&reports).await?;
    every_row_is_there(counts)?;
    report::check_sums(&reports).await?;

    page.chapter(
        "The report",
        "mean arrival delay in minutes, in dry hours and in rain at the airport",
    );
    let delays = report::delays(&reports).await?;
    page.table(&delays);

    let [flights, weather, airlines] = counts.map(thousands);
    let text = format!(
        "January 2013: {flights} flights, {weather} weather rows, {airlines} airlines. The bucket is empty."
    );
    page.done(&text, start);
    Ok(())
}

fn every_row_is_there(counts: [i64; 3]) -> Result<()> {
    let expected = [
        ("flights", FLIGHTS),
        ("weather", WEATHER),
        ("airlines", AIRLINES),
    ];
    for ((table, expected), count) in expected.into_iter().zip(counts) {
        if count != expected {
            bail!("reports.{table} should have {expected} rows, and has {count}");
        }
    }
    Ok(())
}
