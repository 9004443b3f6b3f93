//! Reads both directions of a connection.

use std::collections::BTreeMap;

use l7trace_event::Direction::{self, ClientToServer};

use super::super::cursor::Cursor;
use super::link::{Link, MOST, Open, Sending, Session};
use super::performatives::{
    ATTACH, BEGIN, CLOSE, DETACH, DISPOSITION, END, FLOW, OPEN, Performative, SASL_CHALLENGE, SASL_INIT,
    SASL_MECHANISMS, SASL_OUTCOME, SASL_RESPONSE, TRANSFER, sections,
};
use crate::{
    Attribute, Chunk, Completeness, End, Feed, Input, Key, Mark, Message, Outbox, Parser, Role, Settings, Value, Window,
};

/// The largest frame that is believed. Brokers keep to a few hundred kilobytes.
const MOST_OF_FRAME: usize = 16 << 20;

/// How much of a message is kept to read its sections.
const MOST_OF_SECTIONS: usize = 64 << 10;

/// The most ids that one disposition is taken to mean.
const MOST_OF_RANGE: u64 = 1 << 16;

pub(in crate::amqp) struct Connection {
    settings: Settings,
    feeds: [Feed; 2],
    /// By direction: bytes were lost, and the framing with them.
    lost: [bool; 2],
    sessions: [BTreeMap<u16, Session>; 2],
    open: Open,
    next: u64,
    heartbeats: u64,
    flows: u64,
    /// The SASL exchange that waits for its outcome.
    sasl: Option<Key>,
    facts: Vec<Attribute>,
}

/// Spaces of ids: things asked, and deliveries by direction and channel.
const ASKED: u64 = 0;
const DELIVERED: u64 = 1;

