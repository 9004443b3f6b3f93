use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use l7trace_event::{ConnectionKey, Flags, Segment, Side, Timestamp};

use crate::Limits;
use crate::connection::Connection;
use crate::direction::unwrap;

/// What is kept for a while of connections that are over, so that what still comes of them (the
/// last acknowledgement, a retransmission, a second witness) does not look like a new connection.
pub(crate) struct Afterlife {
    remains: HashMap<ConnectionKey, Remains>,
    /// In the order in which they ended, with the connection's number.
    order: VecDeque<(ConnectionKey, u64)>,
    most: usize,
}

struct Remains {
    number: u64,
    at: Timestamp,
    /// Who broke it off, where it was broken off.
    reset: Option<Side>,
    sides: [RemainsOfSide; 2],
}

#[derive(Clone, Copy)]
struct RemainsOfSide {
    known: bool,
    first: u32,
    next: u32,
    /// Whether it said something new after the reset.
    spoke: bool,
}

/// How many are kept: what ends within a few retransmission times on a busy host.
const MOST: usize = 16_384;
const LIFE: Duration = Duration::from_secs(60);
/// As far from the old end as this may still be the old connection's.
const NEAR: u64 = 16 << 20;

impl Afterlife {
    pub(crate) fn new(limits: &Limits) -> Afterlife {
        Afterlife { remains: HashMap::new(), order: VecDeque::new(), most: MOST.min(limits.connections) }
    }

    pub(crate) fn bury<State>(&mut self, connection: &Connection<State>) {
        let facts = &connection.facts;
        while self.order.len() >= self.most.max(1) {
            self.forget_oldest();
        }
        let sides = [&connection.directions[0], &connection.directions[1]].map(|direction| RemainsOfSide {
            known: direction.known,
            first: direction.origin as u32,
            next: direction.next as u32,
            spoke: false,
        });
        let remains = Remains { number: facts.number, at: facts.last_seen, reset: connection.reset_by, sides };
        self.remains.insert(facts.key, remains);
        self.order.push_back((facts.key, facts.number));
    }

    /// Forgets those whose time is over.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some((key, number)) = self.order.front() {
            match self.remains.get(key) {
                Some(remains) if remains.number == *number && remains.at + LIFE > now => break,
                _ => self.forget_oldest(),
            }
        }
    }

    /// Whether something that names no open connection may be what is left of an old one.
    pub(crate) fn has(&self, key: &ConnectionKey) -> bool {
        !self.remains.is_empty() && self.remains.contains_key(key)
    }

    /// Whether this segment is what is left of a connection that is over. Where it is not, that one
    /// is forgotten.
    pub(crate) fn claims(
        &mut self,
        key: &ConnectionKey,
        from: Side,
        segment: &Segment<'_>,
        at: Timestamp,
        grace: Duration,
    ) -> bool {
        if self.remains.is_empty() {
            return false;
        }
        let Some(remains) = self.remains.get_mut(key) else { return false };
        let claimed = remains.at + LIFE > at && remains.claim(from, segment, at, grace);
        if !claimed {
            self.remains.remove(key);
        }
        claimed
    }

    fn forget_oldest(&mut self) {
        let Some((key, number)) = self.order.pop_front() else { return };
        if self.remains.get(&key).is_some_and(|remains| remains.number == number) {
            self.remains.remove(&key);
        }
    }
}

impl Remains {
    fn claim(&mut self, from: Side, segment: &Segment<'_>, at: Timestamp, grace: Duration) -> bool {
        let flags = segment.flags;
        let side = &mut self.sides[from.index()];
        let says_something = !segment.bytes.is_empty() || segment.missing > 0;
        if flags.has(Flags::OPEN) {
            return side.known && segment.position.wrapping_add(1) == side.first && !flags.has(Flags::APPEND);
        }
        if flags.has(Flags::APPEND) {
            return !says_something || at <= self.at + grace;
        }
        if !says_something {
            return true;
        }
        let reference = (1 << 32) | u64::from(side.next);
        let start = unwrap(segment.position, reference);
        let near = side.known && start.abs_diff(reference) <= NEAR;
        if !near {
            return !side.known && self.reset.is_some();
        }
        // Who breaks off does not go on, and where both ends go on it was not one of them.
        if self.reset == Some(from) && start == reference {
            return false;
        }
        side.spoke |= start >= reference;
        !(self.reset.is_some() && self.sides.iter().all(|side| side.spoke))
    }
}
