//! The token of the pages, read anew for each request, so that another one holds at once.

use std::sync::Arc;
use std::time::Duration;

use nightdrop_runtime::secret::{Secret, SecretError};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A file that has not been read by then is on a share that is away, or a pipe that nobody fills.
const WAIT: Duration = Duration::from_secs(2);

/// Where the token is.
pub(super) struct Token {
    secret: Secret,
    /// One reading at once: one that hangs can't be ended, and keeps its thread, of which the lanes need some.
    turn: Arc<Semaphore>,
}

/// Why there is no token to compare with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0} has not been read within {wait} s; it, or what it is mounted from, hangs", wait = WAIT.as_secs())]
    Hangs(Secret),
}

impl Token {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            secret,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads it, while the process goes on.
    pub(super) async fn read(&self) -> Result<SecretString, Unread> {
        let reading = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
            let secret = self.secret.clone();
            let read = tokio::task::spawn_blocking(move || {
                let read = secret.read();
                drop(turn);
                read
            });
            read.await.ok()
        };
        match timeout(WAIT, reading).await {
            Ok(Some(read)) => Ok(read?),
            // The process ends, or it takes too long.
            Ok(None) | Err(_) => Err(Unread::Hangs(self.secret.clone())),
        }
    }
}
