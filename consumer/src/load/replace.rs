//! `replace`: this result is all there is of its job, or of its range.

use nightdrop_schema::{Bound, Header, Job, Mode, Producer, Timestamptz};
use sqlx::{AssertSqlSafe, PgTransaction};

use super::extent::{Meeting, meet};
use super::{Rows, Target, copy};
use crate::ledger::reason::{Cause, Reason};
use crate::ledger::verdict;
use crate::table;

/// What became of a `replace`.
pub(super) enum Replaced {
    /// Its rows stand in place of the older ones.
    Loaded,
    /// Newer results cover all that it says.
    Superseded,
    /// Newer results cover some of what it says.
    Unfit(Reason),
}

/// Loads one file in place of the producer's older rows. Its job is locked.
pub(super) async fn load(
    transaction: &mut PgTransaction<'_>,
    target: Target<'_>,
    as_of: Timestamptz,
    file: i64,
    rows: &mut Rows<'_>,
) -> Result<Replaced, copy::Error> {
    let newer = verdict::newer(transaction, target.producer, target.job, as_of, file).await?;
    match meet(&verdict::extent(&target.header.mode), &newer) {
        Meeting::Covered => return Ok(Replaced::Superseded),
        Meeting::Partial => return Ok(Replaced::Unfit(partial(target))),
        Meeting::Apart => {}
    }
    delete(transaction, target).await?;
    let name = target.destination.name.quoted();
    copy::copy(
        transaction,
        &name,
        &table::copy_columns(target.header),
        rows,
    )
    .await?;
    Ok(Replaced::Loaded)
}

/// Whether newer results cover all that a `replace` says. Its job is locked.
pub(super) async fn is_superseded(
    transaction: &mut PgTransaction<'_>,
    producer: &Producer,
    job: &Job,
    header: &Header,
    as_of: Timestamptz,
    file: i64,
) -> Result<bool, sqlx::Error> {
    let newer = verdict::newer(transaction, producer, job, as_of, file).await?;
    Ok(meet(&verdict::extent(&header.mode), &newer) == Meeting::Covered)
}

/// Deletes the producer's own rows, all or those of the range.
async fn delete(
    transaction: &mut PgTransaction<'_>,
    target: Target<'_>,
) -> Result<(), sqlx::Error> {
    let name = target.destination.name.quoted();
    let Mode::Replace { range: Some(range) } = &target.header.mode else {
        return sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM {name} WHERE _producer = $1"
        )))
        .bind(target.producer.as_str())
        .execute(&mut **transaction)
        .await
        .map(drop);
    };
    let column = table::identifier(range.column.as_str());
    let cast = match range.from {
        Bound::Int64(_) => "bigint",
        Bound::Date(_) => "date",
        Bound::Timestamp(_) => "timestamp",
        Bound::Timestamptz(_) => "timestamptz",
    };
    let statement = format!(
        "DELETE FROM {name} WHERE _producer = $1 AND {column} >= $2::text::{cast} AND {column} < $3::text::{cast}"
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(target.producer.as_str())
        .bind(range.from.to_string())
        .bind(range.to.to_string())
        .execute(&mut **transaction)
        .await
        .map(drop)
}

fn partial(target: Target<'_>) -> Reason {
    let range = match &target.header.mode {
        Mode::Replace { range: Some(range) } => {
            format!("{} from {} to {}", range.column, range.from, range.to)
        }
        _ => "all rows".to_owned(),
    };
    Reason::new(
        Cause::PartialOverlap,
        format!(
            "newer results replaced a part of what this one covers ({range}); run the job again for the parts that are missing"
        ),
    )
}
