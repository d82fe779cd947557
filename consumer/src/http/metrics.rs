//! `/metrics`: what Prometheus reads.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use nightdrop_runtime::metrics;

use crate::consumer::Consumer;
use crate::servers::Next;

pub(super) fn routes() -> Router<Arc<Consumer>> {
    Router::new().route("/metrics", get(page))
}

async fn page(State(consumer): State<Arc<Consumer>>) -> impl IntoResponse {
    // While Postgres is left alone, nothing is asked of it for this either.
    if consumer.servers.asking(chrono::Utc::now()) == Next::Freely {
        let delete_after = consumer.config.bucket.delete_after;
        let ledger = &consumer.metrics.ledger;
        ledger.freshen(consumer.pool(), delete_after).await;
    }
    (
        [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
        consumer.metrics.render(),
    )
}
