//! HPACK (RFC 7541): a decoder that may join late and may lose bytes, and stays honest.
//!
//! A field that depends on table entries that were never seen is given as unknown, never as another
//! field. How that is kept, and why it is right: `docs/hpack.md`.

mod decoder;
mod huffman;
mod integer;
mod static_table;
mod table;

pub use decoder::{DecodedField, Decoder, Malformed, Scratch};

#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;
