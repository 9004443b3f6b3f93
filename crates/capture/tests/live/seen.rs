use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use l7trace_capture::kernel::NetworkNamespace;
use l7trace_capture::packets::{Options, open};
use l7trace_capture::{Batch, Filled, Source};
use l7trace_event::{Event, Flags, Process, Tuple, What};
use l7trace_testkit::netns::TestNamespace;

/// What the source gave while some work was done.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) segments: Vec<Segment>,
    pub(crate) owners: Vec<(Tuple, Process)>,
    pub(crate) existing: Vec<Tuple>,
    pub(crate) ring_full_bytes: u64,
    pub(crate) longest_packet: u32,
    pub(crate) not_understood: Vec<(String, u64)>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) tuple: Tuple,
    pub(crate) place: u32,
    pub(crate) position: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) missing: u32,
    pub(crate) flags: Flags,
}

impl Seen {
    /// The bytes sent to this port, in order of position, each once.
    pub(crate) fn sent_to(&self, port: u16) -> Vec<u8> {
        self.stream(|tuple| tuple.destination.port() == port)
    }

    /// The bytes sent from this port.
    pub(crate) fn sent_from(&self, port: u16) -> Vec<u8> {
        self.stream(|tuple| tuple.source.port() == port)
    }

    /// Of one direction of the only connection for which `wanted` holds.
    fn stream(&self, wanted: impl Fn(&Tuple) -> bool) -> Vec<u8> {
        let mut first = None;
        let mut by_offset: BTreeMap<u32, &[u8]> = BTreeMap::new();
        for segment in self.segments.iter().filter(|segment| wanted(&segment.tuple)) {
            let open = segment.flags.has(Flags::OPEN);
            let first = *first.get_or_insert(segment.position.wrapping_add(u32::from(open)));
            if !segment.bytes.is_empty() {
                by_offset.insert(segment.position.wrapping_sub(first), &segment.bytes);
            }
        }
        let mut stream = Vec::new();
        for (offset, bytes) in by_offset {
            let known = stream.len().saturating_sub(offset as usize);
            assert!(offset as usize <= stream.len(), "a hole at {} of the stream", stream.len());
            stream.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        stream
    }

    /// How many payload bytes there were in all, second copies included.
    pub(crate) fn payload(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes.len()).sum()
    }

    fn add(&mut self, event: &Event<'_>) {
        match &event.what {
            What::Segment(segment) => {
                assert!(event.at.0 > 1_700_000_000_000_000_000, "{}", event.at);
                self.longest_packet = self.longest_packet.max(event.packet.map_or(0, |packet| packet.length));
                self.segments.push(Segment {
                    tuple: event.tuple,
                    place: event.witness.place,
                    position: segment.position,
                    bytes: segment.bytes.to_vec(),
                    missing: segment.missing,
                    flags: segment.flags,
                });
            }
            What::Owner(process) => self.owners.push((event.tuple, Process::clone(process))),
            What::Exists => self.existing.push(event.tuple),
            What::Name(_) => {}
            What::RingFull { bytes, .. } => self.ring_full_bytes += bytes,
        }
    }
}

/// Captures everything in a namespace.
pub(crate) fn options(namespace: &TestNamespace) -> Options {
    Options { namespace: NetworkNamespace::Path(namespace.path()), owners: false, ..Options::default() }
}

/// Captures while `work` is done in a thread of its own, and until nothing more comes.
pub(crate) fn capture(options: &Options, work: impl FnOnce() + Send) -> Seen {
    let mut source = open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut quiet = 0;
        while quiet < 3 {
            let done = working.is_finished();
            let mut batch = Batch::default();
            match source.tap.fill(&mut batch, Duration::from_millis(50)).unwrap() {
                Filled::Some => quiet = 0,
                Filled::Nothing if done => quiet += 1,
                Filled::Nothing => {}
                Filled::End => panic!("a live source does not end"),
            }
            source.decoder.decode(&batch, &mut |event| seen.add(event));
        }
        working.join().unwrap();
    });
    seen.not_understood = source.decoder.not_understood();
    seen
}

/// Takes what there is until nothing more comes.
pub(crate) fn drain(source: &mut Source, seen: &mut Seen) {
    let mut quiet = 0;
    while quiet < 3 {
        let mut batch = Batch::default();
        quiet = match source.tap.fill(&mut batch, Duration::from_millis(50)).unwrap() {
            Filled::Some => 0,
            _ => quiet + 1,
        };
        source.decoder.decode(&batch, &mut |event| seen.add(event));
    }
}
