//! What a person types, and what the process answers with.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use nightdrop_runtime::cli::Common;
use nightdrop_runtime::exit::{Code, guard};
use nightdrop_runtime::{config, shutdown, telemetry};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::consumer::Consumer;
use crate::remedy::Remedy;
use crate::{health, ledger, migrate, once, run, status};

/// Loads result files from a bucket into a reporting Postgres, each exactly once.
#[derive(Debug, Parser)]
#[command(name = "nightdrop-consumer", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
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
}

/// Parses, runs, and gives the exit code of `sysexits`.
pub fn main() -> ExitCode {
    guard(program)
}

fn program() -> Code {
    let cli: Cli = nightdrop_runtime::cli::parse();
    telemetry::init(cli.common.log_format, cli.common.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(Code::Software, &format!("no threads to run on: {error}")),
    };
    let code = runtime.block_on(async {
        match start(&cli) {
            Ok(consumer) => verb(&cli.verb, Arc::new(consumer)).await,
            Err(error) => Err((Code::Config, error)),
        }
    });
    // A thread that still reads a file that nobody wants any more must not keep the process.
    runtime.shutdown_background();
    match code {
        Ok(()) => Code::Ok,
        Err((code, sentence)) => fail(code, &sentence),
    }
}

fn fail(code: Code, sentence: &str) -> Code {
    eprintln!("nightdrop-consumer: {sentence}");
    code
}

fn start(cli: &Cli) -> Result<Consumer, String> {
    let path = cli.common.config().map_err(|error| error.to_string())?;
    let config: Config = config::load(path).map_err(|error| error.to_string())?;
    let stop = match cli.verb {
        Verb::Run | Verb::Once => shutdown::on_signal(),
        Verb::Migrate { .. } | Verb::Status { .. } => CancellationToken::new(),
    };
    Consumer::new(config, stop).map_err(|error| format!("{}: {error}", path.display()))
}

type Failure = (Code, String);

async fn verb(verb: &Verb, consumer: Arc<Consumer>) -> Result<(), Failure> {
    match verb {
        Verb::Run => run_and_answer(consumer).await,
        Verb::Once => {
            let tally = once::once(&consumer)
                .await
                .map_err(|error| (once_code(&error), error.to_string()))?;
            println!("{}", status::tally(&tally));
            Ok(())
        }
        Verb::Migrate { print: true } => {
            for (version, sql) in migrate::pending(consumer.pool())
                .await
                .map_err(|error| migration(&error))?
            {
                println!("-- migration {version}\n{sql}");
            }
            Ok(())
        }
        Verb::Migrate { print: false } => {
            let applied = migrate::apply(consumer.pool())
                .await
                .map_err(|error| migration(&error))?;
            match applied[..] {
                [] => println!("nothing is pending"),
                _ => applied
                    .iter()
                    .for_each(|version| println!("migration {version} applied")),
            }
            Ok(())
        }
        Verb::Status { json } => {
            let pending = migrate::pending(consumer.pool())
                .await
                .map_err(|error| migration(&error))?;
            if let Some((version, _)) = pending.first() {
                return Err(migration(&migrate::Error::Pending(*version)));
            }
            let summary = ledger::summary::read(consumer.pool())
                .await
                .map_err(|error| postgres(&error))?;
            if *json {
                let text = serde_json::to_string_pretty(&summary)
                    .map_err(|error| (Code::Software, error.to_string()))?;
                println!("{text}");
            } else {
                print!("{}", status::render(&summary, chrono::Utc::now()));
            }
            Ok(())
        }
    }
}

/// The lanes, with health checks answered beside them from before the first look at Postgres.
async fn run_and_answer(consumer: Arc<Consumer>) -> Result<(), Failure> {
    let listen = consumer.config.http.listen;
    let listener = health::bind(listen).await.map_err(|error| {
        (
            Code::Config,
            format!("[http] listen = \"{listen}\": {error}; name another address"),
        )
    })?;
    let done = CancellationToken::new();
    let answers = tokio::spawn(health::serve(listener, Arc::clone(&consumer), done.clone()));
    let result = run::run(consumer).await;
    done.cancel();
    // Open connections of a probe don't keep the process.
    answers.abort();
    result.map_err(|error| migration(&error))
}

fn migration(error: &migrate::Error) -> Failure {
    match error {
        migrate::Error::Unavailable(source) => postgres(source),
        migrate::Error::Refused { .. } | migrate::Error::Pending(_) | migrate::Error::Broken(_) => {
            (Code::Config, error.to_string())
        }
    }
}

/// A refused password is another matter than a server that is away.
fn postgres(error: &sqlx::Error) -> Failure {
    let refused = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("28"));
    let code = if refused {
        Code::NoPerm
    } else {
        Code::Unavailable
    };
    (code, format!("Postgres: {error}"))
}

fn once_code(error: &once::Error) -> Code {
    use crate::{delete, lane, poll};
    let bucket = |error: &nightdrop_bucket::Error| match error.fault() {
        nightdrop_bucket::Fault::Unauthenticated | nightdrop_bucket::Fault::Forbidden => {
            Code::NoPerm
        }
        nightdrop_bucket::Fault::Settings => Code::Config,
        _ => Code::Io,
    };
    match error {
        once::Error::Migrate(migrate::Error::Unavailable(source)) => postgres(source).0,
        once::Error::Migrate(_) => Code::Config,
        once::Error::Poll(poll::Error::Bucket(error))
        | once::Error::Lane(lane::Error::Bucket(error))
        | once::Error::Delete(delete::Error::Bucket(error)) => bucket(error),
        other => match other.remedy() {
            Remedy::Retry | Remedy::Park | Remedy::Hold | Remedy::Pause => Code::Unavailable,
            Remedy::Halt => Code::Config,
        },
    }
}
