//! What a person types, and what the process answers with.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use nightdrop_runtime::cli::Common;
use nightdrop_runtime::exit::{Code, guard};
use nightdrop_runtime::pages::Pages;
use nightdrop_runtime::{config, service, shutdown, telemetry, trace};
use nightdrop_schema::{Job, Producer};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::consumer::Consumer;
use crate::ledger::now::Now;
use crate::remedy::Remedy;
use crate::rights::Rights;
use crate::{check, doctor, explain, http, ledger, migrate, once, parked, retire, run, status};

/// Loads result files from a bucket into a reporting Postgres, each exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "nightdrop-consumer",
    version,
    after_help = "The keys of the configuration file are at the end of --help, and in docs/configuration.md.",
    after_long_help = crate::config::help()
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(Verb),
    #[command(flatten)]
    Rights(Rights),
    #[command(flatten)]
    Pages(Pages),
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Poll, load and delete until a signal comes
    Run,
    /// Load everything that is in the bucket now, then end
    Once,
    /// Bring the consumer's own tables up to date
    Migrate {
        /// Print the SQL that is pending, and change nothing
        #[arg(long)]
        print: bool,
    },
    /// Show what has come, what waits, and what is wrong
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Whether all is on time: exit code 0 if so, 1 if a job is late or failing or files are parked or held, 2 if it can't be told
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What is not in the reports, parked or held: look at it, try it again, give it up
    #[command(subcommand)]
    Parked(parked::Verb),
    /// Say where a result is and what to do: by its key or a part of it, run id, `_file`, or producer/job
    Explain {
        /// What to look for
        what: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove that bucket and Postgres work, and that the consumer may do no more than it must
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a job's table, mode and key: its next result settles them anew
    Retire {
        /// Whose
        producer: Producer,
        /// Which job's
        job: Job,
    },
}

/// Parses, runs, and gives the exit code of `sysexits`.
pub fn main() -> ExitCode {
    guard(program)
}

fn program() -> Code {
    let cli: Cli = nightdrop_runtime::cli::parse();
    telemetry::init(cli.common.log_format, cli.common.verbose);
    let wanted = match &cli.command {
        Command::Verb(verb) => verb,
        Command::Pages(pages) => {
            return match pages.run::<Cli>() {
                Ok(()) => Code::Ok,
                Err(error) => fail(Code::CantCreate, &format!("can't write: {error}")),
            };
        }
        Command::Rights(rights) => {
            return match on_paper(&cli.common, rights) {
                Ok(()) => Code::Ok,
                Err((code, sentence)) => fail(code, &sentence),
            };
        }
    };
    // Outlives the runtime: the last spans are sent at its end.
    let _traces = trace::start("nightdrop-consumer", ledger::verdict::VERSION);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(Code::Software, &format!("no threads to run on: {error}")),
    };
    let code = runtime.block_on(async {
        match start(&cli.common, wanted) {
            Ok(consumer) => verb(wanted, Arc::new(consumer)).await,
            Err(failure) => Err(failure),
        }
    });
    let code = match (wanted, code) {
        // Monitoring knows three answers.
        (Verb::Check { .. }, Err((Code::Usage, sentence))) => Err((Code::Usage, sentence)),
        (Verb::Check { .. }, Err((_, sentence))) => Err((Code::CannotTell, sentence)),
        (_, code) => code,
    };
    // A thread that still reads a file that nobody wants any more must not keep the process.
    runtime.shutdown_background();
    match code {
        Ok(code) => code,
        Err((code, sentence)) => fail(code, &sentence),
    }
}

fn fail(code: Code, sentence: &str) -> Code {
    tracing::error!("{sentence}");
    code
}

fn load(common: &Common) -> Result<(&Path, Config), Failure> {
    let path = common
        .config()
        .map_err(|error| (Code::Usage, error.to_string()))?;
    let config = config::load(path).map_err(|error| (Code::Config, error.to_string()))?;
    Ok((path, config))
}

/// Prints what the configuration says, and asks nobody.
fn on_paper(common: &Common, rights: &Rights) -> Result<(), Failure> {
    let (path, config) = load(common)?;
    let page = rights
        .page(&config)
        .map_err(|error| (Code::Config, format!("{}: {error}", path.display())))?;
    say(&page);
    Ok(())
}

