//! `parked`: what a person does about files that are parked or held. A verb a file; which files each means is
//! the same for all of them, and read here. The statements are in `ledger/pick.rs`.

mod drop;
mod export;
mod list;
mod retry;
mod show;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use nightdrop_runtime::exit::Code;
use nightdrop_schema::{Job, Producer};

use crate::consumer::Consumer;
use crate::ledger::pick::{self, Pick};
use crate::ledger::reason::Cause;
use crate::ledger::state::State;
use crate::migrate;
use crate::pool::Pool;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A line for each file that is parked or held: what it is, since when, what is wrong
    List {
        #[command(flatten)]
        which: Which,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Show at most so many; the last line says how many more there are
        #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// All that is known of a file, what is wrong with it in full, and what to do
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Write a file's bytes to disk, as they were dropped; nothing changes in Postgres or the bucket
    Export {
        #[command(flatten)]
        which: Which,
        /// An existing folder; a file that is in it is never written over
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Try files again: they wait to be loaded, each at its old place in the order
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Give files up for good: their bytes are deleted, in Postgres and in the bucket
    Drop {
        #[command(flatten)]
        which: Which,
    },
}

/// Which files: by their ids, or all that are of this producer, of this job and there for this reason.
#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    /// The numbers that `parked list` and `status` show
    #[arg(value_name = "ID", conflicts_with_all = ["producer", "job", "reason"])]
    ids: Vec<i64>,
    /// All of this producer's
    #[arg(long, value_name = "NAME")]
    producer: Option<Producer>,
    /// All of this job's; of any producer, unless one is named
    #[arg(long, value_name = "NAME")]
    job: Option<Job>,
    /// All that are there for this reason
    #[arg(long, value_name = "REASON", value_parser = reasons(), hide_possible_values = true)]
    reason: Option<String>,
}

/// The reasons that a file can be parked or held for.
fn reasons() -> PossibleValuesParser {
    let there = |cause: &&Cause| matches!(cause.state(), State::Parked | State::Held);
    PossibleValuesParser::new(Cause::ALL.iter().filter(there).map(|cause| cause.as_str()))
}

impl Which {
    fn pick(&self) -> Pick {
        Pick {
            ids: self.ids.clone(),
            producer: self.producer.clone(),
            job: self.job.clone(),
            reason: self.reason.clone(),
        }
    }

    /// The same for a verb that must not mean everything by saying nothing.
    fn something(&self, verb: &'static str) -> Result<Pick, Error> {
        let pick = self.pick();
        if pick.is_empty() {
            return Err(Error::Unnamed(verb));
        }
        Ok(pick)
    }
}

/// Why a verb did nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing was named.
    #[error(
        "`parked {0}` wants to know which files: give their ids, or --producer, --job or --reason; `parked list` shows what there is"
    )]
    Unnamed(&'static str),
    /// The ledger isn't as this binary needs it, or is away.
    #[error(transparent)]
    Ledger(#[from] migrate::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(migrate::Error::Unavailable(error))
    }
}

/// What a verb did, as a page; and what it could not do, each as a sentence and an exit code.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// For standard output.
    pub(crate) page: String,
    /// For standard error.
    pub(crate) complaints: Vec<(Code, String)>,
}

/// Runs one verb.
///
/// # Errors
/// When nothing was done.
pub(crate) async fn run(verb: &Verb, consumer: &Consumer) -> Result<Done, Error> {
    if let Some((version, _)) = migrate::pending(consumer.pool()).await?.first() {
        return Err(migrate::Error::Pending(*version).into());
    }
    match verb {
        Verb::List { which, json, limit } => {
            list::list(consumer.pool(), &which.pick(), *json, *limit).await
        }
        Verb::Show { which } => show::show(consumer.pool(), &which.something("show")?).await,
        Verb::Export { which, to } => {
            export::export(consumer, &which.something("export")?, to).await
        }
        Verb::Retry { which } => retry::retry(consumer.pool(), &which.something("retry")?).await,
        Verb::Drop { which } => drop::drop(consumer.pool(), &which.something("drop")?).await,
    }
}

/// What is said where nothing was picked; and a complaint for each id that is not parked or held, for
/// whoever named it thought that it is.
async fn unpicked(
    pool: &Pool,
    pick: &Pick,
    found: impl IntoIterator<Item = i64>,
) -> Result<Done, Error> {
    let found: Vec<i64> = found.into_iter().collect();
    let mut done = Done::default();
    if found.is_empty() && pick.ids.is_empty() {
        done.page = if pick.is_empty() {
            "nothing is parked or held\n".to_owned()
        } else {
            "nothing that is parked or held is meant by that\n".to_owned()
        };
        return Ok(done);
    }
    let mut others: Vec<i64> = pick.ids.clone();
    others.retain(|id| !found.contains(id));
    others.sort_unstable();
    others.dedup();
    let states = pick::states(pool, &others).await?;
    for id in others {
        let sentence = match states.iter().find(|(file, _)| *file == id) {
            Some((_, state)) => format!("file {id} is {state}, not parked or held"),
            None => format!("there is no file {id} in the ledger"),
        };
        done.complaints.push((Code::Usage, sentence));
    }
    Ok(done)
}
