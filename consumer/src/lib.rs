//! Poll, load, delete
