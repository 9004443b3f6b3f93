use l7trace_event::Event;

use super::frame::Kind;
use crate::decode::{PacketDecoder, Seen, Unread};
use crate::note::{self, PacketNote};
use crate::{Batch, Decoder};

/// Makes events of capture records.
#[derive(Debug, Default)]
pub(super) struct FileDecoder {
    packets: PacketDecoder,
    warnings: Vec<String>,
}

impl Decoder for FileDecoder {
    fn decode(&mut self, batch: &Batch, each: &mut dyn FnMut(&Event<'_>)) {
        self.warnings.extend_from_slice(&batch.warnings);
        for frame in &batch.frames {
            let note = frame.note.of(&batch.bytes);
            let link = match frame.kind {
                Kind::Packet(link) => link,
                Kind::Fact => {
                    match note::fact(note) {
                        Some(event) => each(&event),
                        None => self.packets.count(Unread::Bad("recording: fact that cannot be read")),
                    }
                    continue;
                }
                Kind::Bad => {
                    self.packets.count(Unread::Bad("pcapng: packet block of no interface, or too short"));
                    continue;
                }
            };
            let seen = Seen { at: frame.at, witness: frame.witness, namespace: frame.namespace };
            let bytes = frame.bytes.of(&batch.bytes);
            if note.is_empty() && !frame.unix {
                self.packets.link(link, seen, bytes, frame.length, each);
            } else {
                let note = PacketNote::parse(note);
                self.packets.link(link, seen, bytes, frame.length, &mut |event| {
                    each(&note.restore(event, frame.unix));
                });
            }
        }
    }

    fn not_understood(&self) -> Vec<(String, u64)> {
        self.packets.not_understood()
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
