//! `explain`: where a result is and what to do, in one sentence, from Postgres alone. `sentence.rs` says it
//! of a file, with `waiting.rs` for what one waits, and `job.rs` of a job; `advice.rs` knows what helps.

pub(crate) mod advice;
mod job;
mod sentence;
mod waiting;

use std::fmt;
use std::time::Duration;

use nightdrop_schema::{Job, Key, Producer, RunId};
use serde::Serialize;

use crate::columns::at;
use crate::ledger::breaker;
use crate::ledger::history::{self, Around, LIMIT, Pruned, Sighting, Wanted};
use crate::ledger::look::{self, JobLook};
use crate::pool::Pool;
use sentence::sentence;
use waiting::left_alone;

/// What a person asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file or files.
    Files(Wanted),
    /// All that is of a job.
    Job(Producer, Job),
}

impl What {
    /// Understands a row's `_file`, a run id, `producer/job`, a key, or any part of a key.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Ok(file) = text.parse() {
            return Self::Files(Wanted::File(file));
        }
        if let Ok(run) = text.parse() {
            return Self::Files(Wanted::Run(run));
        }
        if let Ok(key) = text.parse::<Key>() {
            return Self::Files(Wanted::Key(Box::new(key)));
        }
        if let Some((producer, job)) = text.split_once('/')
            && let (Ok(producer), Ok(job)) = (producer.parse(), job.parse())
        {
            return Self::Job(producer, job);
        }
        // A key's last segment has the run in it, which all of its keys share.
        let stem = text.rsplit('/').next().unwrap_or_default();
        let stem = stem.split('.').next().unwrap_or_default();
        let run = stem.get(stem.len().saturating_sub(36)..);
        match run.and_then(|run| run.parse::<RunId>().ok()) {
            Some(run) => Self::Files(Wanted::Run(run)),
            None => Self::Files(Wanted::Part(text.to_owned())),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What was asked about.
    what: String,
    /// Where it is, and what to do.
    sentence: String,
    #[serde(flatten)]
    about: About,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum About {
    /// The sighting that decides, and the others of its key or run.
    File {
        #[serde(flatten)]
        sighting: Box<Sighting>,
        others: Vec<Line>,
    },
    /// Loaded, and pruned.
    Pruned(Pruned),
    /// A job.
    Job(Box<JobLook>),
    /// Several results, of which the person is to name one.
    Several(Vec<Line>),
    /// Nobody has seen it.
    Unknown {},
}

/// One more sighting.
#[derive(Debug, Clone, Serialize)]
struct Line {
    file: i64,
    key: String,
    state: String,
    sentence: String,
}

/// What is known without Postgres.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The bucket that this consumer reads.
    pub bucket: &'a str,
    /// How long objects stay after their verdict.
    pub delete_after: Duration,
    /// How long a decided file stays in the ledger.
    pub history: Duration,
}

/// Explains.
///
/// # Errors
/// When Postgres is away.
pub async fn explain(pool: &Pool, what: &str, site: Site<'_>) -> Result<Explanation, sqlx::Error> {
    let (sentence, about) = match What::parse(what) {
        What::Job(producer, job) => explain_job(pool, &producer, &job, site).await?,
        What::Files(wanted) => explain_files(pool, what, &wanted, site).await?,
    };
    Ok(Explanation {
        what: what.to_owned(),
        sentence,
        about,
    })
}

async fn explain_job(
    pool: &Pool,
    producer: &Producer,
    job: &Job,
    site: Site<'_>,
) -> Result<(String, About), sqlx::Error> {
    let look = look::job(pool, producer, job).await?;
    let jobs = if look.files == 0 {
        look::jobs_of(pool, producer).await?
    } else {
        Vec::new()
    };
    let sentence = job::sentence(producer, job, &look, &jobs, site.bucket);
    Ok((sentence, About::Job(Box::new(look))))
}

async fn explain_files(
    pool: &Pool,
    what: &str,
    wanted: &Wanted,
    site: Site<'_>,
) -> Result<(String, About), sqlx::Error> {
    let mut sightings = history::sightings(pool, wanted).await?;
    if sightings.is_empty() {
        if let Some(pruned) = history::pruned(pool, wanted).await? {
            return Ok((forgotten(&pruned), About::Pruned(pruned)));
        }
        let mut sentence = never_seen(what, wanted, site);
        if let Some(open) = breaker::open(pool).await? {
            sentence = format!("{sentence}. {}", left_alone(&open));
        }
        return Ok((sentence, About::Unknown {}));
    }
    if results(&sightings) > 1 {
        let lines = lines(pool, &sightings, site).await?;
        let more = if i64::try_from(sightings.len()) == Ok(LIMIT) {
            "at least "
        } else {
            ""
        };
        let sentence = format!(
            "that fits {more}{} files of {more}{} results; ask for one of them by its file or its key",
            sightings.len(),
            results(&sightings)
        );
        return Ok((sentence, About::Several(lines)));
    }
    let first = decides(&sightings, wanted);
    let sighting = sightings.remove(first);
    let around = history::around(pool, sighting.file).await?;
    let sentence = sentence(&sighting, &around, site.delete_after);
    let others = lines(pool, &sightings, site).await?;
    let sighting = Box::new(sighting);
    Ok((sentence, About::File { sighting, others }))
}

fn forgotten(pruned: &Pruned) -> String {
    format!(
        "loaded, as file {}, and its history is pruned, being older than [keep] history; its rows are in the reports, unless later ones took their place",
        pruned.file
    )
}

