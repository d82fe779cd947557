//! The state folder, on its disk.

use nightdrop_runtime::{exit::Code, findings::Finding};

use crate::{
    config::Config,
    spool::{self, Spool},
};

const WRITES: &str = "spool: write, fsync, rename";
const ROOM: &str = "spool: room";

/// Below this a day without the bucket may fill the disk.
const LEAST: u64 = 256 << 20;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    // A disk may hang; this is waited for by whoever asked.
    let tried = tokio::task::spawn_blocking(move || spool.try_out()).await;
    let place = config.state_dir.display();
    match tried {
        Ok(Ok(free)) => {
            let found = format!("{} MiB are free at {place}", free >> 20);
            let room = if free < LEAST {
                let remedy = format!(
                    "make room: results wait there while the bucket is away; {} MiB is little",
                    LEAST >> 20
                );
                Finding::fail(ROOM, Code::CantCreate, found, remedy)
            } else {
                Finding::ok(ROOM, found)
            };
            vec![Finding::ok(WRITES, place.to_string()), room]
        }
        Ok(Err(error)) => {
            let remedy = match &error {
                spool::Error::OtherUser { .. } => {
                    "let one user run doctor and all jobs, and own the folder".to_owned()
                }
                _ => format!(
                    "let state_dir be a folder that this user may write in: install -d -m 0750 -o USER {place}"
                ),
            };
            vec![
                Finding::fail(WRITES, error.code(), error.to_string(), remedy),
                unknown_room(),
            ]
        }
        Err(error) => vec![
            Finding::unproven(WRITES, Code::Software, error.to_string(), "ask again"),
            unknown_room(),
        ],
    }
}

fn unknown_room() -> Finding {
    Finding::unproven(
        ROOM,
        Code::CantCreate,
        "nothing can be written there",
        "see to that first",
    )
}
