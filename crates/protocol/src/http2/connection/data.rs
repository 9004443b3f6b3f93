//! DATA: bodies, calls, and what runs in a tunnel.

use l7trace_event::{Cause, Direction};

use super::super::stream::{Phase, Tunnel};
use super::{Connection, MOST_EARLY};
use crate::grpc::Framing;
use crate::{Mark, Outbox, OwnedChunk};

impl Connection {
    /// A DATA frame begins: whether anything is to be done with its body.
    pub(in crate::http2) fn data_begins(
        &mut self,
        direction: Direction,
        id: u32,
        first: Mark,
        out: &mut Outbox,
    ) -> bool {
        if !self.ready(direction, id, false, out) {
            return false;
        }
        let limit = self.settings.body_limit;
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        if matches!(stream.tunnel, Tunnel::Open(_)) {
            return true;
        }
        stream.message(direction, first, out);
        let half = stream.half(direction);
        if half.phase == Phase::Awaited {
            half.phase = Phase::Open;
            // Its head went by before: it may be a call, whose messages mostly begin where frames do.
            half.expect_messages(Framing::Plain, limit);
        }
        true
    }

    /// So many bytes of a DATA frame, framing or padding, were seen up to here.
    pub(in crate::http2) fn data_overhead(&mut self, direction: Direction, id: u32, bytes: u64, last: Mark) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(message) = &mut stream.half(direction).message
        {
            message.bytes += bytes;
            message.last = last;
        }
    }

    /// Bytes of a body.
    pub(in crate::http2) fn data(&mut self, direction: Direction, id: u32, bytes: &[u8], last: Mark, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let start = last.position - bytes.len() as u64;
        match &mut stream.tunnel {
            Tunnel::Open(nested) => {
                nested.bytes(direction, bytes, start, last.at, out);
                return self.recount(id);
            }
            Tunnel::Asked(early) if direction == Direction::ClientToServer => {
                let held: usize = early.iter().map(|chunk| chunk.bytes.len()).sum();
                if held + bytes.len() <= MOST_EARLY {
                    early.push(OwnedChunk {
                        direction,
                        position: start,
                        at: last.at,
                        acknowledged: None,
                        bytes: bytes.to_vec(),
                    });
                }
            }
            _ => {}
        }
        let limit = self.settings.body_limit;
        let half = stream.half(direction);
        half.body(bytes, last.at, limit);
        if let Some(message) = &mut half.message {
            message.bytes += bytes.len() as u64;
            message.last = last;
        }
        if limit > 0 || half.expects_messages() {
            self.recount(id);
        }
    }

    /// Bytes of a DATA frame that were not seen: of its body, and of its framing or padding.
    #[expect(clippy::too_many_arguments, reason = "a gap is a place, an extent and a cause")]
    pub(in crate::http2) fn data_missing(
        &mut self,
        direction: Direction,
        id: u32,
        body: u64,
        overhead: u64,
        cause: Cause,
        last: Mark,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Tunnel::Open(nested) = &mut stream.tunnel {
            nested.gap(direction, body, cause, last.at, out);
            return;
        }
        let half = stream.half(direction);
        half.missing_body(body, cause, last.at);
        if let Some(message) = &mut half.message {
            message.bytes += body + overhead;
            message.lost_bytes += if cause.is_loss() { overhead } else { 0 };
            message.last = last;
        }
    }

    /// The length of a padding was not seen, so how long the body is cannot be told.
    pub(in crate::http2) fn padding_unknown(&mut self, direction: Direction, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.half(direction).unknown_padding();
        }
    }

    /// Whether nobody needs the bytes of a body.
    pub(in crate::http2) fn is_skippable(&self, direction: Direction, id: u32) -> bool {
        let limit = self.settings.body_limit;
        match self.streams.get(&id) {
            None => true,
            Some(stream) => match &stream.tunnel {
                Tunnel::Open(nested) => nested.is_opaque(),
                Tunnel::Asked(_) => false,
                Tunnel::None => limit == 0 && !stream.half_of(direction).expects_messages(),
            },
        }
    }
}
