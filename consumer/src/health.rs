//! `/livez`: the process runs. `/readyz`: bucket and Postgres answer, or what is wrong with them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;

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
    match consumer.servers.ready() {
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
