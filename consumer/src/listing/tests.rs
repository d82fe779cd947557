use super::*;

/// Keys in a page of the bucket below.
const PAGE: usize = 10;

/// A bucket whose ledger takes so many files of a folder.
struct Inbox {
    keys: BTreeSet<String>,
    quota: usize,
    recorded: BTreeSet<String>,
    /// Pages that were asked for, by folder; `None` for the look across.
    pages: Vec<Option<String>>,
}

impl Inbox {
    fn of(folders: &[(&str, usize)]) -> Self {
        let keys = folders
            .iter()
            .flat_map(|(folder, count)| (0..*count).map(move |n| format!("inbox/{folder}/{n:06}")))
            .collect();
        Self {
            keys,
            quota: usize::MAX,
            recorded: BTreeSet::new(),
            pages: Vec::new(),
        }
    }

    fn waiting(&self, of: &str) -> usize {
        self.recorded
            .iter()
            .filter(|key| folder(key) == Some(of))
            .count()
    }

    fn ask(&mut self, listing: &mut Listing, request: Request) {
        let mut listed = self.keys.iter().filter(|key| {
            key.starts_with(&request.prefix)
                && request.after.as_ref().is_none_or(|after| *key > after)
        });
        let page: Vec<String> = listed.by_ref().take(PAGE).cloned().collect();
        let next = listed.next().and_then(|_| page.last().cloned());
        let mut left_out = Vec::new();
        for key in page {
            let of = folder(&key).unwrap_or_default().to_owned();
            if self.recorded.contains(&key) || self.waiting(&of) < self.quota {
                self.recorded.insert(key);
            } else {
                left_out.push(of);
            }
        }
        self.pages.push(request.folder.clone());
        let learned = Learned {
            next: next.as_deref(),
            left_out: &left_out,
        };
        listing.learn(request, learned);
    }

    /// One poll, with so many pages of folders' own.
    fn poll(&mut self, listing: &mut Listing, turns: usize) {
        listing.begin(DateTime::UNIX_EPOCH);
        let full: Vec<String> = listing.backlogs();
        listing.full(full.into_iter().filter(|of| self.waiting(of) >= self.quota));
        while let Some(request) = listing.across() {
            self.ask(listing, request);
        }
        for _ in 0..turns {
            let Some(request) = listing.turn() else { break };
            self.ask(listing, request);
        }
    }

    fn pages_of(&self, folder: Option<&str>) -> usize {
        let pages = self.pages.iter();
        pages.filter(|one| one.as_deref() == folder).count()
    }
}

#[test]
fn an_inbox_that_fits_one_page_costs_one_list() {
    let mut inbox = Inbox::of(&[("jfk", 4), ("lga", 6)]);
    let mut listing = Listing::default();
    inbox.poll(&mut listing, 100);
    assert!(listing.is_whole());
    assert_eq!(inbox.pages, [None]);
    assert!(inbox.recorded == inbox.keys);
}

#[test]
fn a_backlog_costs_one_page_more_to_see_past_however_long_it_is() {
    let mut inbox = Inbox::of(&[("a", 100_000), ("b", 100_000), ("z", 1)]);
    inbox.poll(&mut Listing::default(), 2);
    assert!(inbox.recorded.contains("inbox/z/000000"));
    assert_eq!(
        inbox.pages,
        [None, None, None, Some("a".into()), Some("b".into())]
    );
}

#[test]
fn folders_with_a_backlog_take_turns_and_each_goes_on_where_it_ended() {
    let mut inbox = Inbox::of(&[("a", 95), ("b", 45), ("c", 5)]);
    let mut listing = Listing::default();
    let mut polls = 0;
    while !listing.is_whole() {
        inbox.poll(&mut listing, 3);
        polls += 1;
    }
    assert!(inbox.recorded == inbox.keys);
    assert!(polls <= 6, "{polls} polls");
    // The shorter one did not wait for the longer one.
    let last = inbox
        .pages
        .iter()
        .rposition(|one| one.as_deref() == Some("a"));
    assert!(inbox.pages_of(Some("b")) >= 4 && last.is_some());

    // Round after round it finds what is new, wherever that lies.
    for new in ["inbox/a/000003+", "inbox/a/000077+", "inbox/b/000044+"] {
        listing.next_round();
        inbox.keys.insert(new.to_owned());
        while !listing.is_whole() {
            inbox.poll(&mut listing, 3);
        }
        assert!(inbox.recorded.contains(new), "{new}");
    }
}

#[test]
fn those_that_had_no_turn_in_one_poll_are_first_in_the_next() {
    let names: Vec<String> = (0..20).map(|n| format!("p{n:02}")).collect();
    let folders: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1000)).collect();
    let mut inbox = Inbox::of(&folders);
    let mut listing = Listing::default();
    for _ in 0..4 {
        inbox.poll(&mut listing, 5);
    }
    for name in &names {
        assert_eq!(inbox.pages_of(Some(name)), 1, "{name}");
    }
}

