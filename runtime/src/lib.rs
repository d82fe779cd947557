#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod exit;
pub mod findings;
pub mod metrics;
pub mod pages;
pub mod postgres;
pub mod secret;
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
