//! `docs/message-format.md` and the Python example by deed: what they tell to run is run against real servers, as a
//! producer who can do nothing but write, and what then lies in the bucket is read as the reader.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod inbox;
mod page;
mod python;
