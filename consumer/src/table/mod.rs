//! Report tables as values: their names, the statements that make and extend them, and how a result fits
//! them. Pure; `destination/` carries it out.

mod ddl;
mod fit;
mod name;

use nightdrop_schema::Header;

pub use ddl::{add, conflict_target, create, index, retire, retired, retype};
pub use fit::{Fit, Widening, fit};
pub(crate) use fit::{full_name, takes};
pub(crate) use name::literal;
pub use name::{Name, NameError, identifier, identifiers};

/// The columns that every report table has, before its own: name, type.
pub const SERVICE: [(&str, &str); 3] = [
    ("_producer", "text"),
    ("_as_of", "timestamp with time zone"),
    ("_file", "bigint"),
];

/// All columns of a COPY of this result, service columns first.
pub fn copy_columns(header: &Header) -> String {
    let own = header.columns.iter().map(|column| column.name.as_str());
    identifiers(SERVICE.iter().map(|(name, _)| *name).chain(own))
}
