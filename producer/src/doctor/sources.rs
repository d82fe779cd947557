//! Each source that a job reads: that it answers, shows a snapshot, and lets its role write nothing.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use indexmap::IndexMap;
use nightdrop_runtime::{
    exit::Code,
    findings::{self, Finding, within},
};
use nightdrop_schema::Timestamptz;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::Config,
    source::{self, Source, Writes},
};

/// For the one row that is read.
const A_ROW: Duration = Duration::from_secs(10);

pub(super) async fn look(config: &Config, patience: Duration) -> Vec<Finding> {
    let sources: IndexMap<&str, &Source> = config
        .jobs
        .values()
        .map(|job| (job.source_name.as_str(), &job.source))
        .collect();
    let looks = sources.into_iter().map(|(name, source)| async move {
        let line = format!("source {name}");
        within(
            patience,
            &line,
            Code::Unavailable,
            Box::pin(one(name, source)),
        )
        .await
    });
    join_all(looks).await.concat()
}

async fn one(name: &str, source: &Source) -> Vec<Finding> {
    let line = |what: &str| format!("source {name}: {what}");
    let (snapshot, clock, tls, role) = (
        line("a read-only snapshot"),
        line("clock"),
        line("TLS"),
        line("role can't write"),
    );
    let not_known = |line: String, code| {
        Finding::unproven(
            line,
            code,
            "the source does not answer as it should",
            "see to what failed above, then ask again",
        )
    };

    let asked = SystemTime::now();
    let as_of = match source.try_out(A_ROW, &CancellationToken::new()).await {
        Ok(as_of) => as_of,
        Err(error) => {
            let code = error.code();
            let remedy = match code {
                _ if matches!(error, Error::Source(source::Error::Secret(_))) => {
                    "make the file or set the variable that `password` names, and let this user read it"
                }
                Code::NoPerm => "correct the user in the URL and its password, or let it in",
                Code::Config => "correct the URL",
                _ => "check the URL, the network and the server",
            };
            return vec![
                Finding::fail(snapshot, code, error.to_string(), remedy),
                not_known(clock, code),
                not_known(tls, code),
                not_known(role, code),
            ];
        }
    };
    let snapshot = Finding::ok(snapshot, "works, with the session's settings");
    match source.look().await {
        Ok(Some(look)) => vec![
            snapshot,
            findings::clock(clock, ahead(as_of, asked)),
            findings::tls(tls, look.wire, look.stays_here),
            match look.writes {
                Writes::Nothing => Finding::ok(role, "it can't"),
                Writes::Something(what) => Finding::fail(
                    role,
                    Code::NoPerm,
                    what,
                    "give the producer a role of its own that may SELECT what its jobs read, and nothing else",
                ),
                Writes::Unknown(why) => {
                    Finding::unproven(role, Code::NoPerm, why, "grant SELECT to the user itself")
                }
            },
        ],
        Ok(None) => vec![
            snapshot,
            Finding::ok(role, "the file is opened for reading only"),
        ],
        Err(error) => vec![
            snapshot,
            findings::clock(clock, ahead(as_of, asked)),
            Finding::unproven(tls, error.code(), error.to_string(), "ask again"),
            not_known(role, error.code()),
        ],
    }
}

/// How many seconds the source's clock is ahead of this machine's.
fn ahead(as_of: Timestamptz, asked: SystemTime) -> f64 {
    let ours = asked
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let theirs = as_of.unix_micros().unwrap_or_default();
    let ours = i64::try_from(ours.as_micros()).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "tenths of a second are shown")]
    let ahead = theirs.saturating_sub(ours) as f64;
    ahead / 1e6
}
