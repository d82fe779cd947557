//! One row: as many cells as there are columns, each as its column allows.

use super::RowSink;
use super::cell::{self, Scratch};
use super::cursor::{Cursor, Step, Stop};
use super::members::unlike;
use super::skip::Skip;
use crate::error::{Error, Kind};
use crate::layout::{Layout, Slot};
use crate::value::Value;

/// Parses what stands before a row, and the row; false at the end of the rows, the cursor behind their `]`.
pub(super) fn parse<S: RowSink>(
    cursor: &mut Cursor<'_>,
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
            Step::Ok(())
        };
        cell::parse(cursor, slot.ty, scratch, &mut skip, &mut give)
            .and_then(|()| cell::within(cursor.pos() - start, layout.cell_cap))
            .map_err(|stop| {
                // A cell that does not end within its cap is not waited for.
                let stop = match stop {
                    Stop::Incomplete => cell::within(cursor.there_since(start), layout.cell_cap)
                        .err()
                        .unwrap_or(Stop::Incomplete),
                    other => other,
                };
                at_cell(stop, index, place, slot)
            })?;
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
fn too_many(cursor: &mut Cursor<'_>, layout: &Layout) -> Stop {
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
