//! The lane that polls, and so finds out whether bucket and Postgres are there: before the first poll, and
//! while one of them is away.

use std::time::Duration;

use chrono::{DateTime, Utc};
use nightdrop_schema::INBOX;

use crate::backoff::Backoff;
use crate::consumer::Consumer;
use crate::ledger::breaker::Kept;
use crate::ledger::sighting;
use crate::poll::{Cursor, Polled};
use crate::run::{after, rest};
use crate::servers::{Answer, Next, Server};
use crate::{database, ledger, migrate, poll, sqlstate};

/// Waits for Postgres, migrates, and goes on with what was known of the bucket before a restart. Gives
/// false where a signal came first.
pub(crate) async fn prepare(consumer: &Consumer) -> Result<bool, migrate::Error> {
    let mut backoff = Backoff::default();
    loop {
        let ready = async {
            migrate::at_start(consumer.pool(), consumer.config.postgres.migrate).await?;
            expect(consumer).await?;
            ledger::breaker::all(consumer.pool())
                .await
                .map_err(migrate::Error::Unavailable)
        };
        let ready = tokio::select! {
            () = consumer.stop.cancelled() => return Ok(false),
            ready = ready => ready,
        };
        match ready {
            Ok(kept) => {
                heard(consumer, Server::Postgres, Answer::Well);
                let host = database::host();
                let bucket =
                    |kept: &Kept| kept.host == host && kept.server == Server::Bucket.as_str();
                if let Some(kept) = kept.into_iter().find(bucket) {
                    consumer.servers.adopt(Server::Bucket, kept.breaker());
                }
                return Ok(!consumer.stop.is_cancelled());
            }
            Err(migrate::Error::Unavailable(error)) => {
                let answer = of_postgres(consumer, &error).await;
                heard(consumer, Server::Postgres, answer);
                refresh(consumer);
            }
            Err(error) => return Err(error),
        }
        let wait = match consumer.servers.asking(Utc::now()) {
            Next::NotBefore(at) => until(at),
            Next::Freely | Next::OnTrial(_) => backoff.next(),
        };
        if !rest(consumer, wait).await {
            return Ok(false);
        }
    }
}

/// Has everybody know what `[[expect]]` says.
pub(crate) async fn expect(consumer: &Consumer) -> Result<(), migrate::Error> {
    let gone = ledger::expectation::write(consumer.pool(), &consumer.config.expected)
        .await
        .map_err(migrate::Error::Unavailable)?;
    if !gone.is_empty() {
        tracing::warn!(
            jobs = gone.join(", "),
            "expected no longer: [[expect]] doesn't name them"
        );
    }
    Ok(())
}

fn heard(consumer: &Consumer, server: Server, answer: Answer) {
    consumer.servers.heard(server, answer, Utc::now());
}

/// What an error of Postgres says of Postgres itself.
async fn of_postgres(consumer: &Consumer, error: &sqlx::Error) -> Answer {
    let cause = consumer.database.cause(error).await;
    if sqlstate::is_away(error) {
        Answer::Away(cause)
    } else {
        Answer::Refused(cause)
    }
}

fn until(at: DateTime<Utc>) -> Duration {
    (at - Utc::now()).to_std().unwrap_or_default()
}

/// Polls; and while one of the two servers is away, finds out when it is back.
pub(crate) async fn polls(consumer: &Consumer) {
    let settings = &consumer.config.poll;
    let (mut cursor, mut backoff) = (Cursor::default(), Backoff::default());
    let mut wait = settings.min;
    while !consumer.stop.is_cancelled() {
        let turn = async {
            write_down(consumer).await;
            match consumer.servers.asking(Utc::now()) {
                Next::Freely => Turn::Polled(poll::poll(consumer, &mut cursor).await),
                Next::OnTrial(server) => {
                    try_out(consumer, server).await;
                    Turn::Tried
                }
                Next::NotBefore(at) => Turn::Rest(until(at)),
            }
        };
        let turn = tokio::select! {
            () = consumer.stop.cancelled() => return,
            turn = turn => turn,
        };
        let going_on = match turn {
            Turn::Polled(Ok(polled)) => {
                heard(consumer, Server::Bucket, Answer::Well);
                heard(consumer, Server::Postgres, Answer::Well);
                backoff.reset();
                wait = if polled.new > 0 {
                    settings.min
                } else {
                    (wait * 2).min(settings.max)
                };
                let pause = match polled {
                    // Up to a tenth earlier, so that consumers don't keep step.
                    Polled { whole: true, .. } => wait.mul_f64(1.0 - rand::random::<f64>() / 10.0),
                    // There is more to write down.
                    Polled { new: 1.., .. } => Duration::ZERO,
                    Polled { .. } => settings.min,
                };
                rest(consumer, pause.min(settings.min)).await
                    && tokio::select! {
                        going_on = rest(consumer, pause.saturating_sub(settings.min)) => going_on,
                        () = consumer.servers.doubt.notified() => true,
                    }
            }
            Turn::Polled(Err(error)) => {
                match &error {
                    poll::Error::Bucket(error) => {
                        heard(consumer, Server::Postgres, Answer::Well);
                        // A LIST that is refused concerns every file there is.
                        heard(consumer, Server::Bucket, Answer::Away(error.to_string()));
                    }
                    poll::Error::Ledger(error) => {
                        let answer = of_postgres(consumer, error).await;
                        heard(consumer, Server::Postgres, answer);
                    }
                }
                refresh(consumer);
                rest(consumer, after(error.remedy(), &mut backoff)).await
            }
            Turn::Tried => rest(consumer, settings.min).await,
            Turn::Rest(pause) => rest(consumer, pause).await,
        };
        if !going_on {
            return;
        }
    }
}

/// What a turn of the polling lane came to.
enum Turn {
    Polled(Result<poll::Polled, poll::Error>),
    Tried,
    Rest(Duration),
}

/// One call, to see whether a server is there again.
async fn try_out(consumer: &Consumer, server: Server) {
    let answer = match server {
        Server::Bucket => match consumer.bucket.list(INBOX, None).await {
            Ok(_) => Answer::Well,
            Err(error) => Answer::Away(error.to_string()),
        },
        Server::Postgres => match sighting::clock(consumer.pool()).await {
            Ok(_) => Answer::Well,
            Err(error) => of_postgres(consumer, &error).await,
        },
    };
    if answer != Answer::Well {
        refresh(consumer);
    }
    heard(consumer, server, answer);
}

/// Has the ledger know of breakers that were opened or closed, for `status` and for after a restart.
async fn write_down(consumer: &Consumer) {
    for (server, breaker) in consumer.servers.news() {
        let host = database::host();
        match ledger::breaker::write(consumer.pool(), &host, server.as_str(), &breaker).await {
            Ok(()) => consumer.servers.written(server, &breaker),
            Err(error) => tracing::debug!(%error, "a breaker could not be written down yet"),
        }
    }
}

/// A secret may have been changed: new connections take the new one.
fn refresh(consumer: &Consumer) {
    if let Err(error) = consumer.database.refresh() {
        tracing::error!(%error, "the password of Postgres can't be read");
    }
}
