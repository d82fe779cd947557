//! Looks at the ledger while it blows, and afterwards until nothing is left to do.

use std::time::{Duration, Instant};

use crate::site::Site;
use crate::weather::Storm;

const LOOK: Duration = Duration::from_millis(200);

/// Waits until each producer has dropped its share, and it has blown for as long as it should.
pub fn until_it_is_over(site: &Site, storm: &Storm, share: u64) {
    // On a machine that is busy with other things.
    let patience = storm.blows * 4 + Duration::from_mins(5);
    let mut dropped = Vec::new();
    loop {
        if !storm.pass(LOOK) {
            return;
        }
        // Postgres is away at times.
        if let Ok(rows) = site.try_rows(
            "SELECT count(*) FILTER (WHERE producer = 'jfk'), count(*) FILTER (WHERE producer = 'lga'),
                    count(*) FILTER (WHERE producer = 'ewr'), coalesce(max(attempts) FILTER (WHERE state = 'waiting'), 0)
             FROM nightdrop.file",
        ) {
            let numbers: Vec<i64> = rows[0].split('|').map(|n| n.parse().unwrap()).collect();
            storm.read(numbers[3]);
            dropped = numbers[..3].to_vec();
        }
        let enough = |count: &i64| count.unsigned_abs() >= share;
        if storm.elapsed() >= storm.blows && dropped.len() == 3 && dropped.iter().all(enough) {
            storm.calm();
            return;
        }
        if storm.elapsed() > patience {
            storm.fail(format!("the producers dropped {dropped:?} in {patience:?}"));
        }
    }
}

/// Waits until the inbox is empty and each file has its verdict, for as long as there are fewer and fewer without one.
pub fn until_all_is_loaded(site: &Site, storm: &Storm) {
    let undecided =
        "SELECT count(*) FROM nightdrop.file WHERE gone_at IS NULL OR state = 'waiting'";
    let (mut fewest, mut since) = (u64::MAX, Instant::now());
    while !storm.has_failed() {
        let left: Option<u64> = site
            .try_rows(undecided)
            .ok()
            .and_then(|rows| rows[0].parse().ok());
        if left == Some(0) && site.keys().is_empty() {
            return;
        }
        if let Some(left) = left.filter(|left| *left < fewest) {
            (fewest, since) = (left, Instant::now());
        }
        if since.elapsed() > Duration::from_mins(1) {
            let waiting = site.rows(
                "SELECT id, key, state, streamed, attempts, worker, lease_until, retry_at, reason, error, gone_at
                 FROM nightdrop.file WHERE gone_at IS NULL OR state = 'waiting' ORDER BY id LIMIT 20",
            );
            let pauses = site.rows("SELECT * FROM nightdrop.pause");
            storm.fail(format!(
                "still not loaded: {waiting:#?}\npaused: {pauses:#?}\nat {:?}",
                site.rows("SELECT now()")
            ));
        }
        std::thread::park_timeout(LOOK);
    }
}
