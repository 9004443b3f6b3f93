use std::array;

/// Places for the connections, each under a small number, with two lists threaded through them: all
/// by when they were last used, and those that hold much by how much they hold. Every operation
/// takes constant time.
pub(crate) struct Roster<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    by_use: Ends,
    by_weight: [Ends; CLASSES],
}

struct Slot<T> {
    by_use: Links,
    by_weight: Links,
    class: u8,
    content: Option<Box<T>>,
}

#[derive(Clone, Copy)]
struct Links {
    newer: u32,
    older: u32,
}

/// The newest and the oldest of a list.
#[derive(Clone, Copy)]
struct Ends {
    newest: u32,
    oldest: u32,
}

const NONE: u32 = u32::MAX;
/// A class of weight holds what has the same highest bit.
const CLASSES: usize = 65;
/// Weights below this are not told apart: most connections hold nothing or little.
const LIGHT: usize = 4096;

impl<T> Default for Roster<T> {
    fn default() -> Roster<T> {
        let empty = Ends { newest: NONE, oldest: NONE };
        Roster { slots: Vec::new(), free: Vec::new(), by_use: empty, by_weight: array::from_fn(|_| empty) }
    }
}

impl<T> Roster<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Where the next one will be.
    pub(crate) fn next_place(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    /// Takes one in, as the one used last.
    pub(crate) fn insert(&mut self, content: Box<T>) -> u32 {
        let unlinked = Links { newer: NONE, older: NONE };
        let slot = Slot { by_use: unlinked, by_weight: unlinked, class: 0, content: Some(content) };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        link(&mut self.slots, index, &mut self.by_use, |slot| &mut slot.by_use);
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<Box<T>> {
        let content = self.slots.get_mut(index as usize)?.content.take()?;
        unlink(&mut self.slots, index, &mut self.by_use, |slot| &mut slot.by_use);
        self.weigh(index, 0);
        self.free.push(index);
        Some(content)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.content.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.content.as_deref_mut()
    }

    /// Makes it the one used last.
    #[inline]
    pub(crate) fn touch(&mut self, index: u32) {
        if self.by_use.newest != index {
            unlink(&mut self.slots, index, &mut self.by_use, |slot| &mut slot.by_use);
            link(&mut self.slots, index, &mut self.by_use, |slot| &mut slot.by_use);
        }
    }

    /// The one used last.
    #[inline]
    pub(crate) fn newest(&self) -> Option<u32> {
        (self.by_use.newest != NONE).then_some(self.by_use.newest)
    }

    /// The one not used for longest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.by_use.oldest != NONE).then_some(self.by_use.oldest)
    }

    /// Notes how much it holds.
    pub(crate) fn weigh(&mut self, index: u32, weight: usize) {
        let class = if weight < LIGHT { 0 } else { (usize::BITS - weight.leading_zeros()) as u8 };
        let before = self.slots[index as usize].class;
        if class == before {
            return;
        }
        if before > 0 {
            unlink(&mut self.slots, index, &mut self.by_weight[before as usize], |slot| &mut slot.by_weight);
        }
        if class > 0 {
            link(&mut self.slots, index, &mut self.by_weight[class as usize], |slot| &mut slot.by_weight);
        }
        self.slots[index as usize].class = class;
    }

    /// One that holds most, to within a factor of two; none where all hold little.
    pub(crate) fn heaviest(&self) -> Option<u32> {
        self.by_weight.iter().rev().map(|ends| ends.oldest).find(|oldest| *oldest != NONE)
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| slot.content.as_deref().map(|content| (index as u32, content)))
    }
}

fn link<T>(slots: &mut [Slot<T>], index: u32, ends: &mut Ends, links: impl Fn(&mut Slot<T>) -> &mut Links) {
    *links(&mut slots[index as usize]) = Links { newer: NONE, older: ends.newest };
    match ends.newest {
        NONE => ends.oldest = index,
        newest => links(&mut slots[newest as usize]).newer = index,
    }
    ends.newest = index;
}

fn unlink<T>(slots: &mut [Slot<T>], index: u32, ends: &mut Ends, links: impl Fn(&mut Slot<T>) -> &mut Links) {
    let Links { newer, older } = *links(&mut slots[index as usize]);
    match newer {
        NONE => ends.newest = older,
        newer => links(&mut slots[newer as usize]).older = older,
    }
    match older {
        NONE => ends.oldest = newer,
        older => links(&mut slots[older as usize]).newer = newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_one_not_touched_for_longest() {
        let mut roster = Roster::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| roster.insert(Box::new(name)));
        assert_eq!(roster.oldest(), Some(a));
        roster.touch(a);
        assert_eq!(roster.oldest(), Some(b));
        assert_eq!(roster.remove(b).as_deref(), Some(&"b"));
        assert_eq!(roster.oldest(), Some(c));
        assert_eq!(roster.insert(Box::new("d")), b, "places are used again");
        assert_eq!((roster.len(), roster.remove(c), roster.remove(c)), (3, Some(Box::new("c")), None));
        assert_eq!(roster.oldest(), Some(a));
    }

    #[test]
    fn the_heaviest_is_known_without_looking() {
        let mut roster = Roster::default();
        let [a, b] = ["a", "b"].map(|name| roster.insert(Box::new(name)));
        assert_eq!(roster.heaviest(), None);
        roster.weigh(a, 5_000);
        roster.weigh(b, 100_000);
        assert_eq!(roster.heaviest(), Some(b));
        roster.weigh(b, 10);
        assert_eq!(roster.heaviest(), Some(a));
        roster.remove(a);
        assert_eq!(roster.heaviest(), None);
    }
}
