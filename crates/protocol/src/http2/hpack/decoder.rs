use super::table::{Found, Name, Table};
use super::{huffman, integer, static_table};

/// Decodes the header blocks of one direction of a connection, in the order of the wire.
pub struct Decoder {
    table: Table,
}

/// A field of a header block; a part that is not known is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedField<'a> {
    /// Its name.
    pub name: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Whether its sender asked for it never to be indexed (a secret, mostly).
    pub never_indexed: bool,
}

/// What is wrong with a header block: a connection error for a receiver (RFC 7541, section 2.3.3).
/// Fields given before it was found are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends within a field.
    #[error("a header block ends within a field")]
    Truncated,
    /// An integer beyond what anything needs.
    #[error("a header block holds an integer that is too large")]
    IntegerTooLarge,
    /// A string that is no Huffman code.
    #[error("a header block holds a string that is no Huffman code")]
    Huffman,
    /// An index of 0, or one that is certainly beyond the table.
    #[error("a header block refers to an entry that does not exist")]
    NoSuchEntry,
    /// A table size update after the first field.
    #[error("a header block changes the table size after its first field")]
    LateSizeUpdate,
}

/// Buffers for strings, to be used again and again.
#[derive(Default)]
pub struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// How many bytes of names one block may copy from entry to entry: beyond it (which takes a block
/// made to be costly), new entries count as not known.
const MOST_COPIED: usize = 4 << 20;

impl Decoder {
    /// For a direction that is decoded from its first block on.
    pub fn new() -> Decoder {
        Decoder { table: Table::new() }
    }

    /// For a direction that is joined after some blocks may have gone by.
    pub fn late() -> Decoder {
        let mut decoder = Decoder::new();
        decoder.lose();
        decoder
    }

    /// Header blocks, or parts of one, may have gone by unseen.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// How many bytes the dynamic table holds in memory.
    pub fn held(&self) -> usize {
        self.table.held()
    }

    /// How many entries of the dynamic table are known, at least in part.
    #[cfg(test)]
    pub(super) fn known_entries(&self) -> usize {
        self.table.len()
    }

    /// Decodes a block, giving each field to `each` as it is read. Work and memory are bounded by
    /// the length of the block, but not the sum of the fields' lengths: an index of one byte may
    /// stand for a field of thousands, again and again.
    pub fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Scratch,
        mut each: impl FnMut(DecodedField<'_>),
    ) -> Result<(), Malformed> {
        let mut rest = block;
        let mut copied = 0;
        let mut fields = false;
        while let Some(first) = rest.first() {
            let taken = match first {
                0x80.. => {
                    let (index, taken) = integer::decode(rest, 7)?;
                    self.indexed(index, &mut each)?;
                    taken
                }
                0x20..0x40 => {
                    let (capacity, taken) = integer::decode(rest, 5)?;
                    if fields {
                        return Err(Malformed::LateSizeUpdate);
                    }
                    self.table.resize(capacity);
                    rest = &rest[taken..];
                    continue;
                }
                _ => self.literal(rest, scratch, &mut copied, &mut each)?,
            };
            fields = true;
            // 0 < taken <= rest.len()
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// An indexed field (section 6.1).
    #[inline]
    fn indexed(&self, index: usize, each: &mut impl FnMut(DecodedField<'_>)) -> Result<(), Malformed> {
        let from_static = index.checked_sub(1).ok_or(Malformed::NoSuchEntry)?;
        if let Some((name, value)) = static_table::ENTRIES.get(from_static) {
            each(DecodedField { name: Some(name), value: Some(value), never_indexed: false });
            return Ok(());
        }
        let (name, value) = match self.table.find(from_static - static_table::ENTRIES.len()) {
            Found::Entry(place) => (self.table.name(place), self.table.value(place)),
            Found::Unseen => (None, None),
            Found::Nothing => return Err(Malformed::NoSuchEntry),
        };
        each(DecodedField { name, value, never_indexed: false });
        Ok(())
    }

    /// A literal field (section 6.2): how many bytes it took.
    #[inline]
    fn literal(
        &mut self,
        rest: &[u8],
        scratch: &mut Scratch,
        copied: &mut usize,
        each: &mut impl FnMut(DecodedField<'_>),
    ) -> Result<usize, Malformed> {
        let first = rest.first().copied().unwrap_or_default();
        let insert = first & 0x40 != 0;
        let (index, mut taken) = integer::decode(rest, if insert { 6 } else { 4 })?;
        let name = match index.checked_sub(1) {
            None => {
                let (text, length) = string(&rest[taken..], &mut scratch.name)?;
                taken += length;
                Name::Text(text)
            }
            Some(from_static) => match static_table::ENTRIES.get(from_static) {
                Some((name, _)) => Name::Text(name),
                None => match self.table.find(from_static - static_table::ENTRIES.len()) {
                    Found::Entry(place) => Name::Of(place),
                    Found::Unseen => Name::Unknown,
                    Found::Nothing => return Err(Malformed::NoSuchEntry),
                },
            },
        };
        let (value, length) = string(&rest[taken..], &mut scratch.value)?;
        taken += length;
        let text = match name {
            Name::Text(text) => Some(text),
            Name::Of(place) => self.table.name(place),
            Name::Unknown => None,
        };
        each(DecodedField { name: text, value: Some(value), never_indexed: first & 0xf0 == 0x10 });
        if insert {
            if let Name::Of(place) = name {
                *copied += self.table.name_length(place);
            }
            self.table.insert(name, value, *copied <= MOST_COPIED);
        }
        Ok(taken)
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Scratch {
    /// Gives up buffers that one large field made grow.
    pub fn trim(&mut self) {
        for buffer in [&mut self.name, &mut self.value] {
            if buffer.capacity() > 16 << 10 {
                *buffer = Vec::new();
            }
        }
    }
}

/// A string literal (section 5.2), and how many bytes it took.
#[inline]
fn string<'a>(bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<(&'a [u8], usize), Malformed> {
    let (length, taken) = integer::decode(bytes, 7)?;
    let coded = bytes.get(taken..taken + length).ok_or(Malformed::Truncated)?;
    let text = if bytes[0] & 0x80 != 0 {
        let decoded = huffman::decode(coded, scratch)?;
        &scratch[..decoded]
    } else {
        coded
    };
    Ok((text, taken + length))
}
