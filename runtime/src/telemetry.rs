//! Log lines on stderr: stdout belongs to what a verb prints.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts logging to stderr. `RUST_LOG`, if set, decides alone; otherwise
/// `verbose` does: 0 informs, 1 adds what helps to find a mistake, 2 adds the libraries' own.
///
/// Only the first call counts: a program that embeds the library may have its own.
pub fn init(format: LogFormat, verbose: u8) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(verbose));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(verbose > 0)
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already started; its settings stay");
    }
}

fn filter(verbose: u8) -> EnvFilter {
    EnvFilter::new(match verbose {
        0 => {
            "warn,nightdrop=info,nightdrop_bucket=info,nightdrop_runtime=info,nightdrop_producer=info,nightdrop_consumer=info"
        }
        1 => {
            "info,nightdrop=debug,nightdrop_bucket=debug,nightdrop_runtime=debug,nightdrop_producer=debug,nightdrop_consumer=debug"
        }
        _ => "debug",
    })
}
