//! A result on its way into the spool: rows in, an entry out. Jobs use it, and so does a program
//! that writes a producer of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nightdrop_runtime::trace::Parent;
use nightdrop_schema::{Compression, Envelope, Header, Key, RunId, Timestamptz, Value, Writer};
use uuid::Uuid;

use crate::{
    Error,
    spool::{Draft, Entry, Turn},
    watermark::Step,
};

/// A result that is being written. Dropped before [`Outgoing::commit`], it is as if it never was.
pub struct Outgoing<'a> {
    writer: Writer<Draft<'a>>,
    key: Key,
    bytes: Arc<AtomicU64>,
}

impl Turn {
    /// Begins a result of this job: a new run, as of `as_of`.
    ///
    /// # Errors
    /// The header breaks a rule of the message, no key can say `as_of`, or the disk refuses.
    pub fn begin(
        &self,
        as_of: Timestamptz,
        header: &Header,
        compression: Compression,
    ) -> Result<Outgoing<'_>, Error> {
        let id = RunId::from(Uuid::now_v7());
        self.begin_run(id, as_of, header, compression, None)
    }

    /// Begins the result of a run that has an id, and may belong to a trace.
    pub(crate) fn begin_run(
        &self,
        id: RunId,
        as_of: Timestamptz,
        header: &Header,
        compression: Compression,
        trace: Option<&Parent>,
    ) -> Result<Outgoing<'_>, Error> {
        let draft = self.draft(compression)?;
        let envelope = Envelope {
            id,
            source: draft.producer().clone(),
            subject: draft.job().clone(),
            time: as_of,
            traceparent: trace.map(Parent::to_string),
        };
        let key = Key::new(
            envelope.source.clone(),
            envelope.subject.clone(),
            as_of,
            envelope.id,
            compression,
        )?;
        let bytes = draft.written();
        let writer = Writer::new(draft, &envelope, header).map_err(Error::written)?;
        Ok(Outgoing { writer, key, bytes })
    }
}

impl Outgoing<'_> {
    /// The key that it will have.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// One value, in the order of the columns; the row ends with its last.
    ///
    /// # Errors
    /// The value is not one of its column's type, or the disk refuses.
    pub fn value(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.writer.value(value).map_err(Error::written)
    }

    /// One row, in the order of the columns.
    ///
    /// # Errors
    /// As [`Outgoing::value`].
    pub fn row<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) -> Result<(), Error> {
        values.into_iter().try_for_each(|value| self.value(value))
    }

    /// How many rows are whole.
    pub fn rows(&self) -> u64 {
        self.writer.rows()
    }

    /// How many bytes of JSON were written so far, roughly: a buffer's worth may be missing.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Makes it an entry of the spool, durably. From here on it will be dropped, whatever happens.
    ///
    /// # Errors
    /// A row is not whole, or the disk refuses; then there is no entry.
    pub fn commit(self) -> Result<Entry, Error> {
        self.commit_with(None)
    }

    /// The same, and in the same instant the job's watermark moves.
    pub(crate) fn commit_with(self, moves: Option<(&Step, Timestamptz)>) -> Result<Entry, Error> {
        let (draft, _) = self.writer.finish().map_err(Error::written)?;
        Ok(draft.commit_with(&self.key, moves)?)
    }
}
