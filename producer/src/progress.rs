//! Rows, bytes and rate while a result streams, on a terminal only: nothing but log lines elsewhere.

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use nightdrop_runtime::telemetry;

/// How often the line is drawn anew, at most.
const EVERY: Duration = Duration::from_millis(100);
/// How many rows go by before the clock is looked at.
const ROWS: u64 = 256;

/// One line on stderr that is gone when this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    drawn: Instant,
    rows: u64,
}

impl Progress {
    pub(crate) fn new(job: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {prefix}: {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style)
            .with_prefix(job.to_owned());
        bar.set_message("asking the source");
        bar.enable_steady_tick(EVERY);
        let aside = bar.clone();
        telemetry::step_aside(Some(Arc::new(move |write| aside.suspend(write))));
        let now = Instant::now();
        Self {
            bar,
            started: now,
            drawn: now,
            rows: 0,
        }
    }

    /// A row went by; `bytes` of them all so far.
    pub(crate) fn row(&mut self, bytes: u64) {
        self.rows += 1;
        if !self.rows.is_multiple_of(ROWS) || self.drawn.elapsed() < EVERY {
            return;
        }
        self.drawn = Instant::now();
        self.bar
            .set_message(line(self.rows, bytes, self.started.elapsed()));
    }

    /// The rows are in; now something else takes its time.
    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        telemetry::step_aside(None);
        self.bar.finish_and_clear();
    }
}

fn line(rows: u64, bytes: u64, elapsed: Duration) -> String {
    let per_second = u128::from(rows) * 1000 / elapsed.as_millis().max(1);
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    format!(
        "{} rows, {}, {} rows/s",
        HumanCount(rows),
        HumanBytes(bytes),
        HumanCount(per_second)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_rows_bytes_and_rate() {
        insta::assert_snapshot!(line(27_004, 3 << 20, Duration::from_secs(2)), @"27,004 rows, 3.00 MiB, 13,502 rows/s");
    }
}
