//! `replace`: this result is all there is of its job, or of its range.

use nightdrop_schema::{Bound, Header, Job, Mode, Producer, Timestamptz};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Encode, PgTransaction};

use super::extent::{Meeting, meet};
use super::{Rows, Target, copy};
use crate::failpoint::failpoint;
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
    failpoint("replace: older rows deleted");
    let name = target.destination.name.quoted();
    copy::copy(
        transaction,
        &name,
        &table::copy_columns(target.header),
        rows,
        target.watch,
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
    sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM {name} WHERE _producer = $1 AND {column} >= $2 AND {column} < $3"
    )))
    .bind(target.producer.as_str())
    .bind(Raw(range.from))
    .bind(Raw(range.to))
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// A bound as Postgres itself stores it. Its text would not do: Postgres doesn't read the years outside
/// 0001 to 9999 as the message writes them.
struct Raw(Bound);

impl sqlx::Type<Postgres> for Raw {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(20))
    }

    fn compatible(_: &PgTypeInfo) -> bool {
        true
    }
}

impl Encode<'_, Postgres> for Raw {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Bound::Date(date) => buffer.extend_from_slice(&date.raw().to_be_bytes()),
            other => buffer.extend_from_slice(&other.raw().to_be_bytes()),
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        // Fixed in Postgres's src/include/catalog/pg_type.dat.
        let oid = match self.0 {
            Bound::Int64(_) => 20,
            Bound::Date(_) => 1082,
            Bound::Timestamp(_) => 1114,
            Bound::Timestamptz(_) => 1184,
        };
        Some(PgTypeInfo::with_oid(Oid(oid)))
    }
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
