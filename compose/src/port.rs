//! Ports for servers.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// A port below the range that systems take for outgoing connections (from 32768 on Linux, from 49152 elsewhere), so
/// that a server that is killed finds its own still free when it comes back.
const RANGE: std::ops::Range<u16> = 10_000..22_000;

/// A port of 127.0.0.1 that nobody listens at, nor at the ones that lie `also` above it. Another process may take it
/// before the server does.
pub(crate) fn free(also: &[u16]) -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..1_000 {
        let port = rand::random_range(RANGE);
        if is_free(port) && also.iter().all(|above| is_free(port + above)) {
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        RANGE.start,
        RANGE.end
    )
}