fn start(common: &Common, verb: &Verb) -> Result<Consumer, Failure> {
    let (path, config) = load(common)?;
    let stop = match verb {
        Verb::Run | Verb::Once => shutdown::on_signal(),
        Verb::Migrate { .. }
        | Verb::Status { .. }
        | Verb::Check { .. }
        | Verb::Parked(_)
        | Verb::Explain { .. }
        | Verb::Doctor { .. }
        | Verb::Retire { .. } => CancellationToken::new(),
    };
    Consumer::new(config, stop)
        .map_err(|error| (Code::Config, format!("{}: {error}", path.display())))
}

type Failure = (Code, String);

/// A page for people, or JSON; the worst of it is the exit code.
async fn examine(consumer: &Consumer, json: bool) -> Code {
    let findings = doctor::doctor(consumer).await;
    if json {
        say(&json_page(&findings));
    } else {
        say(&format!("{findings}\n"));
    }
    findings.code()
}

async fn verb(verb: &Verb, consumer: Arc<Consumer>) -> Result<Code, Failure> {
    let ended = match verb {
        Verb::Run => return run_and_answer(consumer).await.map(|()| Code::Ok),
        Verb::Check { json } => return is_all_on_time(&consumer, *json).await,
        Verb::Once => once::once(&consumer)
            .await
            .map(|tally| status::tally(&tally) + "\n"),
        Verb::Migrate { print } => migrations(&consumer, *print).await,
        Verb::Status { json } => look(&consumer, *json).await,
        Verb::Parked(verb) => {
            return about_parked(verb, &consumer).await.map(|()| Code::Ok);
        }
        Verb::Explain { what, json } => find(&consumer, what, *json).await,
        Verb::Doctor { json } => return Ok(examine(&consumer, *json).await),
        Verb::Retire { producer, job } => {
            return end_life(&consumer, producer, job).await.map(|()| Code::Ok);
        }
    };
    match ended {
        Ok(page) => {
            say(&page);
            Ok(Code::Ok)
        }
        Err(error) => Err(failure(&consumer, &error).await),
    }
}

/// Standard output, whose reader may have seen enough.
fn say(page: &str) {
    let _ = std::io::stdout().write_all(page.as_bytes());
}

/// What is shown, for programs to read.
pub(crate) fn json_page(shown: &impl serde::Serialize) -> String {
    // Plain data: there is nothing in it that JSON could not say.
    serde_json::to_string_pretty(shown).unwrap_or_default() + "\n"
}

/// What could be done is shown, what couldn't is said; the first of that is the exit code.
async fn about_parked(verb: &parked::Verb, consumer: &Consumer) -> Result<(), Failure> {
    let done = match parked::run(verb, consumer).await {
        Ok(done) => done,
        Err(parked::Error::Ledger(error)) => return Err(failure(consumer, &error.into()).await),
        Err(error @ parked::Error::Unnamed(_)) => return Err((Code::Usage, error.to_string())),
    };
    say(&done.page);
    let mut complaints = done.complaints.into_iter();
    let first = complaints.next();
    for (_, sentence) in complaints {
        tracing::error!("{sentence}");
    }
    first.map_or(Ok(()), Err)
}

/// Applies what is pending, or shows it.
async fn migrations(consumer: &Consumer, print: bool) -> Result<String, once::Error> {
    if print {
        let pending = migrate::pending(consumer.pool()).await?;
        let pages: Vec<String> = pending
            .iter()
            .map(|(version, sql)| format!("-- migration {version}\n{sql}\n"))
            .collect();
        return Ok(pages.concat());
    }
    let applied = migrate::apply(consumer.pool()).await?;
    if applied.is_empty() {
        return Ok("nothing is pending\n".to_owned());
    }
    let lines: Vec<String> = applied
        .iter()
        .map(|version| format!("migration {version} applied\n"))
        .collect();
    Ok(lines.concat())
}

/// The ledger as a page, or as JSON.
async fn look(consumer: &Consumer, json: bool) -> Result<String, once::Error> {
    migrate::at_start(consumer.pool(), false).await?;
    let summary = ledger::summary::read(consumer.pool(), consumer.config.keep.parked)
        .await
        .map_err(migrate::Error::Unavailable)?;
    if json {
        return Ok(json_page(&summary));
    }
    let stand = Now::read(consumer.pool(), false)
        .await
        .map_err(migrate::Error::Unavailable)?;
    Ok(status::render(&summary, &stand, chrono::Utc::now()))
}

