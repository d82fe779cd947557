//! The bytes of parked files.

use sqlx::PgTransaction;

/// How many bytes a row of `nightdrop.parked` takes.
pub const PART: usize = 1024 * 1024;

/// Keeps one part of a file's stored bytes.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn keep(
    transaction: &mut PgTransaction<'_>,
    file: i64,
    part: i32,
    bytes: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO nightdrop.parked (file, part, bytes) VALUES ($1, $2, $3)")
        .bind(file)
        .bind(part)
        .bind(bytes)
        .execute(&mut **transaction)
        .await
        .map(drop)
}
