//! The lines of type `exchange`, `message` and `transaction`.

use l7trace_event::SourceKind;
use l7trace_exchange::{Exchange, Kind, Outcome, Step, Timings};

use super::escape::string;
use super::number::{boolean, integer};
use super::{JsonLines, message, value};

pub(super) fn write(lines: &mut JsonLines, exchange: &Exchange, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"type\":\"");
    to.extend_from_slice(exchange.kind.name().as_bytes());
    to.push(b'"');
    if let Some(protocol) = exchange.protocol() {
        to.extend_from_slice(b",\"protocol\":\"");
        to.extend_from_slice(protocol.as_bytes());
        to.push(b'"');
    }
    text(to, b",\"operation\":", exchange.operation());
    text(to, b",\"resource\":", exchange.resource());
    text(to, b",\"status\":", exchange.status());
    if exchange.kind != Kind::Message || exchange.outcome != Outcome::Complete {
        to.extend_from_slice(b",\"outcome\":\"");
        to.extend_from_slice(exchange.outcome.name().as_bytes());
        to.push(b'"');
    }
    text(to, b",\"host\":", exchange.host());
    to.extend_from_slice(b",\"start\":");
    lines.clock.timestamp(to, exchange.start);
    if let Some(latency) = exchange.latency {
        to.extend_from_slice(b",\"latency_ns\":");
        integer(to, latency);
    }
    if let Some(timings) = exchange.timings {
        self::timings(to, timings);
    }
    to.extend_from_slice(b",\"connection\":");
    integer(to, exchange.connection.number);
    to.extend_from_slice(b",\"sequence\":");
    integer(to, exchange.sequence);
    lines.peers.write(&exchange.connection, to);
    to.extend_from_slice(b",\"source\":\"");
    to.extend_from_slice(exchange.source.name().as_bytes());
    to.push(b'"');
    witnesses(to, &exchange.witnesses);
    to.extend_from_slice(b",\"tls\":");
    boolean(to, exchange.connection.tls);
    match exchange.kind {
        Kind::Exchange => both(lines, exchange, to),
        Kind::Message | Kind::Transaction => alone(lines, exchange, to),
    }
    if !exchange.steps.is_empty() {
        steps(to, exchange);
    }
    if exchange.repeats > 0 {
        to.extend_from_slice(b",\"repeats\":");
        integer(to, exchange.repeats);
    }
    message::notes(to, exchange.messages().flat_map(|message| &message.notes));
    to.extend_from_slice(b",\"lost_bytes\":");
    integer(to, exchange.lost_bytes());
    to.push(b'}');
}

/// Appends `,"witnesses":[…]`.
pub(super) fn witnesses(to: &mut Vec<u8>, witnesses: &[SourceKind]) {
    let mut lead = ",\"witnesses\":[\"";
    for witness in witnesses {
        to.extend_from_slice(lead.as_bytes());
        to.extend_from_slice(witness.name().as_bytes());
        lead = "\",\"";
    }
    if !witnesses.is_empty() {
        to.extend_from_slice(b"\"]");
    }
}

/// A request and a response, each in an object of its own.
fn both(lines: &mut JsonLines, exchange: &Exchange, to: &mut Vec<u8>) {
    value::attributes(to, exchange.facts(), exchange.protocol(), lines.disclosure);
    let parts = [(",\"request\":{", exchange.request.as_deref()), (",\"response\":{", exchange.response.as_deref())];
    for (lead, part) in parts {
        let Some(part) = part else { continue };
        to.extend_from_slice(lead.as_bytes());
        message::members(to, part, lines.disclosure);
        if part.lost_bytes > 0 {
            to.extend_from_slice(b",\"lost_bytes\":");
            integer(to, part.lost_bytes);
        }
        message::notes(to, part.notes.iter());
        value::attributes(to, part.attributes.iter(), Some(part.protocol), lines.disclosure);
        to.push(b'}');
    }
}

/// A message that stands alone: what would be in `request` is in the line itself.
fn alone(lines: &mut JsonLines, exchange: &Exchange, to: &mut Vec<u8>) {
    let Some(part) = exchange.messages().next() else { return };
    to.extend_from_slice(b",\"direction\":\"");
    to.extend_from_slice(part.direction.name().as_bytes());
    to.extend_from_slice(b"\",");
    message::members(to, part, lines.disclosure);
    let attributes = part.facts.iter().chain(&part.attributes);
    value::attributes(to, attributes, Some(part.protocol), lines.disclosure);
}

fn text(to: &mut Vec<u8>, key: &[u8], bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        to.extend_from_slice(key);
        string(to, bytes);
    }
}

fn timings(to: &mut Vec<u8>, timings: Timings) {
    to.extend_from_slice(b",\"timings\":{\"send_ns\":");
    integer(to, timings.send);
    to.extend_from_slice(b",\"wait_ns\":");
    integer(to, timings.wait);
    to.extend_from_slice(b",\"receive_ns\":");
    integer(to, timings.receive);
    to.push(b'}');
}

fn steps(to: &mut Vec<u8>, exchange: &Exchange) {
    let mut lead = ",\"steps\":[{\"name\":";
    for Step { name, at, bytes, direction } in &exchange.steps {
        to.extend_from_slice(lead.as_bytes());
        string(to, name.as_bytes());
        to.extend_from_slice(b",\"at_ns\":");
        integer(to, at.since(exchange.start));
        to.extend_from_slice(b",\"direction\":\"");
        to.extend_from_slice(direction.name().as_bytes());
        to.extend_from_slice(b"\",\"bytes\":");
        integer(to, *bytes);
        lead = "},{\"name\":";
    }
    to.extend_from_slice(b"}]");
}
