//! SIGTERM and SIGINT, as something that can be passed as an argument.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels. The second signal exits 130 at once:
/// whoever sends it does not want to wait, and a kill is safe at every moment.
///
/// Where the system refuses a signal handler, a signal kills as it would without
/// us, and a log line says so.
///
/// # Panics
/// Outside a tokio runtime.
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(terminate), Ok(interrupt)) => {
            tokio::spawn(listen(terminate, interrupt, token.clone()));
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("no signal handler, so a signal ends this at once: {error}");
        }
    }
    token
}

async fn listen(mut terminate: Signal, mut interrupt: Signal, token: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let name = next().await;
    tracing::info!("{name}: finishing what is in hand; once more ends at once");
    token.cancel();
    next().await;
    std::process::exit(130);
}
