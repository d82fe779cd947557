//! `put`: a file that was written by hand, or by a program in another language, on the same way as
//! a job's result: through the spool.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
};

use nightdrop_bucket::Bucket;
use nightdrop_schema::{Compression, Key};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::Config,
    drain::Patience,
    input::{self, Message},
    spool::{self, Spool},
    validate,
};

/// Whoever puts a file again may have changed it: nobody has read that.
const THERE: &str = " was in the bucket already, and nothing was put now; a file that says something else needs an id of its own";

/// Checks the whole of a file, or of stdin for `-`, and drops it exactly as it is. Gives a line
/// about what it was.
///
/// # Errors
/// It is no message, or one of another producer; or it could not be put, then it waits in the spool.
pub async fn put(
    config: &Config,
    name: &str,
    bucket: &Bucket,
    stop: &CancellationToken,
) -> Result<String, Error> {
    let spool = Spool::new(config.producer.clone(), &config.state_dir);
    let state = |source| spool::Error::State {
        path: config.state_dir.clone(),
        source,
    };
    // Nameless, so that a crash leaves nothing behind; and what was checked is what is dropped,
    // whoever writes to the file meanwhile.
    let mut copy = spool.nameless()?;
    let tee = Tee {
        from: input::open(name)?,
        to: &mut copy,
    };
    let (message, compression) = input::read(name, tee)?;
    let key = key_of(config, &message, compression)?;

    let turn = spool.lock(key.job())?;
    let mut draft = turn.draft(Compression::None)?;
    copy.rewind().map_err(state)?;
    io::copy(&mut copy, &mut draft).map_err(state)?;
    draft.commit(&key)?;
    let gone = Patience::new(config.bucket.put_for)
        .drain(&turn, bucket, stop)
        .await?;
    let there = gone
        .iter()
        .any(|gone| gone.was_there && gone.entry.key == key);
    Ok(format!(
        "{}: {key}{}",
        validate::line(&message),
        if there { THERE } else { "" }
    ))
}

fn key_of(config: &Config, message: &Message, compression: Compression) -> Result<Key, Error> {
    let envelope = &message.envelope;
    if envelope.source != config.producer {
        return Err(Error::OtherProducer {
            found: envelope.source.clone(),
            ours: config.producer.clone(),
        });
    }
    Ok(Key::new(
        envelope.source.clone(),
        envelope.subject.clone(),
        envelope.time,
        envelope.id,
        compression,
    )?)
}

/// Reads, and keeps a copy of what was read.
struct Tee<'a, R> {
    from: R,
    to: &'a mut File,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.to.write_all(&bytes[..count])?;
        Ok(count)
    }
}
