//! Which pong answers which ping (RFC 6455, 5.5.3): the one with the same payload. A pong may answer
//! the latest ping only.

use std::collections::VecDeque;

use l7trace_event::Timestamp;

/// Pings that wait for their pongs, of one direction.
#[derive(Debug, Default)]
pub(super) struct Pings {
    waiting: VecDeque<(Vec<u8>, Timestamp)>,
    /// Whether some may be missing here.
    gaps: bool,
}

/// More pings than this do not wait.
const MOST: usize = 64;

impl Pings {
    pub(super) fn ping(&mut self, payload: &[u8], first: Timestamp) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
            self.gaps = true;
        }
        self.waiting.push_back((payload.to_vec(), first));
    }

    /// When the ping that this answers began; false where none was seen although it would have been.
    pub(super) fn pong(&mut self, payload: &[u8]) -> Result<Timestamp, bool> {
        match self.waiting.iter().position(|(sent, _)| sent == payload) {
            Some(index) => {
                let first = self.waiting[index].1;
                self.waiting.drain(..=index);
                Ok(first)
            }
            None => Err(self.gaps),
        }
    }

    /// Some pings or pongs may not have been seen: none that waits can be told to be answered.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.gaps = true;
    }

    pub(super) fn held(&self) -> usize {
        self.waiting.iter().map(|(payload, _)| payload.len() + 32).sum()
    }
}
