//! Several sources at once: their events in the order of time, whichever was drained first.
//!
//! A connection of a millisecond would else be over by one source's account before the other has
//! said a word of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use l7trace_event::{Cause, Event, Flags, Packet, Process, Segment, Timestamp, Tuple, What, Witness};

/// By how much the events of one source may be out of their order.
const DISORDER: Duration = Duration::from_millis(1);

/// The most bytes that wait; beyond that events go on out of order.
const MOST_WAITING: usize = 64 << 20;

/// Events of several sources that wait for each other.
pub(crate) struct Merge {
    /// By source, in the order in which it gave them.
    waiting: Vec<VecDeque<Owned>>,
    bytes: usize,
    /// Whether packets are wanted whole, for a recording.
    keep_packets: bool,
}

/// An event with bytes of its own.
struct Owned {
    at: Timestamp,
    witness: Witness,
    tuple: Tuple,
    what: OwnedWhat,
    packet: Option<(Box<[u8]>, u32, u32)>,
}

enum OwnedWhat {
    Segment {
        position: u32,
        bytes: Box<[u8]>,
        missing: u32,
        cause: Option<Cause>,
        acknowledged: Option<u32>,
        flags: Flags,
    },
    Owner(Arc<Process>),
    Name(Arc<str>),
    Exists,
    RingFull {
        records: u64,
        bytes: u64,
    },
}

impl Merge {
    pub(crate) fn new(sources: usize, keep_packets: bool) -> Merge {
        Merge { waiting: (0..sources).map(|_| VecDeque::new()).collect(), bytes: 0, keep_packets }
    }

    /// Takes an event of one source.
    pub(crate) fn push(&mut self, source: usize, event: &Event<'_>) {
        let owned = Owned {
            at: event.at,
            witness: event.witness,
            tuple: event.tuple,
            what: match &event.what {
                What::Segment(segment) => OwnedWhat::Segment {
                    position: segment.position,
                    bytes: segment.bytes.into(),
                    missing: segment.missing,
                    cause: segment.cause,
                    acknowledged: segment.acknowledged,
                    flags: segment.flags,
                },
                What::Owner(process) => OwnedWhat::Owner(Arc::clone(process)),
                What::Name(name) => OwnedWhat::Name(Arc::clone(name)),
                What::Exists => OwnedWhat::Exists,
                What::RingFull { records, bytes } => OwnedWhat::RingFull { records: *records, bytes: *bytes },
            },
            packet: event
                .packet
                .filter(|_| self.keep_packets)
                .map(|packet| (packet.bytes.into(), packet.length, packet.interface)),
        };
        self.bytes += owned.size();
        self.waiting[source].push_back(owned);
    }

    /// Gives the events from before `until`, up to which every source has told what it had, in the order
    /// of time; all of them where no time is given.
    pub(crate) fn release(&mut self, until: Option<Timestamp>, each: &mut dyn FnMut(&Event<'_>)) {
        let until = until.map(|until| until - DISORDER);
        loop {
            let heads = self.waiting.iter().enumerate().filter_map(|(source, queue)| Some((queue.front()?.at, source)));
            let Some((at, source)) = heads.min() else { return };
            if until.is_some_and(|until| at > until) && self.bytes < MOST_WAITING {
                return;
            }
            let Some(owned) = self.waiting[source].pop_front() else { return };
            self.bytes -= owned.size();
            each(&owned.event());
        }
    }
}

impl Owned {
    fn size(&self) -> usize {
        let segment = if let OwnedWhat::Segment { bytes, .. } = &self.what { bytes.len() } else { 0 };
        size_of::<Owned>() + segment + self.packet.as_ref().map_or(0, |packet| packet.0.len())
    }

    fn event(&self) -> Event<'_> {
        let what = match &self.what {
            OwnedWhat::Segment { position, bytes, missing, cause, acknowledged, flags } => What::Segment(Segment {
                position: *position,
                bytes,
                missing: *missing,
                cause: *cause,
                acknowledged: *acknowledged,
                flags: *flags,
            }),
            OwnedWhat::Owner(process) => What::Owner(Arc::clone(process)),
            OwnedWhat::Name(name) => What::Name(Arc::clone(name)),
            OwnedWhat::Exists => What::Exists,
            OwnedWhat::RingFull { records, bytes } => What::RingFull { records: *records, bytes: *bytes },
        };
        let packet = self.packet.as_ref().map(|(bytes, length, interface)| Packet {
            bytes,
            length: *length,
            interface: *interface,
        });
        Event { at: self.at, witness: self.witness, tuple: self.tuple, what, packet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l7trace_event::SourceKind;

    #[test]
    fn time_decides_and_waits_for_the_slower_source() {
        let mut merge = Merge::new(2, false);
        let event = |at: u64| Event {
            at: Timestamp(at),
            witness: Witness { source: SourceKind::Packets, place: 0 },
            tuple: Tuple::new(Default::default(), Default::default(), 0),
            what: What::Exists,
            packet: None,
        };
        let slack = DISORDER.as_nanos() as u64;
        let mut given = Vec::new();
        merge.push(0, &event(10));
        merge.push(0, &event(30));
        merge.release(Some(Timestamp(slack + 5)), &mut |event| given.push(event.at.0));
        assert!(given.is_empty());
        merge.push(1, &event(5));
        merge.push(1, &event(20));
        merge.release(Some(Timestamp(slack + 20)), &mut |event| given.push(event.at.0));
        assert_eq!(given, [5, 10, 20]);
        merge.release(None, &mut |event| given.push(event.at.0));
        assert_eq!(given, [5, 10, 20, 30]);
    }
}
