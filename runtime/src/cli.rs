//! The flags that both programs take, and the exit code of wrong usage.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Parser, error::ErrorKind};

use crate::{exit::Code, telemetry::LogFormat};

/// Flags of every verb; `#[command(flatten)]` them.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration file
    #[arg(
        short,
        long,
        global = true,
        env = "NIGHTDROP_CONFIG",
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// How log lines on stderr look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    /// Log more; twice logs most
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// No configuration file was named.
#[derive(Debug, thiserror::Error)]
#[error("no configuration; name it with -c FILE or in NIGHTDROP_CONFIG")]
pub struct NoConfig;

impl Common {
    /// The configuration file, for the verbs that need one.
    ///
    /// # Errors
    /// Neither `-c` nor `NIGHTDROP_CONFIG` names one.
    pub fn config(&self) -> Result<&Path, NoConfig> {
        self.config.as_deref().ok_or(NoConfig)
    }
}

/// Parses the command line. Wrong usage is said on stderr and exits 64, where
/// clap's own habit is 2; `--help` and `--version` exit 0.
pub fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        // A closed stderr or stdout changes nothing about how this ends.
        let _ = error.print();
        let code = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Ok,
            _ => Code::Usage,
        };
        std::process::exit(i32::from(code as u8));
    })
}
