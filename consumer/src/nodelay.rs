//! What is sent to Postgres goes out at once.
//!
//! A COPY is several writes, and its answer comes after the last of them. By Nagle's algorithm that one waits until
//! those before it are acknowledged, which takes 40 ms where nothing else is to be said (`TCP_NODELAY` in tcp(7)).
//! sqlx 0.9.0 doesn't turn the algorithm off (<https://github.com/launchbadge/sqlx/issues/4335>), and keeps its sockets
//! to itself: so it is turned off for all that this process has.

use nix::sys::socket::{setsockopt, sockopt::TcpNoDelay};

/// Turns the algorithm off for each TCP connection that is open now.
///
/// # Errors
/// When it can't be seen what is open: everything works, and a COPY takes its 40 ms.
pub(crate) fn everywhere() -> std::io::Result<()> {
    for open in std::fs::read_dir("/dev/fd")? {
        if let Some(fd) = open?.file_name().to_str().and_then(|fd| fd.parse().ok())
            && let Err(refused) = setsockopt(fd, TcpNoDelay, &true)
        {
            // It is a file, or a socket of another kind, or has been closed by now.
            tracing::trace!(fd, %refused, "no TCP connection");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_that_somebody_else_has_made_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!stream.nodelay().unwrap());
        super::everywhere().unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
