use l7trace_event::{Cause, Side, Timestamp, Unneeded, Witness};

use crate::direction::{Direction, End};
use crate::waiting::{Content, Stamp};
use crate::{Closed, Delivered, Delivery, Ending, Facts, Limits, Sink};

/// A connection: what is known of it, what the sink keeps for it, and its two directions.
///
/// Invariant: after each call whatever can be delivered has been.
pub(crate) struct Connection<State> {
    pub(crate) facts: Facts,
    pub(crate) state: State,
    pub(crate) directions: [Direction; 2],
    /// When it was known that both directions end, or that the connection broke off: holes are not
    /// waited for much longer.
    pub(crate) closing: Option<Timestamp>,
    /// Who broke it off.
    pub(crate) reset_by: Option<Side>,
    /// Whether one direction was witnessed from two places, so that one may bring what the other lacks.
    pub(crate) several: bool,
    /// A SYN of another connection with the same tuple, not confirmed yet: who sent it, and its
    /// sequence number.
    pub(crate) suspect: Option<(Side, u32)>,
    /// What the sink held when it was last asked.
    pub(crate) sink_held: usize,
    /// Whether the sink was given something since then.
    pub(crate) told: bool,
    /// Whether the table means to ask.
    pub(crate) listed: bool,
    /// What the table has counted of `held`.
    pub(crate) counted: usize,
    /// The deadline that the table knows of.
    pub(crate) queued: Option<Timestamp>,
}

/// What a decision may depend on beside the connection itself.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) limits: &'a Limits,
    /// When the kernel last reported that its ring was full.
    pub(crate) ring_full: Option<Timestamp>,
}

/// How many bytes at least make it worth telling the sources that they need not copy them.
const WORTH_SPARING: u64 = 16 << 10;

/// How many of them they are told of at once: their positions have 32 bits.
const MOST_SPARED: u64 = 1 << 30;

/// What stands first in a direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Nothing.
    Nothing,
    /// Bytes or the end, which wait for the other direction, since this time.
    Blocked(Timestamp),
    /// Bytes up to here that are known to be missing, since this time.
    Missing(u64, Timestamp),
    /// A hole up to here, noticed at this time.
    Hole(u64, Timestamp),
}

impl<State> Connection<State> {
    pub(crate) fn new(facts: Facts, state: State) -> Connection<State> {
        Connection {
            facts,
            state,
            directions: [Direction::new(), Direction::new()],
            closing: None,
            reset_by: None,
            several: false,
            suspect: None,
            sink_held: 0,
            told: false,
            listed: false,
            counted: 0,
            queued: None,
        }
    }

