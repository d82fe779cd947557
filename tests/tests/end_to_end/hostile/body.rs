//! Bodies of gigabytes that are small as they are stored.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::message::Message;

pub const GIB: usize = 1 << 30;
pub const MIB: usize = 1 << 20;

/// What is compressed in one piece: above the largest window that the consumer allows.
pub const BLOCK: usize = 15 << 20;

/// A part of a body: a text, so many times.
pub struct Part(pub String, pub usize);

/// About so many bytes of a pattern.
pub fn much(of: &str, bytes: usize) -> Part {
    let block = of.repeat(BLOCK / of.len());
    let times = bytes.div_ceil(block.len());
    Part(block, times)
}

pub fn text(text: impl Into<String>) -> Part {
    Part(text.into(), 1)
}

/// A message's body with parts in the place of a mark.
pub fn instead(message: &Message, mark: &str, parts: Vec<Part>) -> Vec<Part> {
    let body = message.body();
    let (before, behind) = body.split_once(mark).unwrap();
    let mut all = vec![text(before)];
    all.extend(parts);
    all.push(text(behind));
    all
}

/// Each part is compressed once: in both formats frames may follow each other.
pub fn packed(parts: Vec<Part>, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let pieces = parts
        .into_iter()
        .map(|Part(text, times)| pack(text.as_bytes()).repeat(times));
    pieces.collect::<Vec<_>>().concat()
}

pub fn zstd(parts: Vec<Part>) -> Vec<u8> {
    packed(parts, |bytes| zstd::encode_all(bytes, 1).unwrap())
}

pub fn gzip(parts: Vec<Part>) -> Vec<u8> {
    packed(parts, |bytes| {
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    })
}
