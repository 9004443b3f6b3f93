use l7trace_event::{Cause, Event, Flags, Segment, Side, SourceKind, Timestamp};

use crate::Sink;
use crate::connection::Connection;
use crate::direction::Speaker;
use crate::waiting::{Provisional, Stamp};

impl<State> Connection<State> {
    /// Takes in a segment of a stream without positions. Both ends may tell of the same bytes, so
    /// only one end counts: the sender's, once it was seen. What the receiver tells before that is
    /// held for as long as witnesses may disagree about the order of things, in case the sender's
    /// account of it is still to come.
    pub(crate) fn append<S: Sink<State = State>>(
        &mut self,
        event: &Event<'_>,
        segment: &Segment<'_>,
        from: Side,
        heard: Timestamp,
        sink: &mut S,
    ) {
        let (flags, now) = (segment.flags, self.facts.last_seen);
        let direction = &mut self.directions[from.index()];
        if !direction.known {
            direction.begin(0);
        }
        direction.witnessed = true;
        direction.witness.get_or_insert(event.witness);
        if flags.has(Flags::OPEN) && direction.is_untouched() {
            direction.opened = true;
            self.facts.from_start[from.index()] = true;
            let asker = if flags.has(Flags::ANSWER) { from.other() } else { from };
            self.facts.initiator.get_or_insert(asker);
        }
        let direction = &mut self.directions[from.index()];
        let stamp = Stamp { at: event.at, witness: event.witness, acknowledged: None };
        let says_something = !segment.bytes.is_empty() || segment.missing > 0;
        let received = event.witness.source == SourceKind::Syscalls && event.witness.place == 1;
        match (received, direction.speaker) {
            (true, Speaker::Unknown) if !direction.ended && (says_something || flags.has(Flags::END)) => {
                direction.waiting(now, heard).keep_provisional(Provisional {
                    stamp,
                    bytes: segment.bytes.into(),
                    missing: segment.missing,
                    cause: segment.cause.unwrap_or(Cause::NotCaptured),
                    end: flags.has(Flags::END),
                });
            }
            (true, Speaker::Sender) => {
                if flags.has(Flags::END) {
                    self.append_at_end(from, &Segment::default(), true, stamp, heard, sink);
                }
            }
            _ => {
                if !received && says_something && direction.speaker != Speaker::Sender {
                    direction.speaker = Speaker::Sender;
                    if let Some(waiting) = &mut direction.waiting {
                        drop(waiting.take_provisional());
                    }
                }
                self.append_at_end(from, segment, flags.has(Flags::END), stamp, heard, sink);
            }
        }
        if flags.has(Flags::RESET) {
            self.release_provisional(Side::A, sink);
            self.release_provisional(Side::B, sink);
            self.break_off(from, stamp, heard);
        }
        self.finish_taking(sink);
    }

    /// The receiver's account counts from now on: the sender's did not come. Tells whether there was
    /// anything.
    pub(crate) fn release_provisional<S: Sink<State = State>>(&mut self, side: Side, sink: &mut S) -> bool {
        let heard = self.facts.last_seen;
        let direction = &mut self.directions[side.index()];
        let Some(waiting) = &mut direction.waiting else { return false };
        let provisional = waiting.take_provisional();
        if provisional.is_empty() {
            return false;
        }
        direction.speaker = Speaker::Receiver;
        for one in provisional {
            let segment =
                Segment { bytes: &one.bytes, missing: one.missing, cause: Some(one.cause), ..Segment::default() };
            self.append_at_end(side, &segment, one.end, one.stamp, heard, sink);
        }
        self.settle(sink);
        true
    }

    /// As [`Connection::release_provisional`], for the first direction that has any.
    pub(crate) fn force_provisional<S: Sink<State = State>>(&mut self, sink: &mut S) -> bool {
        self.release_provisional(Side::A, sink) || self.release_provisional(Side::B, sink)
    }

    fn append_at_end<S: Sink<State = State>>(
        &mut self,
        from: Side,
        segment: &Segment<'_>,
        end: bool,
        stamp: Stamp,
        heard: Timestamp,
        sink: &mut S,
    ) {
        let start = self.directions[from.index()].extent;
        if !segment.bytes.is_empty() || segment.missing > 0 {
            self.place(from, start, segment, stamp, heard, sink);
        }
        if end {
            let position = self.directions[from.index()].extent;
            self.end(from, position, stamp, heard);
        }
        self.count_seen(from);
    }
}
