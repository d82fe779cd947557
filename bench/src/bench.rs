//! The whole bench, in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::contender::{self, Contender};
use crate::extract::{self, Expected};
use crate::figures::Sample;
use crate::flights;
use crate::latency::{self, Latency};
use crate::limits::{self, Limit};
use crate::load::Prepared;
use crate::machine::{self, Fact};
use crate::memory::{self, Memory};
use crate::nasty::{self, Verdict};
use crate::python::{Peers, Python};
use crate::scale::{self, Scale};
use crate::source::Source;
use crate::stack::Stack;
use crate::table::Table;
use crate::work::{Form, Work};

/// Everything that can be asked for.
pub const WORKS: [&str; 8] = ["S", "L", "M", "P", "nasty", "latency", "scale", "memory"];

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Some of [`WORKS`].
    pub works: Vec<String>,
    /// Names of contenders; all, where empty.
    pub contenders: Vec<String>,
    /// How often each contender does each work.
    pub runs: usize,
    /// 1 for the works as they are defined; less for a look, or a test.
    pub scale: f64,
    /// Where the report goes.
    pub output: PathBuf,
    /// Whether our programs are built as they are shipped.
    pub release: bool,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What it ran on.
    pub machine: Vec<Fact>,
    /// How much of each work was done.
    pub scale: f64,
    /// How often.
    pub runs: usize,
    /// Each work's name with what it is.
    pub works: Vec<(String, String)>,
    /// Every measurement.
    pub samples: Vec<Sample>,
    /// The raw limit of each work.
    pub limits: BTreeMap<String, Limit>,
    /// What each got wrong.
    pub verdicts: Vec<Verdict>,
    /// From PUT to row.
    pub latency: Option<Latency>,
    /// What a backlog costs.
    pub growth: Option<Scale>,
    /// What 2 GB cost.
    pub memory: Vec<Memory>,
}

impl Options {
    fn does(&self, work: &str) -> bool {
        self.works.iter().any(|asked| asked == work)
    }

    fn chosen(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|asked| asked == name)
    }

    /// The peers that are needed: the tools take much longer to fetch than the scripts.
    pub fn peers(&self) -> Peers {
        let take_part = ["S", "L", "M", "P", "nasty"];
        let tools = ["dlt", "duckdb", "sling"];
        let asked = take_part.iter().any(|work| self.does(work));
        if asked && tools.iter().any(|name| self.chosen(name)) {
            Peers::All
        } else {
            Peers::Scripts
        }
    }

    /// A number of the whole work, at this scale; at least `least`.
    pub fn scaled(&self, whole: usize, least: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "numbers of files and rows, far below 2^52, times a positive fraction"
        )]
        let scaled = (whole as f64 * self.scale).round() as usize;
        scaled.max(least)
    }

    /// Says what is asked for that isn't there.
    ///
    /// # Errors
    /// With a sentence that lists what is.
    pub fn check(&self) -> Result<()> {
        if let Some(unknown) = self
            .works
            .iter()
            .find(|work| !WORKS.contains(&work.as_str()))
        {
            bail!("there is no work {unknown}; there are {}", WORKS.join(", "));
        }
        let names = contender::ALL.map(|contender| contender.name);
        if let Some(unknown) = self
            .contenders
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            bail!(
                "there is no contender {unknown}; there are {}",
                names.join(", ")
            );
        }
        if !(self.scale > 0.0 && self.scale <= 1.0) || self.runs == 0 {
            bail!("the scale is above 0 and at most 1, and there is at least one run");
        }
        Ok(())
    }
}

