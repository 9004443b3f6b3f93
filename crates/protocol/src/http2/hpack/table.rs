use std::collections::VecDeque;
use std::ops::Range;

/// What is known of an encoder's dynamic table (RFC 7541, section 2.3.2).
///
/// Invariant: the encoder's table, newest entry first, is a prefix of `entries` (newest first)
/// followed, where `older_unseen` is set, by any number of entries that are not known. The proof
/// that every operation keeps it is in `docs/hpack.md`.
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// The texts of the entries, name before value, the oldest first; what lies before the oldest
    /// entry is no longer used.
    texts: Vec<u8>,
    /// Whether there may be entries older than those in `entries`.
    older_unseen: bool,
    /// The sum of the entries' sizes, each at least so large.
    floor: usize,
    /// The greatest that the table's maximum size can be now.
    capacity: usize,
}

/// What the encoder's table holds at an index.
pub(super) enum Found {
    /// This entry, by its place.
    Entry(usize),
    /// An entry that was never seen.
    Unseen,
    /// None: the index is beyond the table.
    Nothing,
}

/// Where the name of a new entry comes from.
pub(super) enum Name<'a> {
    Text(&'a [u8]),
    /// From the entry at this place.
    Of(usize),
    Unknown,
}

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    name_length: u32,
    value_length: u32,
    /// By the rule of section 4.1; where the name is not known, the least that it can be.
    size: u32,
    name_known: bool,
    value_known: bool,
}

/// What section 4.1 adds to the length of an entry's texts.
const OVERHEAD: usize = 32;
/// The maximum size before any update (RFC 9113, section 6.5.2: SETTINGS_HEADER_TABLE_SIZE).
const INITIAL_CAPACITY: usize = 4096;
/// What is held of a table at most, however large its owners agreed to let it grow.
const MOST_HELD: usize = 128 << 10;

impl Table {
    /// The table at the beginning of a connection.
    pub(super) fn new() -> Table {
        Table { entries: VecDeque::new(), texts: Vec::new(), older_unseen: false, floor: 0, capacity: INITIAL_CAPACITY }
    }

    /// From here on nothing is known: the table may hold anything, and be as large as may be.
    pub(super) fn lose(&mut self) {
        *self = Table { older_unseen: true, capacity: usize::MAX, ..Table::new() };
    }

    /// What stands at an index, counted from 0 for the newest entry.
    #[inline]
    pub(super) fn find(&self, index: usize) -> Found {
        if index < self.entries.len() {
            Found::Entry(index)
        } else if self.older_unseen {
            Found::Unseen
        } else {
            Found::Nothing
        }
    }

    /// The name of the entry at this place.
    #[inline]
    pub(super) fn name(&self, place: usize) -> Option<&[u8]> {
        let entry = self.entries.get(place).filter(|entry| entry.name_known)?;
        self.texts.get(entry.name())
    }

    /// The value of the entry at this place.
    #[inline]
    pub(super) fn value(&self, place: usize) -> Option<&[u8]> {
        let entry = self.entries.get(place).filter(|entry| entry.value_known)?;
        self.texts.get(entry.value())
    }

    /// Adds an entry, and lets those go that certainly go for it (section 4.4). With `keep_texts`
    /// unset its texts are not kept: it counts as not known.
    #[inline]
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8], keep_texts: bool) {
        let start = self.texts.len();
        let (name_length, mut name_known) = match name {
            Name::Text(text) => {
                if keep_texts {
                    self.texts.extend_from_slice(text);
                }
                (text.len(), true)
            }
            Name::Of(place) => match self.entries.get(place).copied() {
                Some(entry) => {
                    if keep_texts && entry.name_known {
                        self.texts.extend_from_within(entry.name());
                    }
                    (entry.name_length as usize, entry.name_known)
                }
                None => (0, false),
            },
            Name::Unknown => (0, false),
        };
        if keep_texts {
            self.texts.extend_from_slice(value);
        }
        name_known &= keep_texts;
        let size = name_length + value.len() + OVERHEAD;
        if size > self.capacity {
            // It certainly does not fit: it empties the table and is not added.
            self.empty();
            return;
        }
        self.entries.push_front(Entry {
            start: start as u32,
            name_length: name_length as u32,
            value_length: value.len() as u32,
            size: size as u32,
            name_known,
            value_known: keep_texts,
        });
        self.floor += size;
        self.evict();
    }

    /// What inserting an entry with the name of the one at this place would copy.
    pub(super) fn name_length(&self, place: usize) -> usize {
        self.entries.get(place).map_or(0, |entry| entry.name_length as usize)
    }

    /// A dynamic table size update (section 6.3): the maximum size is known from here on.
    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.evict();
    }

    /// How many bytes it holds in memory.
    pub(super) fn held(&self) -> usize {
        self.texts.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// How many entries are known, at least in part.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn empty(&mut self) {
        self.entries.clear();
        self.texts.clear();
        self.floor = 0;
        self.older_unseen = false;
    }

    #[inline]
    fn evict(&mut self) {
        while self.floor > self.capacity {
            self.drop_oldest();
            // What was older than the one that certainly went, went before it.
            self.older_unseen = false;
        }
        if self.older_unseen && self.floor.saturating_add(OVERHEAD) > self.capacity {
            // Not even an empty entry has room beside those that are known to be there.
            self.older_unseen = false;
        }
        while self.floor > MOST_HELD {
            self.drop_oldest();
            self.older_unseen = true;
        }
        self.compact();
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_back() {
            self.floor -= entry.size as usize;
        }
    }

    /// Gives up the room of texts that are no longer used, once it is more than that of those that are.
    fn compact(&mut self) {
        let Some(oldest) = self.entries.back() else {
            self.texts.clear();
            return;
        };
        let unused = oldest.start as usize;
        if unused > 512 && unused > self.texts.len() / 2 {
            self.texts.drain(..unused);
            for entry in &mut self.entries {
                entry.start -= unused as u32;
            }
        }
    }
}

impl Entry {
    fn name(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.name_length as usize
    }

    fn value(&self) -> Range<usize> {
        let start = (self.start + self.name_length) as usize;
        start..start + self.value_length as usize
    }
}
