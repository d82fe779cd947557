//! `doctor`: each thing that the consumer needs, tried out, and each that it must not be able to do, too.
//!
//! `server.rs` looks at Postgres's own settings, `role.rs` at what the role may do, `tables.rs` at the ledger and the
//! report tables; what the key may do in the bucket is tried out by the bucket's own crate. Nothing is changed. All of
//! it has an end, whoever hangs.

mod role;
mod server;
mod tables;

use std::time::Duration;

use nightdrop_bucket::probe::{Matter, Proof, Verdict};
use nightdrop_runtime::exit::Code;
use nightdrop_runtime::findings::{Finding, Findings, within};

use crate::consumer::Consumer;
use crate::sqlstate;

/// For all that is asked of one server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries everything out.
pub(crate) async fn doctor(consumer: &Consumer) -> Findings {
    let about_bucket = within(PATIENCE, "bucket", Code::Io, async {
        let proofs = consumer.bucket.prove_consumer().await;
        proofs.into_iter().map(finding).collect()
    });
    let about_postgres = within(PATIENCE, "Postgres", Code::Unavailable, postgres(consumer));
    let (bucket, postgres) = tokio::join!(about_bucket, Box::pin(about_postgres));
    Findings::new([bucket, postgres].concat())
}

fn finding(proof: Proof) -> Finding {
    let code = |matter| match matter {
        Matter::Rights => Code::NoPerm,
        Matter::Settings => Code::Config,
        Matter::Away => Code::Io,
    };
    let Proof {
        line,
        verdict,
        found,
        remedy,
    } = proof;
    match verdict {
        Verdict::Holds => Finding::ok(line, found),
        Verdict::Fails(matter) => Finding::fail(line, code(matter), found, remedy),
        Verdict::Unproven(matter) => Finding::unproven(line, code(matter), found, remedy),
    }
}

async fn postgres(consumer: &Consumer) -> Vec<Finding> {
    const ANSWERS: &str = "Postgres: answers";
    let server = match server::look(consumer).await {
        Ok(lines) => lines,
        Err(error) => {
            let code = crate::cli::of_postgres(&error);
            let found = consumer.database.cause(&error).await;
            let remedy = match code {
                Code::NoPerm => "correct the role in [postgres] url and its password, or let it in",
                Code::Config => "correct the database in [postgres] url, or make it",
                _ => "check [postgres] url, the network and the server",
            };
            let mut lines = vec![Finding::fail(ANSWERS, code, found, remedy)];
            for line in server::LINES.iter().chain(role::LINES).chain(tables::LINES) {
                lines.push(Finding::unproven(
                    *line,
                    code,
                    "Postgres was not reached",
                    "see to what failed above, then ask again",
                ));
            }
            return lines;
        }
    };
    let answers = Finding::ok(ANSWERS, consumer.config.postgres.url.as_str());
    let role = asked(role::LINES, role::look(consumer).await);
    let tables = asked(tables::LINES, tables::look(consumer).await);
    [vec![answers], server, role, tables].concat()
}

/// What was found; or why these lines say nothing.
fn asked(lines: &[&str], found: Result<Vec<Finding>, sqlx::Error>) -> Vec<Finding> {
    found.unwrap_or_else(|error| {
        let code = match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            // A right is missing.
            Some(code) if code == "42501" => Code::NoPerm,
            _ => crate::cli::of_postgres(&error),
        };
        let unproven = |line: &&str| {
            Finding::unproven(
                *line,
                code,
                sqlstate::sentence(&error),
                "run what `nightdrop-consumer grants` prints, and `nightdrop-consumer migrate`, then ask again",
            )
        };
        lines.iter().map(unproven).collect()
    })
}
