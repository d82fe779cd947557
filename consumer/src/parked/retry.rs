//! `parked retry`: back to waiting.

use std::fmt::Write as _;

use nightdrop_runtime::exit::Code;

use super::{Done, Error, unpicked};
use crate::ledger::pick::{self, Pick};
use crate::pool::Pool;

pub(super) async fn retry(pool: &Pool, pick: &Pick) -> Result<Done, Error> {
    let moved = pick::retry(pool, pick).await?;
    let (left, _) = pick::find(pool, pick, i64::MAX).await?;
    let nobodys: Vec<_> = left.iter().filter(|file| file.producer.is_none()).collect();
    let found = moved.iter().map(|file| file.id);
    let mut done = unpicked(pool, pick, found.chain(nobodys.iter().map(|file| file.id))).await?;
    for file in &moved {
        let _ = writeln!(done.page, "{} {} waits again", file.id, file.key);
    }
    if !moved.is_empty() {
        done.page.push_str(
            "a consumer that runs loads what can be loaded; else `nightdrop-consumer once` does\n",
        );
    }
    for file in nobodys {
        let sentence = format!(
            "file {} can't be tried again: its key {} is outside the grammar; delete it in the bucket by hand, then `parked drop {}`",
            file.id,
            file.key.escape_debug(),
            file.id
        );
        done.complaints.push((Code::Data, sentence));
    }
    Ok(done)
}
