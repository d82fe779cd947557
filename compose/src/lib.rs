#![doc = include_str!("../README.md")]

mod binary;
mod blocking;
mod controls;
mod database;
mod home;
mod mariadb;
mod memory;
mod once;
pub mod policy;
mod port;
mod postgres;
mod program;
mod s3;
mod server;
mod wheel;

pub use binary::{binary, binary_with_fail_points, release_binary};
pub use database::Database;
pub use home::folder;
pub use mariadb::MariaDb;
pub use memory::{file_rss, peak_rss, rss};
pub use port::free_port;
pub use postgres::Postgres;
pub use s3::{Answer, Inbox, Keys, S3, S3Kind};
pub use wheel::cache;