    /// What it holds in memory: what waits here, and what the sink has not finished.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.waiting() + self.sink_held
    }

    /// What waits here.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        let [a, b] = &self.directions;
        a.held() + b.held()
    }

    /// Whether nothing waits and nothing has ended, and the table knows of all that is held.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        let still = |direction: &Direction| direction.waiting.is_none() && !direction.ended;
        self.directions.iter().all(still) && self.queued.is_none() && self.sink_held == self.counted
    }

    /// How it is over, where it is known where both directions end.
    pub(crate) fn how_over(&self) -> Option<Closed> {
        let [a, b] = self.directions.each_ref().map(|direction| direction.end.map(|end| end.ending));
        Some(if a? == Ending::Reset || b? == Ending::Reset { Closed::Reset } else { Closed::Finished })
    }

    /// Whether both directions have had their end delivered.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        let [a, b] = &self.directions;
        a.ended && b.ended
    }

    /// Hands on what comes next in one direction.
    #[inline]
    pub(crate) fn hand<S: Sink<State = State>>(&mut self, from: Side, stamp: Stamp, what: Delivered<'_>, sink: &mut S) {
        let other = &mut self.directions[from.other().index()];
        let acknowledged = match stamp.acknowledged {
            Some(position) if other.known => {
                other.fixed = true;
                let position = other.end.map_or(position, |end| position.min(end.position));
                Some(position.saturating_sub(other.origin))
            }
            _ => None,
        };
        let direction = &mut self.directions[from.index()];
        let position = direction.next - direction.origin;
        let ledger = &mut self.facts.ledgers[from.index()];
        direction.fixed = true;
        match what {
            Delivered::Bytes(bytes) => {
                direction.next += bytes.len() as u64;
                ledger.delivered += bytes.len() as u64;
            }
            Delivered::Gap { length, cause } => {
                direction.next += length;
                ledger.miss(cause, length);
            }
            Delivered::End(_) => direction.ended = true,
        }
        let delivery = Delivery {
            from,
            position,
            at: stamp.at,
            source: stamp.witness.source,
            witness: stamp.witness,
            acknowledged,
            what,
        };
        sink.deliver(&self.facts, &mut self.state, delivery);
        if !matches!(what, Delivered::End(_)) {
            let unneeded = sink.unneeded(&self.state, from);
            if unneeded >= WORTH_SPARING {
                self.spare(from, unneeded, sink);
            }
        }
        self.told = true;
    }

    /// Tells the sources what they need not copy, where that is news to them.
    fn spare<S: Sink<State = State>>(&mut self, from: Side, unneeded: u64, sink: &mut S) {
        let key = self.facts.key;
        let direction = &mut self.directions[from.index()];
        if unneeded == u64::MAX {
            if direction.unneeded < u64::MAX {
                direction.unneeded = u64::MAX;
                sink.spare(Unneeded { key, from, until: None });
            }
            return;
        }
        let until = direction.next + unneeded.min(MOST_SPARED);
        // Of a longer stretch the rest is told when half of this has gone by.
        if direction.unneeded < direction.next + unneeded.min(MOST_SPARED / 2) {
            direction.unneeded = until;
            sink.spare(Unneeded { key, from, until: Some(until as u32) });
        }
    }

    /// Steps over what is missing of what nobody needs, as soon as it is known to have gone by: it was
    /// not copied for that reason.
    fn step_over_unneeded<S: Sink<State = State>>(&mut self, side: Side, sink: &mut S) -> bool {
        let unneeded = self.directions[side.index()].unneeded;
        match self.front(side) {
            Front::Hole(to, _) if self.directions[side.index()].next < unneeded => {
                self.give_up(side, to.min(unneeded), Cause::Skipped, sink)
            }
            _ => false,
        }
    }

    /// Delivers whatever can be.
    pub(crate) fn settle<S: Sink<State = State>>(&mut self, sink: &mut S) {
        loop {
            let moved = self.drain(Side::A, sink)
                | self.drain(Side::B, sink)
                | self.step_over_unneeded(Side::A, sink)
                | self.step_over_unneeded(Side::B, sink);
            if moved {
                continue;
            }
            // Each waits for the other: the older goes first.
            match Side::BOTH.map(|side| self.front(side)) {
                [Front::Blocked(a), Front::Blocked(b)] => {
                    self.release(if a <= b { Side::A } else { Side::B }, sink);
                }
                _ => break,
            }
        }
        for direction in &mut self.directions {
            direction.tidy();
        }
    }

    /// Delivers what one direction has ready; tells whether there was anything.
    fn drain<S: Sink<State = State>>(&mut self, side: Side, sink: &mut S) -> bool {
        let mut moved = false;
        let (heard, several) = (self.facts.last_seen, self.several || self.facts.is_within_host());
        loop {
            let [direction, other] = self.pair(side);
            if direction.ended {
                return moved;
            }
            let Some(waiting) = direction.waiting.as_deref() else { break };
            let Some((start, piece)) = waiting.first() else { break };
            if start != direction.next || !other.has_reached(piece.stamp.acknowledged) {
                return moved;
            }
            // Where nothing says what its sender had read, what the other direction has ready, and came before, goes
            // first.
            if piece.stamp.acknowledged.is_none() && other.is_due_before(piece.stamp.at, direction) {
                return moved;
            }
            if let Content::Missing { cause, .. } = piece.content
                && several
                && cause.is_loss()
            {
                return moved;
            }
            if let Some(waiting) = direction.waiting.as_deref_mut() {
                waiting.since = waiting.since.max(heard);
            }
            self.release(side, sink);
            moved = true;
        }
        let [direction, other] = self.pair(side);
        let Some(end) = direction.end else { return moved };
        let stamp = direction.waiting.as_ref().and_then(|waiting| waiting.end_stamp);
        if end.position != direction.next || !other.has_reached(stamp.and_then(|stamp| stamp.acknowledged)) {
            return moved;
        }
        self.deliver_end(side, end, sink);
        true
    }

    /// Delivers the first thing that waits in a direction, where it is no hole, whatever it waits for.
    pub(crate) fn release<S: Sink<State = State>>(&mut self, side: Side, sink: &mut S) {
        let [direction, _] = self.pair(side);
        let first = match direction.waiting.as_deref_mut() {
            Some(waiting) if waiting.has_pieces() => waiting.pop_first(),
            _ => None,
        };
        match (first, direction.end) {
            (Some(piece), _) => match piece.content {
                Content::Bytes(bytes) => self.hand(side, piece.stamp, Delivered::Bytes(&bytes), sink),
                Content::Missing { length, cause } => {
                    self.hand(side, piece.stamp, Delivered::Gap { length, cause }, sink);
                }
            },
            (None, Some(end)) => self.deliver_end(side, end, sink),
            (None, None) => {}
        }
    }

    pub(crate) fn deliver_end<S: Sink<State = State>>(&mut self, side: Side, end: End, sink: &mut S) {
        let stamp = self.directions[side.index()].waiting.as_ref().and_then(|waiting| waiting.end_stamp);
        let stamp = stamp.unwrap_or(Stamp { at: self.facts.last_seen, ..self.stamp_of(side) });
        self.hand(side, stamp, Delivered::End(end.ending), sink);
    }

    /// What stands first in a direction.
    pub(crate) fn front(&self, side: Side) -> Front {
        let direction = &self.directions[side.index()];
        if direction.ended {
            return Front::Nothing;
        }
        let Some(waiting) = &direction.waiting else { return Front::Nothing };
        if let Some(to) = direction.hole() {
            return Front::Hole(to, waiting.since);
        }
        match waiting.first() {
            Some((start, piece)) => match piece.content {
                Content::Bytes(_) => Front::Blocked(self.heard_by(piece.stamp.at)),
                Content::Missing { length, .. } => Front::Missing(start + length, self.heard_by(piece.stamp.at)),
            },
            None if direction.end.is_some() => {
                Front::Blocked(waiting.end_stamp.map_or(waiting.since, |stamp| stamp.at))
            }
            None => Front::Nothing,
        }
    }

    /// Gives up the hole of a direction up to `to`; tells whether there was any.
    pub(crate) fn give_up<S: Sink<State = State>>(&mut self, side: Side, to: u64, cause: Cause, sink: &mut S) -> bool {
        let direction = &mut self.directions[side.index()];
        // What only the receiver's acknowledgement told of is part of what was there.
        direction.extent = direction.extent.max(to);
        let length = to.saturating_sub(direction.next);
        let at = direction.waiting.as_ref().map_or(self.facts.last_seen, |waiting| waiting.since);
        self.count_seen(side);
        if length > 0 {
            let stamp = Stamp { at, ..self.stamp_of(side) };
            self.hand(side, stamp, Delivered::Gap { length, cause }, sink);
        }
        length > 0
    }

    /// Why a hole is there, as far as can be told: the kernel's ring was full at some time since the
    /// connection was last heard of before the hole, or the witness never saw the bytes.
    pub(crate) fn cause_of_hole(&self, side: Side, otherwise: Cause, context: Context<'_>) -> Cause {
        let heard =
            self.directions[side.index()].waiting.as_ref().map_or(self.facts.last_seen, |waiting| waiting.heard);
        match context.ring_full {
            Some(full) if full + context.limits.grace >= heard => Cause::RingFull,
            _ => otherwise,
        }
    }

    /// Makes way in one step: gives up the hole noticed first, or else lets go first what came
    /// first. False where nothing waits.
    pub(crate) fn force<S: Sink<State = State>>(&mut self, cause: Cause, context: Context<'_>, sink: &mut S) -> bool {
        let fronts = Side::BOTH.map(|side| (side, self.front(side)));
        let hole = fronts
            .into_iter()
            .filter_map(|(side, front)| match front {
                Front::Hole(_, at) | Front::Missing(_, at) => Some((at, side)),
                _ => None,
            })
            .min_by_key(|(at, _)| *at);
        let blocked = fronts
            .into_iter()
            .filter_map(|(side, front)| match front {
                Front::Blocked(at) => Some((at, side)),
                _ => None,
            })
            .min_by_key(|(at, _)| *at);
        let Some((_, side)) = hole.or(blocked) else { return self.force_provisional(sink) };
        match self.front(side) {
            Front::Hole(to, _) => {
                let cause = self.cause_of_hole(side, cause, context);
                self.give_up(side, to, cause, sink);
            }
            _ => self.release(side, sink),
        }
        self.settle(sink);
        true
    }

    /// Delivers everything that is left, and the ends: nothing more will come.
    pub(crate) fn flush<S: Sink<State = State>>(&mut self, cause: Cause, context: Context<'_>, sink: &mut S) {
        self.settle(sink);
        while self.force(cause, context, sink) {}
        for side in Side::BOTH {
            let direction = &self.directions[side.index()];
            if !direction.ended {
                let end = End { position: direction.next, ending: Ending::Unknown };
                self.deliver_end(side, end, sink);
            }
            self.directions[side.index()].waiting = None;
        }
    }

    /// Counts what was seen of a direction: its extent. Of one that was never witnessed nothing was.
    #[inline]
    pub(crate) fn count_seen(&mut self, side: Side) {
        let direction = &self.directions[side.index()];
        if direction.witnessed {
            self.facts.ledgers[side.index()].seen = direction.extent - direction.origin;
        }
    }

    /// The stamp of what nobody brought.
    pub(crate) fn stamp_of(&self, side: Side) -> Stamp {
        let own = self.directions[side.index()].witness;
        let witness = own.or(self.directions[side.other().index()].witness);
        let unknown = Witness { source: l7trace_event::SourceKind::File, place: 0 };
        Stamp { at: self.facts.last_seen, witness: witness.unwrap_or(unknown), acknowledged: None }
    }

    /// The direction of one side and the opposite one.
    #[inline]
    pub(crate) fn pair(&mut self, side: Side) -> [&mut Direction; 2] {
        let [a, b] = &mut self.directions;
        match side {
            Side::A => [a, b],
            Side::B => [b, a],
        }
    }
}
