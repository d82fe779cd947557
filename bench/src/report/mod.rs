//! `report.md`, the raw figures, and the charts.

mod backlog;
mod works;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::bench::Outcome;
use crate::contender;
use crate::latency::Latency;
use crate::memory::Memory;
use crate::python::Python;

/// Writes everything into `folder`, and gives the report's path.
///
/// # Errors
/// When it can't be written, or the charts can't be drawn.
pub fn write(outcome: &Outcome, python: &Python, folder: &Path) -> Result<PathBuf> {
    let json = folder.join("figures.json");
    fs::write(&json, serde_json::to_string_pretty(outcome)?)?;
    let mut csv = csv::Writer::from_path(folder.join("figures.csv"))?;
    for sample in &outcome.samples {
        csv.serialize(sample)?;
    }
    csv.flush()?;
    let status = python
        .script("charts.py")
        .arg(&json)
        .arg(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .status()
        .context("can't start python")?;
    ensure!(status.success(), "charts.py failed");
    let path = folder.join("report.md");
    fs::write(&path, page(outcome))?;
    Ok(path)
}

/// The report.
pub fn page(outcome: &Outcome) -> String {
    let mut page = String::from("# Nightdrop, its peers and its limits\n\n");
    let of = if outcome.scale < 1.0 {
        format!(
            " **At {} of each work: a look, no measurement.**",
            outcome.scale
        )
    } else {
        String::new()
    };
    let _ = writeln!(
        page,
        "Medians of {} runs, contenders in turn, in one run of the bench.{of} *Net* is a contender's median less its own \
         start-up: the median of its runs on an empty inbox. Every figure's rows were compared with what was dropped, cell by \
         cell, in SQL.\n",
        outcome.runs
    );
    for (name, title) in &outcome.works {
        if name == "P" {
            works::extraction(&mut page, outcome, title);
        } else {
            works::loading(&mut page, outcome, name, title);
        }
    }
    verdicts(&mut page, outcome);
    if let Some(latency) = &outcome.latency {
        latencies(&mut page, latency);
    }
    if let Some(scale) = &outcome.growth {
        backlog::growth(&mut page, scale);
    }
    memory(&mut page, outcome);
    page.push_str("## Machine and versions\n\n| | |\n|---|---|\n");
    for fact in &outcome.machine {
        let _ = writeln!(page, "| {} | {} |", fact.what, fact.is);
    }
    page
}

fn verdicts(page: &mut String, outcome: &Outcome) {
    if outcome.verdicts.is_empty() {
        return;
    }
    page.push_str(
        "## What each gets wrong\n\nA few nasty values of each type, the same results twice, and a file that was cut, each sent \
         through each contender by itself.\n\n| contender | reads | wrong |\n|---|---|---|\n",
    );
    for verdict in &outcome.verdicts {
        let title = contender::ALL
            .iter()
            .find(|contender| contender.name == verdict.contender)
            .map_or(verdict.contender.as_str(), |contender| contender.title);
        let wrong = if verdict.wrong.is_empty() {
            "nothing".to_owned()
        } else {
            verdict.wrong.join("<br>")
        };
        let _ = writeln!(
            page,
            "| {title} | {} | {} |",
            verdict.source,
            escaped(&wrong)
        );
    }
    page.push('\n');
}

/// Text that stays in its cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('\n', "⏎")
        .replace('\t', "⇥")
}

fn latencies(page: &mut String, latency: &Latency) {
    let _ = writeln!(
        page,
        "## From PUT to row\n\nFrom the PUT's answer to the moment that a reader sees the row; `poll.max` = {} s.\n\n\
         | | samples | p50, s | p99, s | most, s |\n|---|--:|--:|--:|--:|",
        latency.poll_max
    );
    let mut lines = vec![("idle".to_owned(), &latency.idle)];
    lines.extend(latency.loaded.iter().map(|load| {
        let what = format!(
            "under {:.0} results a second (asked for: {:.0}, {} of S's rate)",
            load.reached, load.rate, load.part
        );
        (what, &load.took)
    }));
    for (what, figures) in [
        ("answer", &latency.large_after_put),
        ("beginning", &latency.large),
    ] {
        lines.push((format!("work L with `run`, from the PUT's {what}"), figures));
    }
    for (what, figures) in lines {
        let mut figures = figures.clone();
        figures.sort_by(f64::total_cmp);
        if let (Some((p50, p99)), Some(most)) = (Latency::percentiles(&figures), figures.last()) {
            let _ = writeln!(
                page,
                "| {what} | {} | {p50:.3} | {p99:.3} | {most:.3} |",
                figures.len()
            );
        }
    }
    let _ = writeln!(
        page,
        "\nThe consumer's peak under these loads: {:.0} MiB.\n\n![latency](latency.svg)\n",
        mebibytes(latency.peak)
    );
}

fn memory(page: &mut String, outcome: &Outcome) {
    if outcome.memory.is_empty() {
        return;
    }
    page.push_str("## One very large result\n\n| | bytes in the bucket | rows | s | peak, MiB |\n|---|--:|--:|--:|--:|\n");
    for memory in &outcome.memory {
        let Memory {
            program,
            bytes,
            rows,
            seconds,
            peak,
        } = memory;
        let _ = writeln!(
            page,
            "| `{program}` | {bytes} | {rows} | {seconds:.1} | {:.0} |",
            mebibytes(*peak)
        );
    }
    page.push('\n');
}

#[expect(clippy::cast_precision_loss, reason = "memory, far below 2^52 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
