//! The line of type `connection`.

use l7trace_event::{Direction, Ledger};
use l7trace_exchange::ConnectionRecord;

use super::escape::string;
use super::exchange::witnesses;
use super::number::{boolean, integer};
use super::{JsonLines, message, value};

pub(super) fn write(lines: &mut JsonLines, record: &ConnectionRecord, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"type\":\"connection\"");
    if let Some(protocol) = record.protocol {
        to.extend_from_slice(b",\"protocol\":\"");
        to.extend_from_slice(protocol.as_bytes());
        to.push(b'"');
    }
    to.extend_from_slice(b",\"connection\":");
    integer(to, record.connection.number);
    to.extend_from_slice(b",\"opened\":");
    lines.clock.timestamp(to, record.opened);
    to.extend_from_slice(b",\"from_start\":");
    boolean(to, record.from_start);
    to.extend_from_slice(b",\"closed\":");
    lines.clock.timestamp(to, record.closed);
    to.extend_from_slice(b",\"why\":");
    string(to, record.why.as_bytes());
    lines.peers.write(&record.connection, to);
    witnesses(to, &record.witnesses);
    to.extend_from_slice(b",\"tls\":");
    boolean(to, record.connection.tls);
    to.extend_from_slice(b",\"exchanges\":");
    integer(to, record.exchanges);
    to.extend_from_slice(b",\"bytes\":{");
    for direction in Direction::BOTH {
        if direction == Direction::ServerToClient {
            to.push(b',');
        }
        string(to, direction.name().as_bytes());
        to.push(b':');
        ledger(to, &record.ledgers[direction.index()]);
    }
    to.push(b'}');
    message::notes(to, record.notes.iter());
    value::attributes(to, record.facts.iter(), record.protocol, lines.disclosure);
    to.push(b'}');
}

/// Appends `{"seen":…,"delivered":…,"skipped":…,"lost":{…}}`; `lost` has the causes that occurred.
pub(super) fn ledger(to: &mut Vec<u8>, ledger: &Ledger) {
    to.extend_from_slice(b"{\"seen\":");
    integer(to, ledger.seen);
    to.extend_from_slice(b",\"delivered\":");
    integer(to, ledger.delivered);
    to.extend_from_slice(b",\"skipped\":");
    integer(to, ledger.skipped());
    to.extend_from_slice(b",\"lost\":");
    counts(to, ledger.losses().map(|(cause, bytes)| (cause.name(), bytes)));
    to.push(b'}');
}

/// Appends an object of counts by name.
pub(super) fn counts<'n>(to: &mut Vec<u8>, counts: impl Iterator<Item = (&'n str, u64)>) {
    to.push(b'{');
    for (index, (name, count)) in counts.enumerate() {
        if index > 0 {
            to.push(b',');
        }
        string(to, name.as_bytes());
        to.push(b':');
        integer(to, count);
    }
    to.push(b'}');
}
