//! AMQP 0-9-1 (with RabbitMQ's extensions) and AMQP 1.0: two protocols under one name, told apart
//! by their protocol header.

mod cursor;
mod v091;
mod v10;

use l7trace_event::Side;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// The registry's entry.
pub(crate) struct Amqp;

/// The protocol header: `AMQP`, a protocol id, and a version of three numbers.
pub(super) const HEADER: usize = 8;

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
                let client = match sample.initiator {
                    Some(initiator) => initiator,
                    None if sample.side(side.other()).bytes.is_empty() || prefix.from_start => side,
                    None => side,
                };
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
            match v091::recognise(prefix.bytes) {
                v091::Guess::Client => return Recognition::Yes { client: side },
                v091::Guess::Server => return Recognition::Yes { client: side.other() },
                v091::Guess::More if !prefix.ended => verdict = Recognition::More,
                v091::Guess::More | v091::Guess::No => {}
            }
        }
        verdict
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(Either::new(&start))
    }
}

/// Reads the protocol header and hands over to the version that it names.
struct Either {
    settings: crate::Settings,
    from_start: [bool; 2],
    version: Option<Box<dyn Parser>>,
    /// What came before the version was known.
    early: Vec<crate::OwnedChunk>,
}

impl Either {
    fn new(start: &Start<'_>) -> Either {
        let mut either =
            Either { settings: start.settings.clone(), from_start: start.from_start, version: None, early: Vec::new() };
        if start.from_start == [false; 2] {
            either.version = Some(Box::new(v091::Connection::new(start.settings.clone(), start.from_start)));
        }
        either
    }

    fn version_of(&self) -> Option<Box<dyn Parser>> {
        for direction in l7trace_event::Direction::BOTH {
            let mut header =
                self.early.iter().filter(|chunk| chunk.direction == direction).flat_map(|chunk| &chunk.bytes);
            let first: Vec<u8> = header.by_ref().take(HEADER).copied().collect();
            match first.as_slice() {
                [b'A', b'M', b'Q', b'P', 0 | 2 | 3, 1, 0, 0] => {
                    return Some(Box::new(v10::Connection::new(self.settings.clone(), self.from_start)));
                }
                _ if first.len() == HEADER => {
                    return Some(Box::new(v091::Connection::new(self.settings.clone(), self.from_start)));
                }
                _ => {}
            }
        }
        None
    }
}

impl Parser for Either {
    fn push(&mut self, chunk: crate::Chunk<'_>, out: &mut crate::Outbox) {
        if let Some(version) = &mut self.version {
            return version.push(chunk, out);
        }
        if let crate::Input::Bytes(bytes) = chunk.input {
            self.early.push(crate::OwnedChunk {
                direction: chunk.direction,
                position: chunk.position,
                at: chunk.at,
                acknowledged: chunk.acknowledged,
                bytes: bytes.to_vec(),
            });
            self.version = self.version_of();
        } else {
            self.version = Some(Box::new(v091::Connection::new(self.settings.clone(), self.from_start)));
        }
        if let Some(version) = &mut self.version {
            for early in std::mem::take(&mut self.early) {
                version.push(early.chunk(), out);
            }
            if !matches!(chunk.input, crate::Input::Bytes(_)) {
                version.push(chunk, out);
            }
        }
    }

    fn skippable(&self, direction: l7trace_event::Direction) -> u64 {
        self.version.as_ref().map_or(0, |version| version.skippable(direction))
    }

    fn held(&self) -> usize {
        let early: usize = self.early.iter().map(|chunk| chunk.bytes.len()).sum();
        early + self.version.as_ref().map_or(0, |version| version.held())
    }

    fn facts(&self) -> Vec<crate::Attribute> {
        self.version.as_ref().map_or_else(Vec::new, |version| version.facts())
    }
}
