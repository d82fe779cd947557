//! Postgres's own settings: a result is deleted from the bucket once Postgres says that it has it, and must be able to
//! mean that.

use std::time::{Duration, SystemTime};

use nightdrop_runtime::exit::Code;
use nightdrop_runtime::findings::{self, Finding};
use sqlx::Row;

use crate::consumer::Consumer;
use crate::pool::limited;

const TLS: &str = "Postgres: TLS";
const CLOCK: &str = "Postgres: clock";
const ENCODING: &str = "Postgres: encoding";
const FSYNC: &str = "Postgres: fsync";
const PAGES: &str = "Postgres: full_page_writes";
const COMMIT: &str = "Postgres: synchronous_commit";
const REPLICATION: &str = "Postgres: replication";

pub(super) const LINES: &[&str] = &[TLS, CLOCK, ENCODING, FSYNC, PAGES, COMMIT, REPLICATION];

/// Who replicates is visible to everyone, only how far isn't. A standby that is away just now has its slot, if it has
/// one.
const SETTINGS: &str = "SELECT
    extract(epoch FROM clock_timestamp())::float8,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
    pg_is_in_recovery(),
    (SELECT count(*) FROM pg_stat_replication),
    (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical')";

pub(super) async fn look(consumer: &Consumer) -> Result<Vec<Finding>, sqlx::Error> {
    let asked = SystemTime::now();
    let row = sqlx::query(SETTINGS).fetch_one(consumer.pool()).await?;
    let answered = SystemTime::now();
    let setting = |index: usize| row.try_get::<String, _>(index);
    let commit = own_commit(consumer).await?;
    let replication = Replication {
        standby: row.try_get(7)?,
        senders: row.try_get(8)?,
        slots: row.try_get(9)?,
        waited_for: setting(6)?,
    };
    Ok(vec![
        tls(consumer, row.try_get(1)?),
        findings::clock(CLOCK, row.try_get::<f64, _>(0)? - middle(asked, answered)),
        is(
            ENCODING,
            &setting(2)?,
            "UTF8",
            "texts of results are in UTF-8: make the database with ENCODING 'UTF8'",
        ),
        is(
            FSYNC,
            &setting(3)?,
            "on",
            "set fsync = on: else a power cut loses what was deleted from the bucket",
        ),
        is(
            PAGES,
            &setting(4)?,
            "on",
            "set full_page_writes = on: else a power cut can leave half a page, and lose what was deleted from the bucket",
        ),
        if commit == "on" {
            Finding::ok(
                COMMIT,
                format!("on for each load, {} by default", setting(5)?),
            )
        } else {
            Finding::fail(
                COMMIT,
                Code::Config,
                format!("{commit}, though a load sets it on"),
                "let nothing between here and Postgres change it",
            )
        },
        replication.line(consumer.config.bucket.delete_after),
    ])
}

/// As a load sets it.
async fn own_commit(consumer: &Consumer) -> Result<String, sqlx::Error> {
    let mut transaction = consumer.pool().begin().await?;
    limited(async move {
        sqlx::query("SET LOCAL synchronous_commit = on")
            .execute(&mut *transaction)
            .await?;
        sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
            .fetch_one(&mut *transaction)
            .await
    })
    .await
}

fn tls(consumer: &Consumer, encrypted: bool) -> Finding {
    let url = &consumer.config.postgres.url;
    match nightdrop_runtime::postgres::options(url, None, "nightdrop/doctor") {
        Ok(options) => {
            let (wire, stays_here) = nightdrop_runtime::postgres::wire(&options, encrypted);
            findings::tls(TLS, wire, stays_here)
        }
        // It was connected to by them.
        Err(error) => Finding::unproven(
            TLS,
            Code::Config,
            error.to_string(),
            "correct [postgres] url",
        ),
    }
}

fn is(line: &str, found: &str, wanted: &str, remedy: &str) -> Finding {
    if found == wanted {
        Finding::ok(line, found)
    } else {
        Finding::fail(line, Code::Config, found, remedy)
    }
}

fn middle(asked: SystemTime, answered: SystemTime) -> f64 {
    let since = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs_f64()
    };
    f64::midpoint(since(asked), since(answered))
}

struct Replication {
    standby: bool,
    senders: i64,
    slots: i64,
    waited_for: String,
}

impl Replication {
    fn line(&self, delete_after: Duration) -> Finding {
        let standbys = self.senders.max(self.slots);
        if self.standby {
            return Finding::fail(
                REPLICATION,
                Code::Config,
                "this is a standby, which takes no writes",
                "write the primary's address in [postgres] url",
            );
        }
        if standbys == 0 {
            return Finding::ok(
                REPLICATION,
                "no standby is connected, and no slot waits for one",
            );
        }
        if !self.waited_for.is_empty() {
            let found = format!("commits are waited for on {}", self.waited_for);
            return Finding::ok(REPLICATION, found);
        }
        let found = format!("asynchronous, to {standbys}");
        if delete_after.is_zero() {
            return Finding::fail(
                REPLICATION,
                Code::Config,
                format!(
                    "{found}: a standby that takes over may lack what was deleted from the bucket"
                ),
                "write [bucket] delete_after = \"1h\", or for however long a standby may lag behind; or set synchronous_standby_names",
            );
        }
        Finding::ok(
            REPLICATION,
            format!(
                "{found}; objects stay for {delete_after:?} after their commit: longer than a standby may lag"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use nightdrop_runtime::findings::Verdict;

    use super::*;

    #[test]
    fn an_asynchronous_standby_wants_objects_to_stay_for_a_while() {
        let none = Duration::ZERO;
        let hour = Duration::from_hours(1);
        let server = |standby, senders, slots, waited_for: &str| Replication {
            standby,
            senders,
            slots,
            waited_for: waited_for.to_owned(),
        };
        for (server, delete_after, expected) in [
            (server(false, 0, 0, ""), none, Verdict::Ok),
            (server(false, 1, 0, ""), none, Verdict::Fail),
            (server(false, 0, 1, ""), none, Verdict::Fail),
            (server(false, 1, 1, ""), hour, Verdict::Ok),
            (server(false, 1, 0, "ANY 1 (a, b)"), none, Verdict::Ok),
            (server(true, 0, 0, ""), hour, Verdict::Fail),
        ] {
            assert_eq!(server.line(delete_after).verdict, expected);
        }
    }
}