/// What is wrong, and the code that says whether something is.
async fn is_all_on_time(consumer: &Consumer, json: bool) -> Result<Code, Failure> {
    let checked = match check::check(consumer).await {
        Ok(checked) => checked,
        Err(error) => return Err(failure(consumer, &error.into()).await),
    };
    say(&if json {
        json_page(&checked)
    } else {
        checked.page()
    });
    Ok(match checked.verdict {
        check::Verdict::Fine => Code::Ok,
        check::Verdict::Wrong => Code::Wrong,
        check::Verdict::CannotTell => Code::CannotTell,
    })
}

/// Where something is, as a page, or as JSON.
async fn find(consumer: &Consumer, what: &str, json: bool) -> Result<String, once::Error> {
    migrate::at_start(consumer.pool(), false).await?;
    let site = explain::Site {
        bucket: &consumer.bucket.to_string(),
        delete_after: consumer.config.bucket.delete_after,
        history: consumer.config.keep.history,
    };
    let explanation = explain::explain(consumer.pool(), what, site)
        .await
        .map_err(migrate::Error::Unavailable)?;
    if json {
        return Ok(json_page(&explanation));
    }
    Ok(format!("{explanation}\n"))
}

/// Retires a job, and tells what was done.
async fn end_life(consumer: &Consumer, producer: &Producer, job: &Job) -> Result<(), Failure> {
    if let Err(error) = migrate::at_start(consumer.pool(), false).await {
        return Err(failure(consumer, &error.into()).await);
    }
    match retire::retire(consumer.pool(), producer, job).await {
        Ok(retired) => {
            say(&format!("{retired}\n"));
            Ok(())
        }
        Err(retire::Error::Postgres(error)) => Err((
            of_postgres(&error),
            format!("Postgres at {}", consumer.database.cause(&error).await),
        )),
        Err(error) => Err((Code::TempFail, error.to_string())),
    }
}

/// The lanes, with health checks answered beside them from before the first look at Postgres.
async fn run_and_answer(consumer: Arc<Consumer>) -> Result<(), Failure> {
    let listen = consumer.config.http.listen;
    let listener = http::bind(listen).await.map_err(|error| {
        (
            Code::Config,
            format!("[http] listen = \"{listen}\": {error}; name another address"),
        )
    })?;
    let done = CancellationToken::new();
    let answers = tokio::spawn(http::serve(listener, Arc::clone(&consumer), done.clone()));
    let told = tokio::spawn(service::tell(consumer.stop.clone(), done.clone()));
    let result = run::run(consumer).await;
    done.cancel();
    // It has nothing to wait for but what was just cancelled.
    let _ = told.await;
    // Open connections of a probe don't keep the process.
    answers.abort();
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err((Code::Config, error.to_string())),
    }
}

/// The exit code and the sentence for what kept a verb from its end.
async fn failure(consumer: &Consumer, error: &once::Error) -> Failure {
    match error.postgres() {
        Some(source) => (
            of_postgres(source),
            format!(
                "Postgres at {}{}",
                consumer.database.cause(source).await,
                advice(source)
            ),
        ),
        None => (code(error), error.to_string()),
    }
}

/// What is refused by name is another matter than a server that is away.
pub(crate) fn of_postgres(error: &sqlx::Error) -> Code {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap_or_default();
    match code.as_ref() {
        "28000" | "28P01" => Code::NoPerm,
        "3D000" => Code::Config,
        _ => Code::Unavailable,
    }
}

/// What to do about it, behind what it said.
fn advice(error: &sqlx::Error) -> &'static str {
    match (of_postgres(error), error) {
        (Code::NoPerm, _) => "; mend the role in [postgres] url, or what its password names",
        (Code::Config, _) => "; make the database, or mend [postgres] url",
        (_, sqlx::Error::Database(_)) => "",
        _ => "; see that it runs, and that [postgres] url is right",
    }
}

fn code(error: &once::Error) -> Code {
    use nightdrop_bucket::Fault;
    match (
        error.bucket().map(nightdrop_bucket::Error::fault),
        error.remedy(),
    ) {
        (Some(Fault::Unauthenticated | Fault::Forbidden), _) => Code::NoPerm,
        (Some(Fault::Settings), _) | (None, Remedy::Halt) => Code::Config,
        (Some(_), _) => Code::Io,
        (None, Remedy::Retry | Remedy::Park | Remedy::Hold | Remedy::Pause) => Code::Unavailable,
    }
}
