//! A protocol within a protocol: a parser fed with bytes that another parser has freed of its
//! framing, such as WebSocket in a stream of HTTP/2, or STOMP in the messages of WebSocket.

use std::collections::VecDeque;

use l7trace_event::{Direction, Side, Timestamp};

use crate::{
    Attribute, Chunk, End, Handshake, Input, Key, Mark, Message, Next, Outbox, Output, Parser, Prefix, REGISTRY,
    Recognition, Sample, Settings, Start, Switch, by_name,
};

/// A parser within another, with positions and keys of its own.
///
/// What it says goes to the outer parser's outbox: keys moved to a space of this nest's own, marks
/// moved to the outer positions, facts added.
pub struct Nested {
    inner: Inner,
    settings: Settings,
    /// What sets this nest's keys apart from those of others in the same connection.
    space: u64,
    /// By direction.
    lanes: [Lane; 2],
    outbox: Outbox,
    facts: Vec<Attribute>,
    switches: u32,
}

enum Inner {
    Recognising(Box<Candidates>),
    Speaking(Box<dyn Parser>),
    /// Nobody reads it.
    Opaque,
}

/// What was said before it was recognised.
#[derive(Default)]
struct Candidates {
    /// By direction: the bytes.
    said: [Vec<u8>; 2],
    /// In order: direction, length, time.
    order: Vec<(Direction, usize, Timestamp)>,
}

#[derive(Default)]
struct Lane {
    /// How many bytes of this direction were fed.
    position: u64,
    /// Where pieces that were fed began: inside, and outside.
    places: VecDeque<Place>,
    ended: Option<End>,
}

/// Where a piece lies.
struct Place {
    inner: u64,
    outer: u64,
    /// Whether all of it stands for the one outer place.
    collapsed: bool,
}

/// How deep nests may lie in one another.
const MOST_DEPTH: u8 = 4;
/// How many switches one nest follows.
const MOST_SWITCHES: u32 = 8;
/// How many bytes of a direction are held until they are recognised.
const MOST_SAID: usize = 16 << 10;
/// How many pieces are remembered for moving marks: a message that spans more begins at the oldest.
const MOST_PLACES: usize = 1024;

impl Nested {
    /// A nest that speaks `next` from its start. `space` sets its keys apart: unique among the
    /// nests of a connection, below 2³¹. `facts` are added to every message.
    pub fn new(
        next: Next,
        handshake: Option<Box<Handshake>>,
        settings: &Settings,
        space: u64,
        facts: Vec<Attribute>,
    ) -> Nested {
        let settings = Settings { depth: settings.depth.saturating_add(1), ..settings.clone() };
        let mut nested = Nested {
            inner: Inner::Opaque,
            settings,
            space,
            lanes: Default::default(),
            outbox: Outbox::default(),
            facts,
            switches: 0,
        };
        nested.begin(next, handshake);
        nested
    }

    /// Feeds bytes, which were at `outer` (a position of the outer parser's) before they were freed
    /// of their framing.
    pub fn bytes(&mut self, direction: Direction, bytes: &[u8], outer: u64, at: Timestamp, out: &mut Outbox) {
        if bytes.is_empty() || matches!(self.inner, Inner::Opaque) {
            return;
        }
        self.lanes[direction.index()].remember(outer, false);
        self.feed(direction, Input::Bytes(bytes), at, out);
    }

    /// Feeds bytes that a coding was undone of: all of them stand for the one place `outer`.
    pub fn decoded(&mut self, direction: Direction, bytes: &[u8], outer: u64, at: Timestamp, out: &mut Outbox) {
        if bytes.is_empty() || matches!(self.inner, Inner::Opaque) {
            return;
        }
        self.lanes[direction.index()].remember(outer, true);
        self.feed(direction, Input::Bytes(bytes), at, out);
    }

    /// Says that bytes went by unseen.
    pub fn gap(
        &mut self,
        direction: Direction,
        length: u64,
        cause: l7trace_event::Cause,
        at: Timestamp,
        out: &mut Outbox,
    ) {
        if length > 0 {
            self.feed(direction, Input::Gap { length, cause }, at, out);
        }
    }

    /// Ends a direction, once.
    pub fn end(&mut self, direction: Direction, end: End, at: Timestamp, out: &mut Outbox) {
        let lane = &mut self.lanes[direction.index()];
        if lane.ended.is_none() {
            lane.ended = Some(end);
            self.feed(direction, Input::End(end), at, out);
        }
    }

    /// Whether nobody reads what goes by.
    pub fn is_opaque(&self) -> bool {
        matches!(self.inner, Inner::Opaque)
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        match &self.inner {
            Inner::Recognising(candidates) => candidates.said.iter().map(Vec::len).sum(),
            Inner::Speaking(parser) => parser.held(),
            Inner::Opaque => 0,
        }
    }

    fn begin(&mut self, next: Next, handshake: Option<Box<Handshake>>) {
        self.switches += 1;
        self.inner = match next {
            _ if self.settings.depth > MOST_DEPTH || self.switches > MOST_SWITCHES => Inner::Opaque,
            Next::Recognise => Inner::Recognising(Box::default()),
            Next::Protocol(name) => match by_name(name) {
                Some(protocol) => {
                    let start = Start { from_start: [true; 2], settings: &self.settings, handshake };
                    Inner::Speaking(protocol.parser(start))
                }
                None => Inner::Opaque,
            },
        };
    }

