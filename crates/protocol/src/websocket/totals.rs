//! What went over a connection in all.

use l7trace_event::Direction;

use super::frame::Opcode;
use crate::Attribute;

/// Counts of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) text: u64,
    pub(super) binary: u64,
    pub(super) pings: u64,
    pub(super) pongs: u64,
    /// Payload of text and binary messages.
    pub(super) payload: u64,
    /// Everything, framing included.
    pub(super) wire: u64,
}

impl Totals {
    pub(super) fn count(&mut self, opcode: Option<Opcode>, payload: u64, wire: u64) {
        self.wire = self.wire.saturating_add(wire);
        match opcode {
            Some(Opcode::Text) => self.text += 1,
            Some(Opcode::Binary) => self.binary += 1,
            Some(Opcode::Ping) => self.pings += 1,
            Some(Opcode::Pong) => self.pongs += 1,
            _ => {}
        }
        if opcode.is_none_or(|opcode| !opcode.is_control()) {
            self.payload = self.payload.saturating_add(payload);
        }
    }
}

/// Both directions, as facts.
pub(super) fn facts(totals: [Totals; 2]) -> Vec<Attribute> {
    let mut facts = Vec::new();
    for direction in Direction::BOTH {
        let totals = totals[direction.index()];
        let names = match direction {
            Direction::ClientToServer => ["messages_from_client", "pings_from_client", "payload_bytes_from_client"],
            Direction::ServerToClient => ["messages_from_server", "pings_from_server", "payload_bytes_from_server"],
        };
        let counts = [totals.text + totals.binary, totals.pings, totals.payload];
        facts.extend(names.into_iter().zip(counts).map(|(name, count)| Attribute::new(name, count)));
    }
    facts
}
