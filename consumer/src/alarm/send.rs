//! One alarm to one webhook.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::config::{Format, Webhook};
use crate::ledger::outbox::Letter;

/// How long a webhook is waited for, as Standard Webhooks proposes at least.
pub(super) const LIMIT: Duration = Duration::from_secs(15);

/// What has been refused so often lets the others pass.
pub(super) const TRIES: i32 = 5;

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// How long until it is tried again: twice as long each time, up to a quarter of an hour, and up to a half
/// earlier, by `chance` from 0 to 1.
pub(super) fn wait(attempts: i32, chance: f64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let longest = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    longest.mul_f64(1.0 - chance / 2.0)
}

/// Whether all is there that a webhook needs.
pub(super) fn ready(webhook: &Webhook) -> Result<(), String> {
    webhook.url.read()?;
    match &webhook.format {
        Format::Standard { secret } => {
            key(&secret.read().map_err(|error| error.to_string())?).map(drop)
        }
        Format::Slack => Ok(()),
    }
}

/// Why it was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    /// Without the address.
    pub(super) why: String,
    /// It is this message that isn't wanted, or not here: to say it again soon is of no use.
    pub(super) refused: bool,
}

impl From<String> for NotTaken {
    fn from(why: String) -> Self {
        Self {
            why,
            refused: false,
        }
    }
}

pub(super) struct Sender(Client);

impl Sender {
    pub(super) fn new() -> Result<Self, String> {
        Client::builder()
            .user_agent(concat!("nightdrop/", env!("CARGO_PKG_VERSION")))
            .timeout(LIMIT)
            // Nobody but the one that is named should see it.
            .redirect(redirect::Policy::none())
            .build()
            .map(Self)
            .map_err(|error| root(&error))
    }

    /// Brings it there.
    ///
    /// # Errors
    /// It was not taken.
    pub(super) async fn send(&self, webhook: &Webhook, letter: &Letter) -> Result<(), NotTaken> {
        let request = self
            .0
            .post(webhook.url.read()?)
            .header("content-type", "application/json");
        let request = match &webhook.format {
            Format::Standard { secret } => {
                let secret = secret.read().map_err(|error| error.to_string())?;
                let (id, at) = (letter.message.to_string(), chrono::Utc::now().timestamp());
                request
                    .header(
                        "webhook-signature",
                        signature(&secret, &id, at, &letter.body)?,
                    )
                    .header("webhook-id", id)
                    .header("webhook-timestamp", at)
                    .body(letter.body.clone())
            }
            Format::Slack => request.body(text(&letter.body)),
        };
        let answer = request
            .send()
            .await
            .map_err(|error| root(&error.without_url()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(NotTaken {
                why: format!("it answered {}", answer.status()),
                refused: refuses(answer.status()),
            })
        }
    }
}

/// Whether an answer is about the message, and not about the hour.
fn refuses(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// What is at the bottom of an error: reqwest's own words are "error sending request".
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
fn signature(secret: &SecretString, id: &str, at: i64, body: &str) -> Result<String, String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&key(secret)?).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    Ok(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

fn key(secret: &SecretString) -> Result<Vec<u8>, String> {
    let text = secret.expose_secret().trim();
    STANDARD
        .decode(text.strip_prefix("whsec_").unwrap_or(text))
        .ok()
        .filter(|key| key.len() >= 16)
        .ok_or_else(|| {
            "secret: it is not whsec_ and base64 of at least 16 bytes; `echo whsec_$(openssl rand -base64 32)` makes one"
                .to_owned()
        })
}

/// What Slack takes of an event: its text, in which `&`, `<` and `>` are no markup.
fn text(body: &str) -> String {
    let event: Value = serde_json::from_str(body).unwrap_or_default();
    let text = event["data"]["text"].as_str().unwrap_or(body);
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({ "text": text }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_that_is_none_is_named_and_not_shown() {
        for text in ["hunter2", "whsec_", "whsec_aHVudGVyMg=="] {
            let error = key(&SecretString::from(text)).unwrap_err();
            assert!(
                error.contains("whsec_") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_receiver_that_is_busy_refuses_nothing() {
        let refusing: Vec<u16> = (100..600)
            .filter(|status| StatusCode::from_u16(*status).is_ok_and(refuses))
            .collect();
        let expected: Vec<u16> = (400..500)
            .filter(|status| ![408, 425, 429].contains(status))
            .collect();
        assert_eq!(refusing, expected);
    }

    #[test]
    fn waits_grow_up_to_a_quarter_of_an_hour() {
        assert_eq!(wait(1, 0.0), FIRST_WAIT);
        assert_eq!(wait(2, 1.0), FIRST_WAIT);
        assert_eq!(wait(i32::MAX, 0.0), LONGEST_WAIT);
    }

    #[test]
    fn slack_gets_the_sentence_and_no_markup() {
        let body = json!({"data": {"text": "LATE <jfk> & lga"}}).to_string();
        assert_eq!(text(&body), r#"{"text":"LATE &lt;jfk&gt; &amp; lga"}"#);
    }
}
