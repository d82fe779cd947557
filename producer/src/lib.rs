#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod cursor;
pub mod interval;
pub mod job;
pub mod schedule;
pub mod source;
pub mod spool;
pub mod watermark;
pub mod window;

mod count;
mod doctor;
mod drain;
mod dry_run;
mod encode;
mod error;
mod failpoint;
mod failure;
mod input;
mod lock;
mod outgoing;
mod parameters;
mod progress;
mod put;
mod table;
mod text_form;
mod textfile;
mod validate;

pub use crate::{
    drain::{Patience, drain},
    dry_run::dry_run,
    error::{Error, Waiting},
    outgoing::Outgoing,
    parameters::{End, Of, Parameter, Placeholder},
    put::put,
    validate::validate,
};
