//! Frames, and where to go on after bytes were lost.

use super::super::super::cursor::Cursor;
use super::super::methods::Method;
use super::super::{BODY, FRAME_END, FRAME_HEADER, Frame, HEADER, HEARTBEAT, METHOD};
use super::{Connection, Place, Reader};
use crate::{Attribute, Completeness, Outbox, Window};

use l7trace_event::Direction::{self, ClientToServer};

/// A method or header frame beyond this is no frame.
const MOST_OF_FRAME: usize = 1 << 20;

impl Connection {
    /// Reads what comes next. Whether something was consumed.
    pub(super) fn step(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        match self.readers[direction.index()] {
            Reader::Start => self.protocol_header(direction, window),
            Reader::Frame => self.frame(direction, window, out),
            Reader::Body(channel, left) => self.body(direction, channel, left, window, out),
            Reader::Lost => self.find_frame(direction, window),
        }
    }

    pub(super) fn protocol_header(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        if b"AMQP".starts_with(&bytes[..bytes.len().min(4)]) {
            if bytes.len() < 8 {
                return false;
            }
            let version = format!("{}-{}-{}", bytes[5], bytes[6], bytes[7]);
            let name = if direction == ClientToServer { "version" } else { "version_offered_by_server" };
            self.facts.push(Attribute::new(name, version));
            window.consume(8);
        }
        self.readers[direction.index()] = Reader::Frame;
        true
    }

    pub(super) fn frame(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let mut cursor = Cursor(window.bytes());
        let (Some(kind), Some(channel), Some(length)) = (cursor.u8(), cursor.u16(), cursor.u32()) else {
            return false;
        };
        if kind == BODY {
            let (start, at) = (window.position(), FRAME_HEADER as u64);
            window.consume(FRAME_HEADER);
            self.count(direction, channel, at, window.end_mark(start + at));
            self.readers[direction.index()] = Reader::Body(channel, length.into());
            return true;
        }
        if !matches!(kind, METHOD | HEADER | HEARTBEAT) || length as usize > MOST_OF_FRAME {
            self.lose(direction, out);
            return true;
        }
        let frame = match Frame::parse(window.bytes()) {
            None => return false,
            Some(Err(())) => {
                self.lose(direction, out);
                return true;
            }
            Some(Ok(frame)) => frame,
        };
        let start = window.position();
        let place = Place {
            first: window.mark(start),
            last: window.end_mark(start + frame.size as u64),
            size: frame.size as u64,
            read: window.acknowledged_at(start),
        };
        match frame.kind {
            METHOD => self.method(direction, &frame, &place, out),
            HEADER => self.content_header(direction, &frame, &place, out),
            _ => self.heartbeats[direction.index()] += 1,
        }
        let size = frame.size;
        window.consume(size);
        true
    }

    pub(super) fn body(
        &mut self,
        direction: Direction,
        channel: u16,
        left: u64,
        window: &mut Window<'_>,
        out: &mut Outbox,
    ) -> bool {
        let length = window.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let last = window.end_mark(window.position() + length as u64);
        let limit = self.settings.body_limit;
        if let Some(content) = self.content(direction, channel) {
            let bytes = &window.bytes()[..length];
            let room = limit.saturating_sub(content.message.body.len()).min(length);
            content.message.body.extend_from_slice(&bytes[..room]);
            content.message.body_truncated |= room < length && limit > 0;
            content.got += length as u64;
            content.message.bytes += length as u64;
            content.message.last = last;
        }
        window.consume(length);
        let left = left - length as u64;
        self.readers[direction.index()] = Reader::Body(channel, left);
        if left > 0 {
            return true;
        }
        let Some(end) = window.bytes().first().copied() else { return false };
        if end != FRAME_END {
            self.lose(direction, out);
            return true;
        }
        let last = window.end_mark(window.position() + 1);
        window.consume(1);
        self.count(direction, channel, 1, last);
        self.readers[direction.index()] = Reader::Frame;
        self.finish_content(direction, channel, out);
        true
    }

    /// After a loss: the first method frame that decodes to its last byte is where reading goes on.
    pub(super) fn find_frame(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        let skipped = (0..bytes.len()).find(|at| !matches!(certainty(&bytes[*at..]), Certainty::No));
        let Some(skipped) = skipped else {
            let all = bytes.len();
            window.consume(all);
            return true;
        };
        let found = matches!(certainty(&bytes[skipped..]), Certainty::Yes);
        window.consume(skipped);
        if found {
            self.readers[direction.index()] = Reader::Frame;
        }
        found
    }

    pub(super) fn gap(&mut self, direction: Direction, position: u64, length: u64, lost: u64, out: &mut Outbox) {
        if let Reader::Body(channel, left) = self.readers[direction.index()]
            && length <= left
        {
            if let Some(content) = self.content(direction, channel) {
                content.got += length;
                content.message.bytes += length;
                content.message.lost_bytes += lost;
                content.message.body_truncated = true;
            }
            self.readers[direction.index()] = Reader::Body(channel, left - length);
            return;
        }
        self.feeds[direction.index()].clear(position + length);
        self.lose(direction, out);
    }

    /// The framing of a direction is lost: what was being put together is told as it is.
    pub(super) fn lose(&mut self, direction: Direction, out: &mut Outbox) {
        self.readers[direction.index()] = Reader::Lost;
        self.give_up_contents(direction, Completeness::Partial, out);
        for channel in self.channels.values_mut() {
            channel.lost(direction);
        }
    }

    pub(super) fn give_up_contents(&mut self, direction: Direction, completeness: Completeness, out: &mut Outbox) {
        for channel in self.channels.values_mut() {
            if let Some(mut content) = channel.content[direction.index()].take() {
                content.message.completeness = completeness;
                out.push(content.message);
            }
        }
    }
}

/// Whether some bytes begin with a method frame.
enum Certainty {
    Yes,
    More,
    No,
}

/// The longest method frame that is waited for while frames are looked for.
const MOST_OF_CANDIDATE: u32 = 64 << 10;

fn certainty(bytes: &[u8]) -> Certainty {
    if bytes.first() != Some(&METHOD) {
        return Certainty::No;
    }
    match Frame::parse(bytes) {
        Some(Ok(frame)) => {
            let decodes = Method::of(frame.payload).is_some_and(|method| method.arguments(frame.payload).is_some());
            if decodes { Certainty::Yes } else { Certainty::No }
        }
        Some(Err(())) => Certainty::No,
        None => {
            let mut cursor = Cursor(bytes.get(3..).unwrap_or_default());
            let length_fits = cursor.u32().is_none_or(|length| (4..=MOST_OF_CANDIDATE).contains(&length));
            let known = cursor.0.len() < 4 || Method::of(cursor.0).is_some();
            if length_fits && known { Certainty::More } else { Certainty::No }
        }
    }
}
