//! `/livez`: the process runs. `/readyz`: bucket and Postgres answer, or what is wrong with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;

/// What the lanes last heard from the bucket and from Postgres.
#[derive(Debug)]
pub struct Health {
    bucket: Mutex<Option<String>>,
    postgres: Mutex<Option<String>>,
}

impl Default for Health {
    fn default() -> Self {
        let unknown = || Mutex::new(Some("not asked yet".to_owned()));
        Self {
            bucket: unknown(),
            postgres: unknown(),
        }
    }
}

impl Health {
    /// The bucket answered, or what it said instead.
    pub fn bucket(&self, answer: Result<(), String>) {
        note("bucket", &self.bucket, answer);
    }

    /// Postgres answered, or what it said instead.
    pub fn postgres(&self, answer: Result<(), String>) {
        note("postgres", &self.postgres, answer);
    }

    /// Whether both answer, else a line for each that doesn't.
    ///
    /// # Errors
    /// The lines.
    pub fn ready(&self) -> Result<(), String> {
        let lines: Vec<String> = [("bucket", &self.bucket), ("postgres", &self.postgres)]
            .into_iter()
            .filter_map(|(name, state)| {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.as_ref().map(|error| format!("{name}: {error}\n"))
            })
            .collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.concat())
        }
    }
}

/// Logs what has changed, once when it starts and once when it ends.
fn note(name: &str, state: &Mutex<Option<String>>, answer: Result<(), String>) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::replace(&mut *state, answer.err());
    match (&before, &*state) {
        (Some(_), None) => tracing::info!("{name} can be used"),
        (before, Some(error)) if before.as_ref() != Some(error) => {
            tracing::error!(%error, "{name} can't be used; trying again until it can");
        }
        _ => {}
    }
}

/// Answers health checks until told to stop.
///
/// # Errors
/// When the server ends by itself.
pub async fn serve(
    listener: TcpListener,
    consumer: Arc<Consumer>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(consumer);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn readyz(State(consumer): State<Arc<Consumer>>) -> (StatusCode, String) {
    match consumer.health.ready() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(lines) => (StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}

/// Takes the address.
///
/// # Errors
/// When it is taken, or not this machine's.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}
