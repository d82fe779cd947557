//! What each job's results look like, so that a table that somebody changed can be told.

use std::collections::BTreeMap;

use nightdrop_schema::{Header, Job, Producer, Type};
use sqlx::PgTransaction;

/// Types of the message by the names of columns.
pub(crate) type Shape = BTreeMap<String, Type>;

/// Writes down what this result looks like. A transaction that settles the same job is waited for: it has the table's
/// advisory lock, as this one must.
///
/// # Errors
/// When Postgres refuses or is away.
pub(crate) async fn write_down(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
    header: &Header,
) -> Result<(), sqlx::Error> {
    let columns: BTreeMap<&str, &str> = header
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.ty.as_str()))
        .collect();
    sqlx::query(
        "INSERT INTO nightdrop.shape AS known (producer, job, columns) VALUES ($1, $2, $3::jsonb)
         ON CONFLICT (producer, job) DO UPDATE SET columns = excluded.columns, changed_at = now()
         WHERE known.columns <> excluded.columns",
    )
    .bind(producer.as_str())
    .bind(job.as_str())
    // Names and types are plain text.
    .bind(serde_json::to_string(&columns).unwrap_or_default())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Reads what was written down. A type that this version doesn't know is left out.
pub(crate) fn read(columns: &str) -> Shape {
    let columns: BTreeMap<String, String> = serde_json::from_str(columns).unwrap_or_default();
    columns
        .into_iter()
        .filter_map(|(name, ty)| Some((name, ty.parse().ok()?)))
        .collect()
}
