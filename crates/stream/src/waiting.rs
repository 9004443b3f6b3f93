use std::collections::BTreeMap;
use std::time::Duration;

use l7trace_event::{Cause, Timestamp, Witness};

/// What one direction holds while it cannot go on: a hole is before it, or the other direction has
/// to come first. Boxed and rare.
pub(crate) struct Waiting {
    /// By position; they do not overlap and none begins before the direction's `next`.
    pieces: BTreeMap<u64, Piece>,
    /// What the pieces and the provisional ones take in memory.
    held: usize,
    /// When the hole was noticed, or something last came before it.
    pub(crate) since: Timestamp,
    /// When the connection was last heard of before the first hole was noticed: what is missing
    /// went by after that.
    pub(crate) heard: Timestamp,
    /// The first acknowledgement beyond the direction's `next` that has not been acted upon.
    passed: Option<Passed>,
    /// When the latest acknowledgement came.
    pub(crate) latest: Timestamp,
    /// How far the sender had read when it ended the direction, where the end has to wait.
    pub(crate) end_stamp: Option<Stamp>,
    /// What the receiver of a stream without positions read, while it is not known whether its
    /// sender speaks as well.
    pub(crate) provisional: Vec<Provisional>,
}

/// At this time the receiver had acknowledged up to here.
#[derive(Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) at: Timestamp,
    pub(crate) to: u64,
}

/// Who brought something, when, and how far its sender had read the other direction.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) at: Timestamp,
    pub(crate) witness: Witness,
    /// A position in the other direction, in that one's own internal terms.
    pub(crate) acknowledged: Option<u64>,
}

/// Bytes that came early, or bytes that are known to be missing.
pub(crate) struct Piece {
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Bytes(Box<[u8]>),
    Missing { length: u64, cause: Cause },
}

/// What a receiver's call moved, in a stream without positions.
pub(crate) struct Provisional {
    pub(crate) stamp: Stamp,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) missing: u32,
    pub(crate) cause: Cause,
    pub(crate) end: bool,
}

/// What a piece costs beside its bytes: its place in the tree and the allocation.
const OVERHEAD: usize = 96;

impl Content {
    fn length(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Missing { length, .. } => *length,
        }
    }

    fn cost(&self) -> usize {
        match self {
            Content::Bytes(bytes) => OVERHEAD + bytes.len(),
            Content::Missing { .. } => OVERHEAD,
        }
    }
}

