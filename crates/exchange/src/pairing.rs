//! Which messages belong together: by the key that the parser gave them.

use std::collections::BTreeMap;

use l7trace_event::Timestamp;
use l7trace_protocol::{Key, Message};

use crate::Step;

/// The most exchanges that may be open on one connection; the one with the lowest key is given up.
const MOST_OPEN: usize = 65_536;

/// The most steps that are kept of one exchange.
const MOST_STEPS: usize = 64;

/// The open exchanges of a connection.
#[derive(Default)]
pub(crate) struct Pairing {
    /// The only one open, as it mostly is: saves the map's allocation.
    single: Option<Open>,
    /// All that are open, where `single` is none.
    several: BTreeMap<Key, Open>,
    sequence: u64,
}

/// An exchange whose response has not come.
pub(crate) struct Open {
    pub(crate) sequence: u64,
    pub(crate) request: Box<Message>,
    pub(crate) steps: Vec<Step>,
    pub(crate) repeats: u32,
}

impl Pairing {
    /// The next number of an exchange within the connection.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// How many exchanges were numbered.
    pub(crate) fn count(&self) -> u64 {
        self.sequence
    }

    /// How many exchanges are open.
    pub(crate) fn open(&self) -> usize {
        self.several.len() + usize::from(self.single.is_some())
    }

    /// Opens an exchange. Gives back one that had to make room: the old one of the same key, which
    /// now nothing can answer, or the lowest key where there are too many.
    pub(crate) fn request(&mut self, request: Box<Message>) -> Option<Open> {
        let open = Open { sequence: self.next_sequence(), request, steps: Vec::new(), repeats: 0 };
        let key = open.request.key;
        if self.several.is_empty() {
            match self.single.take() {
                None => {
                    self.single = Some(open);
                    return None;
                }
                Some(first) => {
                    self.several.insert(first.request.key, first);
                }
            }
        }
        let replaced = self.several.insert(key, open);
        if replaced.is_none() && self.several.len() > MOST_OPEN {
            return self.several.pop_first().map(|(_, open)| open);
        }
        replaced
    }

    /// The exchange that a response ends.
    pub(crate) fn response(&mut self, key: Key) -> Option<Open> {
        if self.single.as_ref().is_some_and(|open| open.request.key == key) {
            return self.single.take();
        }
        self.several.remove(&key)
    }

    /// An exchange that a response ends which stands for every id up to the key's: call until none
    /// is left.
    pub(crate) fn response_up_to(&mut self, key: Key) -> Option<Open> {
        let within = |open: &Open| open.request.key.space == key.space && open.request.key.id <= key.id;
        if self.single.as_ref().is_some_and(within) {
            return self.single.take();
        }
        let lowest = Key { space: key.space, id: 0 };
        let first = *self.several.range(lowest..=key).next()?.0;
        self.several.remove(&first)
    }

    /// Adds a step to the exchanges it belongs to. Whether there was one.
    pub(crate) fn step(&mut self, message: &Message) -> bool {
        let add = |open: &mut Open| {
            if open.steps.len() < MOST_STEPS {
                open.steps.push(step_of(message));
            }
        };
        self.each(message, add)
    }

    /// Counts a repetition of an open exchange's request. Whether there was one.
    pub(crate) fn repeat(&mut self, message: &Message) -> bool {
        self.each(message, |open| open.repeats += 1)
    }

    /// Everything still open, in order.
    pub(crate) fn drain(&mut self) -> Vec<Open> {
        let mut all: Vec<Open> = std::mem::take(&mut self.several).into_values().chain(self.single.take()).collect();
        all.sort_by_key(|open| open.sequence);
        all
    }

    fn each(&mut self, message: &Message, mut apply: impl FnMut(&mut Open)) -> bool {
        let (key, mut any) = (message.key, false);
        let lowest = if message.up_to { Key { space: key.space, id: 0 } } else { key };
        if let Some(open) = self.single.as_mut().filter(|open| (lowest..=key).contains(&open.request.key)) {
            apply(open);
            any = true;
        }
        for (_, open) in self.several.range_mut(lowest..=key) {
            apply(open);
            any = true;
        }
        any
    }
}

fn step_of(message: &Message) -> Step {
    let name = message.text_of(message.operation.or(message.status)).unwrap_or_default();
    Step {
        name: String::from_utf8_lossy(name).into_owned(),
        at: Timestamp(message.last.at.0),
        bytes: message.bytes,
        direction: message.direction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l7trace_event::Direction;
    use l7trace_protocol::Role;

    fn request(space: u64, id: u64) -> Box<Message> {
        let mut message = Message::new("test", Direction::ClientToServer, Role::Request);
        message.key = Key { space, id };
        Box::new(message)
    }

    #[test]
    fn one_acknowledgement_answers_all_up_to_it_in_its_space() {
        let mut pairing = Pairing::default();
        for (space, id) in [(1, 1), (1, 2), (2, 1), (1, 3)] {
            assert!(pairing.request(request(space, id)).is_none());
        }
        let up_to = Key { space: 1, id: 2 };
        let answered: Vec<u64> =
            std::iter::from_fn(|| pairing.response_up_to(up_to)).map(|open| open.request.key.id).collect();
        assert_eq!(answered, [1, 2]);
        assert_eq!(pairing.open(), 2);
        assert!(pairing.response(Key { space: 1, id: 3 }).is_some());
        assert!(pairing.response(Key { space: 1, id: 3 }).is_none());
    }

    #[test]
    fn the_same_key_again_gives_the_old_one_up() {
        let mut pairing = Pairing::default();
        assert!(pairing.request(request(0, 7)).is_none());
        assert_eq!(pairing.request(request(0, 7)).map(|open| open.sequence), Some(1));
        assert_eq!(pairing.drain().iter().map(|open| open.sequence).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn too_many_open_give_up_the_lowest_key() {
        let mut pairing = Pairing::default();
        for id in 0..MOST_OPEN as u64 {
            assert!(pairing.request(request(0, id)).is_none());
        }
        assert_eq!(pairing.request(request(0, 1 << 40)).map(|open| open.request.key.id), Some(0));
        assert_eq!(pairing.open(), MOST_OPEN);
    }
}
