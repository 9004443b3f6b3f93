//! A packet whose beginning is here.

use std::borrow::Cow;

use l7trace_event::Direction;

use super::{Inner, Rest, State, Step};
use crate::mqtt::NAME;
use crate::mqtt::cursor::Malformed;
use crate::mqtt::decode::{self, Decoded, Packet};
use crate::mqtt::flow::Read;
use crate::mqtt::packet::{Header, Kind};
use crate::mqtt::version::{Level, UNCERTAIN, Version};
use crate::{Completeness, Message, Outbox, Role, Window};

impl Inner {
    /// Reads the packet that begins here.
    pub(super) fn packet(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> Step {
        let header = match Header::read(window.bytes()) {
            Ok(header) => header,
            Err(Malformed::Short) => return Step::More,
            Err(Malformed::Wrong(why)) => return self.broken(direction, why, out),
        };
        if self.may_be_wrong() && !header.is_plausible(direction) {
            return self.broken(direction, "a packet that this end cannot have sent", out);
        }
        if header.kind == Kind::Reserved {
            self.malformed += 1;
            let note = format!("a packet of the reserved type 0 came before: {} bytes", header.total());
            let way = &mut self.ways[direction.index()];
            way.pending = Some(Cow::Owned(note));
            window.consume(header.size);
            way.state =
                State::Within(Rest { message: None, left: u64::from(header.length), keep: 0, answers: Vec::new() });
            return self.within(direction, window, out);
        }
        let available = &window.bytes()[header.size..];
        let needed = self.needed(&header, available);
        let Some(body) = available.get(..needed) else { return Step::More };
        let (level, uncertain) = self.level(&header, body, direction);
        let mut message = self.message(direction, &header, window, needed, out);
        let mut decoded = Decoded::default();
        let packet = Packet { header, body, level, body_limit: self.settings.body_limit };
        let done = decode::decode(&packet, &mut message, &mut decoded);
        if let Some(level) = decoded.level {
            self.version = Version::Known(level);
            self.guessed = false;
        }
        if done.is_err() && self.may_be_wrong() {
            out.recycle(message);
            return self.broken(direction, "a packet that no version of MQTT has", out);
        }
        if uncertain {
            message.note(UNCERTAIN);
        }
        self.judge(&header, needed, done, &mut message);
        let is_payload = header.kind == Kind::Publish && done.is_ok();
        let before_payload = if is_payload { decoded.payload_at } else { needed };
        let left = u64::from(header.length).saturating_sub(before_payload as u64);
        message.body_bytes = match header.kind {
            Kind::Publish => is_payload.then_some(left),
            _ => Some(0),
        };
        if is_payload {
            self.name_topic(direction, &decoded, &mut message);
        }
        let read = Read {
            header,
            level,
            first: message.first,
            end: window.position().saturating_add(header.total()),
            acknowledged: window.acknowledged_at(window.position()),
        };
        let message = self.flow.relate(&read, decoded, message, out);
        window.consume(header.size + before_payload);
        let way = &mut self.ways[direction.index()];
        way.packets += 1;
        let keep = if is_payload { self.settings.body_limit } else { 0 };
        way.state = State::Within(Rest { message, left, keep, answers: Vec::new() });
        self.within(direction, window, out)
    }

    /// How many bytes after the fixed header must be there before the packet is read: all of them,
    /// or those before a PUBLISH's payload.
    fn needed(&self, header: &Header, available: &[u8]) -> usize {
        let most = (header.length as usize).min(self.settings.head_limit);
        if header.kind != Kind::Publish {
            return most;
        }
        let levels = match &self.version {
            Version::Known(level) => std::slice::from_ref(level),
            Version::Open(_) => &[Level::FourOrThree, Level::Five],
        };
        let mut needed = 0;
        let mut wrong = 0;
        for level in levels {
            match decode::publish_header_length(header, available, *level) {
                Ok(length) => needed = needed.max(length),
                Err(Malformed::Short) => return most.min(available.len() + 1),
                Err(Malformed::Wrong(_)) => wrong += 1,
            }
        }
        if wrong == levels.len() { most } else { needed.min(most) }
    }

    /// As what version to read a packet, and whether that is a guess.
    fn level(&mut self, header: &Header, body: &[u8], direction: Direction) -> (Level, bool) {
        let filters = match header.kind {
            Kind::Suback | Kind::Unsuback => self.flow.filters_of(header.kind, body),
            // It says its own.
            Kind::Connect => return (Level::FourOrThree, false),
            _ => None,
        };
        let packet = Packet { header: *header, body, level: Level::Five, body_limit: 0 };
        self.version.settle(&packet, direction, filters)
    }

    fn message(
        &mut self,
        direction: Direction,
        header: &Header,
        window: &Window<'_>,
        taken: usize,
        out: &mut Outbox,
    ) -> Box<Message> {
        let mut message = out.message(NAME, direction, Role::OneWay);
        message.first = window.mark(window.position());
        message.last = window.end_mark(window.position() + (header.size + taken) as u64);
        message.bytes = header.total();
        if let Some(pending) = self.ways[direction.index()].pending.take() {
            message.note(pending);
        }
        message
    }

    /// Counts a packet as proper or malformed, and says which.
    fn judge(&mut self, header: &Header, needed: usize, done: Result<(), Malformed>, message: &mut Message) {
        match done {
            Ok(()) => self.proper = self.proper.saturating_add(u32::from(message.notes.is_empty())),
            Err(Malformed::Short) if needed < header.length as usize => {
                message.note("too long to be read to its end");
                message.completeness = Completeness::Partial;
            }
            Err(wrong) => {
                self.malformed += 1;
                message.note(format!("malformed: {}", wrong.why()));
            }
        }
    }

    /// Resolves a topic alias, or learns it.
    fn name_topic(&mut self, direction: Direction, decoded: &Decoded, message: &mut Message) {
        let Some(alias) = decoded.topic_alias else { return };
        let aliases = &mut self.ways[direction.index()].aliases;
        if decoded.has_topic {
            aliases.set(alias, message.text_of(message.resource).unwrap_or_default());
            return;
        }
        match aliases.topic(alias) {
            Ok(topic) => message.set_resource(topic),
            Err(why) => message.note(format!("unknown: {why}")),
        }
    }
}
