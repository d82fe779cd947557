//! What a failed call says: where, which call, which key, what was answered, what to do.

use std::fmt;

use crate::{Fault, Settings};

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {call}{}: {said}{}", of(key.as_deref()), then(self.advice()))]
pub struct Error {
    pub(crate) place: String,
    pub(crate) call: Call,
    pub(crate) key: Option<String>,
    pub(crate) fault: Fault,
    /// What the server or the system said. Never a URL: a presigned one holds a signature.
    pub(crate) said: String,
    /// Of the server's answer, where one came that was no success.
    pub(crate) status: Option<u16>,
}

/// The calls there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Bucket::open`](crate::Bucket::open)
    Open,
    /// [`Bucket::put`](crate::Bucket::put)
    Put,
    /// [`Bucket::list`](crate::Bucket::list)
    List,
    /// [`Bucket::get`](crate::Bucket::get), [`Bucket::get_stream`](crate::Bucket::get_stream)
    Get,
    /// [`Bucket::delete`](crate::Bucket::delete)
    Delete,
}

impl Error {
    /// What kind of failure it is: what a caller decides by.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the server or the system said, without where and of what: for who knows that already.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The call that failed.
    pub fn call(&self) -> Call {
        self.call
    }

    /// The key it was about, where it was about one; of a listing, the prefix.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether the request was refused as one that is written wrongly, by a server that does not say what is wrong
    /// with it. Our own are written rightly, but for what is configured: a PUT that is signed for another region
    /// looks to MinIO like one that lacks something.
    pub fn is_of_settings(&self) -> bool {
        (self.fault, self.status) == (Fault::Refused, Some(400))
    }

    /// The same error, about no key: for who names the file that it was about.
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self {
            key: None,
            ..self.clone()
        }
    }

    /// What to do, where the answer itself does not say it.
    fn advice(&self) -> &'static str {
        match (self.fault, self.call) {
            (Fault::Unreachable, _) => "check the endpoint and the network, then try again",
            (Fault::TimedOut | Fault::Busy, _) => "try again later",
            (Fault::Unauthenticated, _) => {
                "check access_key and secret_key, and this machine's clock"
            }
            (Fault::Forbidden, Call::Put) => {
                // MinIO says it of a wrong secret, too.
                "check secret_key, and that the policy of this key allows s3:PutObject here"
            }
            (Fault::Forbidden, Call::List) => {
                "the policy of this key must allow s3:ListBucket with this prefix"
            }
            (Fault::Forbidden, Call::Get) => "the policy of this key must allow s3:GetObject here",
            (Fault::Forbidden, Call::Delete) => {
                "the policy of this key must allow s3:DeleteObject here"
            }
            (Fault::Forbidden, Call::Open) => "give this user the right to it",
            (Fault::NotFound, _) => "it was deleted after it was listed",
            (Fault::Changed, _) => "it was replaced after it was listed: list it again",
            (Fault::NoBucket, _) => "create it, or correct url",
            (Fault::Refused, Call::Put) if self.is_of_settings() => {
                "look at `region`: `doctor` says which it is to be"
            }
            (Fault::Refused, _) => "it would be refused again: correct what the answer names",
            (Fault::Settings, _) => "",
            (Fault::Io, _) => "check the disk: its room, its rights",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Put => "put",
            Self::List => "list",
            Self::Get => "get",
            Self::Delete => "delete",
        })
    }
}

fn of(key: Option<&str>) -> String {
    // Escaped: a listing's prefix, or a server's idea of a key, may hold anything.
    key.map(|key| format!(" {}", key.escape_debug()))
        .unwrap_or_default()
}

fn then(advice: &str) -> String {
    if advice.is_empty() {
        String::new()
    } else {
        format!("; {advice}")
    }
}

/// Settings that can't work.
pub(crate) fn settings(settings: &Settings, said: impl Into<String>) -> Error {
    Error {
        // The authority may hold a password that somebody wrote there: name the rest only.
        place: format!(
            "{}://{}{}",
            settings.url.scheme(),
            settings.url.host_str().unwrap_or_default(),
            settings.url.path()
        ),
        call: Call::Open,
        key: None,
        fault: Fault::Settings,
        said: said.into(),
        status: None,
    }
}

/// Text from outside, fit for one line of a log: no control characters, no more than 300 characters.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 300;
    let mut line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    if let Some((cut, _)) = line.char_indices().nth(MOST) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(fault: Fault, said: &str) -> Error {
        Error {
            place: "s3://inbox at https://s3.example.com".to_owned(),
            call: Call::Put,
            key: Some("inbox/jfk/x\n.json".to_owned()),
            fault,
            said: said.to_owned(),
            status: None,
        }
    }

    #[test]
    fn an_error_says_where_what_and_what_to_do() {
        let busy = error(
            Fault::Busy,
            "the server said 503 SlowDown: Please slow down",
        );
        assert_eq!(
            busy.to_string(),
            "s3://inbox at https://s3.example.com: put inbox/jfk/x\\n.json: \
             the server said 503 SlowDown: Please slow down; try again later"
        );
    }

    #[test]
    fn a_put_that_is_refused_as_written_wrongly_names_the_region() {
        let said = "the server said 400 MissingFields: Missing fields in request.";
        let mut refused = error(Fault::Refused, said);
        assert!(!refused.is_of_settings());
        refused.status = Some(400);
        assert!(refused.is_of_settings());
        assert_eq!(
            refused.without_key().to_string(),
            format!(
                "s3://inbox at https://s3.example.com: put: {said}; look at `region`: `doctor` says which it is to be"
            )
        );
    }

    #[test]
    fn every_fault_but_settings_says_what_to_do() {
        for fault in Fault::ALL {
            let advised = error(fault, "said").to_string().contains("said; ");
            assert_eq!(advised, fault != Fault::Settings, "{fault}");
        }
    }

    #[test]
    fn what_a_server_says_stays_on_one_line_and_short() {
        assert_eq!(quoted("a\r\n\tb\u{1b}[31m  c"), "a b[31m c");
        let long = quoted(&"é".repeat(1000));
        assert_eq!(long.chars().count(), 301);
    }
}
