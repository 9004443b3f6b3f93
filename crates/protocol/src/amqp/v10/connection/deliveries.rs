//! Transfers and what is said of them.

use l7trace_event::Direction;

use super::super::link::{MOST, Sending};
use super::super::performatives::{Performative, sections};
use super::{Connection, DELIVERED, Place, Reader};
use crate::{Attribute, Completeness, Key, Message, Outbox, Role, Settings, Value, Window};

/// How much of a message is kept to read its sections.
const MOST_OF_SECTIONS: usize = 64 << 10;

/// The most ids that one disposition is taken to mean.
const MOST_OF_RANGE: u64 = 1 << 16;

impl Connection {
    /// How many bytes of a message are worth keeping.
    pub(super) fn most_kept(&self) -> usize {
        self.settings.body_limit.max(MOST_OF_SECTIONS)
    }

    /// The front of a transfer: `left` bytes of payload follow.
    pub(super) fn transfer(
        &mut self,
        direction: Direction,
        performative: &Performative,
        left: u64,
        place: Place,
        out: &mut Outbox,
    ) {
        let (channel, handle) = (place.channel, performative.number("handle").unwrap_or(0));
        let begun = self.sessions[direction.index()].get_mut(&channel).and_then(|it| it.sending.remove(&handle));
        let mut sending = match begun {
            Some(mut sending) => {
                sending.message.bytes += place.size;
                sending.message.last = place.last;
                sending
            }
            None => self.begin_sending(direction, performative, place, out),
        };
        sending.settled |= performative.is_set("settled");
        sending.aborted |= performative.is_set("aborted");
        sending.more = performative.is_set("more");
        self.sessions[direction.index()].entry(channel).or_default().sending.insert(handle, sending);
        self.payload_read(direction, channel, handle, left, out);
    }

    fn begin_sending(
        &mut self,
        direction: Direction,
        performative: &Performative,
        place: Place,
        out: &mut Outbox,
    ) -> Sending {
        let mut message = self.message(direction, Role::OneWay, performative, place, out);
        match self.link(direction, place.channel, performative) {
            Some(link) => {
                if let Some(address) = &link.address {
                    message.set_resource(address.as_bytes());
                }
                if link.unsure {
                    message.note("address: of the link that had this handle before bytes were lost");
                }
            }
            None if self.missed[direction.index()] => {
                message.note("unknown: link attached before tracing or where bytes were lost");
            }
            None => {}
        }
        let delivery = performative.number("delivery_id");
        if delivery.is_none() {
            // Only the first transfer of a message has one.
            message.note("its beginning was not seen");
        }
        Sending { message, payload: Vec::new(), size: 0, delivery, settled: false, aborted: false, more: false }
    }

    pub(super) fn payload(
        &mut self,
        direction: Direction,
        channel: u16,
        handle: u64,
        left: u64,
        window: &mut Window<'_>,
        out: &mut Outbox,
    ) {
        let bytes = window.bytes();
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let length = bytes.len();
        let most = self.most_kept();
        let last = window.end_mark(window.position() + length as u64);
        if let Some(sending) = self.sending(direction, channel, handle) {
            // Only what follows without a hole can be read.
            let unbroken = sending.payload.len() as u64 == sending.size;
            let room = if unbroken { most.saturating_sub(sending.payload.len()).min(length) } else { 0 };
            sending.payload.extend_from_slice(&bytes[..room]);
            sending.size += length as u64;
            sending.message.bytes += length as u64;
            sending.message.last = last;
        }
        window.consume(length);
        self.payload_read(direction, channel, handle, left - length as u64, out);
    }

    /// Bytes of a payload that are not there.
    pub(super) fn gap_in_payload(
        &mut self,
        direction: Direction,
        (channel, handle): (u16, u64),
        length: u64,
        lost: u64,
    ) {
        if let Some(sending) = self.sending(direction, channel, handle) {
            sending.size += length;
            sending.message.bytes += length;
            sending.message.lost_bytes += lost;
        }
    }

    /// `left` bytes of a transfer's payload are to come.
    pub(super) fn payload_read(
        &mut self,
        direction: Direction,
        channel: u16,
        handle: u64,
        left: u64,
        out: &mut Outbox,
    ) {
        if left > 0 {
            self.readers[direction.index()] = Reader::Payload { channel, handle, left };
            return;
        }
        self.readers[direction.index()] = Reader::Frame;
        if self.sending(direction, channel, handle).is_some_and(|sending| sending.more && !sending.aborted) {
            return;
        }
        let session = self.sessions[direction.index()].get_mut(&channel);
        if let Some(sending) = session.and_then(|session| session.sending.remove(&handle)) {
            self.finish(direction, channel, sending, Completeness::Whole, out);
        }
    }

