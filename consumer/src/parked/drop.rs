//! `parked drop`: for good.

use std::fmt::Write as _;

use super::{Done, Error, unpicked};
use crate::ledger::pick::{self, Pick};
use crate::pool::Pool;

pub(super) async fn drop(pool: &Pool, pick: &Pick) -> Result<Done, Error> {
    let moved = pick::drop(pool, pick).await?;
    let mut done = unpicked(pool, pick, moved.iter().map(|file| file.id)).await?;
    let mut ours = false;
    for file in &moved {
        let key = file.key.escape_debug();
        if file.state == "dropped" {
            ours = true;
            let _ = writeln!(done.page, "{} {key} dropped", file.id);
        } else {
            let _ = writeln!(
                done.page,
                "{} {key} forgotten: its key is outside the grammar, so nothing of ours deletes it; delete it in the bucket by hand, or the next LIST shows it again",
                file.id
            );
        }
    }
    if ours {
        done.page
            .push_str("what of these is still in the bucket is deleted by a consumer that runs; else by `nightdrop-consumer once`\n");
    }
    Ok(done)
}
