//! What the producer promises of its sources, with the real program on real servers: every type of `docs/sources.md`,
//! the nastiest values of each, one instant a result, nothing left running, an exit code for each way to fail.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod away;
mod bucket;
mod cursor;
mod full_disk;
mod incremental;
mod kills;
mod message;
mod nasty;
mod page;
mod power_cut;
mod refusals;
mod server;
mod site;
mod snapshot;
mod timeouts;
mod told;
mod window;
