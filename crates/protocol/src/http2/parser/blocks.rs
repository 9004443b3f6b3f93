//! Frames that carry header blocks: as they stand, in several frames, or too long to be held.

use l7trace_event::Direction;

use super::super::connection::{Block, Place};
use super::super::frame::{self, FrameHeader, HEADER_LENGTH};
use super::super::reader::Assembly;
use super::Http2Parser;
use crate::{Mark, Outbox, Window};

impl Http2Parser {
    /// A frame that is too long to be held.
    pub(super) fn overlong(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        first: Mark,
        window: &mut Window<'_>,
        out: &mut Outbox,
    ) {
        self.count(direction, header);
        if header.carries_headers() {
            self.give_up_assembly(direction, 0, out);
            self.connection.learn(direction, &[], false);
            if header.kind == frame::HEADERS {
                let place = Place {
                    first,
                    last: first,
                    acknowledged: window.acknowledged_at(first.position),
                    bytes: header.whole_length() as u64,
                };
                let end_stream = header.has(frame::END_STREAM);
                let block = Block { stream: header.stream, end_stream, promised: None, lost: Some(0), place };
                self.connection.block(direction, block, &[], out);
            }
        }
        window.consume(HEADER_LENGTH);
        self.skip(direction, header.length.into());
    }

    /// HEADERS and PUSH_PROMISE; `lost` of their last bytes were not seen.
    pub(super) fn headers(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        payload: &[u8],
        place: Place,
        lost: Option<u64>,
        out: &mut Outbox,
    ) {
        let block = match lost {
            None => frame::unpadded(header, payload).and_then(|range| payload.get(range)),
            // The padding is at the end, and so it is what was lost first of all.
            Some(_) => payload.get(usize::from(header.has(frame::PADDED))..),
        };
        let is_promise = header.kind == frame::PUSH_PROMISE;
        let skipped = if is_promise {
            4
        } else if header.has(frame::WITH_PRIORITY) {
            5
        } else {
            0
        };
        let promised =
            block.filter(|_| is_promise).and_then(|block| frame::number(block, 0)).map(|id| id & 0x7fff_ffff);
        let fragment = block.and_then(|block| block.get(skipped..));
        let (Some(fragment), true) = (fragment, is_promise == promised.is_some()) else {
            return self.connection.learn(direction, &[], false);
        };
        if header.has(frame::END_HEADERS) || lost.is_some() {
            let end_stream = header.kind == frame::HEADERS && header.has(frame::END_STREAM);
            let block = Block { stream: header.stream, end_stream, promised, lost, place };
            self.connection.block(direction, block, fragment, out);
            return;
        }
        self.readers[direction.index()].assembly =
            Some(Box::new(Assembly { header: *header, promised, fragment: fragment.to_vec(), place, overlong: false }));
    }

    pub(super) fn continuation(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        payload: &[u8],
        place: Place,
        out: &mut Outbox,
    ) {
        let limit = self.head_limit.max(frame::DEFAULT_MAX_FRAME as usize);
        let reader = &mut self.readers[direction.index()];
        let Some(assembly) = reader.assembly.as_mut().filter(|assembly| assembly.header.stream == header.stream) else {
            // The block's beginning was not seen.
            self.give_up_assembly(direction, 0, out);
            return self.connection.learn(direction, &[], false);
        };
        assembly.overlong |= assembly.fragment.len() + payload.len() > limit;
        if !assembly.overlong {
            assembly.fragment.extend_from_slice(payload);
        }
        assembly.place.bytes += place.bytes;
        assembly.place.last = place.last;
        if header.has(frame::END_HEADERS) {
            let lost = assembly.overlong.then_some(0);
            self.end_assembly(direction, lost, out);
        }
    }

    /// A block that will not be seen whole is decoded as far as it goes.
    pub(super) fn give_up_assembly(&mut self, direction: Direction, lost: u64, out: &mut Outbox) {
        self.end_assembly(direction, Some(lost), out);
    }

    pub(super) fn end_assembly(&mut self, direction: Direction, lost: Option<u64>, out: &mut Outbox) {
        let Some(assembly) = self.readers[direction.index()].assembly.take() else { return };
        let block = Block {
            stream: assembly.header.stream,
            end_stream: assembly.header.kind == frame::HEADERS && assembly.header.has(frame::END_STREAM),
            promised: assembly.promised,
            lost,
            place: assembly.place,
        };
        self.connection.block(direction, block, &assembly.fragment, out);
    }
}
