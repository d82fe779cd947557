//! Who is told when something is wrong, and when it is no more.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::str::FromStr;

use nightdrop_runtime::{config::reference::SECRET, secret::Secret};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};
use url::Url;

/// Who is told when something is wrong, and when it is no more.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Table")]
pub struct Webhook {
    /// Where to.
    pub url: Address,
    /// What is sent.
    pub format: Format,
}

/// What a webhook takes.
#[derive(Debug, Clone)]
pub enum Format {
    /// An event in JSON, signed as <https://www.standardwebhooks.com> says.
    Standard {
        /// `whsec_…`: what it is signed with.
        secret: Secret,
    },
    /// `{"text": …}`, which Slack, Mattermost, Discord (`/slack`) and others take. The URL is the secret.
    Slack,
}

/// A URL, or where to find one that is a secret. `Debug` shows no URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// `env:NAME` or `file:/path`, read at each use.
    Secret(Secret),
    /// `https://…`
    Url(Url),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Where to: `https://…`, or `env:NAME` or `file:/path` where the address itself is a secret, as Slack's is.
    #[schemars(with = "String", extend("format" = "URL"))]
    url: Address,
    /// `whsec_…`, what an event is signed with.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    secret: Option<Secret>,
    /// `standard`: an event in JSON, signed as <https://www.standardwebhooks.com> says. `slack`: `{"text": …}`, which
    /// Mattermost, Discord (`/slack`) and others take, too.
    #[serde(default)]
    format: Name,
}

#[derive(Deserialize, Serialize, JsonSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Name {
    #[default]
    Standard,
    Slack,
}

impl TryFrom<Table> for Webhook {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let format = match (table.format, table.secret) {
            (Name::Standard, Some(secret)) => Format::Standard { secret },
            (Name::Standard, None) => {
                return Err(
                    "a webhook is signed: write secret = \"env:NAME\" or \"file:/path\" (it holds whsec_…), or format = \"slack\"",
                );
            }
            (Name::Slack, None) => Format::Slack,
            (Name::Slack, Some(_)) => {
                return Err("format = \"slack\" signs nothing; leave secret out");
            }
        };
        Ok(Self {
            url: table.url,
            format,
        })
    }
}

/// What one address was told is known by the address.
pub(super) fn each_once<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Webhook>, D::Error> {
    let webhooks = Vec::<Webhook>::deserialize(from)?;
    let targets: HashSet<String> = webhooks.iter().map(Webhook::target).collect();
    if targets.len() < webhooks.len() {
        return Err(de::Error::custom(
            "two [[webhook]] have the same url; it is told once: leave one of them out",
        ));
    }
    Ok(webhooks)
}

impl Webhook {
    /// What the ledger calls it: nothing of the address can be read from that.
    pub fn target(&self) -> String {
        let written = match &self.url {
            Address::Secret(secret) => secret.to_string(),
            Address::Url(url) => url.to_string(),
        };
        let mut target = String::new();
        for byte in &Sha256::digest(written)[..8] {
            let _ = write!(target, "{byte:02x}");
        }
        target
    }
}

impl Address {
    /// The URL, now.
    ///
    /// # Errors
    /// The secret can't be read, or is none.
    pub fn read(&self) -> Result<Url, String> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Secret(secret) => {
                let text: SecretString = secret.read().map_err(|error| error.to_string())?;
                http(text.expose_secret().trim())
                    .map_err(|error| format!("what {secret} holds {error}"))
            }
        }
    }
}

/// What is refused is not shown: it may hold a secret.
fn http(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("is no URL of a webhook; it begins with https://"),
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("env:") || text.starts_with("file:") {
            return text
                .parse()
                .map(Self::Secret)
                .map_err(|_| "write \"env:NAME\" or \"file:/path\"".to_owned());
        }
        http(text)
            .map(Self::Url)
            .map_err(|error| format!("what is here {error}, or is \"env:NAME\" or \"file:/path\""))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(secret) => secret.fmt(f),
            Self::Url(url) => write!(f, "Url({})", url.host_str().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(deserialize_with = "each_once")]
        webhook: Vec<Webhook>,
    }

    fn webhook(lines: &str) -> Result<Webhook, String> {
        let text = format!("[[webhook]]\n{lines}\n");
        nightdrop_runtime::config::parse::<File>("consumer.toml", &text)
            .map(|mut file| file.webhook.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_is_signed_unless_it_is_slacks() {
        let signed = "url = \"https://ops.example/hook\"\nsecret = \"env:HOOK\"";
        assert!(matches!(
            webhook(signed).unwrap().format,
            Format::Standard { .. }
        ));
        let slack = "url = \"file:/run/secrets/slack\"\nformat = \"slack\"";
        assert!(matches!(webhook(slack).unwrap().format, Format::Slack));
        for (lines, why) in [
            ("url = \"https://ops.example/hook\"", "a webhook is signed"),
            (
                "url = \"env:SLACK\"\nformat = \"slack\"\nsecret = \"env:X\"",
                "leave secret out",
            ),
            (
                "url = \"https://ops.example/hook\"\nsecret = \"env:X\"\nevery = 1",
                "unknown key \"every\"",
            ),
        ] {
            let error = webhook(lines).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_not_shown() {
        for text in ["hooks.example/hunter2", "ftp://hunter2", "env:", "https://"] {
            let error = webhook(&format!("url = \"{text}\"\nformat = \"slack\"")).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_address_is_told_once() {
        let one = "url = \"https://hooks.example/hunter2\"\nformat = \"slack\"";
        let other = one.replace("hunter2", "");
        assert!(webhook(&format!("{one}\n[[webhook]]\n{other}")).is_ok());
        let signed = one.replace("format = \"slack\"", "secret = \"env:X\"");
        let error = webhook(&format!("{one}\n[[webhook]]\n{signed}")).unwrap_err();
        assert!(
            error.contains("two [[webhook]] have the same url") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn an_address_is_nowhere_shown() {
        let slack = webhook("url = \"https://hooks.example/services/hunter2\"\nformat = \"slack\"")
            .unwrap();
        assert!(!format!("{slack:?}{}", slack.target()).contains("hunter2"));
    }
}
