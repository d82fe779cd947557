//! `parked list`: a line a file.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Done, Error, unpicked};
use crate::cli::json_page;
use crate::columns::{self, align};
use crate::ledger::pick::{self, Pick, Picked};
use crate::pool::Pool;
use crate::status::ago;

/// What a line shows of a sentence; `show` has all of it.
const SENTENCE: usize = 100;

#[derive(Serialize)]
struct Page<'a> {
    files: &'a [Picked],
    more: i64,
}

pub(super) async fn list(pool: &Pool, pick: &Pick, json: bool, limit: u32) -> Result<Done, Error> {
    let (files, all) = pick::find(pool, pick, i64::from(limit)).await?;
    let more = all - i64::try_from(files.len()).unwrap_or(all);
    let found = files.iter().map(|file| file.id);
    // Ids that are beyond the limit are there all the same.
    let mut done = if more > 0 {
        Done::default()
    } else {
        unpicked(pool, pick, found).await?
    };
    if json {
        let page = Page {
            files: &files,
            more,
        };
        done.page = json_page(&page);
    } else if !files.is_empty() {
        done.page = render(&files, more, Utc::now());
    }
    Ok(done)
}

fn render(files: &[Picked], more: i64, now: DateTime<Utc>) -> String {
    let head = [
        "id",
        "state",
        "producer/job",
        "as of",
        "size",
        "reason",
        "since",
        "what is wrong",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(files.iter().map(|file| line(file, now)));
    let mut page = align(&lines, |column| matches!(column, 0 | 4));
    if more > 0 {
        let _ = writeln!(
            page,
            "and {more} more: narrow it by --producer, --job or --reason, or raise --limit"
        );
    }
    page
}

fn line(file: &Picked, now: DateTime<Utc>) -> [String; 8] {
    let whose = match (&file.producer, &file.job) {
        (Some(producer), Some(job)) => format!("{producer}/{job}"),
        // Nobody's: its key is all that tells it apart.
        _ => file.key.escape_debug().to_string(),
    };
    [
        file.id.to_string(),
        file.state.clone(),
        whose,
        file.as_of.map_or_else(String::new, columns::at),
        columns::size(file.size),
        file.reason.clone(),
        ago(file.since, now),
        short(&columns::line(&file.error)),
    ]
}

fn short(sentence: &str) -> String {
    match sentence.char_indices().nth(SENTENCE) {
        Some((cut, _)) => format!("{}…", sentence.get(..cut).unwrap_or_default()),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parked::show::tests::{contract, nobodys};

    #[test]
    fn a_line_says_what_it_is_since_when_and_what_is_wrong() {
        let long = Picked {
            error: "no end of it, ".repeat(20),
            ..contract()
        };
        let now = "2013-01-31T07:00:00Z".parse().unwrap();
        insta::assert_snapshot!(render(&[contract(), nobodys(), long], 17, now));
    }
}
