use std::time::Duration;

use l7trace_event::{Cause, Event, Flags, Segment, Side, Timestamp};

use crate::connection::Connection;
use crate::direction::{Direction, End, Place, unwrap};
use crate::handshake::Opening;
use crate::waiting::Stamp;
use crate::{Again, Delivered, Ending, Sink};

/// What a segment meant for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belonged to the connection, and was taken.
    Taken,
    /// It could not be believed, and changed nothing.
    Stray,
    /// It belongs to a new connection with the same tuple; where a SYN of that one was seen
    /// before, these are its sender and its sequence number.
    Reused(Option<(Side, u32)>),
}

impl<State> Connection<State> {
    /// Takes in a segment that `from` sent.
    pub(crate) fn take<S: Sink<State = State>>(
        &mut self,
        event: &Event<'_>,
        segment: &Segment<'_>,
        from: Side,
        now: Timestamp,
        sink: &mut S,
    ) -> Verdict {
        let heard = self.facts.last_seen;
        self.facts.last_seen = heard.max(now);
        self.facts.witnessed[event.witness.source as usize] = true;
        let flags = segment.flags;
        if flags.has(Flags::CLIENT) {
            self.facts.initiator.get_or_insert(from);
        } else if flags.has(Flags::SERVER) {
            self.facts.initiator.get_or_insert(from.other());
        }
        if flags.has(Flags::APPEND) {
            self.append(event, segment, from, heard, sink);
            return Verdict::Taken;
        }
        if flags.has(Flags::ELSEWHERE) {
            self.sighted(event, segment, from, heard, sink);
            return Verdict::Taken;
        }

        let mut position = segment.position;
        if flags.has(Flags::OPEN) {
            position = position.wrapping_add(1);
            match self.open(from, position, segment) {
                Opening::Taken => {}
                Opening::Stray => return Verdict::Stray,
                Opening::Reused(suspect) => return Verdict::Reused(suspect),
            }
        } else if let Some((_, suspect)) = self.suspect.filter(|(side, _)| *side == from)
            && position == suspect.wrapping_add(1)
            && !flags.has(Flags::RESET)
        {
            return Verdict::Reused(self.suspect);
        }
        if flags.has(Flags::RESET) {
            return self.reset(event, from, segment, heard, sink);
        }

        let start = match self.locate(from, position, segment) {
            Place::Here(start) => start,
            Place::Stray => return Verdict::Stray,
            Place::Elsewhere => return Verdict::Reused(None),
        };
        self.note_witness(event, from, heard);
        let acknowledged = segment.acknowledged.and_then(|sequence| self.acknowledge(from, sequence, heard));
        let stamp = Stamp { at: event.at, witness: event.witness, acknowledged };
        if !segment.bytes.is_empty() || segment.missing > 0 {
            self.place(from, start, segment, stamp, heard, sink);
        }
        if flags.has(Flags::END) {
            let end = start + segment.bytes.len() as u64 + u64::from(segment.missing);
            self.end(from, end, stamp, heard);
        }
        self.count_seen(from);
        self.finish_taking(sink);
        Verdict::Taken
    }

    /// Delivers what a segment made ready.
    #[inline]
    pub(crate) fn finish_taking<S: Sink<State = State>>(&mut self, sink: &mut S) {
        let [a, b] = &self.directions;
        if a.waiting.is_some() || b.waiting.is_some() || a.end.is_some() || b.end.is_some() {
            if self.closing.is_none() && a.end.is_some() && b.end.is_some() {
                self.closing = Some(self.facts.last_seen);
            }
            self.settle(sink);
        }
    }

