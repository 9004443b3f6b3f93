use l7trace_event::{Event, Flags, SourceKind, Timestamp, Tuple, What, Witness};
use l7trace_probes::packets::PacketRecord;

use super::tap::Warnings;
use crate::decode::{PacketDecoder, Seen};
use crate::kernel::{Clock, Frame, frames};
use crate::owner::{Ask, Asked, Owners};
use crate::{Batch, Decoder};

/// Makes events of packet records, and asks for the owners of connections that are new.
pub(super) struct LiveDecoder {
    packets: PacketDecoder,
    clock: Clock,
    namespace: u32,
    owners: Option<(Owners, Asked)>,
    /// When the last packet was seen: the time of what has none of its own.
    now: Timestamp,
    warnings: Warnings,
}

impl LiveDecoder {
    pub(super) fn new(namespace: u32, owners: Option<Owners>, warnings: Warnings) -> LiveDecoder {
        let clock = Clock::new();
        let now = clock.now();
        LiveDecoder {
            packets: PacketDecoder::default(),
            clock,
            namespace,
            owners: owners.map(|it| (it, Asked::default())),
            now,
            warnings,
        }
    }

    fn hand_on_owners(&mut self, each: &mut dyn FnMut(&Event<'_>)) {
        let Some((owners, _)) = &self.owners else { return };
        let witness = Witness { source: SourceKind::Packets, place: 0 };
        for answer in owners.answers() {
            each(&Event { at: self.now, witness, tuple: answer.tuple, what: answer.what(), packet: None });
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
                    let owners = &mut self.owners;
                    self.packets.network(seen, bytes, head.length, &mut |event| {
                        if let Some((owners, asked)) = owners {
                            ask_for_owner(owners, asked, event);
                        }
                        each(event);
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

    fn not_understood(&self) -> Vec<(String, u64)> {
        self.packets.not_understood()
    }

    fn warnings(&mut self) -> Vec<String> {
        self.warnings.take()
    }
}

/// Asks once for each connection, and again where its tuple is opened anew.
fn ask_for_owner(owners: &Owners, asked: &mut Asked, event: &Event<'_>) {
    let What::Segment(segment) = &event.what else { return };
    let opens = segment.flags.has(Flags::OPEN) && !segment.flags.has(Flags::ANSWER);
    if segment.flags.has(Flags::RESET) || (!opens && asked.has(&event.tuple)) {
        return;
    }
    let ask = Ask { tuple: event.tuple, interface: event.witness.place };
    if owners.ask(ask) {
        asked.insert(event.tuple);
    }
}
