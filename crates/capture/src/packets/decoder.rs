use std::net::SocketAddr;

use l7trace_event::{Cause, Endpoint, Event, Flags, SourceKind, Timestamp, Tuple, Unneeded, What, Witness};
use l7trace_probes::packets::{PACKET_SKIPPED, PacketRecord};
use l7trace_probes::ways::way;

use super::tap::Warnings;
use crate::decode::{PacketDecoder, Seen};
use crate::kernel::{Clock, Frame, Limits, frames};
use crate::owner::{Answer, Ask, Asked, Ends, Owners, Told};
use crate::{Batch, Decoder};

/// Makes events of packet records, and asks for the owners of connections that are new.
pub(super) struct LiveDecoder {
    packets: PacketDecoder,
    clock: Clock,
    namespace: u32,
    owners: OwnerWitness,
    asked: Asked,
    /// When the last packet was seen: the time of what has none of its own.
    now: Timestamp,
    limits: Limits,
    warnings: Warnings,
}

/// What knows of owners.
pub(super) struct OwnerWitness {
    /// Searches for them when asked.
    pub(super) search: Option<Owners>,
    /// Tells by itself of those who ask for connections and close them.
    pub(super) told: Option<Told>,
}

impl LiveDecoder {
    pub(super) fn new(namespace: u32, owners: OwnerWitness, limits: Limits, warnings: Warnings) -> LiveDecoder {
        let clock = Clock::new();
        let now = clock.now();
        LiveDecoder {
            packets: PacketDecoder::default(),
            clock,
            namespace,
            owners,
            asked: Asked::default(),
            now,
            limits,
            warnings,
        }
    }

    fn hand_on_owners(&mut self, each: &mut dyn FnMut(&Event<'_>)) {
        let witness = Witness { source: SourceKind::Packets, place: 0 };
        let mut tell = |answer: &Answer| {
            each(&Event { at: self.now, witness, tuple: answer.tuple, what: answer.what(), packet: None });
        };
        if let Some(search) = &self.owners.search {
            search.answers().for_each(|answer| tell(&answer));
        }
        // Last, since it knows best.
        for answer in self.owners.told.as_ref().map(Told::take).into_iter().flatten() {
            if answer.tuple.destination.port() > 0 {
                tell(&answer);
            } else if let Some((search, process)) = self.owners.search.as_ref().zip(answer.process) {
                search.hint(process.pid);
            }
        }
    }
}

impl Decoder for LiveDecoder {
    fn decode(&mut self, batch: &Batch, each: &mut dyn FnMut(&Event<'_>)) {
        self.clock.refresh();
        if batch.bytes.is_empty() {
            self.now = self.clock.now();
        }
        self.hand_on_owners(each);
        for frame in frames(batch) {
            match frame {
                Frame::Record(record) => {
                    let Some((head, bytes)) = PacketRecord::read(record) else { continue };
                    self.now = self.clock.utc(head.time);
                    let witness = Witness { source: SourceKind::Packets, place: head.interface };
                    let seen = Seen { at: self.now, witness, namespace: self.namespace };
                    let (owners, asked) = (&self.owners, &mut self.asked);
                    self.packets.network(seen, bytes, head.length, &mut |event| {
                        owners.ask_for(event, asked);
                        if head.flags & PACKET_SKIPPED != 0 {
                            each(&skipped(event));
                        } else {
                            each(event);
                        }
                    });
                }
                Frame::RingFull { records, bytes } => each(&Event {
                    at: self.now,
                    witness: Witness { source: SourceKind::Packets, place: 0 },
                    tuple: Tuple::default(),
                    what: What::RingFull { records, bytes },
                    packet: None,
                }),
            }
        }
    }

    fn owners_come_late(&self) -> bool {
        self.owners.search.is_some()
    }

    fn spare(&mut self, unneeded: &Unneeded) {
        let ends = [unneeded.from, unneeded.from.other()].map(|side| unneeded.key.end(side));
        let address = |end: &Endpoint| end.ip().map(|ip| SocketAddr::new(ip, end.port()));
        if let (Some(from), Some(to)) = (address(&ends[0]), address(&ends[1])) {
            let way = way(from, to);
            self.limits.skip((way >> 32) as u32, way, 0, unneeded.until);
        }
    }

    fn not_understood(&self) -> Vec<(String, u64)> {
        self.packets.not_understood()
    }

    fn warnings(&mut self) -> Vec<String> {
        self.warnings.take()
    }
}

/// What is missing of a packet of which the headers alone were copied, as was wished.
fn skipped<'a>(event: &Event<'a>) -> Event<'a> {
    let mut event = event.clone();
    if let What::Segment(segment) = &mut event.what {
        segment.cause = Some(Cause::Skipped);
    }
    event
}

impl OwnerWitness {
    /// Asks once for each connection, and again where its tuple is opened anew.
    fn ask_for(&self, event: &Event<'_>, asked: &mut Asked) {
        let Some(search) = &self.search else { return };
        let What::Segment(segment) = &event.what else { return };
        let opens = segment.flags.has(Flags::OPEN) && !segment.flags.has(Flags::ANSWER);
        if segment.flags.has(Flags::RESET) || (!opens && asked.has(&event.tuple)) {
            return;
        }
        // Who asks for a connection is told without asking.
        let ends = if opens && self.told.is_some() { Ends::Destination } else { Ends::Both };
        if search.ask(Ask { tuple: event.tuple, interface: event.witness.place, ends }) {
            asked.insert(event.tuple);
        }
    }
}
