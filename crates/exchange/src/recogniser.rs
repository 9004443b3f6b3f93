//! Which protocol a connection speaks, told from its bytes alone.

use l7trace_event::{Side, Timestamp, Witness};
use l7trace_protocol::{Prefix, Protocol, REGISTRY, Recognition, Sample};
use l7trace_stream::{Delivered, Delivery, Ending};

/// The most bytes of one side that are kept while protocols still say that they need more.
const MOST_HELD: usize = 64 << 10;

/// Up to so many bytes of one side, protocols are asked whenever something comes; beyond, when it has
/// grown by an eighth, so that bytes which come one by one are not looked at as often.
const SMALL: usize = 1 << 10;

/// After so many bytes of a side that nobody recognised, that side is not looked at any more: for
/// a connection that was seen from its start.
const PATIENCE_FROM_START: u64 = 1 << 20;

/// The same for a connection joined in the middle, perhaps in the middle of a long body.
const PATIENCE_IN_THE_MIDDLE: u64 = 1 << 30;

/// Holds what a connection said until some protocol recognises it.
#[derive(Default)]
pub(crate) struct Recogniser {
    /// By [`Side::index`].
    sides: [Held; 2],
    /// What is to be told again to the parser, in the order in which it came.
    entries: Vec<Entry>,
    /// Whether the connection's own start is what the next byte of an untouched side may be.
    at_the_start: bool,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Whether the next byte to be held is the first that this side ever sent.
    from_start: bool,
    /// Whether nothing that this side ever said went by unseen.
    since_start: bool,
    /// Whether anything came from this side.
    touched: bool,
    ended: bool,
    /// How many bytes that nobody recognises are looked at.
    patience: u64,
    /// Bytes that nobody recognised.
    dismissed: u64,
    /// With fewer bytes than these no protocol is asked again: asking looks at all that is held.
    enough: usize,
}

/// Something that was held, for telling it again.
pub(crate) struct Entry {
    pub(crate) from: Side,
    pub(crate) position: u64,
    pub(crate) at: Timestamp,
    pub(crate) acknowledged: Option<u64>,
    witness: Witness,
    what: Told,
}

enum Told {
    /// A range of the side's held bytes.
    Bytes(usize, usize),
    End(Ending),
}

/// What a recogniser found.
pub(crate) enum Found {
    /// Nothing yet.
    NotYet,
    /// Nothing, and it has given up.
    Nothing,
    /// A protocol, and its client.
    Protocol {
        protocol: &'static dyn Protocol,
        /// None where the bytes do not say.
        client: Option<Side>,
        /// By side: whether the first byte held (or, where none is, the next to come) is its first.
        from_start: [bool; 2],
    },
}

impl Recogniser {
    /// For a new connection: whether it is seen from its start is told with each delivery.
    pub(crate) fn new() -> Recogniser {
        Recogniser { at_the_start: true, ..Recogniser::default() }
    }

    /// For a connection that goes on as something else, from that thing's start or in its middle.
    pub(crate) fn anew(from_start: bool) -> Recogniser {
        let mut recogniser = Recogniser::default();
        for side in &mut recogniser.sides {
            side.begin(from_start);
        }
        recogniser
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.sides.iter().map(|side| side.bytes.len()).sum()
    }

    /// Takes what came next. Where a protocol is found, the delivery itself is not among the
    /// entries: it is the caller's to hand on after them.
    pub(crate) fn push(&mut self, delivery: &Delivery<'_>, from_start: [bool; 2], initiator: Option<Side>) -> Found {
        let side = delivery.from;
        if self.at_the_start {
            for (held, from_start) in self.sides.iter_mut().zip(from_start).filter(|(held, _)| !held.touched) {
                held.begin(from_start);
            }
            self.sides[side.index()].touched = true;
        }
        match delivery.what {
            Delivered::Bytes(bytes) => self.bytes(side, bytes, delivery, initiator),
            Delivered::Gap { .. } => {
                self.forget(side);
                self.sides[side.index()].since_start = false;
                Found::NotYet
            }
            Delivered::End(ending) => {
                self.sides[side.index()].ended = true;
                let found = self.ask(None, initiator);
                if !matches!(found, Found::Protocol { .. }) {
                    self.entries.push(Entry {
                        from: side,
                        position: delivery.position,
                        at: delivery.at,
                        acknowledged: delivery.acknowledged,
                        witness: delivery.witness,
                        what: Told::End(ending),
                    });
                }
                found.or_not_yet()
            }
        }
    }

