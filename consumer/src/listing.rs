//! Which page of the bucket to ask for next, so that one producer's backlog hides nobody. Pure: pages in,
//! requests out.
//!
//! A look across the inbox begins at its first key. Where a page is cut inside a folder, which is a
//! producer's, or some strange name's, the look jumps to the folder's end, and what is left of the folder
//! is listed by itself: one page at each of its turns, from where the last one ended, and from its beginning
//! again once it has come to its end. So a look costs a page for each folder that is too large for one, and
//! an inbox that fits one page costs one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use nightdrop_schema::INBOX;

/// The greatest character: no key of a folder comes after it but those that begin with it.
const LAST: char = char::MAX;

/// A page to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its keys begin with.
    pub prefix: String,
    /// What they come after.
    pub after: Option<String>,
    /// The folder whose turn it is; none for the look across the inbox.
    pub folder: Option<String>,
}

/// What a page told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learned<'a> {
    /// The page's last key, if it isn't the last page.
    pub next: Option<&'a str>,
    /// Folders of which not all could be written down, for they have as much there as they may.
    pub left_out: &'a [String],
}

/// Where the listing has come to. Known to this process only: after a restart it begins anew.
#[derive(Debug, Default)]
pub struct Listing {
    /// Where the look across goes on; none if it has come to its end in this poll.
    across: Option<Across>,
    /// Whether it has come to its end in this round.
    crossed: bool,
    /// Folders that are too large for one page.
    backlogs: BTreeMap<String, Backlog>,
    /// Those among them that are still to have their turn in this poll.
    turns: VecDeque<String>,
    /// Folders that get no page, and those of which something was left out.
    full: BTreeSet<String>,
    /// Since when the round is under way.
    since: Option<DateTime<Utc>>,
    /// Rows of the ledger about keys outside the grammar that this round has shown.
    pub shown: Vec<i64>,
}

#[derive(Debug, Default)]
struct Across {
    after: Option<String>,
}

#[derive(Debug)]
struct Backlog {
    after: Option<String>,
    /// Whether all before `after` was listed in this round.
    from_start: bool,
    /// Whether all of it was listed in this round.
    whole: bool,
}

impl Listing {
    /// A poll begins, at this instant.
    pub fn begin(&mut self, now: DateTime<Utc>) {
        self.since.get_or_insert(now);
        self.across.get_or_insert_default();
        self.full.clear();
        for folder in self.backlogs.keys() {
            // Whoever had no turn in the last poll is first in this.
            if !self.turns.contains(folder) {
                self.turns.push_back(folder.clone());
            }
        }
    }

    /// Folders that are too large for one page.
    pub fn backlogs(&self) -> Vec<String> {
        self.backlogs.keys().cloned().collect()
    }

    /// These have as much in the ledger as they may: they get no page of their own in this poll.
    pub fn full(&mut self, folders: impl IntoIterator<Item = String>) {
        self.full.extend(folders);
    }

    /// The next page of the look across the inbox.
    pub fn across(&self) -> Option<Request> {
        self.across.as_ref().map(|across| Request {
            prefix: INBOX.to_owned(),
            after: across.after.clone(),
            folder: None,
        })
    }

    /// The next page of a folder's own, one folder after the other.
    pub fn turn(&mut self) -> Option<Request> {
        while let Some(folder) = self.turns.pop_front() {
            if self.full.contains(&folder) {
                continue;
            }
            if let Some(backlog) = self.backlogs.get(&folder) {
                return Some(Request {
                    prefix: format!("{INBOX}{folder}/"),
                    after: backlog.after.clone(),
                    folder: Some(folder),
                });
            }
        }
        None
    }

    /// Takes in what a page told.
    pub fn learn(&mut self, request: Request, learned: Learned<'_>) {
        self.full.extend(learned.left_out.iter().cloned());
        match request.folder {
            None => self.crossed_to(request.after.as_deref(), learned),
            Some(folder) => self.turned(folder, request.after.is_none(), learned),
        }
    }

    fn crossed_to(&mut self, after: Option<&str>, Learned { next, left_out }: Learned<'_>) {
        let Some(last) = next else {
            self.across = None;
            self.crossed = true;
            return;
        };
        let next = match folder(last) {
            // Behind the folder's end there is more of it, by keys that nobody but an adversary would write.
            Some(folder) if after.and_then(self::folder) == Some(folder) => last.to_owned(),
            Some(folder) => {
                let seen = (!left_out.iter().any(|one| one == folder)).then(|| last.to_owned());
                self.cut(folder, seen);
                format!("{INBOX}{folder}/{LAST}")
            }
            None => last.to_owned(),
        };
        self.across = Some(Across { after: Some(next) });
    }

    /// The look across ended inside a folder, all of which it has seen up to this key.
    fn cut(&mut self, folder: &str, seen: Option<String>) {
        if let Some(backlog) = self.backlogs.get_mut(folder) {
            if backlog.after <= seen {
                backlog.after = seen;
                backlog.from_start = true;
            }
            return;
        }
        let backlog = Backlog {
            after: seen,
            from_start: true,
            whole: false,
        };
        self.backlogs.insert(folder.to_owned(), backlog);
        self.turns.push_back(folder.to_owned());
    }

    fn turned(&mut self, folder: String, from_start: bool, learned: Learned<'_>) {
        let Some(backlog) = self.backlogs.get_mut(&folder) else {
            return;
        };
        if learned.left_out.contains(&folder) {
            return;
        }
        backlog.from_start |= from_start;
        if let Some(last) = learned.next {
            backlog.after = Some(last.to_owned());
            self.turns.push_back(folder);
        } else if from_start {
            // It fits a page again.
            self.backlogs.remove(&folder);
        } else {
            backlog.whole |= backlog.from_start;
            backlog.after = None;
        }
    }

    /// Whether this round has listed all that there is, but for what is full.
    pub fn is_whole(&self) -> bool {
        let listed =
            |(folder, backlog): (&String, &Backlog)| backlog.whole || self.full.contains(folder);
        self.crossed && self.backlogs.iter().all(listed)
    }

    /// Folders of which something was left out in this poll, or that got no page.
    pub fn left_out(&self) -> &BTreeSet<String> {
        &self.full
    }

    /// Since when the round is under way.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.since
    }

    /// A new round begins.
    pub fn next_round(&mut self) {
        self.across = None;
        self.crossed = false;
        self.since = None;
        self.shown.clear();
        for backlog in self.backlogs.values_mut() {
            backlog.whole = false;
            backlog.from_start = backlog.after.is_none();
        }
    }
}

/// What stands between the first two slashes of a key; none if there is only one.
pub fn folder(key: &str) -> Option<&str> {
    let (folder, _) = key.strip_prefix(INBOX)?.split_once('/')?;
    Some(folder)
}

#[cfg(test)]
#[path = "listing/tests.rs"]
mod tests;
