//! Bytes that were not seen, and the end of a direction.

use l7trace_event::{Cause, Direction, Timestamp};

use super::super::connection::Place;
use super::super::frame::{self, FrameHeader, HEADER_LENGTH};
use super::super::reader::{Data, State};
use super::Http2Parser;
use crate::{End, Mark, Outbox};

impl Http2Parser {
    /// Bytes went by unseen.
    pub(super) fn gap(
        &mut self,
        direction: Direction,
        position: u64,
        length: u64,
        cause: Cause,
        at: Timestamp,
        out: &mut Outbox,
    ) {
        let (mut position, mut length) = (position, length);
        while length > 0 {
            let reader = &mut self.readers[direction.index()];
            let taken = match reader.state {
                State::Data(data) => self.data_gap(direction, data, position, length, cause, at, out),
                State::Skip { remaining } => {
                    let taken = length.min(remaining);
                    self.skip(direction, remaining - taken);
                    taken
                }
                State::Frame => match FrameHeader::parse(reader.feed.bytes()) {
                    Some(header) if header.whole_length() > reader.feed.held() => {
                        self.frame_gap(direction, &header, position, length, at, out)
                    }
                    Some(_) => {
                        self.lose(direction, position, out);
                        0
                    }
                    None => {
                        let since = position - reader.feed.held() as u64;
                        self.lose(direction, since, out);
                        0
                    }
                },
                State::Start => {
                    let since = position - reader.feed.held() as u64;
                    self.lose(direction, since, out);
                    0
                }
                State::Seek { since, .. } => {
                    reader.state = State::Seek { since, resumed: position + length, expected: false };
                    length
                }
            };
            position += taken;
            length -= taken;
        }
        // What was held before the gap is dealt with.
        self.readers[direction.index()].feed.clear(position);
    }

    #[expect(clippy::too_many_arguments, reason = "a gap is a place, an extent and a cause")]
    pub(super) fn data_gap(
        &mut self,
        direction: Direction,
        mut data: Data,
        position: u64,
        length: u64,
        cause: Cause,
        at: Timestamp,
        out: &mut Outbox,
    ) -> u64 {
        let taken = length.min(data.remaining);
        if data.unread_padding {
            data.unread_padding = false;
            if data.live {
                self.connection.padding_unknown(direction, data.stream);
            }
        }
        let body = taken.min(data.body());
        data.remaining -= taken;
        data.padding = data.padding.min(data.remaining);
        let last = Mark { position: position + taken, at };
        if data.live {
            self.connection.data_missing(direction, data.stream, body, taken - body, cause, last, out);
        }
        self.go_on(direction, data, last, out);
        taken
    }

    /// A frame other than DATA, of which the header was seen, lost its end.
    pub(super) fn frame_gap(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        position: u64,
        length: u64,
        at: Timestamp,
        out: &mut Outbox,
    ) -> u64 {
        let feed = std::mem::take(&mut self.readers[direction.index()].feed);
        let seen = feed.bytes().get(HEADER_LENGTH..).unwrap_or_default();
        let missing = u64::from(header.length).saturating_sub(seen.len() as u64);
        let taken = length.min(missing);
        let first = Mark { position: feed.start(), at: feed.time_of(feed.start()) };
        let last = Mark { position: position + taken, at };
        let place = Place { first, last, acknowledged: None, bytes: header.whole_length() as u64 };
        if header.is_lawful() {
            match header.kind {
                frame::HEADERS | frame::PUSH_PROMISE => {
                    self.headers(direction, header, seen, place, Some(taken), out);
                }
                frame::CONTINUATION => self.give_up_assembly(direction, taken, out),
                frame::RST_STREAM => self.connection.reset(direction, header.stream, u32::MAX, last, out),
                _ => {}
            }
        }
        if header.carries_headers() {
            self.connection.learn(direction, &[], false);
        }
        self.count(direction, header);
        self.skip(direction, missing - taken);
        taken
    }

    pub(super) fn end(&mut self, direction: Direction, end: End, at: Timestamp, out: &mut Outbox) {
        let mut feed = std::mem::take(&mut self.readers[direction.index()].feed);
        if let State::Seek { since, resumed, expected } = self.readers[direction.index()].state
            && feed.held() > 0
        {
            // What was not certain enough while more could come may be so now.
            let bytes = feed.bytes().to_vec();
            let start = feed.start();
            let mut rest = crate::Feed::default();
            let mut window = rest.open(&bytes, start, at, None);
            if self.seek(direction, (since, resumed), expected, true, &mut window, out) {
                while !self.withdrawn && self.step(direction, &mut window, out) {}
            }
            feed = crate::Feed::default();
        }
        drop(feed);
        if self.withdrawn {
            return;
        }
        self.give_up_assembly(direction, 0, out);
        self.readers[direction.index()].ended = true;
        self.connection.end(direction, end, out);
    }
}
