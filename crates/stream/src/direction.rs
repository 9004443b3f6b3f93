use l7trace_event::{SourceKind, Timestamp, Witness};

use crate::Ending;
use crate::waiting::{Content, Waiting};

/// How far from what is known a position may be and still be believed at once. Receive windows are
/// smaller than this; what is farther off is a stray, or comes after a long hole and is believed
/// when a second position says the same.
const REACH: u64 = 16 << 20;

/// How near to a stray position another one must follow to confirm it.
const CONFIRMATION: u32 = 1 << 20;

/// Where positions begin: they are the sequence numbers, unwrapped, and may go back a little from
/// the first one seen.
const BIAS: u64 = 1 << 32;

/// What is known of the bytes that one side sends. Positions in here have the sequence number as
/// their low 32 bits.
pub(crate) struct Direction {
    /// Everything before is delivered or given up.
    pub(crate) next: u64,
    /// What deliveries call position 0.
    pub(crate) origin: u64,
    /// The end of what segments showed to exist; at least `next`.
    pub(crate) extent: u64,
    /// How far the other side has read, as far as that is believed.
    pub(crate) acknowledged: u64,
    /// Nobody has a use for what is before: what is missing of it was skipped.
    pub(crate) unneeded: u64,
    /// Where it ends, once that is known.
    pub(crate) end: Option<End>,
    /// The first who witnessed it.
    pub(crate) witness: Option<Witness>,
    /// How far each kind of witness has told of it, by [`kind`]; 0 where none of that kind has.
    reached: [u64; KINDS],
    /// The last position that could not be believed.
    stray: Option<u32>,
    /// Whether the positions mean anything yet.
    pub(crate) known: bool,
    /// Whether its own sender's segments were seen, not only what the other side said of them. A
    /// direction without is no part of what was seen, and holds nothing back.
    pub(crate) witnessed: bool,
    /// Whether its sender's first segment may still come, as the other side has just answered its
    /// opening: that is waited for as long as witnesses may disagree about the order of things.
    pub(crate) awaited: bool,
    /// Whether `origin` is the first byte ever sent.
    pub(crate) opened: bool,
    /// Whether `origin` was told to the sink and must stay.
    pub(crate) fixed: bool,
    /// Whether its end was delivered.
    pub(crate) ended: bool,
    pub(crate) speaker: Speaker,
    pub(crate) waiting: Option<Box<Waiting>>,
}

/// Where and how a direction ends.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) position: u64,
    pub(crate) ending: Ending,
}

/// Which end's calls count in a stream without positions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Not known yet.
    Unknown,
    /// The receiver's: the sender's were not seen for as long as witnesses may disagree.
    Receiver,
    /// The sender's.
    Sender,
}

/// What a sequence number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This position.
    Here(u64),
    /// Nothing that can be believed.
    Stray,
    /// Positions of another connection that uses the same tuple, it seems.
    Elsewhere,
}

impl Direction {
    pub(crate) fn new() -> Direction {
        Direction {
            next: 0,
            origin: 0,
            extent: 0,
            acknowledged: 0,
            unneeded: 0,
            end: None,
            witness: None,
            reached: [0; KINDS],
            stray: None,
            known: false,
            witnessed: false,
            awaited: false,
            opened: false,
            fixed: false,
            ended: false,
            speaker: Speaker::Unknown,
            waiting: None,
        }
    }

    /// Begins at this sequence number; gives its position.
    pub(crate) fn begin(&mut self, sequence: u32) -> u64 {
        self.begin_at(BIAS | u64::from(sequence));
        self.next
    }

    /// Begins at this position, which no byte and no acknowledgement told to the sink depends on.
    pub(crate) fn begin_at(&mut self, position: u64) {
        self.known = true;
        self.next = position;
        self.origin = position;
        self.extent = position;
        self.acknowledged = position;
    }

