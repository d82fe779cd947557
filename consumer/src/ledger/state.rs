//! The states of a file and the ways between them, drawn once: [`State::after`] is exhaustive, the
//! migrations' trigger refuses what it doesn't allow, and docs/architecture.md shows it as a table.

use super::reason::Cause;

/// Where a file is, by its row in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be loaded, from the bucket.
    Waiting,
    /// To be loaded, from the bytes that were kept when it was parked. The ledger's column says
    /// `waiting` here too, and `kept` beside it.
    Redriven,
    /// Its rows are in the report table.
    Loaded,
    /// Newer results cover all that it says.
    Superseded,
    /// The same run, with the same content, is loaded already.
    Duplicate,
    /// Its bytes and the reason are in Postgres.
    Parked,
    /// It stays in the bucket, with the reason.
    Held,
    /// It carried no rows: a canary, or word of a failed run.
    Noted,
    /// A person decided that it is not wanted.
    Dropped,
    /// It is no longer in the bucket, and was never read.
    Missing,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A LIST shows it again, with the same etag, before its DELETE is confirmed.
    ListedAgain,
    /// A LIST shows another object under its key.
    ListedChanged,
    /// Its rows and the verdict are committed.
    Loaded,
    /// Newer results cover all that it says.
    Covered,
    /// The same run is loaded already, with the same content.
    SameRun,
    /// It was looked at and can't be loaded, for this cause.
    Judged(Cause),
    /// It is bad, and stored larger than what may be parked.
    TooLargeToPark,
    /// The bucket is away, or fails at its GET: 5xx, a time-out.
    BucketAway,
    /// Its load met a deadlock, a lock, or a Postgres that went away.
    Weather,
    /// Postgres's disk is full.
    DiskFull,
    /// Its job's table refuses.
    TableRefuses,
    /// Its consumer is gone, or hangs.
    LeaseRanOut,
    /// Its DELETE was refused.
    DeleteRefused,
    /// Its DELETE was confirmed.
    Deleted,
    /// A lifecycle rule, or somebody, removed the object.
    Vanished,
    /// Its term is over, or there is room: to be tried again.
    TermOver,
    /// A person, or a version that knows it, wants it loaded after all.
    Redriven,
    /// A person doesn't want it.
    Dropped,
    /// Its history is older than what is kept.
    Pruned,
}

impl Event {
    /// All there are, each cause among them.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::ListedAgain,
            Self::ListedChanged,
            Self::Loaded,
            Self::Covered,
            Self::SameRun,
            Self::TooLargeToPark,
            Self::BucketAway,
            Self::Weather,
            Self::DiskFull,
            Self::TableRefuses,
            Self::LeaseRanOut,
            Self::DeleteRefused,
            Self::Deleted,
            Self::Vanished,
            Self::TermOver,
            Self::Redriven,
            Self::Dropped,
            Self::Pruned,
        ]
        .into_iter()
        .chain(Cause::ALL.iter().copied().map(Self::Judged))
    }
}

/// What an event leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another state.
    To(State),
    /// The same state: it is written down, or tried again.
    Stays,
    /// The row leaves the ledger.
    Forgotten,
    /// That can't happen to a file in this state, and nothing is written if it seems to.
    Never,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Redriven,
        Self::Loaded,
        Self::Superseded,
        Self::Duplicate,
        Self::Parked,
        Self::Held,
        Self::Noted,
        Self::Dropped,
        Self::Missing,
    ];

    /// As the ledger writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting | Self::Redriven => "waiting",
            Self::Loaded => "loaded",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Noted => "noted",
            Self::Dropped => "dropped",
            Self::Missing => "missing",
        }
    }

    /// Where a file in this state comes to.
    pub fn after(self, event: Event) -> Next {
        match self {
            Self::Waiting => waiting(event),
            Self::Redriven => redriven(event),
            Self::Held => held(event),
            Self::Parked => parked(event),
            Self::Loaded | Self::Superseded | Self::Duplicate | Self::Noted | Self::Dropped => {
                decided(event)
            }
            Self::Missing => missing(event),
        }
    }
}

fn waiting(event: Event) -> Next {
    match event {
        Event::ListedAgain
        | Event::BucketAway
        | Event::Weather
        | Event::DiskFull
        | Event::TableRefuses
        | Event::LeaseRanOut => Next::Stays,
        Event::ListedChanged | Event::Vanished => Next::To(State::Missing),
        Event::Loaded => Next::To(State::Loaded),
        Event::Covered => Next::To(State::Superseded),
        Event::SameRun => Next::To(State::Duplicate),
        // A key outside the grammar never waits.
        Event::Judged(cause) if cause != Cause::Key => Next::To(cause.state()),
        Event::TooLargeToPark => Next::To(State::Held),
        Event::Judged(_)
        | Event::DeleteRefused
        | Event::Deleted
        | Event::TermOver
        | Event::Redriven
        | Event::Dropped
        | Event::Pruned => Next::Never,
    }
}

/// As `waiting`, but nothing that happens to its object matters any more: its bytes are in Postgres.
fn redriven(event: Event) -> Next {
    match event {
        Event::ListedChanged | Event::Vanished => Next::Stays,
        Event::BucketAway
        | Event::TooLargeToPark
        | Event::Judged(Cause::Unreadable | Cause::Gone | Cause::Replaced) => Next::Never,
        // It can't be held, for there is nothing of it in the bucket: it is parked again.
        Event::Judged(cause) if cause.state() == State::Held && cause != Cause::Key => {
            Next::To(State::Parked)
        }
        event => waiting(event),
    }
}

