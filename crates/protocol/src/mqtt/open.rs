//! What was asked and not yet answered: which answer belongs to which packet, and when that can no
//! longer be told for certain.

use std::collections::{BTreeMap, VecDeque};

use l7trace_event::{Direction, Timestamp};

use crate::{Key, Mark, Message};

/// Spaces of keys. A publish has one for each direction.
pub(super) mod space {
    use l7trace_event::Direction;

    pub(in super::super) const CONNECT: u64 = 1;
    const PUBLISH: u64 = 2;
    pub(in super::super) const SUBSCRIBE: u64 = 4;
    pub(in super::super) const UNSUBSCRIBE: u64 = 5;
    pub(in super::super) const PING: u64 = 6;
    pub(in super::super) const AUTH: u64 = 7;
    /// What answers nothing that was seen, and what needs no answer.
    pub(in super::super) const ALONE: u64 = 8;

    pub(in super::super) fn publish(direction: Direction) -> u64 {
        PUBLISH + direction.index() as u64
    }
}

/// Bytes of filters that are remembered for one connection until they are answered.
const MOST_FILTERS: usize = 256 << 10;

/// Pings that may be unanswered at once.
const MOST_PINGS: usize = 64;

/// So long after bytes were lost, no ping of before can still be on its way: nanoseconds.
const PING_DOUBT: u64 = 10_000_000_000;

/// Why nothing is paired after losses.
pub(super) const DOUBTFUL: &str = "bytes were lost both ways: what this answers is not certain";

/// The open exchanges of a connection.
#[derive(Debug, Default)]
pub(super) struct Opens {
    /// By the direction of the PUBLISH, by packet id.
    publishes: [BTreeMap<u16, Publish>; 2],
    /// SUBSCRIBEs and UNSUBSCRIBEs by packet id.
    asks: [BTreeMap<u16, Ask>; 2],
    filter_bytes: usize,
    pings: VecDeque<Sent>,
    /// Answers to pings that may still come and cannot be told apart.
    ping_debt: u32,
    lost_at: Option<Timestamp>,
    /// By direction: how often bytes were lost in which packets may have been.
    losses: [u64; 2],
    next: u64,
}

/// When and where something was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) key: Key,
    /// The position after its last byte: who answers it has read so far.
    pub(super) end: u64,
    losses: [u64; 2],
}

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) sent: Sent,
    pub(super) qos: u8,
    /// Its topic and length: what tells a repetition from another message of the same id.
    pub(super) print: u64,
    /// The PUBLISH itself was not seen: what was seen of its exchange.
    pub(super) unseen: Option<Box<Unseen>>,
}

/// A QoS 2 exchange that began before tracing, on another connection, or in lost bytes.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// The packets of it that were seen, with the ends' times.
    pub(super) steps: Vec<(&'static str, Timestamp)>,
    /// The latest of them, to be told where no answer follows.
    pub(super) latest: Option<Box<Message>>,
}

/// A SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) sent: Sent,
    pub(super) count: usize,
    /// Empty where they were too long to keep.
    pub(super) filters: Vec<Vec<u8>>,
}

/// How an answer relates to what is open.
#[derive(Debug)]
pub(super) enum Answered<T> {
    Yes(T),
    /// Something of that id is open, but it may be another.
    Doubtful,
    No,
}

impl Opens {
    /// A key that nothing else has.
    pub(super) fn alone(&mut self) -> Key {
        self.next += 1;
        Key { space: space::ALONE, id: self.next }
    }

    /// What is remembered of a packet that is to be answered.
    pub(super) fn sent(&self, space: u64, id: u64, end: u64) -> Sent {
        Sent { key: Key { space, id }, end, losses: self.losses }
    }

    /// Bytes in which packets may have been were lost.
    pub(super) fn lose(&mut self, direction: Direction, at: Timestamp) {
        self.losses[direction.index()] += 1;
        self.ping_debt = self.ping_debt.saturating_add(self.pings.len() as u32);
        self.pings.clear();
        self.lost_at = Some(at);
    }

    /// Whether bytes in which packets may have been were ever lost.
    pub(super) fn has_lost(&self) -> bool {
        self.losses != [0; 2]
    }

    /// Whether an answer whose sender had read so far can be the answer to this. Where bytes were
    /// lost both ways, this may have been answered and its id used again unseen.
    fn may_answer(&self, sent: &Sent, read: Option<u64>) -> Answered<()> {
        if read.is_some_and(|read| read < sent.end) {
            Answered::No
        } else if (0..2).all(|index| self.losses[index] > sent.losses[index]) {
            Answered::Doubtful
        } else {
            Answered::Yes(())
        }
    }

    pub(super) fn publish(&mut self, direction: Direction, id: u16, publish: Publish) -> Option<Publish> {
        self.publishes[direction.index()].insert(id, publish)
    }

    /// Whether this is an open PUBLISH, sent again.
    pub(super) fn is_repeated(&self, direction: Direction, id: u16, qos: u8, print: u64) -> bool {
        self.publishes[direction.index()].get(&id).is_some_and(|open| {
            open.unseen.is_none()
                && (open.qos, open.print) == (qos, print)
                && matches!(self.may_answer(&open.sent, None), Answered::Yes(()))
        })
    }