impl Connection {
    pub(in crate::amqp) fn new(settings: Settings, from_start: [bool; 2]) -> Connection {
        Connection {
            settings,
            feeds: Default::default(),
            lost: from_start.map(|from_start| !from_start),
            sessions: Default::default(),
            open: Open::default(),
            next: 0,
            heartbeats: 0,
            flows: 0,
            sasl: None,
            facts: Vec::new(),
        }
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
            Input::Gap { length, .. } => {
                self.feeds[direction.index()].clear(chunk.position + length);
                self.lose(direction, Completeness::Partial, out);
            }
            Input::End(end) => {
                let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
                self.give_up_sending(direction, completeness, out);
            }
        }
    }

    fn held(&self) -> usize {
        let sessions = self.sessions.iter().flat_map(BTreeMap::values);
        let of = |session: &Session| {
            let sending: usize =
                session.sending.values().map(|it| it.payload.len() + it.message.body.len() + 512).sum();
            sending + session.links.len() * 128 + session.unsettled.len() * 16
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
    size: u64,
}

// Frames.
impl Connection {
    fn step(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let bytes = window.bytes();
        if bytes.starts_with(b"AMQP") {
            if bytes.len() < 8 {
                return false;
            }
            if direction == ClientToServer && !self.facts.iter().any(|fact| fact.name == "version") {
                self.facts.push(Attribute::new("version", format!("{}-{}-{}", bytes[5], bytes[6], bytes[7])));
            }
            self.lost[direction.index()] = false;
            window.consume(8);
            return true;
        }
        let mut cursor = Cursor(bytes);
        let (Some(size), Some(offset), Some(kind), Some(channel)) =
            (cursor.u32(), cursor.u8(), cursor.u8(), cursor.u16())
        else {
            return false;
        };
        let (size, offset) = (size as usize, usize::from(offset) * 4);
        if size < offset || offset < 8 || size > MOST_OF_FRAME || kind > 1 {
            let all = bytes.len();
            window.consume(all);
            self.lose(direction, Completeness::Partial, out);
            return true;
        }
        let Some(body) = bytes.get(..size).and_then(|frame| frame.get(offset..)) else { return false };
        if self.lost[direction.index()] {
            // Where a chunk begins with a frame that decodes, reading goes on.
            if !body.is_empty() && Performative::parse(&mut Cursor(body)).is_none() {
                let all = bytes.len();
                window.consume(all);
                return true;
            }
            self.lost[direction.index()] = false;
        }
        let start = window.position();
        let place =
            Place { channel, first: window.mark(start), last: window.end_mark(start + size as u64), size: size as u64 };
        let mut cursor = Cursor(body);
        if body.is_empty() {
            self.heartbeats += 1;
        } else if let Some(performative) = Performative::parse(&mut cursor) {
            self.performative(direction, &performative, cursor.0, place, out);
        }
        window.consume(size);
        true
    }

    fn lose(&mut self, direction: Direction, completeness: Completeness, out: &mut Outbox) {
        self.lost[direction.index()] = true;
        self.open.forget();
        self.give_up_sending(direction, completeness, out);
    }

    fn give_up_sending(&mut self, direction: Direction, completeness: Completeness, out: &mut Outbox) {
        for session in self.sessions[direction.index()].values_mut() {
            for (_, mut sending) in std::mem::take(&mut session.sending) {
                sending.message.completeness = completeness;
                out.push(sending.message);
            }
        }
    }
}

// Performatives.
impl Connection {
    fn performative(
        &mut self,
        direction: Direction,
        performative: &Performative,
        payload: &[u8],
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

    /// open, begin, attach, detach, end and close: each side says it, the second answers the first.
    fn two_sided(&mut self, direction: Direction, performative: &Performative, place: Place, out: &mut Outbox) {
        let side = direction.index();
        let mut message = self.message(direction, Role::Request, performative, place, out);
        let what = self.what(direction, performative, place.channel);
        let resource = match performative.code {
            OPEN => performative.text("hostname").or(performative.text("container_id")).map(str::to_owned),
            ATTACH => address(performative),
            DETACH => self.link(direction, place.channel, performative).and_then(|link| link.address.clone()),
            _ => None,
        };
        if let Some(error) = performative.field("error") {
            message.failed = true;
            message.attribute("condition", condition(error));
        }
        match self.open.answers(side, &what) {
            Some(id) => {
                message.role = Role::Response;
                message.key = Key { space: ASKED, id };
                message.operation = None;
                message.set_status(performative.name.as_bytes());
            }
            None => {
                self.next += 1;
                message.key = Key { space: ASKED, id: self.next };
                if let Some(resource) = resource {
                    message.set_resource(resource.as_bytes());
                }
                self.open.asks(side, what, self.next);
            }
        }
        out.push(message);
        self.remember(direction, performative, place.channel);
    }

    /// What is the same for a question and its answer.
    fn what(&self, direction: Direction, performative: &Performative, channel: u16) -> String {
        // A session is named by the client's channel where that is known.
        let session = match (direction, self.sessions[direction.index()].get(&channel).and_then(|it| it.peer)) {
            (ClientToServer, _) | (_, None) => channel,
            (_, Some(peer)) => peer,
        };
        match performative.code {
            OPEN | CLOSE => performative.name.to_owned(),
            BEGIN => {
                let remote = performative.number("remote_channel");
                format!("begin {}", remote.unwrap_or(u64::from(channel)))
            }
            ATTACH => format!("attach {session} {}", performative.text("name").unwrap_or_default()),
            DETACH => {
                let name = self.link(direction, channel, performative).map_or("", |link| &link.name);
                format!("detach {session} {name}")
            }
            _ => format!("{} {session}", performative.name),
        }
    }

    fn link(&self, direction: Direction, channel: u16, performative: &Performative) -> Option<&Link> {
        let session = self.sessions[direction.index()].get(&channel)?;
        session.links.get(&performative.number("handle")?)
    }

    /// Keeps what later frames refer to, and forgets what has ended.
    fn remember(&mut self, direction: Direction, performative: &Performative, channel: u16) {
        let (this, other) = (direction.index(), direction.opposite().index());
        if self.sessions[this].len() >= MOST {
            self.sessions[this].clear();
        }
        match performative.code {
            BEGIN => {
                let remote = performative.number("remote_channel").and_then(|remote| u16::try_from(remote).ok());
                self.sessions[this].insert(channel, Session { peer: remote, ..Session::default() });
                if let Some(peer) = remote.and_then(|remote| self.sessions[other].get_mut(&remote)) {
                    peer.peer = Some(channel);
                }
            }
            ATTACH => {
                let link = Link {
                    name: performative.text("name").unwrap_or_default().to_owned(),
                    address: address(performative),
                };
                let session = self.sessions[this].entry(channel).or_default();
                if session.links.len() < MOST {
                    session.links.insert(performative.number("handle").unwrap_or(0), link);
                }
            }
            DETACH => {
                if let (Some(session), Some(handle)) =
                    (self.sessions[this].get_mut(&channel), performative.number("handle"))
                {
                    session.links.remove(&handle);
                }
            }
            END => {
                self.sessions[this].remove(&channel);
            }
            _ => {}
        }
    }

    fn sasl(&mut self, direction: Direction, performative: &Performative, place: Place, out: &mut Outbox) {
        let mut message = self.message(direction, Role::OneWay, performative, place, out);
        match (performative.code, self.sasl) {
            (SASL_INIT, _) => {
                self.next += 1;
                message.role = Role::Request;
                message.key = Key { space: ASKED, id: self.next };
                self.sasl = Some(message.key);
                if let Some(mechanism) = performative.text("mechanism") {
                    message.set_resource(mechanism.as_bytes());
                }
            }
            (SASL_CHALLENGE | SASL_RESPONSE, Some(key)) => {
                message.role = Role::Step;
                message.key = key;
            }
            (SASL_OUTCOME, Some(key)) => {
                message.role = Role::Response;
                message.key = key;
                message.operation = None;
                let code = performative.number("code").unwrap_or(0);
                let name =
                    ["ok", "auth", "sys", "sys-perm", "sys-temp"].get(code as usize).copied().unwrap_or("unknown");
                message.set_status(name.as_bytes());
                message.failed = code != 0;
                self.sasl = None;
            }
            _ => {}
        }
        out.push(message);
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

// Deliveries.
impl Connection {
    fn transfer(
        &mut self,
        direction: Direction,
        performative: &Performative,
        payload: &[u8],
        place: Place,
        out: &mut Outbox,
    ) {
        let handle = performative.number("handle").unwrap_or(0);
        let limit = self.settings.body_limit.max(MOST_OF_SECTIONS);
        let begun = self.sessions[direction.index()].get_mut(&place.channel).and_then(|it| it.sending.remove(&handle));
        let mut sending = match begun {
            Some(mut sending) => {
                sending.message.bytes += place.size;
                sending.message.last = place.last;
                sending
            }
            None => {
                let mut message = self.message(direction, Role::OneWay, performative, place, out);
                let address = self.link(direction, place.channel, performative).and_then(|link| link.address.clone());
                if let Some(address) = address {
                    message.set_resource(address.as_bytes());
                }
                let delivery = performative.number("delivery_id");
                Sending { message, payload: Vec::new(), size: 0, delivery }
            }
        };
        sending.size += payload.len() as u64;
        let room = limit.saturating_sub(sending.payload.len()).min(payload.len());
        sending.payload.extend_from_slice(&payload[..room]);
        let session = self.sessions[direction.index()].entry(place.channel).or_default();
        if performative.is_set("more") && !performative.is_set("aborted") {
            session.sending.insert(handle, sending);
            return;
        }
        let Sending { mut message, payload, size, delivery } = sending;
        message.body_bytes = Some(size);
        let whole = payload.len() as u64 == size;
        if whole {
            add_sections(&mut message, sections(&payload), &self.settings);
        }
        if performative.is_set("aborted") {
            message.note("the sender aborted it");
        }
        if let Some(delivery) = delivery.filter(|_| !performative.is_set("settled") && !performative.is_set("aborted"))
        {
            message.role = Role::Request;
            message.key = delivery_key(direction, place.channel, delivery);
            if session.unsettled.len() < MOST {
                session.unsettled.insert(delivery);
            }
        }
        out.push(message);
    }

    fn disposition(&mut self, direction: Direction, performative: &Performative, place: Place, out: &mut Outbox) {
        let Some(first) = performative.number("first") else { return };
        let last = performative.number("last").unwrap_or(first).min(first + MOST_OF_RANGE);
        // A receiver speaks of what the other side sent, a sender of its own.
        let receiver = performative.is_set("role");
        let sender = if receiver { direction.opposite() } else { direction };
        let channel = if receiver {
            let peer = self.sessions[direction.index()].get(&place.channel).and_then(|session| session.peer);
            peer.unwrap_or(place.channel)
        } else {
            place.channel
        };
        let state = performative.state().map(str::to_owned);
        if !performative.is_set("settled") && state.as_deref().is_none_or(|state| state == "received") {
            return;
        }
        let Some(session) = self.sessions[sender.index()].get_mut(&channel) else { return };
        let settled: Vec<u64> = session.unsettled.range(first..=last).copied().collect();
        for delivery in settled {
            session.unsettled.remove(&delivery);
            let mut message = out.message("amqp", direction, Role::Response);
            (message.first, message.last, message.bytes) = (place.first, place.last, place.size);
            message.key = delivery_key(sender, channel, delivery);
            let state = state.as_deref().unwrap_or("settled");
            message.set_status(state.as_bytes());
            message.failed = state == "rejected";
            let fields = performative.fields.iter().map(|(name, value)| Attribute::new(*name, value.clone()));
            message.attributes.extend(fields);
            out.push(message);
        }
    }
}

fn delivery_key(sender: Direction, channel: u16, delivery: u64) -> Key {
    Key { space: DELIVERED + ((u64::from(channel) << 1 | sender.index() as u64) << 1), id: delivery }
}

/// A sender attaches to a target, a receiver to a source.
fn address(attach: &Performative) -> Option<String> {
    let (first, second) = if attach.is_set("role") { ("source", "target") } else { ("target", "source") };
    attach.address(first).or(attach.address(second)).map(str::to_owned)
}

/// An error's condition and description.
fn condition(error: &Value) -> Value {
    match error {
        Value::List(described) => described.get(1).cloned().unwrap_or(Value::Null),
        other => other.clone(),
    }
}

/// Names the sections; the body's own stands in `body` where it was asked for.
fn add_sections(message: &mut Message, sections: Vec<(&'static str, Value)>, settings: &Settings) {
    for (name, value) in sections {
        match (name, &value) {
            ("data", Value::Bytes(bytes)) => keep_body(message, bytes, settings),
            ("amqp_value", Value::Text(text)) => keep_body(message, text.as_bytes(), settings),
            ("data" | "amqp_value" | "amqp_sequence", _) if settings.body_limit == 0 => {}
            _ => message.attributes.push(Attribute::new(name, value)),
        }
    }
}

fn keep_body(message: &mut Message, bytes: &[u8], settings: &Settings) {
    let room = settings.body_limit.saturating_sub(message.body.len()).min(bytes.len());
    message.body.extend_from_slice(&bytes[..room]);
    message.body_truncated |= room < bytes.len() && settings.body_limit > 0;
}
