//! COPY in Postgres's binary format.

use futures::{Stream, StreamExt};
use nightdrop_schema::copy::{SIGNATURE, TRAILER};
use sqlx::postgres::PgConnection;

use super::Watch;
use crate::failpoint::failpoint;

/// Why a COPY did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or went away.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// The rows ended before their end: the connection is in the middle of a COPY and must be closed.
    #[error("the rows stopped coming")]
    Interrupted,
}

/// The end of the rows before their end.
#[derive(Debug)]
pub struct Interrupted;

/// Sends rows to a table, and gives their number. Postgres says what it thinks of them at the end.
///
/// `table` and `columns` are quoted already. This future must not be dropped half-way, and after an
/// error other than the server's own verdict the connection must not be used again.
///
/// # Errors
/// When Postgres refuses the rows, and when they are interrupted.
pub(super) async fn copy(
    connection: &mut PgConnection,
    table: &str,
    columns: &str,
    rows: impl Stream<Item = Result<Vec<u8>, Interrupted>>,
    watch: &Watch,
) -> Result<u64, Error> {
    let statement = format!("COPY {table} ({columns}) FROM STDIN WITH (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&statement).await?;
    copy.send(SIGNATURE.as_slice()).await?;
    failpoint("copy: begun");
    let mut rows = std::pin::pin!(rows);
    while let Some(piece) = rows.next().await {
        let Ok(piece) = piece else {
            return Err(Error::Interrupted);
        };
        copy.send(piece).await?;
        watch.moved();
        failpoint("copy: under way");
    }
    copy.send(TRAILER.as_slice()).await?;
    let rows = copy.finish().await?;
    failpoint("copy: finished");
    Ok(rows)
}
