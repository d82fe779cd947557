#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod exit;
pub mod postgres;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
