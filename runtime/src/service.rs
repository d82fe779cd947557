//! What systemd is told, where it asks: `Type=notify`, `WatchdogSec=`. Anywhere else nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Says that the process is ready, from then on that it is alive, and, once `stop` or `done` is cancelled, that it
/// is about to end. To be spawned, and waited for after `done`: only then has systemd heard the last word.
///
/// It is a task like any other: where the process is so stuck that its tasks get no turn, it falls silent,
/// and systemd starts the process over.
/// <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>
pub async fn tell(stop: CancellationToken, done: CancellationToken) {
    say(&NotifyState::Ready);
    let pulse = async {
        if let Some(limit) = sd_notify::watchdog_enabled() {
            let mut beat = tokio::time::interval(half(limit));
            loop {
                beat.tick().await;
                say(&NotifyState::Watchdog);
            }
        }
        std::future::pending::<()>().await;
    };
    let farewell = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = done.cancelled() => {}
        }
        say(&NotifyState::Stopping);
        done.cancelled().await;
    };
    tokio::select! {
        () = pulse => {}
        () = farewell => {}
    }
}

/// Half of the limit, as systemd advises.
fn half(limit: Duration) -> Duration {
    (limit / 2).max(Duration::from_millis(1))
}

fn say(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!("systemd could not be told {state}: {error}");
    }
}
