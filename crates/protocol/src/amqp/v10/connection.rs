//! Reads both directions of a connection.

mod deliveries;
mod questions;

use std::collections::BTreeMap;

use l7trace_event::Direction::{self, ClientToServer};

use super::frames::{Certainty, Frame, certainty};
use super::link::{Open, Session};
use super::performatives::{
    DISPOSITION, FLOW, Performative, SASL_CHALLENGE, SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME, SASL_RESPONSE, TRANSFER,
};
use crate::{
    Attribute, Chunk, Completeness, End, Feed, Input, Key, Mark, Message, Outbox, Parser, Role, Settings, Window,
};

/// The protocol header.
const PROTOCOL_HEADER: usize = 8;

pub(in crate::amqp) struct Connection {
    settings: Settings,
    feeds: [Feed; 2],
    readers: [Reader; 2],
    /// By direction: not all that it said was seen.
    missed: [bool; 2],
    sessions: [BTreeMap<u16, Session>; 2],
    open: Open,
    next: u64,
    heartbeats: u64,
    flows: u64,
    /// The SASL exchange that waits for its outcome.
    sasl: Option<Key>,
    facts: Vec<Attribute>,
}

/// Where one direction stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// At the beginning of a frame, or of a protocol header.
    Frame,
    /// Inside the payload of a transfer, with so many bytes of the frame to come.
    Payload { channel: u16, handle: u64, left: u64 },
    /// Inside a frame of no interest, with so many bytes of it to come.
    Skip(u64),
    /// Bytes were lost: frames are looked for.
    Lost,
}

/// Spaces of ids: things asked, and deliveries by direction and channel.
const ASKED: u64 = 0;
const DELIVERED: u64 = 1;

impl Connection {
    pub(in crate::amqp) fn new(settings: Settings, from_start: [bool; 2]) -> Connection {
        Connection {
            settings,
            feeds: Default::default(),
            readers: from_start.map(|from_start| if from_start { Reader::Frame } else { Reader::Lost }),
            missed: from_start.map(|from_start| !from_start),
            sessions: Default::default(),
            open: Open::default(),
            next: 0,
            heartbeats: 0,
            flows: 0,
            sasl: None,
            facts: Vec::new(),
        }
    }

    /// A key that nothing has had.
    fn new_key(&mut self) -> Key {
        self.next += 1;
        Key { space: ASKED, id: self.next }
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
                self.give_up_sending(direction, completeness, out);
            }
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.readers[direction.index()] {
            Reader::Skip(left) => left,
            Reader::Payload { channel, handle, left } => {
                let sending = self.sessions[direction.index()].get(&channel).and_then(|it| it.sending.get(&handle));
                let enough = sending.is_none_or(|sending| sending.payload.len() >= self.most_kept());
                if enough { left } else { 0 }
            }
            Reader::Frame | Reader::Lost => 0,
        }
    }

    fn held(&self) -> usize {
        let sessions = self.sessions.iter().flat_map(BTreeMap::values);
        let of = |session: &Session| {
            let sending: usize =
                session.sending.values().map(|it| it.payload.len() + it.message.body.len() + 512).sum();
            sending + session.links.len() * 128 + session.unsettled.len() * 16 + session.known.held()
        };
        self.feeds.iter().map(Feed::held).sum::<usize>() + sessions.map(of).sum::<usize>()
    }

    fn facts(&self) -> Vec<Attribute> {
        let mut facts = self.facts.clone();
        facts.push(Attribute::new("heartbeats", self.heartbeats));
        facts.push(Attribute::new("flows", self.flows));
        facts
    }
}

/// Where a frame stands.
#[derive(Clone, Copy)]
struct Place {
    channel: u16,
    first: Mark,
    last: Mark,
    /// Of the frame, without the payload of a transfer.
    size: u64,
}

// Frames.
impl Connection {
    fn step(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        match self.readers[direction.index()] {
            Reader::Frame => self.frame(direction, window, out),
            Reader::Payload { channel, handle, left } => {
                self.payload(direction, channel, handle, left, window, out);
                true
            }
            Reader::Skip(left) => {
                let length = window.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
                window.consume(length);
                let left = left - length as u64;
                self.readers[direction.index()] = if left == 0 { Reader::Frame } else { Reader::Skip(left) };
                true
            }
            Reader::Lost => self.find_frame(direction, window),
        }
    }