    /// The position of a segment's first byte; begins the direction there where it has not begun.
    #[inline]
    fn locate(&mut self, from: Side, sequence: u32, segment: &Segment<'_>) -> Place {
        let direction = &mut self.directions[from.index()];
        let length = segment.bytes.len() as u64 + u64::from(segment.missing);
        if !direction.known {
            let start = direction.begin(sequence);
            if is_probe(segment) {
                direction.begin_at(start + 1);
            }
            return Place::Here(start);
        }
        let place = direction.locate(sequence);
        // What began it were its own segments without bytes, and those may have been strays.
        if place == Place::Stray && length > 0 && direction.witnessed && !direction.opened && direction.is_untouched() {
            return Place::Here(direction.begin(sequence));
        }
        // Joined in the middle, something a little older may come just after: as long as nothing
        // was told of the direction, it begins there. A keep-alive probe brings nothing.
        if let Place::Here(start) = place
            && start < direction.next
            && length > 0
            && !direction.opened
            && direction.is_untouched()
            && !(length == 1 && start + 1 == direction.next)
        {
            let acknowledged = direction.acknowledged;
            direction.begin_at(start);
            direction.acknowledged = acknowledged;
        }
        place
    }

    /// Notes who saw this direction.
    #[inline]
    pub(crate) fn note_witness(&mut self, event: &Event<'_>, from: Side, heard: Timestamp) {
        let now = self.facts.last_seen;
        let direction = &mut self.directions[from.index()];
        if !direction.witnessed {
            direction.witnessed = true;
            if direction.hole().is_some() {
                direction.waiting(now, heard);
            }
        }
        match direction.witness {
            Some(first) if first == event.witness => {}
            Some(_) => self.several = true,
            None => direction.witness = Some(event.witness),
        }
    }

    /// Takes in that `reader` has read the other direction up to `sequence`; gives that position
    /// where it can be believed.
    #[inline]
    pub(crate) fn acknowledge(&mut self, reader: Side, sequence: u32, heard: Timestamp) -> Option<u64> {
        let (several, at) = (self.several, self.facts.last_seen);
        let direction = &mut self.directions[reader.other().index()];
        if !direction.known {
            return Some(direction.begin(sequence));
        }
        let Place::Here(mut position) = direction.locate(sequence) else { return None };
        if let Some(end) = direction.end {
            position = position.min(end.position);
        }
        if direction.ended {
            return Some(position);
        }
        if position > direction.acknowledged {
            if position == direction.next + 1 && !direction.opened && direction.is_untouched() {
                // What stood one before was a keep-alive probe, with which nothing begins.
                direction.begin_at(position);
                return Some(position);
            }
            direction.acknowledged = position;
            if position > direction.next && direction.hole().is_some() {
                direction.waiting(at, heard).acknowledge(position, at);
            }
        } else if position < direction.acknowledged
            && direction.acknowledged > direction.extent
            && !several
            && direction.waiting.as_ref().is_none_or(|waiting| waiting.latest + REORDERED < at)
        {
            // It takes back what was never seen to exist.
            direction.acknowledged = position.max(direction.next);
            if let Some(waiting) = &mut direction.waiting {
                waiting.retract();
                if direction.acknowledged > direction.next {
                    waiting.acknowledge(direction.acknowledged, at);
                }
            }
        }
        Some(position)
    }

