//! Log lines on stderr: stdout belongs to what a verb prints.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, RwLock},
};

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
        .with_writer(|| Line);
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

/// What has to happen around a log line, when something else owns the terminal's last line.
pub type Aside = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

static ASIDE: RwLock<Option<Aside>> = RwLock::new(None);

/// From now on each log line is written inside `aside`, which clears what it shows, calls what it
/// is given, and shows it again: a progress bar. `None` ends that.
pub fn step_aside(aside: Option<Aside>) {
    *ASIDE
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = aside;
}

/// One log line on its way to stderr; tracing writes each in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let aside = ASIDE
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let mut written = Ok(0);
        let mut write = || written = io::stderr().write(bytes);
        match aside {
            Some(aside) => aside(&mut write),
            None => write(),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn filter(verbose: u8) -> EnvFilter {
    // A target is matched by how it begins: this is all our crates.
    EnvFilter::new(match verbose {
        0 => "warn,nightdrop=info",
        1 => "info,nightdrop=debug",
        _ => "debug",
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_line_is_written_inside_what_has_to_step_aside() {
        let asides = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asides);
        step_aside(Some(Arc::new(move |write| {
            counted.fetch_add(1, Ordering::Relaxed);
            write();
        })));
        assert_eq!(Line.write(b"\n").unwrap(), 1);
        step_aside(None);
        assert_eq!(Line.write(b"\n").unwrap(), 1);
        assert_eq!(asides.load(Ordering::Relaxed), 1);
    }
}
