//! What a process makes once, at first use, and may fail to make.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};

/// Where it is kept: a failure, too, for trying again would take as long and say the same.
pub(crate) type Once<T> = OnceLock<Result<T, String>>;

/// What `cell` holds, made by `make` the first time.
pub(crate) fn once<T>(cell: &Once<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    cell.get_or_init(|| make().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}
