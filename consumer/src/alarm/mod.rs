//! Alarms: what is wrong is told to webhooks, once when it starts and once when it ends, however many consumers
//! run. `news.rs` compares what is wrong with what was told, and writes the difference into an outbox in the same
//! transaction, as `event.rs` words it; `send.rs` brings one of its rows to its target. Loading waits for none of this.

mod event;
mod news;
mod send;

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;

use crate::config::Webhook;
use crate::consumer::Consumer;
use crate::failpoint::failpoint;
use crate::ledger::outbox;
use crate::run::rest;
use crate::sqlstate;
use send::{NotTaken, Sender};

/// How often it is looked what is wrong; an outbox that another consumer wrote into is looked at as often.
const EVERY: Duration = Duration::from_secs(5);

/// How long what is being sent is waited for once a signal has come: cut off, it would come twice.
const LAST: Duration = Duration::from_secs(5);

/// After a look that took long, this many times as long is rested,
const SHARE: u32 = 20;

/// but no longer than this: it may have been the machine that stood still.
const LONGEST: Duration = Duration::from_mins(1);

/// Tells what is wrong until a signal comes.
pub(crate) async fn run(consumer: &Consumer) {
    let webhooks = &consumer.config.webhooks;
    if webhooks.is_empty() {
        return;
    }
    let Some(sender) = sender(consumer) else {
        return;
    };
    let news: Vec<Notify> = webhooks.iter().map(|_| Notify::new()).collect();
    let telling = webhooks
        .iter()
        .zip(&news)
        .map(|(webhook, news)| tells(consumer, &sender, webhook, news));
    tokio::join!(looks(consumer, &news), join_all(telling));
}

/// One look at what is wrong, and everybody told who can be reached: for `once`.
pub(crate) async fn once(consumer: &Consumer) {
    let webhooks = &consumer.config.webhooks;
    if webhooks.is_empty() {
        return;
    }
    if let Err(error) = news::write(consumer).await {
        tracing::warn!(
            error = sqlstate::sentence(&error),
            "no alarm was raised or ended"
        );
        return;
    }
    if let Some(sender) = sender(consumer) {
        let telling = webhooks.iter().map(|webhook| async {
            while let Turn::Told = turn(consumer, &sender, webhook).await {}
        });
        join_all(telling).await;
    }
}

/// Says at the start what would else be found out with the first alarm.
fn sender(consumer: &Consumer) -> Option<Sender> {
    for webhook in &consumer.config.webhooks {
        if let Err(error) = send::ready(webhook) {
            tracing::error!("[[webhook]]: {error}; alarms wait until it is mended");
        }
    }
    Sender::new()
        .inspect_err(|error| tracing::error!("no alarm can be sent: {error}"))
        .ok()
}

async fn looks(consumer: &Consumer, news: &[Notify]) {
    loop {
        let begun = tokio::time::Instant::now();
        let written = tokio::select! {
            () = consumer.stop.cancelled() => return,
            written = news::write(consumer) => written,
        };
        match written {
            Ok(0) => {}
            Ok(_) => news.iter().for_each(Notify::notify_one),
            // Whether Postgres is there is the polling lane's to say.
            Err(error) => {
                tracing::debug!(
                    error = sqlstate::sentence(&error),
                    "what is wrong could not be looked for"
                );
            }
        }
        if !rest(consumer, (begun.elapsed() * SHARE).clamp(EVERY, LONGEST)).await {
            return;
        }
    }
}

/// What a turn at the outbox came to.
enum Turn {
    /// A target has taken it, or the others pass it; there may be more.
    Told,
    /// Nothing is to be told now.
    Idle,
}

/// Tells one target, one message after the other.
async fn tells(consumer: &Consumer, sender: &Sender, webhook: &Webhook, news: &Notify) {
    loop {
        if consumer.stop.is_cancelled() {
            return;
        }
        let stopped = async {
            consumer.stop.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        let turn = tokio::select! {
            () = stopped => return,
            turn = turn(consumer, sender, webhook) => turn,
        };
        if let Turn::Told = turn {
            continue;
        }
        tokio::select! {
            () = consumer.stop.cancelled() => return,
            () = news.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn turn(consumer: &Consumer, sender: &Sender, webhook: &Webhook) -> Turn {
    let pool = consumer.pool();
    let letter = match outbox::take(pool, &webhook.target(), send::LIMIT * 3).await {
        Ok(Some(letter)) => letter,
        Ok(None) => return Turn::Idle,
        Err(error) => {
            tracing::debug!(
                error = sqlstate::sentence(&error),
                "the outbox could not be looked at"
            );
            return Turn::Idle;
        }
    };
    failpoint("alarm: claimed");
    let done = match sender.send(webhook, &letter).await {
        Ok(()) => {
            failpoint("alarm: sent");
            let taken = outbox::taken(pool, &letter).await.map(|()| Turn::Told);
            failpoint("alarm: removed");
            taken
        }
        Err(NotTaken { why, refused }) => {
            let wait = send::wait(letter.attempts, rand::random());
            let (url, attempts, error) = (&webhook.url, letter.attempts, &why);
            if refused && attempts >= send::TRIES {
                tracing::error!(
                    ?url,
                    attempts,
                    error,
                    "an alarm is refused; the others pass it, and it is sent again in {} s",
                    wait.as_secs()
                );
                let passed = outbox::pass(pool, &letter, wait, error).await;
                passed.map(|()| Turn::Told)
            } else {
                tracing::warn!(
                    ?url,
                    attempts,
                    error,
                    "an alarm was not taken; it is sent again in {} s",
                    wait.as_secs()
                );
                let put_off = outbox::put_off(pool, &letter, wait, error).await;
                put_off.map(|()| Turn::Idle)
            }
        }
    };
    // Then it is sent once more, under the same id.
    done.unwrap_or_else(|error| {
        tracing::debug!(
            error = sqlstate::sentence(&error),
            "the outbox could not be written"
        );
        Turn::Idle
    })
}
