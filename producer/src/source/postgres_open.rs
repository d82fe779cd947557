//! What a cursor job looks at before its snapshot: Postgres's clock, and whether a transaction is
//! open that could still commit rows from before the watermark.

use nightdrop_schema::Timestamptz;
use sqlx::{PgConnection, Row, ValueRef};

use super::{
    Error, instant,
    postgres::{judged, text},
};
use crate::cursor::Since;

/// What was seen.
pub(super) struct Before {
    /// Not after the look at the transactions: one that begins later begins after this.
    pub(super) clock: Timestamptz,
    /// Whether the role may see the transactions of others.
    pub(super) others_seen: bool,
}

/// On a standby the clock is the commit that it replayed last: what it has not replayed is not to be
/// seen, however late it is here. Who is at work on the primary can't be seen from there.
///
/// Only a client in the same database can write there. Our own sessions are read-only.
const LOOK: &str = "\
WITH open AS (
    SELECT xact_start AS since, format('pid %s, %s', pid, usename) AS who
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND application_name <> 'nightdrop-producer'
    UNION ALL
    SELECT prepared, format('prepared by %s', owner)
    FROM pg_prepared_xacts
    WHERE database = current_database()
), oldest AS (
    SELECT since, who FROM open
    WHERE since IS NOT NULL AND NOT pg_is_in_recovery()
    ORDER BY since LIMIT 1
)
SELECT to_char(CASE WHEN pg_is_in_recovery() THEN least(statement_timestamp(), coalesce(pg_last_xact_replay_timestamp(), 'epoch'))
                    ELSE statement_timestamp() END AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
       (NOT pg_is_in_recovery() AND pg_has_role('pg_read_all_stats', 'USAGE'))::text,
       (SELECT to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM oldest),
       (SELECT who FROM oldest)";

/// Before the snapshot: what is open then is looked at, or it is committed and seen.
///
/// # Errors
/// A transaction has been open for longer than `lag`.
pub(super) async fn look(
    connection: &mut PgConnection,
    since: Since,
) -> Result<Before, crate::Error> {
    let row = sqlx::raw_sql(LOOK)
        .fetch_one(connection)
        .await
        .map_err(judged)?;
    let clock = instant(text(&row, 0)?)?;
    let is_open = !row.try_get_raw(2).map_err(judged)?.is_null();
    if is_open {
        let oldest = instant(text(&row, 2)?)?;
        if oldest < since.end(clock) {
            return Err(Error::OpenTransaction {
                since: oldest.to_string(),
                who: text(&row, 3)?.to_owned(),
                lag: since.lag,
            }
            .into());
        }
    }
    Ok(Before {
        clock,
        others_seen: text(&row, 1)? == "true",
    })
}
