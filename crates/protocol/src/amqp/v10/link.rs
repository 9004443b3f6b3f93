//! Sessions, links and deliveries: what must be remembered to pair and to name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Message;

/// The most that is remembered of each kind.
pub(super) const MOST: usize = 65_536;

/// One direction's end of a session, by the channel that its sender uses.
#[derive(Default)]
pub(super) struct Session {
    /// The channel that the other side uses for the same session.
    pub(super) peer: Option<u16>,
    /// Links that this direction's sender attached, by handle.
    pub(super) links: BTreeMap<u64, Link>,
    /// Deliveries that this direction sent and nobody settled.
    pub(super) unsettled: BTreeSet<u64>,
    /// The delivery that is being sent over several transfers, by handle.
    pub(super) sending: BTreeMap<u64, Sending>,
}

pub(super) struct Link {
    pub(super) name: String,
    /// Where messages go to, or come from.
    pub(super) address: Option<String>,
}

/// A message that is coming over several transfers.
pub(super) struct Sending {
    pub(super) message: Box<Message>,
    pub(super) payload: Vec<u8>,
    pub(super) size: u64,
    pub(super) delivery: Option<u64>,
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

    /// Bytes were lost: what is open cannot be told to be answered any more.
    pub(super) fn forget(&mut self) {
        self.asked = Default::default();
    }
}