    fn feed(&mut self, direction: Direction, input: Input<'_>, at: Timestamp, out: &mut Outbox) {
        match &mut self.inner {
            Inner::Opaque => {}
            Inner::Recognising(candidates) => match input {
                Input::Bytes(bytes) => {
                    candidates.said[direction.index()].extend_from_slice(bytes);
                    candidates.order.push((direction, bytes.len(), at));
                    self.lanes[direction.index()].position += bytes.len() as u64;
                    self.recognise(out);
                    return;
                }
                Input::Gap { .. } | Input::End(_) => self.inner = Inner::Opaque,
            },
            Inner::Speaking(parser) => {
                let position = self.lanes[direction.index()].position;
                let chunk = Chunk { direction, position, at, acknowledged: None, input };
                parser.push(chunk, &mut self.outbox);
            }
        }
        match input {
            Input::Bytes(bytes) => self.lanes[direction.index()].position += bytes.len() as u64,
            Input::Gap { length, .. } => self.lanes[direction.index()].position += length,
            Input::End(_) => {}
        }
        self.pass_on(at, out);
    }

    fn recognise(&mut self, out: &mut Outbox) {
        let Inner::Recognising(candidates) = &self.inner else { return };
        let sample = Sample {
            sides: candidates.said.each_ref().map(|bytes| Prefix {
                bytes,
                from_start: true,
                since_start: true,
                ended: false,
            }),
            initiator: Some(Side::A),
        };
        let mut more = false;
        let found = REGISTRY.iter().find(|protocol| match protocol.recognise(&sample) {
            // The client of the outer connection is the client here.
            Recognition::Yes { client } => client == Side::A,
            Recognition::Unoriented => true,
            Recognition::More => {
                more = true;
                false
            }
            Recognition::No => false,
        });
        let full = candidates.said.iter().any(|said| said.len() > MOST_SAID);
        match found {
            Some(protocol) => {
                let start = Start { from_start: [true; 2], settings: &self.settings, handshake: None };
                let speaking = Inner::Speaking(protocol.parser(start));
                let Inner::Recognising(candidates) = std::mem::replace(&mut self.inner, speaking) else { return };
                self.tell_again(&candidates, out);
            }
            None if !more || full => self.inner = Inner::Opaque,
            None => {}
        }
    }

    fn tell_again(&mut self, candidates: &Candidates, out: &mut Outbox) {
        let mut from = [0usize; 2];
        let start = [0, 1].map(|lane| self.lanes[lane].position - candidates.said[lane].len() as u64);
        for (lane, start) in start.into_iter().enumerate() {
            self.lanes[lane].position = start;
        }
        for (direction, length, at) in &candidates.order {
            let begin = from[direction.index()];
            from[direction.index()] += length;
            if let Some(bytes) = candidates.said[direction.index()].get(begin..begin + length) {
                self.feed(*direction, Input::Bytes(bytes), *at, out);
            }
        }
    }

    /// Hands on what the inner parser put out.
    fn pass_on(&mut self, at: Timestamp, out: &mut Outbox) {
        if self.outbox.is_empty() {
            return;
        }
        let mut outputs = self.outbox.take();
        let mut switch = None;
        for output in outputs.drain(..) {
            match output {
                Output::Message(message) => out.push(self.moved(message)),
                Output::Switch(found) => switch = Some(found),
                Output::Withdrawn { .. } => self.inner = Inner::Opaque,
            }
        }
        self.outbox.restore(outputs);
        if let Some(switch) = switch {
            self.switch(switch, at, out);
        }
    }

    fn switch(&mut self, switch: Switch, at: Timestamp, out: &mut Outbox) {
        self.begin(switch.next, switch.handshake);
        for lane in &switch.rest {
            let state = &mut self.lanes[lane.direction.index()];
            state.position = state.position.min(lane.position);
        }
        for chunk in &switch.rest {
            self.feed(chunk.direction, Input::Bytes(&chunk.bytes), chunk.at, out);
        }
        for direction in Direction::BOTH {
            if let Some(end) = self.lanes[direction.index()].ended {
                self.feed(direction, Input::End(end), at, out);
            }
        }
    }

    /// The message as the outer connection has it.
    fn moved(&self, mut message: Box<Message>) -> Box<Message> {
        let Key { space, id } = message.key;
        let folded = (space >> 32) ^ (space & 0xffff_ffff);
        message.key = Key { space: (1 << 63) | (self.space << 32) | folded, id };
        let lane = &self.lanes[message.direction.index()];
        message.first = Mark { position: lane.outer(message.first.position), ..message.first };
        let last = message.last.position;
        message.last = Mark { position: lane.outer(last.saturating_sub(1)) + u64::from(last > 0), ..message.last };
        for fact in &self.facts {
            if !message.facts.iter().any(|known| known.name == fact.name) {
                message.facts.push(fact.clone());
            }
        }
        message
    }
}

impl Lane {
    fn remember(&mut self, outer: u64, collapsed: bool) {
        if self.places.len() >= MOST_PLACES {
            self.places.pop_front();
        }
        self.places.push_back(Place { inner: self.position, outer, collapsed });
    }

    /// Where a byte of the nest lies outside.
    fn outer(&self, inner: u64) -> u64 {
        let after = self.places.partition_point(|place| place.inner <= inner);
        match self.places.get(after.saturating_sub(1)) {
            Some(place) if place.collapsed => place.outer,
            Some(place) => place.outer.saturating_add(inner.saturating_sub(place.inner)),
            None => inner,
        }
    }
}
