//! Bytes that are missing, and the end.

use l7trace_event::Cause;
use l7trace_event::Direction;

use super::{Inner, Rest, State};
use crate::mqtt::NAME;
use crate::mqtt::decode::{self, Decoded, Packet};
use crate::mqtt::flow::Read;
use crate::mqtt::packet::{Header, Kind};
use crate::mqtt::version::{Level, Version};
use crate::{Chunk, Completeness, End, Feed, Mark, Message, Outbox, Role};

impl Inner {
    pub(super) fn gap(&mut self, chunk: &Chunk<'_>, length: u64, cause: Cause, out: &mut Outbox) {
        let direction = chunk.direction;
        let way = &mut self.ways[direction.index()];
        if matches!(way.state, State::Between) && way.feed.held() > 0 {
            self.interrupted(direction, out);
        }
        let after = chunk.position.saturating_add(length);
        let way = &mut self.ways[direction.index()];
        way.feed.clear(after);
        let mut beyond = length;
        if let State::Within(rest) = &mut way.state {
            let taken = rest.left.min(length);
            rest.left -= taken;
            rest.keep = 0;
            beyond -= taken;
            if let Some(message) = &mut rest.message
                && cause.is_loss()
            {
                message.lost_bytes += taken;
            }
            if rest.left == 0 {
                let end = Mark { position: chunk.position + taken, at: chunk.at };
                self.finish(direction, end, out);
            }
        }
        if beyond > 0 {
            self.lose(direction, chunk.at);
        }
    }

    /// Bytes are missing after the beginning of a packet: where its length is known, it is told as
    /// far as it is, and where it ends is known.
    fn interrupted(&mut self, direction: Direction, out: &mut Outbox) {
        let Some(beginning) = self.beginning(direction, out) else { return };
        let Beginning { mut message, left } = beginning;
        message.completeness = Completeness::Partial;
        message.note("bytes were lost within the packet");
        self.ways[direction.index()].state =
            State::Within(Rest { message: Some(message), left, keep: 0, answers: Vec::new() });
    }

    /// What can be told of a packet of which only the beginning is held.
    fn beginning(&mut self, direction: Direction, out: &mut Outbox) -> Option<Beginning> {
        let feed = std::mem::take(&mut self.ways[direction.index()].feed);
        let header = Header::read(feed.bytes()).ok().filter(|header| header.kind != Kind::Reserved)?;
        let body = feed.bytes().get(header.size..)?;
        let first = Mark { position: feed.start(), at: feed.time_of(feed.start()) };
        let level = match self.version {
            Version::Known(level) => level,
            Version::Open(_) => Level::FourOrThree,
        };
        let mut message = out.message(NAME, direction, Role::OneWay);
        message.first = first;
        message.last = Mark { position: feed.end(), at: feed.time_of(feed.end().saturating_sub(1)) };
        message.bytes = header.total();
        let mut decoded = Decoded::default();
        let packet = Packet { header, body, level, body_limit: 0 };
        // Whatever is missing, what was understood stands.
        let _ = decode::decode(&packet, &mut message, &mut decoded);
        if !matches!(header.kind, Kind::Publish | Kind::Connect) {
            // A part of the filters, or of the reasons, is none.
            message.resource = None;
            decoded.filters.clear();
            decoded.reasons.clear();
        }
        let end = first.position.saturating_add(header.total());
        let read = Read { header, level, first, end, acknowledged: None };
        let message = self.flow.relate(&read, decoded, message, out)?;
        let left = header.total() - (header.size + body.len()) as u64;
        Some(Beginning { message, left })
    }

    pub(super) fn end(&mut self, chunk: &Chunk<'_>, end: End, out: &mut Outbox) {
        let direction = chunk.direction;
        let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
        let way = &mut self.ways[direction.index()];
        way.ended = true;
        if matches!(way.state, State::Between)
            && way.feed.held() > 0
            && let Some(Beginning { mut message, left }) = self.beginning(direction, out)
        {
            message.completeness = completeness;
            message.bytes -= left;
            message.body_bytes = None;
            out.push(message);
        }
        let way = &mut self.ways[direction.index()];
        way.feed = Feed::default();
        if let State::Within(Rest { message: Some(message), left, .. }) = &mut way.state {
            if message.completeness == Completeness::Whole {
                message.completeness = completeness;
            }
            message.bytes -= (*left).min(message.bytes);
            message.body_bytes = message.body_bytes.map(|all| all.saturating_sub(*left));
            let last = Mark { position: message.first.position + message.bytes, at: message.last.at };
            self.finish(direction, last, out);
        }
        if self.ways.iter().all(|way| way.ended) {
            self.flow.end(out);
        }
    }
}

/// A packet as far as it is there.
struct Beginning {
    message: Box<Message>,
    /// How many of its bytes are not.
    left: u64,
}
