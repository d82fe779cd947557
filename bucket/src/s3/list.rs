//! LIST: a page of raw keys, each judged by itself. `object_store`'s own listing would lose a whole
//! page for one key that it can't take.

use std::{borrow::Cow, time::SystemTime};

use percent_encoding::percent_decode_str;
use reqwest::Method;

use super::{Request, S3, xml};
use crate::{Call, Error, Fault, PAGE, Page};

impl S3 {
    pub(crate) async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        let most = PAGE.to_string();
        let mut query = vec![
            ("list-type", "2"),
            ("prefix", prefix),
            ("max-keys", &most),
            // XML 1.0 can't hold every character that a key can.
            ("encoding-type", "url"),
        ];
        query.extend(after.map(|after| ("start-after", after)));
        let mut request = Request::of_bucket(Call::List, Method::GET, &query);
        request.about = Some(prefix.to_owned());

        let timeout = Some(self.limits.request);
        let response = self.send(&self.down, &request, None, timeout).await?;
        let listing = self
            .document(&request, response, "ListBucketResult")
            .await?;
        page(listing, after).map_err(|said| self.failed(&request, Fault::Settings, said))
    }
}

/// What a listing says, or the sentence on why it can't be gone on with.
fn page(listing: xml::Listing, after: Option<&str>) -> Result<Page, String> {
    let encoded = listing.encoding_type.as_deref() == Some("url");
    let mut page = Page::default();
    let mut last = None;
    for contents in listing.contents {
        let raw = if encoded {
            decoded(&contents.key)
        } else {
            contents.key
        };
        last = Some(raw.clone());
        let modified = contents.last_modified.as_deref().and_then(instant);
        page.add(raw, contents.etag, contents.size, modified);
    }
    if listing.is_truncated {
        // Without this a reader would ask for the same page for ever.
        if last.is_none() || last.as_deref() == after {
            return Err("the listing says that it goes on, but does not move on".to_owned());
        }
        page.next = last;
    }
    Ok(page)
}

/// Undoes `encoding-type=url`, which is the encoding of forms: a `+` is a space.
fn decoded(encoded: &str) -> String {
    let spaced = if encoded.contains('+') {
        Cow::Owned(encoded.replace('+', " "))
    } else {
        Cow::Borrowed(encoded)
    };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn instant(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