#[test]
fn one_that_has_as_much_as_it_may_gets_no_page_and_goes_on_where_it_was_left() {
    let mut inbox = Inbox::of(&[("a", 100), ("b", 100), ("c", 3)]);
    inbox.quota = 25;
    let mut listing = Listing::default();
    for _ in 0..20 {
        inbox.poll(&mut listing, 10);
    }
    assert!(listing.is_whole(), "nobody waits for those that are full");
    assert_eq!(listing.left_out().iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((inbox.waiting("a"), inbox.waiting("b")), (25, 25));
    let before = inbox.pages_of(Some("a"));
    inbox.poll(&mut listing, 10);
    assert_eq!(inbox.pages_of(Some("a")), before);

    // What was loaded is deleted, and makes room.
    for _ in 0..20 {
        inbox.keys.retain(|key| !inbox.recorded.contains(key));
        inbox.recorded.clear();
        inbox.poll(&mut listing, 10);
    }
    assert_eq!(inbox.keys.len(), 0, "{:?}", inbox.keys);
}

#[test]
fn what_was_left_out_where_a_folder_was_first_cut_is_not_taken_for_listed() {
    let mut inbox = Inbox::of(&[("a", 8)]);
    inbox.quota = 12;
    let mut listing = Listing::default();
    inbox.poll(&mut listing, 2);
    let before_all_others = |inbox: &mut Inbox, name: &str, count: usize| {
        let keys = (0..count).map(|n| format!("inbox/a/{name}{n:03}"));
        inbox.keys.extend(keys);
    };
    before_all_others(&mut inbox, "+", 10);
    inbox.poll(&mut listing, 2);
    assert_eq!(inbox.waiting("a"), 12);

    inbox.keys.retain(|key| !inbox.recorded.contains(key));
    inbox.recorded.clear();
    before_all_others(&mut inbox, "!", 20);
    listing.next_round();
    inbox.poll(&mut listing, 2);

    let recorded: Vec<&String> = inbox.recorded.iter().collect();
    assert_eq!(recorded, inbox.keys.iter().take(12).collect::<Vec<_>>());
}

#[test]
fn a_folder_that_fits_a_page_again_has_no_turn_any_more() {
    let mut inbox = Inbox::of(&[("a", 100), ("b", 1)]);
    let mut listing = Listing::default();
    inbox.poll(&mut listing, 100);
    inbox.keys.retain(|key| key.as_str() < "inbox/a/000005");
    listing.next_round();
    inbox.poll(&mut listing, 100);
    inbox.pages.clear();
    inbox.poll(&mut listing, 100);
    assert_eq!(inbox.pages, [None]);
}

#[test]
fn what_the_look_across_saw_of_a_folder_is_not_listed_again_at_its_turn() {
    let mut inbox = Inbox::of(&[("a", 25)]);
    let mut listing = Listing::default();
    inbox.poll(&mut listing, 2);
    assert!(listing.is_whole());
    listing.next_round();

    inbox.poll(&mut listing, 0);

    let turn = listing.turn().unwrap();
    assert_eq!(turn.after.as_deref(), Some("inbox/a/000009"));
}

#[test]
fn strange_keys_in_any_number_hide_nobody() {
    let mut inbox = Inbox::of(&[("a b", 1000), ("", 1000), ("%2F", 1000), ("zz", 1)]);
    for n in 0..35 {
        inbox.keys.insert(format!("inbox/stray{n}"));
        // Behind every jump.
        inbox.keys.insert(format!("inbox/a b/{LAST}{n}"));
    }
    let mut listing = Listing::default();
    inbox.poll(&mut listing, 0);
    assert!(inbox.recorded.contains("inbox/zz/000000"));
    assert!(inbox.pages.len() <= 15, "{}", inbox.pages.len());
    while !listing.is_whole() {
        inbox.poll(&mut listing, 10);
    }
    assert!(inbox.recorded == inbox.keys);
}

proptest::proptest! {
    #[test]
    fn a_round_lists_every_key_that_is_there_throughout(
        counts in proptest::collection::vec(0..60_usize, 1..12),
        turns in 1..20_usize,
        rounds in 1..4,
    ) {
        let names: Vec<String> = (0..counts.len()).map(|n| format!("p{n:02}")).collect();
        let folders: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(counts).collect();
        let mut inbox = Inbox::of(&folders);
        let mut listing = Listing::default();
        for _ in 0..rounds {
            inbox.recorded.clear();
            listing.next_round();
            for poll in 0.. {
                inbox.poll(&mut listing, turns);
                if listing.is_whole() {
                    break;
                }
                proptest::prop_assert!(poll < 200);
            }
            proptest::prop_assert_eq!(&inbox.recorded, &inbox.keys);
        }
    }

    #[test]
    fn a_round_is_whole_only_once_all_is_recorded_but_for_what_is_full(
        counts in proptest::collection::vec(0..60_usize, 1..6),
        quota in 1..40_usize,
        turns in 1..6_usize,
        changes in proptest::collection::vec((0..30_usize, 0..30_usize), 1..30),
    ) {
        let names: Vec<String> = (0..counts.len()).map(|n| format!("p{n:02}")).collect();
        let folders: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(counts).collect();
        let mut inbox = Inbox::of(&folders);
        inbox.quota = quota;
        let mut listing = Listing::default();
        let mut throughout = inbox.keys.clone();
        for (poll, (loaded, dropped)) in changes.into_iter().enumerate() {
            inbox.poll(&mut listing, turns);
            let whole = listing.is_whole();
            if whole {
                let overlooked = throughout.iter().find(|key| {
                    let known = inbox.recorded.contains(*key) || !inbox.keys.contains(*key);
                    !known && folder(key).is_some_and(|of| !listing.left_out().contains(of))
                });
                proptest::prop_assert_eq!(overlooked, None, "poll {}", poll);
                listing.next_round();
            }
            // The oldest are loaded and deleted, and what comes meanwhile sorts before all others.
            for key in inbox.recorded.iter().take(loaded).cloned().collect::<Vec<_>>() {
                inbox.recorded.remove(&key);
                inbox.keys.remove(&key);
            }
            inbox.keys.extend((0..dropped).map(|n| format!("inbox/p00/+{:03}{n:03}", 999 - poll)));
            if whole {
                throughout.clone_from(&inbox.keys);
            }
        }
    }
}