    /// Whether nothing came of it but its beginning.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        !self.fixed && !self.ended && self.next == self.origin && self.extent == self.origin && self.waiting.is_none()
    }

    /// What a sequence number means here. A number far from everything known is believed when the
    /// next such number is near it.
    #[inline]
    pub(crate) fn locate(&mut self, sequence: u32) -> Place {
        let newest = self.extent.max(self.acknowledged);
        let position = unwrap(sequence, newest);
        // What was delivered is known however long ago it was: a slower witness may still tell of it.
        let oldest = self.origin.min(self.next.saturating_sub(REACH));
        if (oldest..=newest + REACH).contains(&position) {
            self.stray = None;
            return Place::Here(position);
        }
        let confirmed = self.stray.is_some_and(|stray| sequence.wrapping_sub(stray) < CONFIRMATION);
        if !confirmed {
            self.stray = Some(sequence);
            return Place::Stray;
        }
        self.stray = None;
        if position > newest && position - newest <= 1 << 30 { Place::Here(position) } else { Place::Elsewhere }
    }

    /// Whether the first bytes that wait here may be delivered, and came before `at`.
    pub(crate) fn is_due_before(&self, at: Timestamp, other: &Direction) -> bool {
        let first = self.waiting.as_deref().and_then(Waiting::first);
        first.is_some_and(|(start, piece)| {
            matches!(piece.content, Content::Bytes(_))
                && !self.ended
                && start == self.next
                && piece.stamp.at < at
                && other.has_reached(piece.stamp.acknowledged)
        })
    }

    /// Whether bytes whose sender had read this direction up to `position` may be delivered: never
    /// before what their sender had read.
    #[inline]
    pub(crate) fn has_reached(&self, position: Option<u64>) -> bool {
        let Some(position) = position else { return true };
        position <= self.next
            || (!self.witnessed && !self.awaited)
            || self.ended
            // Not believed any more, or never.
            || position > self.acknowledged
            // Everything there is; one more is the place of a FIN.
            || self.end.is_some_and(|end| self.next >= end.position)
            || (position == self.next + 1 && self.is_all_but_fin())
    }

    /// Whether the acknowledgements are one ahead of a direction that is complete as far as was
    /// seen: what they acknowledge is a FIN that was not seen (yet), not a byte.
    #[inline]
    pub(crate) fn is_all_but_fin(&self) -> bool {
        self.extent == self.next && self.acknowledged == self.next + 1
    }

    /// Where the hole at `next` ends, where there is one.
    #[inline]
    pub(crate) fn hole(&self) -> Option<u64> {
        if !self.witnessed || self.ended {
            return None;
        }
        if let Some((start, _)) = self.waiting.as_ref().and_then(|waiting| waiting.first()) {
            return (start > self.next).then_some(start);
        }
        let most = self.extent.max(self.acknowledged);
        (most > self.next && !self.is_all_but_fin()).then_some(most)
    }

    /// Notes that a witness has told of everything up to `position`: bytes, or their absence.
    #[inline]
    pub(crate) fn reach(&mut self, witness: Witness, position: u64) {
        let reached = &mut self.reached[kind(witness)];
        *reached = position.max(*reached);
    }

    /// Whether a witness of this direction has yet to tell of the bytes before `to`: they may come
    /// still. What the receiver's kernel has acknowledged is no longer on its way in packets, but its
    /// process may have yet to read it.
    pub(crate) fn may_be_told(&self, to: u64) -> bool {
        let acknowledged = self.acknowledged >= to;
        let late = |(kind, reached): (usize, &u64)| *reached > 0 && *reached < to && !(kind == PACKETS && acknowledged);
        self.reached.iter().enumerate().any(late)
    }

    /// Where things wait, made where there is none yet.
    pub(crate) fn waiting(&mut self, at: Timestamp, heard: Timestamp) -> &mut Waiting {
        let (next, acknowledged) = (self.next, self.acknowledged);
        self.waiting.get_or_insert_with(|| {
            let mut waiting = Waiting::new(at, heard);
            if acknowledged > next {
                waiting.acknowledge(acknowledged, at);
            }
            waiting
        })
    }

    /// Forgets the waiting room where nothing waits.
    pub(crate) fn tidy(&mut self) {
        let Some(waiting) = &mut self.waiting else { return };
        if self.ended {
            self.waiting = None;
            return;
        }
        waiting.follow(self.next, self.acknowledged);
        let needed = waiting.has_pieces() || !waiting.provisional.is_empty();
        let end_waits = self.end.is_some();
        if !needed && !end_waits && self.hole().is_none() {
            self.waiting = None;
        }
    }

    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.held())
    }
}

/// The kinds of witnesses that tell of a direction at a pace of their own.
const KINDS: usize = 3;
const PACKETS: usize = 0;

/// Packets wherever they were seen, the calls of the sender, or those of the receiver.
fn kind(witness: Witness) -> usize {
    match witness {
        Witness { source: SourceKind::Syscalls, place: 0 } => 1,
        Witness { source: SourceKind::Syscalls, .. } => 2,
        _ => PACKETS,
    }
}

/// The position near `reference` that has this sequence number.
#[inline]
pub(crate) fn unwrap(sequence: u32, reference: u64) -> u64 {
    let distance = sequence.wrapping_sub(reference as u32) as i32;
    reference.saturating_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap() {
        let mut direction = Direction::new();
        let start = direction.begin(0xffff_fff0);
        assert_eq!(direction.locate(0x10), Place::Here(start + 0x20));
        assert_eq!(direction.locate(0xffff_ffe0), Place::Here(start - 0x10));
    }

    #[test]
    fn a_far_position_needs_a_second_one() {
        let mut direction = Direction::new();
        let start = direction.begin(1_000);
        assert_eq!(direction.locate(900_001_000), Place::Stray);
        assert_eq!(direction.locate(1_001), Place::Here(start + 1));
        assert_eq!(direction.locate(900_001_100), Place::Stray, "what was believed in between refutes it");
        assert_eq!(direction.locate(900_001_200), Place::Here(start + 900_000_200));
        assert_eq!(direction.locate(3_000_000_000), Place::Stray);
        assert_eq!(direction.locate(3_000_001_000), Place::Elsewhere);
    }
}