    /// What was held, in order, to be told to the protocol that was found.
    pub(crate) fn replay(self, mut tell: impl FnMut(Delivery<'_>)) {
        for entry in &self.entries {
            let what = match entry.what {
                Told::Bytes(from, to) => match self.sides[entry.from.index()].bytes.get(from..to) {
                    Some(bytes) if !bytes.is_empty() => Delivered::Bytes(bytes),
                    _ => continue,
                },
                Told::End(ending) => Delivered::End(ending),
            };
            let delivery = Delivery {
                from: entry.from,
                position: entry.position,
                at: entry.at,
                source: entry.witness.source,
                witness: entry.witness,
                acknowledged: entry.acknowledged,
                what,
            };
            tell(delivery);
        }
    }

    fn bytes(&mut self, side: Side, bytes: &[u8], delivery: &Delivery<'_>, initiator: Option<Side>) -> Found {
        let held = &mut self.sides[side.index()];
        if held.dismissed >= held.patience {
            return if self.sides.iter().all(|held| held.dismissed >= held.patience) {
                Found::Nothing
            } else {
                Found::NotYet
            };
        }
        let fresh = held.bytes.is_empty();
        let start = held.bytes.len();
        if !fresh {
            held.bytes.extend_from_slice(bytes);
        }
        if !fresh && held.bytes.len() < held.enough {
            self.keep_in_mind(delivery, start, bytes.len());
            return Found::NotYet;
        }
        let found = self.ask(fresh.then_some((side, bytes)), initiator);
        let held = &mut self.sides[side.index()];
        match found {
            Found::Protocol { .. } => {
                // The delivery itself is handed on by the caller.
                held.bytes.truncate(start);
                return found;
            }
            Found::NotYet if held.bytes.len().max(bytes.len()) <= MOST_HELD => {
                if fresh {
                    held.bytes.extend_from_slice(bytes);
                }
                let length = held.bytes.len();
                held.enough = if length < SMALL { 0 } else { length + length / 8 };
                self.keep_in_mind(delivery, start, bytes.len());
                return Found::NotYet;
            }
            Found::NotYet | Found::Nothing => {}
        }
        // Nobody takes it with these bytes; perhaps somebody does without them.
        if fresh {
            held.dismissed += bytes.len() as u64;
        }
        self.forget(side);
        let other = side.other();
        if !self.sides[other.index()].bytes.is_empty() && matches!(self.ask(None, initiator), Found::Nothing) {
            self.forget(other);
        }
        Found::NotYet
    }

    /// Notes that bytes came, which are held from `start` on.
    fn keep_in_mind(&mut self, delivery: &Delivery<'_>, start: usize, length: usize) {
        self.entries.push(Entry {
            from: delivery.from,
            position: delivery.position,
            at: delivery.at,
            acknowledged: delivery.acknowledged,
            witness: delivery.witness,
            what: Told::Bytes(start, start + length),
        });
    }

    /// Asks every protocol; `instead` stands in for what is held of a side that holds nothing.
    fn ask(&self, instead: Option<(Side, &[u8])>, initiator: Option<Side>) -> Found {
        let prefix = |side: Side| {
            let held = &self.sides[side.index()];
            let bytes = match instead {
                Some((fresh, bytes)) if fresh == side => bytes,
                _ => &held.bytes,
            };
            Prefix { bytes, from_start: held.from_start, since_start: held.since_start, ended: held.ended }
        };
        let sample = Sample { sides: Side::BOTH.map(prefix), initiator };
        if sample.sides.iter().all(|prefix| prefix.bytes.is_empty()) {
            return Found::NotYet;
        }
        let mut found = Found::Nothing;
        for protocol in REGISTRY {
            match protocol.recognise(&sample) {
                Recognition::Yes { client } => return found_in(&sample, *protocol, Some(client)),
                Recognition::Unoriented => return found_in(&sample, *protocol, None),
                Recognition::More => found = Found::NotYet,
                Recognition::No => {}
            }
        }
        found
    }

    /// Drops what is held of a side: what follows is the middle of something.
    fn forget(&mut self, side: Side) {
        let held = &mut self.sides[side.index()];
        held.dismissed += held.bytes.len() as u64;
        held.bytes = Vec::new();
        held.enough = 0;
        held.from_start = false;
        self.entries.retain(|entry| entry.from != side || matches!(entry.what, Told::End(_)));
    }
}

fn found_in(sample: &Sample<'_>, protocol: &'static dyn Protocol, client: Option<Side>) -> Found {
    Found::Protocol { protocol, client, from_start: sample.sides.map(|prefix| prefix.from_start) }
}

impl Held {
    fn begin(&mut self, from_start: bool) {
        self.from_start = from_start;
        self.since_start = from_start;
        self.patience = if from_start { PATIENCE_FROM_START } else { PATIENCE_IN_THE_MIDDLE };
    }
}

impl Found {
    fn or_not_yet(self) -> Found {
        match self {
            Found::Nothing => Found::NotYet,
            found => found,
        }
    }
}
