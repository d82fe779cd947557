//! Connect options for Postgres, with one rule for TLS and one for passwords.

use std::{net::IpAddr, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use url::Url;

use crate::findings::Wire;

/// Why a URL makes no connect options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The URL is of another scheme.
    #[error("{0:?} is no Postgres URL; write postgres://user@host/database")]
    Scheme(String),
    /// The URL holds the password.
    #[error(
        "the URL holds a password; take it out and write password = \"env:NAME\" or \"file:/path\""
    )]
    Password,
    /// sqlx refused a part of it.
    #[error("the Postgres URL is wrong: {0}")]
    Url(String),
}

/// Options for `url`, under the name that `pg_stat_activity` shows.
///
/// TLS: on loopback and on a socket it is tried and not required. Everywhere else the
/// certificate and the host's name are verified, unless the URL's `sslmode` says otherwise
/// (`sslrootcert` names a CA of one's own).
///
/// # Errors
/// Not a Postgres URL, or one with a password in it.
pub fn options(
    url: &Url,
    password: Option<&SecretString>,
    application_name: &str,
) -> Result<PgConnectOptions, OptionsError> {
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(OptionsError::Scheme(url.scheme().to_owned()));
    }
    let says = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    if url.password().is_some() || says("password") {
        return Err(OptionsError::Password);
    }
    let mut options = PgConnectOptions::from_str(url.as_str())
        .map_err(|error| OptionsError::Url(error.to_string()))?
        .application_name(application_name)
        // sqlx's own lines hold the statement, and a statement may hold a person's data.
        .disable_statement_logging();
    if !says("sslmode") && !says("ssl-mode") {
        let local = options.get_socket().is_some() || is_loopback(options.get_host());
        options = options.ssl_mode(if local {
            PgSslMode::Prefer
        } else {
            PgSslMode::VerifyFull
        });
    }
    if let Some(password) = password {
        options = options.password(password.expose_secret());
    }
    Ok(options)
}

/// How a connection with these options is secured, if it is `encrypted`; and whether it stays on this machine.
pub fn wire(options: &PgConnectOptions, encrypted: bool) -> (Wire, bool) {
    let wire = match options.get_ssl_mode() {
        _ if !encrypted => Wire::Plain,
        PgSslMode::VerifyFull => Wire::Verified,
        PgSslMode::VerifyCa => Wire::OfAKnownAuthority,
        _ => Wire::Unverified,
    };
    let stays_here = options.get_socket().is_some() || is_loopback(options.get_host());
    (wire, stays_here)
}

/// Whether a host is this machine by its very name: nothing is looked up, for a
/// name server must not decide whether TLS is needed.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        options(&url.parse().unwrap(), None, "nightdrop/test")
            .unwrap()
            .get_ssl_mode()
    }

    #[test]
    fn loopback_and_sockets_may_be_without_tls() {
        for url in [
            "postgres://localhost/reports",
            "postgres://127.0.0.1:5433/reports",
            "postgres://127.9.9.9/reports",
            "postgres://[::1]/reports",
            "postgres:///reports?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/reports",
        ] {
            assert!(matches!(mode(url), PgSslMode::Prefer), "{url}");
        }
    }

    #[test]
    fn every_other_host_verifies_unless_the_url_says_otherwise() {
        for url in [
            "postgres://db1/reports",
            "postgres://10.0.0.1/reports",
            "postgres://localhost.example.org/reports",
            "postgres://localhost/reports?host=db1",
        ] {
            assert!(matches!(mode(url), PgSslMode::VerifyFull), "{url}");
        }
        assert!(matches!(
            mode("postgres://db1/reports?sslmode=require"),
            PgSslMode::Require
        ));
        assert!(matches!(
            mode("postgres://localhost/reports?sslmode=verify-full"),
            PgSslMode::VerifyFull
        ));
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_printed() {
        for url in [
            "postgres://me:hunter2@db1/reports",
            "postgres://db1/reports?password=hunter2",
        ] {
            let error = options(&url.parse().unwrap(), None, "nightdrop/test").unwrap_err();
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    error,
                    @r#"the URL holds a password; take it out and write password = "env:NAME" or "file:/path""#
                );
            }
        }
    }

    #[test]
    fn another_scheme_is_refused() {
        let error = options(&"mysql://db1/x".parse().unwrap(), None, "x").unwrap_err();
        insta::assert_snapshot!(
            error,
            @r#""mysql" is no Postgres URL; write postgres://user@host/database"#
        );
    }

    #[test]
    fn the_session_has_our_name() {
        let options = options(
            &"postgres://localhost/reports?application_name=x"
                .parse()
                .unwrap(),
            None,
            "nightdrop/w1",
        )
        .unwrap();
        assert_eq!(options.get_application_name(), Some("nightdrop/w1"));
    }
}
