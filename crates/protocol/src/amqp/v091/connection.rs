//! Reads both directions of a connection.

mod content;
mod frames;
mod methods;

use std::collections::BTreeMap;

use l7trace_event::Direction;

use super::channel::Channel;
use crate::{Attribute, Chunk, Completeness, End, Feed, Input, Mark, Outbox, Parser, Settings};

/// The most channels at once; AMQP allows 65,535.
const MOST_CHANNELS: usize = 65_536;

pub(in crate::amqp) struct Connection {
    settings: Settings,
    feeds: [Feed; 2],
    readers: [Reader; 2],
    channels: BTreeMap<u16, Channel>,
    /// Counts what was asked, for keys.
    next: u64,
    /// Counts channels that were opened.
    serial: u64,
    heartbeats: [u64; 2],
    facts: Vec<Attribute>,
    unknown_methods: u64,
}

/// Where one direction stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Before its first byte: a protocol header may come.
    Start,
    /// At the beginning of a frame.
    Frame,
    /// Inside a body frame of this channel, with so many bytes and the end octet to come.
    Body(u16, u64),
    /// Bytes were lost: frames are looked for where chunks begin.
    Lost,
}

impl Connection {
    pub(in crate::amqp) fn new(settings: Settings, from_start: [bool; 2]) -> Connection {
        Connection {
            settings,
            feeds: Default::default(),
            readers: from_start.map(|from_start| if from_start { Reader::Start } else { Reader::Lost }),
            channels: BTreeMap::new(),
            next: 0,
            serial: 0,
            heartbeats: [0; 2],
            facts: Vec::new(),
            unknown_methods: 0,
        }
    }

    fn channel(&mut self, number: u16) -> &mut Channel {
        if self.channels.len() >= MOST_CHANNELS {
            self.channels.clear();
        }
        let serial = &mut self.serial;
        self.channels.entry(number).or_insert_with(|| {
            *serial += 1;
            Channel::new(*serial)
        })
    }
}

impl Parser for Connection {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let direction = chunk.direction;
        match chunk.input {
            Input::Bytes(bytes) => {
                let mut feed = std::mem::take(&mut self.feeds[direction.index()]);
                let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
                while !window.is_empty() && self.step(direction, &mut window, out) {}
                window.close();
                self.feeds[direction.index()] = feed;
            }
            Input::Gap { length, cause } => {
                let lost = if cause.is_loss() { length } else { 0 };
                self.gap(direction, chunk.position, length, lost, out);
            }
            Input::End(end) => {
                let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
                self.give_up_contents(direction, completeness, out);
            }
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.readers[direction.index()] {
            Reader::Body(_, left) if self.settings.body_limit == 0 => left,
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        let channels: usize = self.channels.values().map(Channel::held).sum();
        channels + self.feeds.iter().map(Feed::held).sum::<usize>()
    }

    fn facts(&self) -> Vec<Attribute> {
        let mut facts = self.facts.clone();
        facts.push(Attribute::new("heartbeats", self.heartbeats.iter().sum::<u64>()));
        if self.unknown_methods > 0 {
            facts.push(Attribute::new("unknown_methods", self.unknown_methods));
        }
        facts
    }
}

/// Where a frame stands.
struct Place {
    first: Mark,
    last: Mark,
    size: u64,
    /// How far its sender had read the other direction.
    read: Option<u64>,
}