    /// The open PUBLISH that an acknowledgement belongs to; `qos` is what it acknowledges.
    pub(super) fn acknowledged(
        &mut self,
        direction: Direction,
        id: u16,
        qos: u8,
        read: Option<u64>,
    ) -> Answered<&mut Publish> {
        let verdict = match self.publishes[direction.index()].get(&id) {
            Some(open) if open.qos == qos => self.may_answer(&open.sent, read),
            _ => Answered::No,
        };
        match verdict {
            Answered::Yes(()) => match self.publishes[direction.index()].get_mut(&id) {
                Some(open) => Answered::Yes(open),
                None => Answered::No,
            },
            Answered::Doubtful => Answered::Doubtful,
            Answered::No => Answered::No,
        }
    }

    pub(super) fn close_publish(&mut self, direction: Direction, id: u16) -> Option<Publish> {
        self.publishes[direction.index()].remove(&id)
    }

    /// The exchanges of which the PUBLISH was not seen and no end either.
    pub(super) fn take_unseen(&mut self) -> Vec<Publish> {
        let mut unseen: Vec<Publish> = Vec::new();
        for table in &mut self.publishes {
            unseen.extend(table.extract_if(.., |_, open| open.unseen.is_some()).map(|(_, open)| open));
        }
        unseen.sort_by_key(|open| open.sent.key.id);
        unseen
    }

    /// Opens a SUBSCRIBE (0) or UNSUBSCRIBE (1). Whether the same was open already.
    pub(super) fn ask(&mut self, which: usize, id: u16, sent: Sent, mut filters: Vec<Vec<u8>>) -> bool {
        let count = filters.len();
        let bytes = size_of_filters(&filters);
        if self.filter_bytes + bytes > MOST_FILTERS {
            filters = Vec::new();
        } else {
            self.filter_bytes += bytes;
        }
        let before = self.asks[which].insert(id, Ask { sent, count, filters });
        let Some(before) = before else { return false };
        self.filter_bytes -= size_of_filters(&before.filters);
        before.count == count && self.asks[which].get(&id).is_some_and(|now| now.filters == before.filters)
    }

    /// How many filters the open SUBSCRIBE or UNSUBSCRIBE of this id has.
    pub(super) fn filters_of(&self, which: usize, id: u16) -> Option<usize> {
        let ask = self.asks[which].get(&id)?;
        matches!(self.may_answer(&ask.sent, None), Answered::Yes(())).then_some(ask.count)
    }

    /// The SUBSCRIBE or UNSUBSCRIBE that is answered.
    pub(super) fn answered(&mut self, which: usize, id: u16, read: Option<u64>) -> Answered<Ask> {
        let verdict = match self.asks[which].get(&id) {
            Some(ask) => self.may_answer(&ask.sent, read),
            None => Answered::No,
        };
        match verdict {
            Answered::Yes(()) => match self.asks[which].remove(&id) {
                Some(ask) => {
                    self.filter_bytes -= size_of_filters(&ask.filters);
                    Answered::Yes(ask)
                }
                None => Answered::No,
            },
            Answered::Doubtful => Answered::Doubtful,
            Answered::No => Answered::No,
        }
    }

    /// Opens a ping. Pings carry no id: they are answered in order, and after losses nobody can say
    /// which is answered until all of before must have been.
    pub(super) fn ping(&mut self, first: Mark, end: u64) -> Key {
        self.next += 1;
        let sent = self.sent(space::PING, self.next, end);
        if let Some(lost_at) = self.lost_at {
            if first.at.since(lost_at) > PING_DOUBT {
                self.lost_at = None;
                self.ping_debt = 0;
            } else {
                self.ping_debt = self.ping_debt.saturating_add(1);
                return sent.key;
            }
        }
        if self.pings.len() < MOST_PINGS {
            self.pings.push_back(sent);
        } else {
            self.ping_debt = self.ping_debt.saturating_add(self.pings.len() as u32 + 1);
            self.pings.clear();
            self.lost_at = Some(first.at);
        }
        sent.key
    }

    /// The ping that is answered.
    pub(super) fn pong(&mut self, read: Option<u64>) -> Answered<Key> {
        if self.ping_debt > 0 {
            self.ping_debt -= 1;
            return Answered::Doubtful;
        }
        match self.pings.front() {
            Some(ping) if read.is_none_or(|read| read >= ping.end) => {
                let key = ping.key;
                self.pings.pop_front();
                Answered::Yes(key)
            }
            _ => Answered::No,
        }
    }

    /// How many bytes all this takes.
    pub(super) fn held(&self) -> usize {
        let tables: usize = self.publishes.iter().map(BTreeMap::len).sum::<usize>() * size_of::<Publish>();
        let asks: usize = self.asks.iter().map(BTreeMap::len).sum::<usize>() * size_of::<Ask>();
        tables + asks + self.filter_bytes
    }
}

fn size_of_filters(filters: &[Vec<u8>]) -> usize {
    filters.iter().map(|filter| filter.len() + size_of::<Vec<u8>>()).sum()
}
