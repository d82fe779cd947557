//! The bytes of parked files, as they were stored in the bucket.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use sqlx::{PgTransaction, Row};

use crate::pool::Pool;

/// How many bytes a row of `nightdrop.parked` takes.
pub const PART: usize = 1024 * 1024;

/// How many bytes go to Postgres in one statement: it is in memory whole, here and there.
const STATEMENT: usize = 4 * 1024 * 1024;

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
    insert(transaction, &[(file, part, bytes)]).await
}

/// Keeps the stored bytes of many files: a statement for some MiB of them, not one for each.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn keep_all(
    transaction: &mut PgTransaction<'_>,
    files: &[(i64, &[u8])],
) -> Result<(), sqlx::Error> {
    let (mut parts, mut bytes) = (Vec::new(), 0);
    for (file, stored) in files {
        for (part, piece) in (0..).zip(stored.chunks(PART)) {
            bytes += piece.len();
            parts.push((*file, part, piece));
            if bytes >= STATEMENT {
                insert(transaction, &parts).await?;
                (parts, bytes) = (Vec::new(), 0);
            }
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    insert(transaction, &parts).await
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    parts: &[(i64, i32, &[u8])],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO nightdrop.parked (file, part, bytes)
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[])",
    )
    .bind(parts.iter().map(|(file, ..)| *file).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, part, _)| *part).collect::<Vec<_>>())
    .bind(parts.iter().map(|(.., bytes)| *bytes).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Which of these files there is no room for, as their producers have parked so much before; and how many
/// bytes that is. Two consumers that park at the same time don't see each other's: a quota is overrun by
/// a batch at most.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn beyond(
    transaction: &mut PgTransaction<'_>,
    files: &[i64],
    quota: u64,
) -> Result<HashMap<i64, i64>, sqlx::Error> {
    if files.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "WITH bad AS (
             SELECT id, producer, sum(size) OVER (PARTITION BY producer ORDER BY id) AS so_far
             FROM nightdrop.file WHERE id = ANY($1)
         ), taken AS MATERIALIZED (
             SELECT producer, (SELECT coalesce(sum(size), 0)::bigint FROM nightdrop.file kept
                               WHERE kept.kept AND kept.producer = bad.producer) AS bytes
             FROM (SELECT DISTINCT producer FROM bad) bad
         )
         SELECT bad.id, taken.bytes FROM bad JOIN taken USING (producer)
         WHERE taken.bytes + bad.so_far > $2",
    )
    .bind(files)
    .bind(i64::try_from(quota).unwrap_or(i64::MAX))
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// All bytes of one small file.
///
/// # Errors
/// When Postgres refuses or is away.
pub async fn whole(pool: &Pool, file: i64) -> Result<Bytes, sqlx::Error> {
    let parts: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT bytes FROM nightdrop.parked WHERE file = $1 ORDER BY part")
            .bind(file)
            .fetch_all(pool)
            .await?;
    let mut whole = BytesMut::with_capacity(parts.iter().map(Vec::len).sum());
    for part in parts {
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// The same part by part: one is asked for when the one before it is used up, and no connection is
/// held meanwhile.
pub fn stream(
    pool: &Pool,
    file: i64,
) -> impl Stream<Item = Result<Bytes, sqlx::Error>> + Send + 'static {
    stream::try_unfold((pool.clone(), 0_i32), move |(pool, part)| async move {
        let bytes: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT bytes FROM nightdrop.parked WHERE file = $1 AND part = $2")
                .bind(file)
                .bind(part)
                .fetch_optional(&pool)
                .await?;
        Ok(bytes.map(|bytes| (Bytes::from(bytes), (pool, part + 1))))
    })
}
