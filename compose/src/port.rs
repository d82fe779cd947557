//! Ports for servers.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// A port below the range that systems take for outgoing connections (from 32768 on Linux, from
/// 49152 elsewhere), so that a server that is killed finds its own still free when it comes back.
const RANGE: std::ops::Range<u16> = 10_000..22_000;

/// A port of 127.0.0.1 for a program that a test starts: nobody listens at it, and no server of this process was given it.
/// One that the system chose could be an outgoing connection's before the program listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    free(&[])
}

/// A port of 127.0.0.1 that nobody listens at and that was not given before, and so are those that
/// lie `also` above it.
pub(crate) fn free(also: &[u16]) -> Result<u16> {
    /// A server takes a while to listen: what one was given is no other's.
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1_000 {
        let port = rand::random_range(RANGE);
        let ports: Vec<u16> = std::iter::once(0)
            .chain(also.iter().copied())
            .map(|above| port + above)
            .collect();
        let is_free = |port: &u16| {
            !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        };
        if ports.iter().all(is_free) {
            given.extend(ports);
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        RANGE.start,
        RANGE.end
    )
}
