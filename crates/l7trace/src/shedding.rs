//! What is given up where the parsers fall behind for long: first the long pieces, which are mostly of
//! bodies, then all but the beginning of each.

use l7trace_event::{Cause, Event, What};

/// How far behind, in bytes that wait, and how much of each piece is read then. It is less than what may
/// wait at all: afterwards the kernel's ring would fill up, and whole pieces be lost.
const STAGES: [(usize, usize); 2] = [(24 << 20, 4096), (48 << 20, 512)];

/// Below this l7trace has caught up.
const CAUGHT_UP: usize = 2 << 20;

/// How much of each piece is read.
#[derive(Debug, Default)]
pub(crate) struct Shedding {
    /// None: all.
    limit: Option<usize>,
    /// How many stages were spoken of.
    said: usize,
}

impl Shedding {
    /// So many bytes wait to be decoded. Gives what is to be said of it: once for each stage.
    pub(crate) fn behind(&mut self, bytes: usize) -> Option<String> {
        let stage = STAGES.iter().take_while(|(behind, _)| bytes >= *behind).count();
        match stage.checked_sub(1) {
            Some(last) => {
                let limit = STAGES[last].1;
                self.limit = Some(self.limit.map_or(limit, |before| before.min(limit)));
            }
            None if bytes < CAUGHT_UP => self.limit = None,
            None => {}
        }
        if stage <= self.said {
            return None;
        }
        self.said = stage;
        let (behind, limit) = STAGES[stage - 1];
        Some(format!(
            "fell behind by {} MB: of each piece only the first {limit} bytes are read until that is made up for; the \
             rest is counted as `backlog`",
            behind >> 20
        ))
    }

    /// The event without what is given up of it; none where that is nothing.
    pub(crate) fn cut<'a>(&self, event: &Event<'a>) -> Option<Event<'a>> {
        let limit = self.limit?;
        let What::Segment(segment) = &event.what else { return None };
        // A segment has one hole, and that has one cause.
        if segment.bytes.len() <= limit || segment.missing > 0 {
            return None;
        }
        let mut cut = event.clone();
        if let What::Segment(segment) = &mut cut.what {
            segment.missing = u32::try_from(segment.bytes.len() - limit).ok()?;
            segment.bytes = &segment.bytes[..limit];
            segment.cause = Some(Cause::Backlog);
        }
        Some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l7trace_event::{Flags, Segment, SourceKind, Timestamp, Tuple, Witness};

    fn cut_to(shedding: &Shedding, length: usize) -> (usize, u32) {
        let bytes = vec![b'x'; length];
        let event = Event {
            at: Timestamp(1),
            witness: Witness { source: SourceKind::Packets, place: 0 },
            tuple: Tuple::default(),
            what: What::Segment(Segment {
                position: 7,
                bytes: &bytes,
                missing: 0,
                cause: None,
                acknowledged: None,
                flags: Flags::default(),
            }),
            packet: None,
        };
        let event = shedding.cut(&event).unwrap_or(event);
        let What::Segment(segment) = event.what else { unreachable!() };
        assert_eq!(segment.cause, (segment.missing > 0).then_some(Cause::Backlog));
        (segment.bytes.len(), segment.missing)
    }

    #[test]
    fn long_pieces_go_first_and_everything_is_read_again_once_it_has_caught_up() {
        let mut shedding = Shedding::default();
        assert_eq!(shedding.behind(20 << 20), None);
        assert_eq!(cut_to(&shedding, 60_000), (60_000, 0));
        assert!(shedding.behind(30 << 20).unwrap().contains("24 MB"));
        assert_eq!(cut_to(&shedding, 60_000), (4096, 55_904));
        assert_eq!(cut_to(&shedding, 4096), (4096, 0));
        assert!(shedding.behind(60 << 20).unwrap().contains("first 512 bytes"));
        assert_eq!(cut_to(&shedding, 4096), (512, 3584));
        // It is not made up for yet, and was said already.
        assert_eq!(shedding.behind(30 << 20), None);
        assert_eq!(cut_to(&shedding, 4096), (512, 3584));
        assert_eq!(shedding.behind(1 << 20), None);
        assert_eq!(cut_to(&shedding, 60_000), (60_000, 0));
        assert_eq!(shedding.behind(30 << 20), None);
        assert_eq!(cut_to(&shedding, 60_000), (4096, 55_904));
    }
}
