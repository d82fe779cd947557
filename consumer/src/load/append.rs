//! `append`: the rows are added.

use sqlx::PgConnection;

use super::{Rows, Target, copy};
use crate::table;

/// Adds rows of any number of files with one header.
pub(super) async fn load(
    connection: &mut PgConnection,
    target: Target<'_>,
    rows: Rows<'_>,
) -> Result<u64, copy::Error> {
    let name = target.destination.name.quoted();
    copy::copy(
        connection,
        &name,
        &table::copy_columns(target.header),
        rows,
        target.watch,
    )
    .await
}
