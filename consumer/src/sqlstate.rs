//! What a Postgres error means for the files at hand, by its SQLSTATE.
//!
//! Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::remedy::Remedy;

/// The unique index that exactly-once rests on: its violation says that another consumer was first.
const LOADED_ONCE: &str = "file_loaded_once";

/// Decides what is to be done about an error that a load ran into.
///
/// Data errors park the file that brought them; weather passes and nobody is to blame; whatever else
/// a report table answers pauses the job that it belongs to.
pub fn remedy(error: &sqlx::Error) -> Remedy {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code();
            of_code(code.as_deref().unwrap_or_default(), database.constraint())
        }
        // Whatever is not the server's own verdict is a connection that went away.
        _ => Remedy::Retry,
    }
}

/// Whether somebody else's lock was waited for in vain.
pub fn is_locked_out(error: &sqlx::Error) -> bool {
    code_of(error).as_deref() == Some("55P03")
}

/// Whether a statement was ended from outside: it took too long, or a person ended it.
pub fn is_cancelled(error: &sqlx::Error) -> bool {
    code_of(error).as_deref() == Some("57014")
}

/// Whether Postgres is away or lets nobody in, whatever is asked of it.
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            let code = code_of(error).unwrap_or_default();
            ["08", "28", "57P0"]
                .iter()
                .any(|class| code.starts_with(class))
                || matches!(code.as_ref(), "53300" | "3D000")
        }
        sqlx::Error::RowNotFound | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            false
        }
        _ => true,
    }
}

/// Whether another load was first, of this consumer or another: the next look at the ledger tells what to do.
pub fn is_a_clash(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            database.constraint() == Some(LOADED_ONCE)
                || database.code().is_some_and(|code| code.starts_with("40"))
        }
        // A file that was ours, and is another's by now.
        sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

/// Whether a limit of Postgres itself was met, such as columns of a table.
pub fn is_beyond_limits(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code.starts_with("54"))
}

fn code_of(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
}

/// An error as a person reads it: Postgres's own sentence and its SQLSTATE. The driver would add the line
/// of Postgres's C source, which reads as one of somebody's file.
pub fn sentence(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => match database.code() {
            Some(code) => format!("{} (SQLSTATE {code})", database.message()),
            None => database.message().to_owned(),
        },
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => {
            "Postgres is away, or all connections to it are busy".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_code(code: &str, constraint: Option<&str>) -> Remedy {
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        ("23", "23505") if constraint == Some(LOADED_ONCE) => Remedy::Retry,
        ("22" | "23", _) | (_, "54000" | "P0001") => Remedy::Park,
        ("08" | "40" | "53" | "57", _) | (_, "55P03") => Remedy::Retry,
        _ => Remedy::Pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_errors_park_and_weather_does_not() {
        for (code, constraint, expected) in [
            ("22003", None, Remedy::Park),
            ("23502", None, Remedy::Park),
            ("23505", Some("departures_pkey"), Remedy::Park),
            ("23505", Some(LOADED_ONCE), Remedy::Retry),
            ("54000", None, Remedy::Park),
            ("P0001", None, Remedy::Park),
            ("08006", None, Remedy::Retry),
            ("40P01", None, Remedy::Retry),
            ("53100", None, Remedy::Retry),
            ("55P03", None, Remedy::Retry),
            ("57P01", None, Remedy::Retry),
            ("42501", None, Remedy::Pause),
            ("42P01", None, Remedy::Pause),
        ] {
            assert_eq!(of_code(code, constraint), expected, "{code}");
        }
    }
}