    fn frame(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let bytes = window.bytes();
        if bytes.starts_with(b"AMQP") {
            if bytes.len() < PROTOCOL_HEADER {
                return false;
            }
            if direction == ClientToServer && !self.facts.iter().any(|fact| fact.name == "version") {
                self.facts.push(Attribute::new("version", format!("{}-{}-{}", bytes[5], bytes[6], bytes[7])));
            }
            window.consume(PROTOCOL_HEADER);
            return true;
        }
        let frame = match Frame::parse(bytes) {
            None => return false,
            Some(Err(())) => {
                self.lose(direction, out);
                return true;
            }
            Some(Ok(frame)) => frame,
        };
        let start = window.position();
        let (performative, left) = match frame.performative(bytes) {
            None => return false,
            Some(Ok(None)) => {
                self.heartbeats += 1;
                window.consume(frame.size);
                return true;
            }
            Some(Err(())) => {
                self.readers[direction.index()] = Reader::Skip(frame.size as u64);
                return true;
            }
            Some(Ok(Some(read))) => read,
        };
        let size = frame.size - left;
        let (first, last) = (window.mark(start), window.end_mark(start + size as u64));
        window.consume(size);
        if left > 0 && !performative.has_payload() {
            self.readers[direction.index()] = Reader::Skip(left as u64);
        }
        let place = Place { channel: frame.channel, first, last, size: size as u64 };
        self.performative(direction, &performative, left as u64, place, out);
        true
    }

    /// After a loss: the first frame whose performative decodes is where reading goes on.
    fn find_frame(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        let found = (0..bytes.len()).map(|at| (at, certainty(&bytes[at..]))).find(|(_, it)| *it != Certainty::No);
        let (skipped, certainty) = found.unwrap_or((bytes.len(), Certainty::No));
        window.consume(skipped);
        match certainty {
            Certainty::Yes => self.readers[direction.index()] = Reader::Frame,
            Certainty::More => return false,
            Certainty::No => {}
        }
        true
    }

    fn gap(&mut self, direction: Direction, position: u64, length: u64, lost: u64, out: &mut Outbox) {
        match self.readers[direction.index()] {
            Reader::Payload { channel, handle, left } if length <= left => {
                self.gap_in_payload(direction, (channel, handle), length, lost);
                self.payload_read(direction, channel, handle, left - length, out);
            }
            Reader::Skip(left) if length < left => self.readers[direction.index()] = Reader::Skip(left - length),
            _ => {
                self.feeds[direction.index()].clear(position + length);
                self.lose(direction, out);
            }
        }
    }

    fn lose(&mut self, direction: Direction, out: &mut Outbox) {
        self.readers[direction.index()] = Reader::Lost;
        self.missed[direction.index()] = true;
        self.open.forget_answers(direction.index());
        self.give_up_sending(direction, Completeness::Partial, out);
        let links = self.sessions[direction.index()].values_mut().flat_map(|session| session.links.values_mut());
        links.for_each(|link| link.unsure = true);
    }

    fn performative(
        &mut self,
        direction: Direction,
        performative: &Performative,
        payload: u64,
        place: Place,
        out: &mut Outbox,
    ) {
        match performative.code {
            FLOW => self.flows += 1,
            TRANSFER => self.transfer(direction, performative, payload, place, out),
            DISPOSITION => self.disposition(direction, performative, place, out),
            SASL_MECHANISMS | SASL_INIT | SASL_CHALLENGE | SASL_RESPONSE | SASL_OUTCOME => {
                self.sasl(direction, performative, place, out);
            }
            _ => self.two_sided(direction, performative, place, out),
        }
    }

    fn message(
        &self,
        direction: Direction,
        role: Role,
        performative: &Performative,
        place: Place,
        out: &mut Outbox,
    ) -> Box<Message> {
        let mut message = out.message("amqp", direction, role);
        (message.first, message.last, message.bytes) = (place.first, place.last, place.size);
        message.set_operation(performative.name.as_bytes());
        message.fact("channel", u64::from(place.channel));
        let fields = performative.fields.iter().map(|(name, value)| Attribute::new(*name, value.clone()));
        message.attributes.extend(fields);
        message
    }
}