    /// Takes in bytes, and the absence of bytes, from `start` on. Of what comes twice the first is
    /// kept.
    #[inline]
    pub(crate) fn place<S: Sink<State = State>>(
        &mut self,
        from: Side,
        start: u64,
        segment: &Segment<'_>,
        stamp: Stamp,
        heard: Timestamp,
        sink: &mut S,
    ) {
        let mut bytes = segment.bytes;
        let mut end = start + bytes.len() as u64 + u64::from(segment.missing);
        let next = self.directions[from.index()].next;
        if start < next {
            self.seen_again(from, start, next.min(start + bytes.len() as u64), stamp, sink);
        }
        let closing = &mut self.closing;
        let [a, b] = &mut self.directions;
        let (direction, other) = if from == Side::A { (a, b) } else { (b, a) };
        if !segment.flags.has(Flags::APPEND) {
            direction.reach(stamp.witness, end);
        }
        if direction.ended || end <= next {
            return;
        }
        match direction.end {
            // The sender goes on: this FIN was none of its own.
            Some(known) if end > known.position && known.ending == Ending::Closed => {
                direction.end = None;
                if let Some(waiting) = &mut direction.waiting {
                    waiting.end_stamp = None;
                }
                *closing = None;
            }
            // What comes after a reset is nobody's.
            Some(known) if end > known.position => {
                if start >= known.position {
                    return;
                }
                bytes = &bytes[..bytes.len().min((known.position - start) as usize)];
                end = known.position;
            }
            _ => {}
        }
        direction.extent = direction.extent.max(end);
        let bytes_end = start + bytes.len() as u64;
        if direction.waiting.is_none() && start <= next && other.has_reached(stamp.acknowledged) {
            if next < bytes_end {
                self.hand(from, stamp, Delivered::Bytes(&bytes[(next - start) as usize..]), sink);
            }
        } else {
            self.shelve(from, start, bytes, stamp, heard, sink);
        }
        if bytes_end < end {
            let cause = segment.cause.unwrap_or(Cause::NotCaptured);
            let now = self.facts.last_seen;
            let direction = &mut self.directions[from.index()];
            let missing_from = bytes_end.max(direction.next);
            direction.waiting(now, heard).keep_missing(missing_from, end, cause, stamp);
        }
    }

    /// Takes in bytes where something waits already, or must wait now: delivers those whose turn it
    /// is from where they lie, keeps a copy of the others.
    fn shelve<S: Sink<State = State>>(
        &mut self,
        from: Side,
        start: u64,
        bytes: &[u8],
        stamp: Stamp,
        heard: Timestamp,
        sink: &mut S,
    ) {
        let end = start + bytes.len() as u64;
        let now = self.facts.last_seen;
        let mut at = start.max(self.directions[from.index()].next);
        while at < end {
            let [direction, other] = self.pair(from);
            let reached = other.has_reached(stamp.acknowledged);
            let next = direction.next;
            let waiting = direction.waiting(now, heard);
            let (vacant, until) = waiting.vacancy(at, end).unwrap_or((end, end));
            if at < vacant {
                self.seen_again(from, at, vacant, stamp, sink);
            }
            if vacant < until {
                let part = &bytes[(vacant - start) as usize..(until - start) as usize];
                let waiting = self.directions[from.index()].waiting(now, heard);
                if vacant == next && reached {
                    waiting.found(vacant, until);
                    waiting.since = waiting.since.max(now);
                    self.hand(from, stamp, Delivered::Bytes(part), sink);
                } else {
                    waiting.keep(vacant, part, stamp);
                }
            }
            at = until;
        }
    }

    /// A witness saw bytes of which another tells. That there are several may matter to what is
    /// missing: one may bring what the other lacks.
    fn sighted<S: Sink<State = State>>(
        &mut self,
        event: &Event<'_>,
        segment: &Segment<'_>,
        from: Side,
        heard: Timestamp,
        sink: &mut S,
    ) {
        let direction = &mut self.directions[from.index()];
        if !direction.known || !direction.witnessed {
            return;
        }
        let Place::Here(start) = direction.locate(segment.position) else { return };
        let end = start + u64::from(segment.missing);
        direction.reach(event.witness, end);
        self.note_witness(event, from, heard);
        let stamp = Stamp { at: event.at, witness: event.witness, acknowledged: None };
        self.seen_again(from, start, end, stamp, sink);
    }

    /// Tells the sink that bytes came again.
    fn seen_again<S: Sink<State = State>>(&mut self, from: Side, start: u64, end: u64, stamp: Stamp, sink: &mut S) {
        let origin = self.directions[from.index()].origin;
        let start = start.max(origin);
        if start < end {
            let again =
                Again { from, position: start - origin, length: end - start, at: stamp.at, witness: stamp.witness };
            sink.witnessed(&self.facts, &mut self.state, again);
        }
    }

