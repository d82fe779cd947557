//! What the design's order says, as a function: results one after the other, by time, then by arrival.

use std::collections::BTreeMap;

/// What a result does to those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Append,
    Replace,
    /// Half-open, of `k`.
    Range(i64, i64),
    Upsert,
}

/// A result of one producer's job. Its rows are of a key and something that no other row has.
#[derive(Clone, Debug)]
pub struct Sent {
    pub mode: Mode,
    pub time: String,
    pub rows: Vec<(i64, i64)>,
}

/// The rows that these results leave of one job, with the arrival of each: by key.
pub fn end(mut results: Vec<(i64, &Sent)>) -> Vec<(i64, i64)> {
    results.sort_by_key(|(arrival, sent)| (sent.time.clone(), *arrival));
    let mut rows: Vec<(i64, i64)> = Vec::new();
    for (_, sent) in results {
        match sent.mode {
            Mode::Append => {}
            Mode::Replace => rows.clear(),
            Mode::Range(from, to) => rows.retain(|(k, _)| !(from..to).contains(k)),
            Mode::Upsert => {
                let new: BTreeMap<i64, i64> = sent.rows.iter().copied().collect();
                rows.retain(|(k, _)| !new.contains_key(k));
            }
        }
        rows.extend(&sent.rows);
    }
    rows.sort_unstable();
    rows
}

/// How much of a range later ones cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    Nothing,
    Some,
    All,
}

/// What results that come later leave of what a `replace` says, value by value.
pub fn covered(mode: &Mode, later: &[&Mode]) -> Covered {
    let within = |mode: &Mode, k: i64| match mode {
        Mode::Replace => true,
        Mode::Range(from, to) => (*from..*to).contains(&k),
        Mode::Append | Mode::Upsert => false,
    };
    // One beyond all ranges at each end stands for what only a whole replace says.
    let own = (-1..=VALUES).filter(|k| within(mode, *k));
    let each: Vec<bool> = own
        .map(|k| later.iter().any(|other| within(other, k)))
        .collect();
    match each.iter().filter(|covered| **covered).count() {
        0 => Covered::Nothing,
        some if some == each.len() => Covered::All,
        _ => Covered::Some,
    }
}

/// Ranges lie within 0 and this.
pub const VALUES: i64 = 12;