/// One file by its row, as the page of it shows it.
#[derive(Debug, Clone)]
pub enum File {
    /// What the ledger has.
    There {
        /// The row.
        sighting: Box<Sighting>,
        /// What stands around it.
        around: Box<Around>,
        /// Where it is, and what to do.
        sentence: String,
    },
    /// Loaded, and pruned: the sentence.
    Pruned(Pruned, String),
    /// Nobody has seen it: the sentence.
    Unknown(String),
}

/// Explains one file by its row, for a consumer that is at work itself. All that it reads is found by an index,
/// however much there is.
///
/// # Errors
/// When Postgres is away.
pub async fn file(pool: &Pool, file: i64, site: Site<'_>) -> Result<File, sqlx::Error> {
    let Some(sighting) = history::sighting_of(pool, file).await? else {
        return Ok(match history::pruned_of(pool, file).await? {
            Some(pruned) => {
                let sentence = forgotten(&pruned);
                File::Pruned(pruned, sentence)
            }
            None => File::Unknown(never_seen(&file.to_string(), &Wanted::File(file), site)),
        });
    };
    let mut around = history::around(pool, file).await?;
    around.consumers += 1;
    let sentence = sentence(&sighting, &around, site.delete_after);
    Ok(File::There {
        sighting: Box::new(sighting),
        around: Box::new(around),
        sentence,
    })
}

/// How many results these sightings are of: a run is one, under whatever keys it came.
fn results(sightings: &[Sighting]) -> usize {
    let mut names: Vec<_> = sightings
        .iter()
        .map(|one| match (&one.producer, &one.run) {
            (Some(producer), Some(run)) => format!("{producer} {run}"),
            _ => one.key.clone(),
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// Which of the sightings says where the result is: the one that was asked for, else the newest. One that
/// was gone before it was read says nothing of a result that was read before.
fn decides(sightings: &[Sighting], wanted: &Wanted) -> usize {
    let asked = |one: &Sighting| *wanted == Wanted::File(one.file);
    let there = |one: &Sighting| one.state != "missing";
    sightings
        .iter()
        .position(asked)
        .or_else(|| sightings.iter().position(there))
        .unwrap_or_default()
}

async fn lines(
    pool: &Pool,
    sightings: &[Sighting],
    site: Site<'_>,
) -> Result<Vec<Line>, sqlx::Error> {
    let mut lines = Vec::with_capacity(sightings.len());
    for one in sightings {
        let around = history::around(pool, one.file).await?;
        lines.push(Line {
            file: one.file,
            key: one.key.clone(),
            state: one.state.clone(),
            sentence: sentence(one, &around, site.delete_after),
        });
    }
    Ok(lines)
}

/// What it can mean that nobody has seen it, and what to look at.
fn never_seen(what: &str, wanted: &Wanted, site: Site<'_>) -> String {
    if let Wanted::File(file) = wanted {
        return format!(
            "no file {file} is in the ledger: it was never there, or was not loaded and is older than [keep] history ({} days)",
            site.history.as_secs() / 86_400
        );
    }
    let spool = match wanted {
        Wanted::Key(key) => format!(
            "`nightdrop-producer list` beside {} shows whether it waits in the spool there",
            key.producer()
        ),
        _ => "`nightdrop-producer list` beside its producer shows whether it waits in the spool there"
            .to_owned(),
    };
    format!(
        "never seen in {}: nothing with {} in its key was listed. Either it was put just now, and is listed at the next poll if a consumer is at work (`nightdrop-consumer status`); or it never left its producer: {spool}; or the producer writes to another bucket; or it was not loaded and is older than [keep] history",
        site.bucket,
        what.escape_debug()
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, line: &Line| {
            let key = line.key.escape_debug();
            write!(f, "\n  file {} {key}\n      {}", line.file, line.sentence)
        };
        match &self.about {
            About::File { sighting, others } => {
                let key = sighting.key.escape_debug();
                write!(f, "file {} {key}\n{}", sighting.file, self.sentence)?;
                if !others.is_empty() {
                    f.write_str("\n\nother sightings of it:")?;
                }
                others.iter().try_for_each(|one| line(f, one))
            }
            About::Several(lines) => {
                f.write_str(&self.sentence)?;
                lines.iter().try_for_each(|one| line(f, one))
            }
            About::Pruned(_) | About::Unknown {} => f.write_str(&self.sentence),
            About::Job(look) => {
                f.write_str(&self.sentence)?;
                if let Some(trouble) = &look.trouble {
                    write!(
                        f,
                        "\n\nlast trouble: file {} {} since {} ({}): {}",
                        trouble.file,
                        trouble.state,
                        at(trouble.since),
                        trouble.reason,
                        trouble.error
                    )?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_a_run_a_job_a_key_and_any_part_of_one_are_told_apart() {
        let run = "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11";
        let name = format!("20130131T050000Z-{run}.json.zst");
        let key = format!("inbox/jfk/departures/{name}");
        let wanted = |text: &str| match What::parse(text) {
            What::Files(wanted) => wanted,
            What::Job(producer, job) => panic!("{producer}/{job}"),
        };
        assert_eq!(wanted(" 17 "), Wanted::File(17));
        let by_run = Wanted::Run(run.parse().unwrap());
        assert_eq!(wanted(run), by_run);
        assert_eq!(wanted(&key), Wanted::Key(Box::new(key.parse().unwrap())));
        assert_eq!(wanted(&name), by_run);
        assert_eq!(wanted(&format!("departures/{name}")), by_run);
        assert_eq!(
            wanted("20130131T05"),
            Wanted::Part("20130131T05".to_owned())
        );
        assert_eq!(
            wanted("inbox/aaa/stray"),
            Wanted::Part("inbox/aaa/stray".to_owned())
        );
        assert_eq!(
            What::parse("jfk/departures"),
            What::Job("jfk".parse().unwrap(), "departures".parse().unwrap())
        );
    }
}
