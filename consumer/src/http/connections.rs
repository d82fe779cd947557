//! Connections: few, short, and each for one request. Whoever opens many and says nothing takes neither descriptors nor
//! memory from the lanes, nor `/livez` from who would start the process over without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use futures::future::join_all;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Open at once. Where one more comes, one that has not asked for anything yet makes room for it.
const MOST: usize = 64;

/// A request's line and headers are here by then: a probe's and a browser's come in one packet.
const HEAD: Duration = Duration::from_secs(5);

/// So long are they at most, in bytes: a browser's with its cookies are not a quarter of it.
const LENGTH: usize = 16 * 1024;

/// A connection is over by then: the slowest page takes a tenth of it, and the rest is for the network.
const LIFE: Duration = Duration::from_mins(1);

struct Connection {
    task: JoinHandle<()>,
    /// Whether its request is here.
    asked: Arc<AtomicBool>,
}

/// Answers until told to stop, and then those who have asked by then.
pub(super) async fn serve(mut listener: TcpListener, routes: Router, stop: CancellationToken) {
    let mut open: Vec<Connection> = Vec::with_capacity(MOST);
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            (stream, _) = Listener::accept(&mut listener) => stream,
        };
        open.retain(|connection| !connection.task.is_finished());
        if open.len() >= MOST {
            make_room(&mut open).await;
        }
        open.push(Connection::begin(stream, routes.clone(), stop.clone()));
    }
    drop(listener);
    join_all(open.into_iter().map(|connection| connection.task)).await;
}

/// Ends the oldest connection that has not asked; if all have, the oldest.
async fn make_room(open: &mut Vec<Connection>) {
    let silent = |connection: &Connection| !connection.asked.load(Ordering::Relaxed);
    let last = open.remove(open.iter().position(silent).unwrap_or(0));
    last.task.abort();
    // Until then it has its descriptor.
    let _ = last.task.await;
}

impl Connection {
    fn begin(stream: TcpStream, routes: Router, stop: CancellationToken) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&asked);
        let routes = TowerToHyperService::new(routes);
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            routes.call(request)
        });
        // HTTP/1 alone: whom a page is for is told by `Host`, which HTTP/2 may leave out.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LENGTH)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), answer);
        let whole = async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let task = tokio::spawn(async move {
            match timeout(LIFE, whole).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended without an answer"),
                Err(_) => tracing::debug!("a connection took too long, and was closed"),
            }
        });
        Self { task, asked }
    }
}
