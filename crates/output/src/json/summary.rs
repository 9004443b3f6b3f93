//! The line of type `summary`: the last one.

use l7trace_event::Blind;
use l7trace_exchange::Summary;

use super::connection::{counts, ledger};
use super::escape::string;
use super::number::integer;

pub(super) fn write(summary: &Summary, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"type\":\"summary\"");
    number(to, ",\"duration_ns\":", summary.duration);
    number(to, ",\"connections\":", summary.connections);
    number(to, ",\"exchanges\":", summary.exchanges);
    number(to, ",\"messages\":", summary.messages);
    number(to, ",\"transactions\":", summary.transactions);
    to.extend_from_slice(b",\"outcomes\":");
    counts(to, summary.by_outcome.iter().map(|(name, count)| (*name, *count)));
    to.extend_from_slice(b",\"statuses\":");
    statuses(to, summary);
    to.extend_from_slice(b",\"messages_by_protocol\":");
    counts(to, summary.messages_by_protocol.iter().map(|(name, count)| (*name, *count)));
    if let Some(latency) = summary.latency_p50 {
        number(to, ",\"latency_p50_ns\":", latency);
    }
    if let Some(latency) = summary.latency_p99 {
        number(to, ",\"latency_p99_ns\":", latency);
    }
    to.extend_from_slice(b",\"bytes\":");
    ledger(to, &summary.ledger);
    number(to, ",\"unrecognised\":{\"connections\":", summary.unrecognised_connections);
    number(to, ",\"bytes\":", summary.unrecognised_bytes);
    to.extend_from_slice(b"},\"evictions\":");
    counts(to, summary.evictions.iter().map(|(name, count)| (*name, *count)));
    number(to, ",\"ring_full\":{\"records\":", summary.ring_full_records);
    number(to, ",\"bytes\":", summary.ring_full_bytes);
    to.extend_from_slice(b"},\"not_understood\":");
    counts(to, summary.not_understood.iter().map(|(name, count)| (&**name, *count)));
    number(to, ",\"unwritten\":", summary.unwritten);
    if summary.ownerless > 0 {
        number(to, ",\"ownerless\":", summary.ownerless);
    }
    if !summary.blind.is_empty() {
        blind(to, &summary.blind);
    }
    to.push(b'}');
}

fn number(to: &mut Vec<u8>, key: &str, number: u64) {
    to.extend_from_slice(key.as_bytes());
    integer(to, number);
}

/// Appends `{"http1":{"2xx":…},…}`.
fn statuses(to: &mut Vec<u8>, summary: &Summary) {
    to.push(b'{');
    // The map's order puts the classes of one protocol side by side.
    let mut current = None;
    for ((protocol, class), count) in &summary.by_status {
        match current.replace(*protocol) {
            Some(same) if same == *protocol => to.push(b','),
            other => {
                if other.is_some() {
                    to.extend_from_slice(b"},");
                }
                string(to, protocol.as_bytes());
                to.extend_from_slice(b":{");
            }
        }
        string(to, class.as_bytes());
        to.push(b':');
        integer(to, *count);
    }
    to.extend_from_slice(if current.is_some() { b"}}" } else { b"}" });
}

fn blind(to: &mut Vec<u8>, blind: &[Blind]) {
    let mut lead = ",\"blind\":[{\"pid\":";
    for Blind { pid, name, why } in blind {
        to.extend_from_slice(lead.as_bytes());
        integer(to, *pid);
        to.extend_from_slice(b",\"name\":");
        string(to, name.as_bytes());
        to.extend_from_slice(b",\"why\":");
        string(to, why.as_bytes());
        to.push(b'}');
        lead = ",{\"pid\":";
    }
    to.push(b']');
}
