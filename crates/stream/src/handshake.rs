use l7trace_event::{Flags, Segment, Side};

use crate::connection::Connection;
use crate::direction::{Direction, unwrap};

/// What a SYN meant for its connection.
pub(crate) enum Opening {
    /// It opens the direction, or did so before and was sent again.
    Taken,
    /// It is none of this connection's, or that is not known yet.
    Stray,
    /// It opens another connection with the same tuple.
    Reused(Option<(Side, u32)>),
}

/// How much data a SYN may carry (TFO) and have acknowledged at once.
const MOST_IN_SYN: u32 = 1 << 16;

impl<State> Connection<State> {
    /// Takes in a SYN; `first` is the sequence number after it.
    ///
    /// A SYN with another sequence number than the connection's own is a retry while nothing else
    /// was said; a new connection where the old one is ending; and otherwise a suspect, for anyone
    /// can send one: it is believed when the other end answers it or its sender goes on from it.
    pub(crate) fn open(&mut self, from: Side, first: u32, segment: &Segment<'_>) -> Opening {
        let answer = segment.flags.has(Flags::ANSWER);
        let [direction, _] = self.pair(from);
        if direction.known && direction.origin as u32 == first {
            self.opens(from, answer);
            return Opening::Taken;
        }
        if answer { self.answer(from, first, segment) } else { self.ask(from, first) }
    }

    /// Begins with a SYN that was seen while the tuple was still another connection's.
    pub(crate) fn resume(&mut self, from: Side, sequence: u32) {
        let direction = &mut self.directions[from.index()];
        direction.begin(sequence.wrapping_add(1));
        direction.witnessed = true;
        self.opens(from, false);
    }

    fn ask(&mut self, from: Side, first: u32) -> Opening {
        let suspect = Some((from, first.wrapping_sub(1)));
        let [direction, other] = self.pair(from);
        if direction.is_untouched() && (!direction.known || other.is_untouched()) {
            // What was known of the other direction was another attempt's, unless it opened itself
            // at the same time, or spoke before this was seen.
            if other.is_untouched() && (direction.opened || !other.opened) {
                restart(other);
            }
            restart(direction);
            direction.begin(first);
            self.opens(from, false);
            return Opening::Taken;
        }
        if direction.ended || other.ended || self.closing.is_some() {
            return Opening::Reused(suspect);
        }
        self.suspect = suspect;
        Opening::Stray
    }

    fn answer(&mut self, from: Side, first: u32, segment: &Segment<'_>) -> Opening {
        if let Some((asker, sequence)) = self.suspect
            && asker != from
            && segment.acknowledged.is_some_and(|read| read.wrapping_sub(sequence).wrapping_sub(1) <= MOST_IN_SYN)
        {
            return Opening::Reused(self.suspect);
        }
        let [direction, other] = self.pair(from);
        let answers = segment
            .acknowledged
            .is_none_or(|read| !other.opened || (other.origin..=other.extent).contains(&unwrap(read, other.extent)));
        if !direction.is_untouched() || !answers {
            return Opening::Stray;
        }
        restart(direction);
        direction.begin(first);
        // A SYN that was not seen is one before what its answer acknowledges.
        if let Some(read) = segment.acknowledged {
            if !other.known {
                other.begin(read);
            }
            if other.origin as u32 == read {
                other.opened = true;
                other.awaited = !other.witnessed;
                self.facts.from_start[from.other().index()] = true;
            }
        }
        self.opens(from, true);
        Opening::Taken
    }

    fn opens(&mut self, from: Side, answer: bool) {
        self.directions[from.index()].opened = true;
        self.facts.from_start[from.index()] = true;
        self.facts.initiator.get_or_insert(if answer { from.other() } else { from });
    }
}

/// Forgets an attempt that came to nothing.
fn restart(direction: &mut Direction) {
    let (witness, witnessed) = (direction.witness, direction.witnessed);
    *direction = Direction::new();
    (direction.witness, direction.witnessed) = (witness, witnessed);
}
