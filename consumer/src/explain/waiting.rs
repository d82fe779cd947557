//! What a file that waits is waiting for. Pure.

use crate::columns::at;
use crate::ledger::breaker::Kept;
use crate::ledger::history::{Around, Sighting};

pub(super) fn waiting(file: &Sighting, around: &Around) -> String {
    let since = at(file.listed_at);
    let kept = if file.kept {
        ", to be loaded from the bytes that were kept when it was parked"
    } else {
        ""
    };
    let ended = file.attempts - i16::from(file.claimed);
    let alone = match (ended, file.streamed) {
        (1.., _) => {
            format!(". {ended} of its claims ended with their consumer, so it is tried alone")
        }
        (_, true) => ". It is large, and goes in a lane of its own".to_owned(),
        (_, false) => String::new(),
    };
    format!(
        "waiting since {since}{kept}: {}{alone}",
        for_what(file, around)
    )
}

/// What a waiting file waits for.
fn for_what(file: &Sighting, around: &Around) -> String {
    let nobody = around.consumers == 0;
    let start = "no consumer is connected: start `nightdrop-consumer run`";
    if let Some(until) = file.lease_until.filter(|_| file.claimed) {
        let worker = file.worker.as_deref().unwrap_or("a consumer");
        let claimed_at = file.claimed_at.map(at).unwrap_or_default();
        if until > around.now {
            return format!(
                "{worker} took it at {claimed_at} and has it until {} at least; look again then",
                at(until)
            );
        }
        let next = if nobody {
            start
        } else {
            "another consumer takes it next"
        };
        return format!("{worker} took it at {claimed_at} and has not been heard of since; {next}");
    }
    let again = file.retry_at.filter(|again| *again > around.now);
    match (&around.rests, again) {
        (Some((until, error)), _) => format!(
            "its job rests until {}, then it is tried again by itself, for the table refuses: {error}",
            at(*until)
        ),
        (None, _) if nobody => start.to_owned(),
        (None, _) if let Some(open) = &around.breaker => left_alone(open),
        (None, Some(again)) => format!(
            "put off until {}, for the bucket did not give it or its job was busy; then it is tried again by itself",
            at(again)
        ),
        (None, None) if around.ahead == 0 => {
            "it is the next of its job, and nothing keeps it".to_owned()
        }
        (None, None) => format!(
            "{} of its job come before it; there is nothing to do but wait",
            around.ahead
        ),
    }
}

/// What a circuit breaker means for whoever waits.
pub(super) fn left_alone(open: &Kept) -> String {
    let server = if open.server == "postgres" {
        "Postgres"
    } else {
        "the bucket"
    };
    format!(
        "{} leaves {server} alone{}, for it failed time after time, and then asks again by itself: {}",
        open.host,
        open.ask_at
            .map(|until| format!(" until {}", at(until)))
            .unwrap_or_default(),
        open.error
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::sentence::tests::{around, says, sighting, time};

    #[test]
    fn what_waits_says_for_what() {
        let free = sighting("waiting");
        let mut claimed = Sighting {
            claimed: true,
            attempts: 1,
            worker: Some("pg-1-abcd".into()),
            claimed_at: Some(time("2026-11-21T11:59:50Z")),
            lease_until: Some(time("2026-11-21T12:00:20Z")),
            ..free.clone()
        };
        insta::assert_snapshot!(says(&claimed, &around()), @"waiting since 2026-11-21 11:00:00Z: pg-1-abcd took it at 2026-11-21 11:59:50Z and has it until 2026-11-21 12:00:20Z at least; look again then");
        claimed.lease_until = Some(time("2026-11-21T11:59:59Z"));
        claimed.attempts = 3;
        insta::assert_snapshot!(says(&claimed, &Around { consumers: 0, ..around() }), @"waiting since 2026-11-21 11:00:00Z: pg-1-abcd took it at 2026-11-21 11:59:50Z and has not been heard of since; no consumer is connected: start `nightdrop-consumer run`. 2 of its claims ended with their consumer, so it is tried alone");
        let rests = Around {
            rests: Some((
                time("2026-11-21T12:05:00Z"),
                "jfk.departures is there already".into(),
            )),
            ..around()
        };
        insta::assert_snapshot!(says(&free, &rests), @"waiting since 2026-11-21 11:00:00Z: its job rests until 2026-11-21 12:05:00Z, then it is tried again by itself, for the table refuses: jfk.departures is there already");
        let put_off = Sighting {
            retry_at: Some(time("2026-11-21T12:00:05Z")),
            ..free.clone()
        };
        insta::assert_snapshot!(says(&put_off, &around()), @"waiting since 2026-11-21 11:00:00Z: put off until 2026-11-21 12:00:05Z, for the bucket did not give it or its job was busy; then it is tried again by itself");
        let open = Around {
            breaker: Some(Kept {
                host: "pg-1".into(),
                server: "bucket".into(),
                state: "open".into(),
                since: time("2026-11-21T12:00:00Z"),
                ask_at: Some(time("2026-11-21T12:01:00Z")),
                error: "LIST: timed out".into(),
            }),
            ..around()
        };
        insta::assert_snapshot!(says(&free, &open), @"waiting since 2026-11-21 11:00:00Z: pg-1 leaves the bucket alone until 2026-11-21 12:01:00Z, for it failed time after time, and then asks again by itself: LIST: timed out");
        insta::assert_snapshot!(says(&free, &Around { ahead: 7, ..around() }), @"waiting since 2026-11-21 11:00:00Z: 7 of its job come before it; there is nothing to do but wait");
        insta::assert_snapshot!(says(&Sighting { kept: true, streamed: true, ..free }, &around()), @"waiting since 2026-11-21 11:00:00Z, to be loaded from the bytes that were kept when it was parked: it is the next of its job, and nothing keeps it. It is large, and goes in a lane of its own");
    }
}