    /// Takes in where the direction ends. Of several such places the first is believed, and none
    /// before bytes that are there.
    pub(crate) fn end(&mut self, from: Side, position: u64, stamp: Stamp, heard: Timestamp) {
        let now = self.facts.last_seen;
        let direction = &mut self.directions[from.index()];
        if direction.ended || direction.end.is_some() || position < direction.extent {
            return;
        }
        finish(direction, End { position, ending: Ending::Closed }, stamp, (now, heard));
    }

    /// The connection breaks off, if it is one of its ends that says so and no stranger: the
    /// position must be one that the receiver would take (RFC 5961, section 3).
    fn reset<S: Sink<State = State>>(
        &mut self,
        event: &Event<'_>,
        from: Side,
        segment: &Segment<'_>,
        heard: Timestamp,
        sink: &mut S,
    ) -> Verdict {
        if !self.believes_reset(from, segment) {
            return Verdict::Stray;
        }
        self.note_witness(event, from, heard);
        let acknowledged = segment.acknowledged.and_then(|sequence| self.acknowledge(from, sequence, heard));
        let stamp = Stamp { at: event.at, witness: event.witness, acknowledged };
        self.break_off(from, stamp, heard);
        Side::BOTH.into_iter().for_each(|side| self.count_seen(side));
        self.finish_taking(sink);
        Verdict::Taken
    }

    /// Both directions end where they are, since `from` says so.
    pub(crate) fn break_off(&mut self, from: Side, stamp: Stamp, heard: Timestamp) {
        let now = self.facts.last_seen;
        for side in Side::BOTH {
            let direction = &mut self.directions[side.index()];
            if direction.ended || direction.end.is_some() {
                continue;
            }
            let position = match direction.witnessed {
                true if !direction.is_all_but_fin() => direction.extent.max(direction.acknowledged),
                _ => direction.extent,
            };
            let acknowledged = stamp.acknowledged.filter(|_| side == from);
            finish(direction, End { position, ending: Ending::Reset }, Stamp { acknowledged, ..stamp }, (now, heard));
        }
        self.closing.get_or_insert(now);
        self.reset_by = Some(from);
    }

    fn believes_reset(&self, from: Side, segment: &Segment<'_>) -> bool {
        let [direction, other] = match from {
            Side::A => [&self.directions[0], &self.directions[1]],
            Side::B => [&self.directions[1], &self.directions[0]],
        };
        let fits = direction.known && {
            let position = unwrap(segment.position, direction.extent);
            let highest = direction.extent.max(direction.acknowledged) + 1;
            (direction.acknowledged..=highest).contains(&position)
        };
        // Who never sent anything refuses, by acknowledging what it refuses.
        let refuses = !direction.witnessed
            && segment.acknowledged.is_some_and(|sequence| {
                let position = unwrap(sequence, other.extent);
                other.known && (other.origin..=other.extent).contains(&position)
            });
        fits || refuses || (!direction.known && !other.known)
    }
}

/// Of acknowledgements so near in time the lower one may merely come late.
const REORDERED: Duration = Duration::from_millis(5);

fn finish(direction: &mut Direction, end: End, stamp: Stamp, (now, heard): (Timestamp, Timestamp)) {
    direction.end = Some(end);
    direction.extent = direction.extent.max(end.position);
    direction.acknowledged = direction.acknowledged.min(end.position);
    direction.waiting(now, heard).end_stamp = Some(stamp);
}

/// Whether a direction that is not known yet seems to begin with a keep-alive probe: one byte of
/// nothing, one before the position where the sender stands.
fn is_probe(segment: &Segment<'_>) -> bool {
    segment.bytes == [0] && segment.missing == 0 && segment.flags == Flags::default()
}
