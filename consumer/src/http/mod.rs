//! What the consumer answers over HTTP. Each thing that it answers is a file with its routes.
//!
//! `/livez`, `/readyz` and `/metrics` are for machines, and say nothing that has to be guarded. `pages/` is for people.
//! `connections.rs` keeps those who ask, or only hold a connection, from taking what the lanes need.

mod connections;
mod health;
mod metrics;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;

/// Answers until told to stop.
pub async fn serve(listener: TcpListener, consumer: Arc<Consumer>, stop: CancellationToken) {
    let routes = Router::new()
        .merge(health::routes())
        .merge(metrics::routes())
        .with_state(Arc::clone(&consumer))
        .merge(pages::routes(consumer));
    connections::serve(listener, routes, stop).await;
}

/// Takes the address.
///
/// # Errors
/// When it is taken, or not this machine's.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}