    fn sending(&mut self, direction: Direction, channel: u16, handle: u64) -> Option<&mut Sending> {
        self.sessions[direction.index()].get_mut(&channel)?.sending.get_mut(&handle)
    }

    /// Tells of a message, all of it or what there is.
    fn finish(
        &mut self,
        direction: Direction,
        channel: u16,
        sending: Sending,
        completeness: Completeness,
        out: &mut Outbox,
    ) {
        let Sending { mut message, payload, size, delivery, settled, aborted, .. } = sending;
        message.completeness = completeness;
        message.body_bytes = Some(size);
        add_sections(&mut message, sections(&payload), &self.settings);
        message.body_truncated |= (payload.len() as u64) < size && self.settings.body_limit > 0;
        if aborted {
            message.note("the sender aborted it");
        }
        if let Some(delivery) = delivery {
            let session = self.sessions[direction.index()].entry(channel).or_default();
            session.known.add(delivery..=delivery);
            if !settled && !aborted && session.unsettled.len() < MOST {
                session.unsettled.insert(delivery);
                message.role = Role::Request;
                message.key = delivery_key(direction, channel, delivery);
            }
        }
        out.push(message);
    }

    pub(super) fn give_up_sending(&mut self, direction: Direction, completeness: Completeness, out: &mut Outbox) {
        let begun: Vec<(u16, Sending)> = self.sessions[direction.index()]
            .iter_mut()
            .flat_map(|(channel, session)| std::mem::take(&mut session.sending).into_values().map(|it| (*channel, it)))
            .collect();
        for (channel, sending) in begun {
            self.finish(direction, channel, sending, completeness, out);
        }
    }

    pub(super) fn disposition(
        &mut self,
        direction: Direction,
        performative: &Performative,
        place: Place,
        out: &mut Outbox,
    ) {
        let Some(first) = performative.number("first") else { return };
        let last = performative.number("last").unwrap_or(first).min(first.saturating_add(MOST_OF_RANGE));
        let state = performative.state();
        if first > last || !performative.is_set("settled") && state.is_none_or(|state| state == "received") {
            return;
        }
        // A receiver speaks of what the other side sent, a sender of its own.
        let receiver = performative.is_set("role");
        let sender = if receiver { direction.opposite() } else { direction };
        let channel = if receiver { self.channel_of_peer(direction, place.channel) } else { Some(place.channel) };
        let missed = self.missed[sender.index()];
        let mut answer = |key| {
            let mut message = out.message("amqp", direction, Role::Response);
            (message.first, message.last, message.bytes) = (place.first, place.last, place.size);
            message.key = key;
            message.fact("channel", u64::from(place.channel));
            let state = state.unwrap_or("settled");
            message.set_status(state.as_bytes());
            message.failed = state == "rejected";
            let fields = performative.fields.iter().map(|(name, value)| Attribute::new(*name, value.clone()));
            message.attributes.extend(fields);
            out.push(message);
        };
        let mut unknown = channel.is_none();
        if let Some(channel) = channel
            && (missed || self.sessions[sender.index()].contains_key(&channel))
        {
            let session = self.sessions[sender.index()].entry(channel).or_default();
            let settled: Vec<u64> = session.unsettled.range(first..=last).copied().collect();
            for delivery in settled {
                session.unsettled.remove(&delivery);
                answer(delivery_key(sender, channel, delivery));
            }
            unknown = !session.known.has_all(&(first..=last));
            session.known.add(first..=last);
        }
        // It settles what was sent unseen. A sender's own word comes second, and adds nothing.
        if unknown && missed && receiver {
            let key = self.new_key();
            answer(key);
        }
    }

    /// The channel that the other side uses for the session that this one calls `channel`.
    fn channel_of_peer(&self, direction: Direction, channel: u16) -> Option<u16> {
        let (own, other) = (&self.sessions[direction.index()], &self.sessions[direction.opposite().index()]);
        if let Some(peer) = own.get(&channel).and_then(|session| session.peer) {
            return Some(peer);
        }
        // Begun unseen: certain only where there is but one such on either side.
        let mut strangers = other.iter().filter(|(_, session)| session.peer.is_none());
        let only = strangers.next().map(|(channel, _)| *channel).filter(|_| strangers.next().is_none());
        let alone = own.iter().all(|(other, session)| *other == channel || session.peer.is_some());
        only.filter(|_| alone)
    }
}

fn delivery_key(sender: Direction, channel: u16, delivery: u64) -> Key {
    Key { space: DELIVERED + ((u64::from(channel) << 1 | sender.index() as u64) << 1), id: delivery }
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
