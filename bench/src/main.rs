//! `cargo bench-peers`: parses, measures, writes the report.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use nightdrop_bench::bench::{self, Options, WORKS};
use nightdrop_bench::python::Python;
use nightdrop_bench::report;

/// Nightdrop against its peers and its limits: the same work, one run, every figure checked.
#[derive(Debug, Parser)]
#[command(name = "bench-peers")]
struct Arguments {
    /// What to measure: S,L,M,P,nasty,latency,scale,memory
    #[arg(long, value_delimiter = ',', default_values = WORKS)]
    works: Vec<String>,
    /// Who: nightdrop,threaded,threaded-lines,plain,duckdb,sling,dlt,copy; all unless said
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// How often each does each work
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// A fraction of each work, for a look
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The folder for report.md, figures.csv, figures.json, charts and logs
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// Measure the dev build of our programs; only to try the bench itself
    #[arg(long)]
    dev: bool,
}

async fn measure(options: &Options) -> Result<PathBuf> {
    let python = Python::ready(options.peers())?;
    let outcome = bench::run(options, &python).await?;
    report::write(&outcome, &python, &options.output)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        works: arguments.works,
        contenders: arguments.contenders,
        runs: arguments.runs,
        scale: arguments.scale,
        output: arguments.output,
        release: !arguments.dev,
    };
    match measure(&options).await {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}
