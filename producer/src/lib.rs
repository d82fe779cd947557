#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod job;
pub mod source;
pub mod spool;

mod drain;
mod dry_run;
mod encode;
mod error;
mod input;
mod lock;
mod outgoing;
mod parameters;
mod progress;
mod put;
mod table;
mod text_form;
mod validate;

pub use crate::{
    drain::drain, dry_run::dry_run, error::Error, outgoing::Outgoing, parameters::Parameter,
    put::put, validate::validate,
};
