#![doc = include_str!("../README.md")]

pub mod allocator;
mod backoff;
mod catalog;
pub mod cli;
pub mod config;
pub mod consumer;
pub mod database;
pub mod decode;
pub mod delete;
pub mod destination;
pub mod destinations;
pub mod fetch;
pub mod health;
pub mod lane;
pub mod ledger;
pub mod load;
pub mod migrate;
pub mod once;
pub mod park;
pub mod poll;
pub mod pool;
pub mod release;
pub mod remedy;
pub mod run;
pub mod sqlstate;
pub mod status;
pub mod table;
