//! What lies in the bucket, seen by the reader; and what a producer sees: nothing.

use anyhow::{Result, bail};
use nightdrop_compose::{Inbox, Keys};

pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
}

const LIST: &str = "?list-type=2&prefix=inbox%2F";

/// All that lies in the inbox: it is less than a page.
pub(crate) fn list(inbox: &Inbox) -> Result<Vec<Object>> {
    let answer = inbox.request(&inbox.reader(), "GET", LIST, "")?;
    if answer.status != 200 {
        bail!(
            "the reader's LIST should be answered, not {} {}",
            answer.status,
            answer.body
        );
    }
    let objects = answer.all("Contents").into_iter().filter_map(|object| {
        let key = object.text("Key")?.to_owned();
        Some(Object {
            key,
            size: object.text("Size")?.parse().ok()?,
        })
    });
    Ok(objects.collect())
}

/// Tries with a producer's keys what it must not be able to do, on a result of its own, and says
/// how it was refused.
pub(crate) fn refusals(inbox: &Inbox, keys: &Keys, lying: &[Object]) -> Result<String> {
    let Some(own) = lying
        .iter()
        .find(|object| object.key.starts_with("inbox/jfk/"))
    else {
        bail!("a result of JFK should lie in the bucket");
    };
    let attempts = [
        ("GET", own.key.as_str()),
        ("LIST", LIST),
        ("DELETE", own.key.as_str()),
    ];
    let mut said = vec![];
    for (what, path) in attempts {
        let method = if what == "LIST" { "GET" } else { what };
        let answer = inbox.request(keys, method, path, "")?;
        if answer.status != 403 {
            bail!(
                "JFK's {what} should be refused, and was answered: {} {}",
                answer.status,
                answer.body
            );
        }
        said.push(format!(
            "{what} 403 {}",
            answer.text("Code").unwrap_or_default()
        ));
    }
    Ok(format!("With JFK's own key: {}", said.join(", ")))
}
