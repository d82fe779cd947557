//! The real binaries against real servers, with the rights that a site has and no others.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "one test binary: nothing in it is an interface, a panic is the report, and the tests say what they show in their names"
)]

mod browser;
mod bystanders;
mod connections;
mod crashes;
mod doctor;
mod drift;
mod explain;
mod fairness;
mod gate;
mod grants;
mod guards;
mod hangs;
mod hostile;
mod keep;
mod kills;
mod large;
mod loading;
mod message;
mod metrics;
mod modes;
mod order;
mod others;
mod outages;
mod pages;
mod parking;
mod process;
mod profiles;
mod redrive;
mod restore;
mod retire;
mod secrets;
mod service;
mod site;
mod states;
mod stopping;
mod told;
mod traces;
mod upgrades;
mod values;
