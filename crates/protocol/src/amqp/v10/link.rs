//! Sessions, links and deliveries: what must be remembered to pair and to name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use crate::Message;

/// The most that is remembered of each kind.
pub(super) const MOST: usize = 65_536;

/// The most ranges of ids that are kept apart.
const MOST_RANGES: usize = 1024;

/// One direction's end of a session, by the channel that its sender uses.
#[derive(Default)]
pub(super) struct Session {
    /// The channel that the other side uses for the same session.
    pub(super) peer: Option<u16>,
    /// Links that this direction's sender attached, by handle.
    pub(super) links: BTreeMap<u64, Link>,
    /// Deliveries that this direction sent and nobody settled.
    pub(super) unsettled: BTreeSet<u64>,
    /// Every delivery that is known of: sent, or settled unseen.
    pub(super) known: Ids,
    /// The delivery that is being sent over several transfers, by handle.
    pub(super) sending: BTreeMap<u64, Sending>,
}

pub(super) struct Link {
    pub(super) name: String,
    /// Where messages go to, or come from.
    pub(super) address: Option<String>,
    /// Bytes were lost since: its handle may mean another by now.
    pub(super) unsure: bool,
}

/// A message that is coming over several transfers.
pub(super) struct Sending {
    pub(super) message: Box<Message>,
    pub(super) payload: Vec<u8>,
    pub(super) size: u64,
    pub(super) delivery: Option<u64>,
    pub(super) settled: bool,
    pub(super) aborted: bool,
    /// Whether another transfer follows the one that is being read.
    pub(super) more: bool,
}

/// Numbers, mostly one after another.
#[derive(Default)]
pub(super) struct Ids(Vec<RangeInclusive<u64>>);

impl Ids {
    pub(super) fn add(&mut self, ids: RangeInclusive<u64>) {
        let (mut first, mut last) = ids.into_inner();
        // Ranges that touch are one, so that what is known in a row stands in one of them.
        self.0.retain(|range| {
            let apart = range.end().saturating_add(1) < first || *range.start() > last.saturating_add(1);
            if !apart {
                (first, last) = (first.min(*range.start()), last.max(*range.end()));
            }
            apart
        });
        if self.0.len() >= MOST_RANGES {
            self.0.remove(0);
        }
        self.0.push(first..=last);
    }

    pub(super) fn has_all(&self, ids: &RangeInclusive<u64>) -> bool {
        self.0.iter().any(|range| range.contains(ids.start()) && range.contains(ids.end()))
    }

    /// How many bytes this takes.
    pub(super) fn held(&self) -> usize {
        self.0.len() * size_of::<RangeInclusive<u64>>()
    }
}

/// Things that both sides say, the first asking and the second answering.
#[derive(Default)]
pub(super) struct Open {
    /// By direction of the asker: what was asked, with the id of its key.
    asked: [VecDeque<(String, u64)>; 2],
}

impl Open {
    /// Whether this answers something that the other side asked: then its id; else it asks itself.
    pub(super) fn answers(&mut self, direction: usize, what: &str) -> Option<u64> {
        let asked = &mut self.asked[1 - direction];
        let index = asked.iter().position(|(earlier, _)| earlier == what)?;
        asked.remove(index).map(|(_, id)| id)
    }

    pub(super) fn asks(&mut self, direction: usize, what: String, id: u64) {
        if self.asked[direction].len() < MOST {
            self.asked[direction].push_back((what, id));
        }
    }

    /// Takes what `direction` asked and is open, where it is one thing alone that begins so.
    pub(super) fn take_only(&mut self, direction: usize, beginning: &str) -> Option<u64> {
        let mut open =
            (0..self.asked[direction].len()).filter(|at| self.asked[direction][*at].0.starts_with(beginning));
        let (Some(only), None) = (open.next(), open.next()) else { return None };
        self.asked[direction].remove(only).map(|(_, id)| id)
    }

    /// Bytes of `direction` were lost, answers perhaps among them: what the other side asked cannot be
    /// told to be answered any more.
    pub(super) fn forget_answers(&mut self, direction: usize) {
        self.asked[1 - direction].clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_row_are_one_range() {
        let mut ids = Ids::default();
        for id in 5..10 {
            ids.add(id..=id);
        }
        ids.add(20..=30);
        ids.add(8..=21);
        assert!(ids.has_all(&(5..=30)) && !ids.has_all(&(4..=5)) && !ids.has_all(&(30..=31)));
        assert_eq!(ids.0.len(), 1);
        ids.add(u64::MAX - 1..=u64::MAX);
        ids.add(u64::MAX..=u64::MAX);
        assert!(ids.has_all(&(u64::MAX - 1..=u64::MAX)) && ids.0.len() == 2);
        for id in 0..5_000 {
            ids.add(100 + id * 2..=100 + id * 2);
        }
        assert_eq!(ids.0.len(), MOST_RANGES);
    }
}
