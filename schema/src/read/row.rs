//! One row: as many cells as there are columns, each as its column allows.

use super::cell::{self, Scratch};
use super::cursor::{Cursor, Step, Stop};
use super::members::unlike;
use super::skip::Skip;
use super::{Caps, ROW_DEPTH, RowSink};
use crate::column::Type;
use crate::error::{Error, Kind};
use crate::header::{Bound, Header, Mode};
use crate::name::ColumnName;
use crate::value::Value;

/// What each cell of a row has to be.
pub(super) struct Layout {
    slots: Vec<Slot>,
    cell_cap: usize,
    /// How deep a cell may be.
    depth: usize,
}

struct Slot {
    name: ColumnName,
    ty: Type,
    /// Why a null is refused, if it is.
    no_null: Option<&'static str>,
    range: Option<(Bound, Bound)>,
}

impl Layout {
    pub(super) fn new(header: &Header, caps: &Caps) -> Self {
        let slots = header.columns.iter().map(|column| {
            let mut slot = Slot {
                name: column.name.clone(),
                ty: column.ty,
                no_null: (!column.nullable)
                    .then_some("the column says that it is not nullable; write a value"),
                range: None,
            };
            match &header.mode {
                Mode::Upsert { primary_key } if primary_key.contains(&column.name) => {
                    slot.no_null = Some("the column is of the primary key; write a value");
                }
                Mode::Replace { range: Some(range) } if range.column == column.name => {
                    slot.no_null = Some("the column is that of the range; write a value within it");
                    slot.range = Some((range.from, range.to));
                }
                _ => {}
            }
            slot
        });
        Self {
            slots: slots.collect(),
            cell_cap: caps.cell,
            depth: caps.depth - ROW_DEPTH,
        }
    }
}

impl Slot {
    /// Checks what holds for the value beyond its type.
    #[inline]
    pub(super) fn check(&self, value: &Value<'_>) -> Result<(), Error> {
        if let (Value::Null, Some(why)) = (value, self.no_null) {
            return Err(Error::new(Kind::Contract, format!("null, but {why}")));
        }
        let (Some((from, to)), Some(raw)) = (&self.range, value.raw()) else {
            return Ok(());
        };
        if (from.raw()..to.raw()).contains(&raw) {
            return Ok(());
        }
        let found = match value {
            Value::Int64(integer) => Bound::Int64(*integer),
            Value::Date(date) => Bound::Date(*date),
            Value::Timestamp(timestamp) => Bound::Timestamp(*timestamp),
            Value::Timestamptz(instant) => Bound::Timestamptz(*instant),
            _ => return Ok(()),
        };
        let sentence = format!(
            "{found} is not within the range, from {from} to below {to}; leave the row out or widen the range"
        );
        Err(Error::new(Kind::Contract, sentence))
    }
}

/// Parses what stands before a row, and the row; false at the end of the rows, the cursor behind their `]`.
pub(super) fn parse<'a, S: RowSink>(
    cursor: &mut Cursor<'a>,
    layout: &Layout,
    index: u64,
    scratch: &mut Scratch,
    sink: &mut S,
) -> Step<bool> {
    match cursor.token()? {
        b']' => {
            cursor.bump();
            return Ok(false);
        }
        b',' if index > 0 => {
            cursor.bump();
            cursor.token()?;
        }
        _ if index > 0 => {
            return Err(cursor
                .due("a comma or ]")
                .at(format!("data.rows[{}]", index - 1)));
        }
        _ => {}
    }
    let at_row = |stop: Stop| stop.at(format!("data.rows[{index}]"));
    if cursor.peek()? != b'[' {
        return Err(at_row(unlike(
            cursor,
            &format!("an array of {}", counted(layout.slots.len(), "cell")),
        )));
    }
    cursor.bump();
    sink.start();
    let mut skip = Skip::jsonb(layout.depth);
    for (place, slot) in layout.slots.iter().enumerate() {
        let next = cursor.token()?;
        if next == b']' {
            return Err(at_row(count(place, layout)));
        }
        if place > 0 {
            if next != b',' {
                return Err(at_row(cursor.due("a comma or ]")));
            }
            cursor.bump();
            cursor.token()?;
        }
        let start = cursor.pos();
        let mut give = |value: Value<'_>| {
            slot.check(&value)?;
            sink.value(place, value);
            Ok(())
        };
        cell::parse(cursor, slot.ty, scratch, &mut skip, &mut give)
            .and_then(|()| cell::within(cursor.pos() - start, layout.cell_cap))
            .map_err(|stop| at_cell(stop, index, place, slot))?;
    }
    match cursor.token()? {
        b']' => cursor.bump(),
        b',' => return Err(at_row(too_many(cursor, layout))),
        _ => return Err(at_row(cursor.due("a comma or ]"))),
    }
    sink.end();
    Ok(true)
}

#[cold]
fn at_cell(stop: Stop, index: u64, place: usize, slot: &Slot) -> Stop {
    match stop {
        Stop::Refused(error) => error
            .at(format!("data.rows[{index}][{place}]"))
            .of(&slot.name, slot.ty)
            .into(),
        other => other,
    }
}

/// The error of a row with more cells than columns; the cursor is before the comma after the last good one.
#[cold]
fn too_many<'a>(cursor: &mut Cursor<'a>, layout: &Layout) -> Stop {
    let mut found = layout.slots.len();
    let mut skip = Skip::new(layout.depth);
    let counted = (|| {
        while cursor.take(b',')? {
            skip.value(cursor)?;
            found += 1;
            cursor.token()?;
        }
        Ok(())
    })();
    match counted {
        Ok(()) => count(found, layout),
        Err(stop) => stop,
    }
}

fn count(found: usize, layout: &Layout) -> Stop {
    let due = counted(layout.slots.len(), "column");
    let sentence = format!(
        "has {} for {due}; write one for each",
        counted(found, "cell")
    );
    Error::new(Kind::Contract, sentence).into()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}
