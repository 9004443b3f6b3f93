//! Keys that a stranger or a parser may choose, made unique within their object.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The contract's own keys, in order: no other fact may take them, wherever it stands.
static RESERVED: [&str; 39] = [
    "body",
    "body_base64",
    "body_bytes",
    "body_truncated",
    "bytes",
    "client",
    "closed",
    "completeness",
    "connection",
    "direction",
    "exchanges",
    "from_start",
    "headers",
    "host",
    "latency_ns",
    "lost_bytes",
    "notes",
    "opened",
    "operation",
    "outcome",
    "peer_process",
    "process",
    "protocol",
    "repeats",
    "request",
    "resource",
    "response",
    "sequence",
    "server",
    "source",
    "start",
    "status",
    "steps",
    "timings",
    "tls",
    "trailers",
    "type",
    "why",
    "witnesses",
];

/// By first byte: the lengths of the contract's keys that begin with it, a bit each.
static LENGTHS: [u32; 256] = {
    let mut lengths = [0; 256];
    let mut at = 0;
    while at < RESERVED.len() {
        let key = RESERVED[at].as_bytes();
        lengths[key[0] as usize] |= 1 << key.len();
        at += 1;
    }
    lengths
};

/// Whether the contract has this key. Nearly all that are asked for are told apart by their length.
pub(super) fn is_reserved(key: &str) -> bool {
    let first = key.as_bytes().first().copied().unwrap_or_default();
    let may_be = key.len() < 32 && LENGTHS[usize::from(first)] >> key.len() & 1 != 0;
    may_be && RESERVED.binary_search(&key).is_ok()
}

/// Finds a key for each name: the name itself, with `#2`, `#3`, … behind it where that is taken.
#[derive(Default)]
pub(super) struct Unique {
    taken: HashSet<String>,
    /// The last number given to each name, so that many of one name cost no search each.
    numbers: HashMap<String, u32>,
}

impl Unique {
    pub(super) fn key<'n>(&mut self, name: Cow<'n, str>) -> Cow<'n, str> {
        if self.taken.insert(name.to_string()) {
            return name;
        }
        let number = self.numbers.entry(name.to_string()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{name}#{number}");
            if self.taken.insert(numbered.clone()) {
                return numbered.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_keys_are_in_order() {
        assert!(RESERVED.is_sorted());
        assert!(is_reserved("bytes") && is_reserved("why") && !is_reserved("stream"));
    }

    #[test]
    fn names_that_repeat_are_numbered() {
        let mut unique = Unique::default();
        let keys: Vec<_> = ["a", "a", "a#3", "a", "b"].map(|name| unique.key(name.into())).into();
        assert_eq!(keys, ["a", "a#2", "a#3", "a#4", "b"]);
    }
}
