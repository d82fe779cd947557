//! What a user can write in MySQL or MariaDB, and how its connection is secured.

use nightdrop_runtime::findings::Wire;
use secrecy::SecretString;
use sqlx::{ConnectOptions, Connection, Row, mysql::MySqlSslMode};
use url::Url;

use super::{
    Error, Look, Writes, is_loopback,
    mysql::{judged, options},
};

/// What lets nobody change anything: <https://dev.mysql.com/doc/refman/8.4/en/privileges-provided.html>,
/// <https://mariadb.com/kb/en/grant/>.
const HARMLESS: [&str; 9] = [
    "USAGE",
    "SELECT",
    "SHOW VIEW",
    "SHOW DATABASES",
    "PROCESS",
    "REPLICATION CLIENT",
    "BINLOG MONITOR",
    "SLAVE MONITOR",
    "REPLICA MONITOR",
];

pub(super) async fn look(url: &Url, password: Option<&SecretString>) -> Result<Look, Error> {
    let options = options(url, password)?;
    let mut connection = options.connect().await.map_err(judged)?;
    let cipher = sqlx::raw_sql("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        .fetch_optional(&mut connection)
        .await
        .map_err(judged)?;
    let cipher = match cipher {
        Some(row) => row.try_get_unchecked::<String, _>(1).map_err(judged)?,
        None => String::new(),
    };
    let wire = match options.get_ssl_mode() {
        _ if cipher.is_empty() => Wire::Plain,
        MySqlSslMode::VerifyIdentity => Wire::Verified,
        MySqlSslMode::VerifyCa => Wire::OfAKnownAuthority,
        _ => Wire::Unverified,
    };
    let grants = sqlx::raw_sql("SHOW GRANTS")
        .fetch_all(&mut connection)
        .await
        .map_err(judged)?
        .iter()
        .map(|row| row.try_get_unchecked::<String, _>(0).map_err(judged))
        .collect::<Result<Vec<_>, _>>()?;
    let _ = connection.close().await;
    Ok(Look {
        wire,
        stays_here: options.get_socket().is_some() || is_loopback(options.get_host()),
        writes: writes(&grants),
    })
}

/// The first privilege that is not harmless.
fn writes(grants: &[String]) -> Writes {
    for grant in grants {
        let Some((privileges, place)) = grant
            .strip_prefix("GRANT ")
            .and_then(|rest| rest.split_once(" ON "))
        else {
            return Writes::Unknown(
                "it has a role, whose privileges are not shown here".to_owned(),
            );
        };
        let place = place.split(" TO ").next().unwrap_or_default();
        let mut privileges = without_columns(privileges);
        privileges.retain(|privilege| !HARMLESS.contains(&privilege.as_str()));
        if let Some(privilege) = privileges.first() {
            return Writes::Something(format!("it has {privilege} on {place}"));
        }
    }
    Writes::Nothing
}

/// `SELECT (a, b), INSERT` without what stands in parentheses, each by itself.
fn without_columns(privileges: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let kept: String = privileges
        .chars()
        .filter(|c| {
            let inside = depth > 0;
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return !inside,
            }
            false
        })
        .collect();
    kept.split(',').map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_only_reads_is_told_from_one_that_writes() {
        let of = |grants: &[&str]| {
            writes(
                &grants
                    .iter()
                    .map(|grant| (*grant).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let usage = "GRANT USAGE ON *.* TO `r`@`%` IDENTIFIED BY PASSWORD '*A'";
        assert_eq!(
            of(&[
                usage,
                "GRANT SELECT (a, b), SHOW VIEW ON `ops`.`t` TO `r`@`%`"
            ]),
            Writes::Nothing
        );
        for (grant, found) in [
            (
                "GRANT SELECT, INSERT ON `ops`.* TO `r`@`%`",
                "it has INSERT on `ops`.*",
            ),
            (
                "GRANT ALL PRIVILEGES ON *.* TO `r`@`%`",
                "it has ALL PRIVILEGES on *.*",
            ),
            (
                "GRANT SELECT, UPDATE (a) ON `ops`.`t` TO `r`@`%`",
                "it has UPDATE on `ops`.`t`",
            ),
        ] {
            assert_eq!(of(&[usage, grant]), Writes::Something(found.to_owned()));
        }
        assert!(matches!(
            of(&[usage, "GRANT `w` TO `r`@`%`"]),
            Writes::Unknown(_)
        ));
    }
}