impl Waiting {
    pub(crate) fn new(at: Timestamp, heard: Timestamp) -> Box<Waiting> {
        Box::new(Waiting {
            pieces: BTreeMap::new(),
            held: 0,
            since: at,
            heard,
            passed: None,
            latest: at,
            end_stamp: None,
            provisional: Vec::new(),
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn has_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }

    pub(crate) fn first(&self) -> Option<(u64, &Piece)> {
        self.pieces.first_key_value().map(|(start, piece)| (*start, piece))
    }

    pub(crate) fn pop_first(&mut self) -> Option<Piece> {
        let (_, piece) = self.pieces.pop_first()?;
        self.held -= piece.content.cost();
        Some(piece)
    }

    /// Notes that the receiver acknowledged beyond `next`.
    pub(crate) fn acknowledge(&mut self, to: u64, at: Timestamp) {
        self.latest = at;
        self.passed.get_or_insert(Passed { at, to });
    }

    /// Notes that the receiver did not acknowledge so far, after all.
    pub(crate) fn retract(&mut self) {
        self.passed = None;
    }

    /// The acknowledgement beyond `next` that is to be acted upon once it is old enough.
    pub(crate) fn passed(&self) -> Option<Passed> {
        self.passed
    }

    /// Follows the direction as it goes on to `next`.
    pub(crate) fn follow(&mut self, next: u64, acknowledged: u64) {
        if self.passed.is_some_and(|passed| passed.to <= next) {
            self.passed = (acknowledged > next).then_some(Passed { at: self.latest, to: acknowledged });
        }
    }

    /// The first part of `from..to` that no piece has bytes for.
    pub(crate) fn vacancy(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let mut from = from;
        if let Some((start, piece)) = self.pieces.range(..=from).next_back()
            && matches!(piece.content, Content::Bytes(_))
        {
            from = from.max(start + piece.content.length());
        }
        for (start, piece) in self.pieces.range(from..) {
            let Content::Bytes(bytes) = &piece.content else { continue };
            if *start >= to {
                break;
            }
            if *start > from {
                return Some((from, *start));
            }
            from = *start + bytes.len() as u64;
        }
        (from < to).then_some((from, to))
    }

    /// Keeps bytes for which there is a vacancy.
    pub(crate) fn keep(&mut self, start: u64, bytes: &[u8], stamp: Stamp) {
        self.found(start, start + bytes.len() as u64);
        self.insert(start, Piece { stamp, content: Content::Bytes(bytes.into()) });
    }

    /// Keeps in mind what is known to be missing of `from..to`, where nothing else is known.
    pub(crate) fn keep_missing(&mut self, from: u64, to: u64, cause: Cause, stamp: Stamp) {
        if cause == Cause::Skipped {
            // Who skipped them could have told them: they are not lost, whatever another one says.
            self.found(from, to);
        }
        let mut from = from;
        if let Some((start, piece)) = self.pieces.range(..=from).next_back() {
            from = from.max(start + piece.content.length());
        }
        while from < to {
            let next = self.pieces.range(from..to).next().map(|(start, piece)| (*start, piece.content.length()));
            let until = next.map_or(to, |(start, _)| start);
            if until > from {
                self.insert(from, Piece { stamp, content: Content::Missing { length: until - from, cause } });
            }
            from = next.map_or(to, |(start, length)| start + length);
        }
    }

    /// The bytes of `from..to` came after all: they are no longer missing.
    pub(crate) fn found(&mut self, from: u64, to: u64) {
        let before = self.pieces.range(..from).next_back().map(|(start, _)| *start);
        let first = before.unwrap_or(from);
        while let Some((start, length, cause, stamp)) = self.missing_in(first, from, to) {
            self.remove(start);
            if start < from {
                self.insert(start, Piece { stamp, content: Content::Missing { length: from - start, cause } });
            }
            if start + length > to {
                self.insert(to, Piece { stamp, content: Content::Missing { length: start + length - to, cause } });
            }
        }
    }

    /// The first missing piece at or after `first` that has a part of `from..to`.
    fn missing_in(&self, first: u64, from: u64, to: u64) -> Option<(u64, u64, Cause, Stamp)> {
        self.pieces.range(first..to).find_map(|(start, piece)| match piece.content {
            Content::Missing { length, cause } if start + length > from => Some((*start, length, cause, piece.stamp)),
            _ => None,
        })
    }

    pub(crate) fn keep_provisional(&mut self, provisional: Provisional) {
        self.held += OVERHEAD + provisional.bytes.len();
        self.provisional.push(provisional);
    }

    pub(crate) fn take_provisional(&mut self) -> Vec<Provisional> {
        for provisional in &self.provisional {
            self.held -= OVERHEAD + provisional.bytes.len();
        }
        std::mem::take(&mut self.provisional)
    }

    fn insert(&mut self, start: u64, piece: Piece) {
        self.held += piece.content.cost();
        if let Some(replaced) = self.pieces.insert(start, piece) {
            self.held -= replaced.content.cost();
        }
    }

    fn remove(&mut self, start: u64) {
        if let Some(piece) = self.pieces.remove(&start) {
            self.held -= piece.content.cost();
        }
    }
}

/// The earlier of two times, where there are any.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether `wait` has gone by since `since`.
pub(crate) fn is_due(since: Timestamp, wait: Duration, now: Timestamp) -> bool {
    since + wait <= now
}

#[cfg(test)]
mod tests {
    use l7trace_event::SourceKind;

    use super::*;

    fn stamp() -> Stamp {
        let witness = Witness { source: SourceKind::File, place: 0 };
        Stamp { at: Timestamp(1), witness, acknowledged: None }
    }

    fn shape(waiting: &Waiting) -> Vec<(u64, String)> {
        let show = |content: &Content| match content {
            Content::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Content::Missing { length, .. } => format!("?{length}"),
        };
        waiting.pieces.iter().map(|(start, piece)| (*start, show(&piece.content))).collect()
    }

    #[test]
    fn what_is_missing_gives_way_to_bytes() {
        let mut waiting = Waiting::new(Timestamp(1), Timestamp(0));
        waiting.keep_missing(10, 20, Cause::ZeroCopy, stamp());
        waiting.keep(12, b"ab", stamp());
        waiting.keep_missing(8, 25, Cause::ZeroCopy, stamp());
        let pieces: Vec<_> = shape(&waiting);
        let expected = [(8, "?2"), (10, "?2"), (12, "ab"), (14, "?6"), (20, "?5")];
        assert_eq!(pieces, expected.map(|(start, text)| (start, text.to_owned())));
        assert_eq!(waiting.vacancy(12, 30), Some((14, 30)));
        assert_eq!(waiting.vacancy(5, 30), Some((5, 12)));
        waiting.found(9, 30);
        assert_eq!(shape(&waiting), [(8, "?1".to_owned()), (12, "ab".to_owned())]);
        assert_eq!(waiting.held(), 2 * OVERHEAD + 2);
    }

    #[test]
    fn what_one_witness_skipped_is_not_lost_by_another() {
        let mut waiting = Waiting::new(Timestamp(1), Timestamp(0));
        waiting.keep_missing(10, 20, Cause::CaptureLimit, stamp());
        waiting.keep_missing(14, 30, Cause::Skipped, stamp());
        waiting.keep_missing(10, 30, Cause::CaptureLimit, stamp());
        let causes: Vec<(u64, u64, Cause)> = waiting
            .pieces
            .iter()
            .filter_map(|(start, piece)| match piece.content {
                Content::Missing { length, cause } => Some((*start, length, cause)),
                Content::Bytes(_) => None,
            })
            .collect();
        assert_eq!(causes, [(10, 4, Cause::CaptureLimit), (14, 16, Cause::Skipped)]);
    }

    #[test]
    fn vacancies_lie_between_bytes() {
        let mut waiting = Waiting::new(Timestamp(1), Timestamp(0));
        waiting.keep(10, b"abc", stamp());
        waiting.keep(13, b"d", stamp());
        waiting.keep(20, b"e", stamp());
        assert_eq!(waiting.vacancy(11, 14), None);
        assert_eq!(waiting.vacancy(11, 30), Some((14, 20)));
        assert_eq!(waiting.vacancy(20, 30), Some((21, 30)));
        assert_eq!(waiting.vacancy(8, 9), Some((8, 9)));
    }
}
