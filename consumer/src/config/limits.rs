//! What one file may ask for at most, and what one producer may take up.

use std::num::NonZeroU32;

use nightdrop_runtime::config as units;
use nightdrop_runtime::config::reference::SIZE;
use nightdrop_schema::Caps;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a file may ask for at most.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CapsConfig {
    /// A whole file, inflated.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub file: u64,
    /// One cell.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub cell: u64,
    /// One row.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub row: u64,
    /// All that stands before the rows.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub head: u64,
    /// Nested arrays and objects.
    pub depth: usize,
    /// Columns of one result.
    pub columns: usize,
}

impl Default for CapsConfig {
    fn default() -> Self {
        let caps = Caps::default();
        Self {
            file: caps.file,
            cell: caps.cell as u64,
            row: caps.row as u64,
            head: caps.head as u64,
            depth: caps.depth,
            columns: caps.columns,
        }
    }
}

impl CapsConfig {
    /// The same, as the reader takes them.
    pub fn caps(&self) -> Caps {
        let memory = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Caps {
            file: self.file,
            cell: memory(self.cell),
            row: memory(self.row),
            head: memory(self.head),
            depth: self.depth,
            columns: self.columns,
        }
    }
}

/// What one producer may take up, so that none does it at the others' cost.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Files that wait in the ledger; more of them stay unlisted in the bucket.
    pub waiting: NonZeroU32,
    /// Files that are held; while there are more, nothing further is listed.
    pub held: NonZeroU32,
    /// Stored bytes of parked files; what exceeds them is held until there is room.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub parked: u64,
    /// Report tables; a job that would need one more is held until one is retired.
    pub tables: u32,
    /// Columns that one file may add to a table; a file that brings more is held.
    pub new_columns: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            waiting: const { NonZeroU32::new(10_000).unwrap() },
            held: const { NonZeroU32::new(1_000).unwrap() },
            parked: 1024 * 1024 * 1024,
            tables: 200,
            new_columns: 100,
        }
    }
}