/// Runs all that is asked for.
///
/// # Errors
/// When the bench itself fails; what contenders do wrong is part of what was found.
pub async fn run(options: &Options, python: &Python) -> Result<Outcome> {
    options.check()?;
    let logs = options.output.join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("can't make {}", logs.display()))?;
    let stack = Stack::start(options.release, python)?;
    let mut outcome = Outcome {
        machine: machine::facts(&stack, options.release).await?,
        scale: options.scale,
        runs: options.runs,
        works: Vec::new(),
        samples: Vec::new(),
        limits: BTreeMap::new(),
        verdicts: Vec::new(),
        latency: None,
        growth: None,
        memory: Vec::new(),
    };
    let year = flights::flights(&stack.python, options.scaled(flights::YEAR, 200))?;
    let narrow = flights::narrow(&year);
    let contenders: Vec<Contender> = contender::ALL
        .into_iter()
        .filter(|contender| options.chosen(contender.name))
        .collect();

    let mut started_up = false;
    for work in works(options, &year, &narrow) {
        say(&format!("{}: {}", work.name, work.title));
        outcome
            .works
            .push((work.name.to_owned(), work.title.clone()));
        let prepared = Prepared::new(&stack, work, &logs).await?;
        load(
            options,
            &stack,
            &prepared,
            &contenders,
            !started_up,
            &mut outcome,
        )
        .await?;
        started_up = true;
    }
    if options.does("P") {
        let title = format!(
            "{} flights out of a database, into the bucket",
            year.rows.len()
        );
        say(&format!("P: {title}"));
        outcome.works.push(("P".to_owned(), title));
        extract(options, &stack, &year, &logs, &mut outcome).await?;
    }
    if options.does("nasty") {
        for contender in contenders
            .iter()
            .filter(|contender| contender.uses_bucket())
        {
            say(&format!("nasty values through {}", contender.name));
            outcome
                .verdicts
                .push(nasty::judge(&stack, *contender, &narrow, &logs).await?);
        }
    }
    if options.does("latency") {
        outcome.latency =
            Some(latency::measure(options, &stack, &narrow, &year, &outcome.samples, &logs).await?);
    }
    if options.does("scale") {
        outcome.growth = Some(scale::measure(options, &stack, &narrow, &logs).await?);
    }
    if options.does("memory") {
        outcome.memory = memory::measure(options, &stack, &year, &logs).await?;
    }
    Ok(outcome)
}

/// The works S, L and M, at the scale that is asked for.
fn works(options: &Options, year: &Table, narrow: &Table) -> Vec<Work> {
    let mut works = Vec::new();
    if options.does("S") {
        let count = options.scaled(4000, 12);
        let title = format!("{count} results of 10 rows × 5 columns, three producers");
        works.push(Work::new("S", title, narrow.clone(), count, 10));
    }
    if options.does("L") {
        let rows = year.rows.len();
        let title = format!("{rows} flights × 19 columns as one result");
        works.push(Work::new("L", title, year.clone(), 1, rows));
    }
    if options.does("M") {
        let count = options.scaled(200, 3);
        let rows = options.scaled(5000, 100);
        let title = format!("{count} results of {rows} rows × 19 columns");
        works.push(Work::new("M", title, year.clone(), count, rows));
    }
    works
}

/// Every contender in turn, each time beginning with another one: what changes on the machine meanwhile meets all alike.
async fn load(
    options: &Options,
    stack: &Stack,
    prepared: &Prepared,
    contenders: &[Contender],
    start_up: bool,
    outcome: &mut Outcome,
) -> Result<()> {
    let work = prepared.work();
    let objects = prepared.objects(Form::Messages);
    let best = limits::calibrate(stack, objects).await?;
    let mut limit = Limit {
        best,
        runs: Vec::new(),
    };
    for run in 1..=options.runs {
        limit
            .runs
            .push(limits::once(stack, objects, &limit.best).await?);
        for turn in 0..contenders.len() {
            let contender = contenders[(turn + run) % contenders.len()];
            for empty in [true, false] {
                if empty && !start_up {
                    continue;
                }
                let sample = prepared.run(stack, contender, run, empty).await?;
                tell(&sample);
                outcome.samples.push(sample);
            }
        }
    }
    outcome.limits.insert(work.name.to_owned(), limit);
    Ok(())
}

async fn extract(
    options: &Options,
    stack: &Stack,
    year: &Table,
    logs: &Path,
    outcome: &mut Outcome,
) -> Result<()> {
    let expected = Expected::new(stack, year).await?;
    let mut sources = vec![Source::postgres(&stack.postgres, year).await?];
    sources.extend(Source::mariadb(year).await?);
    sources.push(Source::sqlite(stack, year).await?);
    for source in &sources {
        let extractors: Vec<_> = extract::ALL
            .into_iter()
            .filter(|extractor| options.chosen(extractor.name) && extractor.reads(source))
            .collect();
        for run in 1..=options.runs {
            for turn in 0..extractors.len() {
                let extractor = extractors[(turn + run) % extractors.len()];
                for empty in [true, false] {
                    let sample = extractor
                        .run(stack, source, &expected, run, empty, logs)
                        .await?;
                    tell(&sample);
                    outcome.samples.push(sample);
                }
            }
        }
    }
    Ok(())
}

/// A line for whoever watches.
pub fn say(line: &str) {
    eprintln!("{line}");
}

fn tell(sample: &Sample) {
    let what = if sample.empty {
        "start-up"
    } else {
        sample.work.as_str()
    };
    let wrong = sample
        .wrong
        .as_deref()
        .map(|wrong| format!("  WRONG: {wrong}"))
        .unwrap_or_default();
    say(&format!(
        "  {what} {} run {}: {:.2} s{wrong}",
        sample.contender, sample.run, sample.seconds
    ));
}
