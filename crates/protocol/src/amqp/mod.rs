//! AMQP 0-9-1 (with RabbitMQ's extensions) and AMQP 1.0: two protocols under one name, told apart
//! by their protocol header.

mod cursor;
mod v091;
mod v10;

use l7trace_event::{Direction, Side};

use crate::{Attribute, Chunk, Input, Outbox, OwnedChunk, Parser, Protocol, Recognition, Sample, Settings, Start};

/// The registry's entry.
pub(crate) struct Amqp;

/// The protocol header: `AMQP`, a protocol id, and a version of three numbers.
pub(super) const HEADER: usize = 8;

/// What the first bytes of a connection joined in the middle say.
pub(super) enum Guess {
    Client,
    Server,
    /// It is this version, and either may have sent it.
    Either,
    More,
    No,
}

impl Protocol for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn speaks(&self) -> &'static [&'static str] {
        &["amqp"]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        let mut verdict = Recognition::No;
        for side in Side::BOTH {
            let prefix = sample.side(side);
            let header = &prefix.bytes[..prefix.bytes.len().min(HEADER)];
            if header.is_empty() {
                continue;
            }
            if header.starts_with(b"AMQP") && header.len() == HEADER {
                // A server may send one as well (AMQP 1.0 does; 0-9-1 where it refuses a version).
                let client = sample.initiator.unwrap_or(side);
                return Recognition::Yes { client };
            }
            if b"AMQP".starts_with(&header[..header.len().min(4)]) {
                if !prefix.ended {
                    verdict = Recognition::More;
                }
                continue;
            }
            if prefix.from_start {
                continue;
            }
            for guess in [v091::recognise(prefix.bytes), v10::recognise(prefix.bytes)] {
                match guess {
                    Guess::Client => return Recognition::Yes { client: side },
                    Guess::Server => return Recognition::Yes { client: side.other() },
                    Guess::Either => {
                        return sample.initiator.map_or(Recognition::Unoriented, |client| Recognition::Yes { client });
                    }
                    Guess::More if !prefix.ended => verdict = Recognition::More,
                    Guess::More | Guess::No => {}
                }
            }
        }
        verdict
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(Either::new(&start))
    }
}

#[derive(Clone, Copy)]
enum Version {
    V091,
    V10,
}

/// Reads the protocol header, or frames where it was not seen, and hands over to the version that they are of.
struct Either {
    settings: Settings,
    from_start: [bool; 2],
    version: Option<Box<dyn Parser>>,
    /// What came before the version was known.
    early: Vec<OwnedChunk>,
}

/// The most that is held while nothing says which version it is.
const MOST_EARLY: usize = 64 << 10;

impl Either {
    fn new(start: &Start<'_>) -> Either {
        Either { settings: start.settings.clone(), from_start: start.from_start, version: None, early: Vec::new() }
    }

    fn early(&self, direction: Direction) -> Vec<u8> {
        let of = self.early.iter().filter(|chunk| chunk.direction == direction);
        of.flat_map(|chunk| &chunk.bytes).copied().collect()
    }

    /// Says which version it is as soon as either direction does.
    fn decide(&self) -> Option<Version> {
        for direction in Direction::BOTH {
            let bytes = self.early(direction);
            match (bytes.first_chunk::<HEADER>(), self.from_start[direction.index()]) {
                (Some([b'A', b'M', b'Q', b'P', 0 | 2 | 3, 1, 0, 0]), _) => return Some(Version::V10),
                (Some([b'A', b'M', b'Q', b'P', ..]), _) | (Some(_), true) => return Some(Version::V091),
                _ => {}
            }
            if !self.from_start[direction.index()] {
                if matches!(v10::recognise(&bytes), Guess::Client | Guess::Server | Guess::Either) {
                    return Some(Version::V10);
                }
                if !matches!(v091::recognise(&bytes), Guess::More | Guess::No) {
                    return Some(Version::V091);
                }
            }
        }
        (self.held() > MOST_EARLY).then_some(Version::V091)
    }

    /// Hands over to the version's own parser.
    fn settle(&mut self, version: Version, out: &mut Outbox) -> &mut Box<dyn Parser> {
        let (settings, from_start) = (self.settings.clone(), self.from_start);
        let mut parser: Box<dyn Parser> = match version {
            Version::V091 => Box::new(v091::Connection::new(settings, from_start)),
            Version::V10 => Box::new(v10::Connection::new(settings, from_start)),
        };
        for early in std::mem::take(&mut self.early) {
            parser.push(early.chunk(), out);
        }
        self.version.insert(parser)
    }
}

impl Parser for Either {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        if let Some(version) = &mut self.version {
            return version.push(chunk, out);
        }
        if let Input::Bytes(bytes) = chunk.input {
            self.early.push(OwnedChunk {
                direction: chunk.direction,
                position: chunk.position,
                at: chunk.at,
                acknowledged: chunk.acknowledged,
                bytes: bytes.to_vec(),
            });
            if let Some(version) = self.decide() {
                self.settle(version, out);
            }
        } else {
            let version = self.decide().unwrap_or(Version::V091);
            self.settle(version, out).push(chunk, out);
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        self.version.as_ref().map_or(0, |version| version.skippable(direction))
    }

    fn held(&self) -> usize {
        let early: usize = self.early.iter().map(|chunk| chunk.bytes.len()).sum();
        early + self.version.as_ref().map_or(0, |version| version.held())
    }

    fn facts(&self) -> Vec<Attribute> {
        self.version.as_ref().map_or_else(Vec::new, |version| version.facts())
    }
}
