//! The real binaries against real servers, with the rights that a site has and no others.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "one test binary: nothing in it is an interface, a panic is the report, and the tests say what they show in their names"
)]

mod bystanders;
mod crashes;
mod drift;
mod explain;
mod fairness;
mod gate;
mod guards;
mod hangs;
mod hostile;
mod keep;
mod kills;
mod large;
mod loading;
mod message;
mod modes;
mod order;
mod others;
mod outages;
mod parking;
mod process;
mod redrive;
mod restore;
mod retire;
mod site;
mod states;
mod stopping;
mod values;
