//! Who may see the pages: whoever is on this machine, as long as nobody else can ask; else, whoever has the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Desk;
use super::token::Unread;

/// A token that is shorter is guessed.
const LEAST: usize = 16;

/// Why nobody is let in, or not this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// More than loopback, and no token.
    Open,
    /// Asked for by a name that is not this machine's own: a page of somebody else's, in a browser here, could.
    Foreign,
    /// It is configured, and can't be read.
    Unreadable,
    /// Guessed too soon.
    Short,
    /// No token, or another.
    Unknown,
}

pub(super) async fn guard(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let listen = desk.consumer.config.http.listen;
    let token = match &desk.token {
        Some(token) => Some(token.read().await),
        None => None,
    };
    let admitted = {
        let header = |name| request.headers().get(name)?.to_str().ok();
        admit(listen, token, header(HOST), header(AUTHORIZATION))
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal, listen),
    }
}

fn admit(
    listen: SocketAddr,
    token: Option<Result<SecretString, Unread>>,
    host: Option<&str>,
    authorization: Option<&str>,
) -> Result<(), Refusal> {
    let Some(token) = token else {
        return match (listen.ip().to_canonical().is_loopback(), host) {
            (false, _) => Err(Refusal::Open),
            (true, Some(host)) if !is_this_machine(host) => Err(Refusal::Foreign),
            (true, _) => Ok(()),
        };
    };
    let token = token.map_err(|error| {
        tracing::error!(%error, "the status page lets nobody in: [http] token can't be read");
        Refusal::Unreadable
    })?;
    if token.expose_secret().len() < LEAST {
        return Err(Refusal::Short);
    }
    // Of equal length, whatever was sent.
    let digest = |secret: &[u8]| Sha256::digest(secret);
    let sent = authorization.and_then(password).ok_or(Refusal::Unknown)?;
    let same =
        digest(sent.expose_secret().as_bytes()).ct_eq(&digest(token.expose_secret().as_bytes()));
    if bool::from(same) {
        Ok(())
    } else {
        Err(Refusal::Unknown)
    }
}

/// The password of HTTP Basic (RFC 7617), whatever the user is called.
fn password(authorization: &str) -> Option<SecretString> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(credentials.trim()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (_, password) = pair.split_once(':')?;
    Some(password.to_owned().into())
}

/// Whether a `Host` names the machine that it is sent on: `localhost`, or an address of loopback.
fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn refuse(refusal: Refusal, listen: SocketAddr) -> Response {
    let (status, sentence) = match refusal {
        Refusal::Open => (
            StatusCode::FORBIDDEN,
            format!(
                "[http] listen = \"{listen}\" is more than loopback, so the status page needs a token: set [http] token = \"env:NAME\" or \"file:/path\", or listen on 127.0.0.1"
            ),
        ),
        Refusal::Foreign => (
            StatusCode::FORBIDDEN,
            "without a token the status page is for this machine alone: ask for it as localhost or 127.0.0.1, or set [http] token = \"env:NAME\" or \"file:/path\"".to_owned(),
        ),
        Refusal::Unreadable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "[http] token can't be read; the consumer's log says why".to_owned(),
        ),
        Refusal::Short => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("[http] token is shorter than {LEAST} bytes, and so lets nobody in: `openssl rand -hex 24` makes a good one"),
        ),
        Refusal::Unknown => {
            let ask = [(WWW_AUTHENTICATE, "Basic realm=\"Nightdrop\", charset=\"UTF-8\"")];
            let sentence = "the status page asks for the token of [http] token: any user name, and the token as the password\n";
            return (StatusCode::UNAUTHORIZED, ask, sentence).into_response();
        }
    };
    (status, sentence + "\n").into_response()
}

#[cfg(test)]
mod tests {
    use nightdrop_runtime::secret::SecretError;

    use super::*;

    const TOKEN: &str = "0123456789abcdef-token";

    fn listen(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn without_a_token_only_this_machine_is_let_in() {
        for (address, host, expected) in [
            ("127.0.0.1:9464", Some("127.0.0.1:9464"), Ok(())),
            ("127.0.0.1:9464", Some("localhost:8080"), Ok(())),
            ("127.0.0.1:9464", Some("LOCALHOST"), Ok(())),
            ("127.0.0.1:9464", None, Ok(())),
            ("[::1]:9464", Some("[::1]:9464"), Ok(())),
            ("[::1]:9464", Some("[::1]"), Ok(())),
            (
                "127.0.0.1:9464",
                Some("evil.example:9464"),
                Err(Refusal::Foreign),
            ),
            (
                "127.0.0.1:9464",
                Some("127.0.0.1.evil.example"),
                Err(Refusal::Foreign),
            ),
            ("127.0.0.1:9464", Some("10.1.2.3"), Err(Refusal::Foreign)),
            ("127.0.0.1:9464", Some(""), Err(Refusal::Foreign)),
            ("0.0.0.0:9464", Some("localhost:9464"), Err(Refusal::Open)),
            ("[::]:9464", Some("localhost:9464"), Err(Refusal::Open)),
            ("10.1.2.3:9464", None, Err(Refusal::Open)),
        ] {
            let found = admit(listen(address), None, host, None);
            assert_eq!(found, expected, "{address} {host:?}");
        }
    }

    #[test]
    fn where_there_is_a_token_only_it_lets_in_from_wherever() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (authorization, expected) in [
            (Some(basic(&format!("me:{TOKEN}"))), Ok(())),
            (
                Some(basic(&format!(":{TOKEN}")).replace("Basic", "basic")),
                Ok(()),
            ),
            (None, Err(Refusal::Unknown)),
            (Some(basic(TOKEN)), Err(Refusal::Unknown)),
            (Some(basic(&format!("{TOKEN}:"))), Err(Refusal::Unknown)),
            (Some(basic(&format!("me:{TOKEN}x"))), Err(Refusal::Unknown)),
            (Some(format!("Bearer {TOKEN}")), Err(Refusal::Unknown)),
            (Some("Basic ä".to_owned()), Err(Refusal::Unknown)),
            (Some("Basic".to_owned()), Err(Refusal::Unknown)),
        ] {
            for address in ["127.0.0.1:9464", "0.0.0.0:9464"] {
                let token = Some(Ok(TOKEN.to_owned().into()));
                let host = Some("anything");
                let found = admit(listen(address), token, host, authorization.as_deref());
                assert_eq!(found, expected, "{authorization:?}");
            }
        }
    }

    #[test]
    fn a_token_that_is_short_or_not_there_lets_nobody_in() {
        let address = listen("127.0.0.1:9464");
        let sent = format!("Basic {}", STANDARD.encode(":short"));
        let short = admit(
            address,
            Some(Ok("short".to_owned().into())),
            None,
            Some(&sent),
        );
        assert_eq!(short, Err(Refusal::Short));
        let unset = SecretError::Unset("TOKEN".into());
        let unread = admit(address, Some(Err(unset.into())), None, Some(&sent));
        assert_eq!(unread, Err(Refusal::Unreadable));
    }
}
