//! A dropped file, read twice: by the contract's own reader, and as plain JSON.

use std::fs::File;
use std::path::Path;

use nightdrop_schema::copy::{Rows, SIGNATURE, TRAILER};
use nightdrop_schema::{Caps, Data, Envelope, Header, Reader};

pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    pub(crate) header: Header,
    /// The rows as `COPY … (FORMAT binary)` takes them, made by the contract's reader.
    pub(crate) copy: Vec<u8>,
    pub(crate) json: serde_json::Value,
}

impl Message {
    pub(crate) fn read(path: &Path) -> Self {
        let mut reader = Reader::new(File::open(path).unwrap(), Caps::default());
        let (envelope, data) = reader.open().unwrap();
        let Data::Result(header) = data else {
            panic!("{data:?}")
        };
        let mut rows = Rows::new(0, [], u16::try_from(header.columns.len()).unwrap());
        while reader.next_row(&mut rows).unwrap() {}
        reader.finish().unwrap();
        let copy = [&SIGNATURE[..], &rows.take(), &TRAILER].concat();
        let json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        Self {
            envelope,
            header,
            copy,
            json,
        }
    }

    /// The cells as they stand in the file.
    pub(crate) fn rows(&self) -> &Vec<serde_json::Value> {
        self.json["data"]["rows"].as_array().unwrap()
    }

    /// Name and type of each column.
    pub(crate) fn types(&self) -> Vec<(&str, &str)> {
        self.header
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.ty.as_str()))
            .collect()
    }
}