fn held(event: Event) -> Next {
    match event {
        Event::ListedAgain => Next::Stays,
        Event::ListedChanged | Event::Vanished => Next::To(State::Missing),
        Event::TermOver | Event::Redriven => Next::To(State::Waiting),
        Event::Dropped => Next::To(State::Dropped),
        Event::Loaded
        | Event::Covered
        | Event::SameRun
        | Event::Judged(_)
        | Event::TooLargeToPark
        | Event::BucketAway
        | Event::Weather
        | Event::DiskFull
        | Event::TableRefuses
        | Event::LeaseRanOut
        | Event::DeleteRefused
        | Event::Deleted
        | Event::Pruned => Next::Never,
    }
}

fn parked(event: Event) -> Next {
    match event {
        Event::Redriven | Event::TermOver => Next::To(State::Redriven),
        Event::Dropped => Next::To(State::Dropped),
        // Kept for as long as nobody has decided.
        Event::Pruned => Next::Stays,
        event => decided(event),
    }
}

/// Its content is safe in Postgres, or not wanted: what is left is to delete the object.
fn decided(event: Event) -> Next {
    match event {
        // Another object under the same key is a sighting of its own; one that is gone already is deleted
        // as well as any.
        Event::ListedAgain
        | Event::ListedChanged
        | Event::Vanished
        | Event::DeleteRefused
        | Event::Deleted => Next::Stays,
        Event::Pruned => Next::Forgotten,
        Event::Loaded
        | Event::Covered
        | Event::SameRun
        | Event::Judged(_)
        | Event::TooLargeToPark
        | Event::BucketAway
        | Event::Weather
        | Event::DiskFull
        | Event::TableRefuses
        | Event::LeaseRanOut
        | Event::TermOver
        | Event::Redriven
        | Event::Dropped => Next::Never,
    }
}

/// Nothing is there to be deleted; the same object, seen again, is a new sighting.
fn missing(event: Event) -> Next {
    match event {
        Event::DeleteRefused | Event::Deleted => Next::Never,
        event => decided(event),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// What a person would call each event; causes that go the same way share a row.
    const EVENTS: &[(&str, Event)] = &[
        ("listed again", Event::ListedAgain),
        ("listed with another etag", Event::ListedChanged),
        ("rows committed", Event::Loaded),
        ("newer results cover it", Event::Covered),
        ("same run again", Event::SameRun),
        ("same run with other bytes", Event::Judged(Cause::RunReused)),
        ("undecodable", Event::Judged(Cause::Undecodable)),
        ("unknown version", Event::Judged(Cause::UnknownVersion)),
        ("time in the future", Event::Judged(Cause::Future)),
        ("data error in COPY", Event::Judged(Cause::Refused)),
        ("ended three consumers alone", Event::Judged(Cause::Deadly)),
        ("bad, too large to park", Event::TooLargeToPark),
        ("over its quota", Event::Judged(Cause::QuotaTables)),
        ("GET 404", Event::Judged(Cause::Gone)),
        ("GET 412", Event::Judged(Cause::Replaced)),
        ("GET 4xx", Event::Judged(Cause::Unreadable)),
        ("GET 5xx, bucket away", Event::BucketAway),
        ("carries no rows", Event::Judged(Cause::Probe)),
        ("deadlock, Postgres away", Event::Weather),
        ("disk full", Event::DiskFull),
        ("its table refuses", Event::TableRefuses),
        ("lease run out", Event::LeaseRanOut),
        ("delete refused", Event::DeleteRefused),
        ("deleted", Event::Deleted),
        ("removed by a lifecycle rule", Event::Vanished),
        ("term over, or room again", Event::TermOver),
        ("redriven", Event::Redriven),
        ("dropped by a person", Event::Dropped),
        ("older than the history kept", Event::Pruned),
    ];

    fn page() -> String {
        let mut page = String::from("| event");
        for state in State::ALL {
            let _ = write!(page, " | {}", format!("{state:?}").to_lowercase());
        }
        page.push_str(" |\n|---|");
        page.push_str(&"---|".repeat(State::ALL.len()));
        page.push('\n');
        for (name, event) in EVENTS {
            let _ = write!(page, "| {name}");
            for state in State::ALL {
                let cell = match state.after(*event) {
                    Next::To(next) => format!("{next:?}").to_lowercase(),
                    Next::Stays => "·".to_owned(),
                    Next::Forgotten => "forgotten".to_owned(),
                    Next::Never => "—".to_owned(),
                };
                let _ = write!(page, " | {cell}");
            }
            page.push_str(" |\n");
        }
        page
    }

    #[test]
    fn every_state_meets_every_event_as_the_architecture_says() {
        let page = page();
        let document = include_str!("../../../docs/architecture.md");
        assert!(
            document.contains(&page),
            "docs/architecture.md should say:\n{page}"
        );
    }

    #[test]
    fn every_event_has_its_row_or_goes_the_way_of_one_that_has() {
        let way = |event: Event| State::ALL.map(|state| state.after(event));
        let without: Vec<Event> = Event::all()
            .filter(|event| !EVENTS.iter().any(|(_, shown)| way(*shown) == way(*event)))
            .collect();
        // The one that is held before it ever waits.
        assert_eq!(without, [Event::Judged(Cause::Key)]);
    }

    #[test]
    fn names_of_causes_are_told_apart() {
        let mut names: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
