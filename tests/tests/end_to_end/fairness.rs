//! Nobody delays another: not by how much they drop, not by what, not by how large it is.

mod claims;
mod listing;
