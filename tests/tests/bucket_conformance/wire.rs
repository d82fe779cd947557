//! A line to a server that can be cut: a TCP proxy that counts bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A line that is to be started.
pub(crate) struct Wire {
    to: String,
    sent: u64,
    received: u64,
}

/// A line that is up for as long as this lives.
pub(crate) struct Live {
    address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub(crate) fn to(endpoint: &str) -> Self {
        let url: Url = endpoint.parse().unwrap();
        let to = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        Self {
            to,
            sent: u64::MAX,
            received: u64::MAX,
        }
    }

    /// Cut each connection once the client has sent this many bytes.
    pub(crate) fn cut_after_sending(self, bytes: u64) -> Self {
        Self {
            sent: bytes,
            ..self
        }
    }

    /// Cut each connection once the client has received this many bytes.
    pub(crate) fn cut_after_receiving(self, bytes: u64) -> Self {
        Self {
            received: bytes,
            ..self
        }
    }

    pub(crate) async fn start(self) -> Live {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(self);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(Arc::clone(&wire), client));
            }
        });
        Live { address, task }
    }
}

impl Live {
    pub(crate) fn endpoint(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Both ways at once, until one side ends or its bytes are used up. Then both sockets close.
async fn carry(wire: Arc<Wire>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(&wire.to).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (sent, received) = (AtomicU64::new(wire.sent), AtomicU64::new(wire.received));
    tokio::select! {
        _ = copy(from_client, to_server, &sent) => {}
        _ = copy(from_server, to_client, &received) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: &AtomicU64,
) -> std::io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        let n = from.read(&mut piece).await?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&piece[..n]).await?;
        if left.fetch_sub(n as u64, Ordering::Relaxed) <= n as u64 {
            return Ok(());
        }
    }
}
