//! What each cell of a row has to be: reader and writer insist on the same.

use crate::column::Type;
use crate::error::{Error, Kind};
use crate::header::{Bound, Header, Mode};
use crate::name::ColumnName;
use crate::read::{Caps, ROW_DEPTH};
use crate::value::Value;

/// What each cell of a row has to be.
pub(crate) struct Layout {
    pub(crate) slots: Vec<Slot>,
    pub(crate) cell_cap: usize,
    /// How deep a cell may be.
    pub(crate) depth: usize,
}

/// What the cells of one column have to be.
pub(crate) struct Slot {
    pub(crate) name: ColumnName,
    pub(crate) ty: Type,
    /// Why a null is refused, if it is.
    no_null: Option<&'static str>,
    range: Option<(Bound, Bound)>,
}

impl Layout {
    pub(crate) fn new(header: &Header, caps: &Caps) -> Self {
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
            depth: caps.depth.saturating_sub(ROW_DEPTH),
        }
    }
}

impl Slot {
    /// Checks what holds for the value beyond its type.
    #[inline]
    pub(crate) fn check(&self, value: &Value<'_>) -> Result<(), Error> {
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
