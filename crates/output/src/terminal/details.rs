//! What stands below a line: what `-v` and `--body` ask for.

use l7trace_event::{Direction, SourceKind};
use l7trace_exchange::{Connection, ConnectionRecord, Exchange, Kind, Peer};
use l7trace_protocol::{Attribute, Field, Message, Value};

use super::canvas::Canvas;
use super::cells;
use super::color::Style;
use super::sanitise::sanitised;
use super::{ledger, units};
use crate::OutputOptions;
use crate::disclose::{Disclosure, Placeholder, Shown};
use crate::json;
use crate::text::body_text;

/// How far details are indented.
const INDENT: usize = 4;

/// Who, where, how long each part took, and what is odd.
pub(super) fn write(disclosure: Disclosure, exchange: &Exchange, canvas: &mut Canvas<'_>) {
    let dot = canvas.glyphs().dot;
    let number = format!("#{}.{}", exchange.connection.number, exchange.sequence);
    let mut parts = vec![number, ends(&exchange.connection, canvas)];
    parts.extend(exchange.protocol().map(str::to_owned));
    if exchange.connection.tls {
        parts.push("tls".to_owned());
    }
    parts.push(witnesses(&exchange.witnesses));
    detail(canvas, Style::Dim, &parts.join(dot));
    if let Some(timings) = exchange.timings {
        let part = |name: &str, duration| format!("{name} {}", units::duration(duration, canvas.glyphs()));
        let parts = [part("send", timings.send), part("wait", timings.wait), part("receive", timings.receive)];
        detail(canvas, Style::Dim, &parts.join(dot));
    }
    for step in &exchange.steps {
        let glyphs = canvas.glyphs();
        let arrow = match step.direction {
            Direction::ClientToServer => glyphs.arrow,
            Direction::ServerToClient => glyphs.back,
        };
        let name = sanitised(step.name.as_bytes(), canvas.charset());
        let after = units::duration(step.at.since(exchange.start), glyphs);
        detail(canvas, Style::Dim, &format!("{arrow} {name} after {after}, {}", units::bytes(step.bytes)));
    }
    for message in exchange.messages() {
        for note in &message.notes {
            let note = sanitised(note.as_bytes(), canvas.charset());
            detail(canvas, Style::Warning, &format!("! {note}"));
        }
    }
    attributes(canvas, "", exchange.facts(), disclosure);
}

/// Where and how long, and what became of its bytes.
pub(super) fn write_connection(disclosure: Disclosure, record: &ConnectionRecord, canvas: &mut Canvas<'_>) {
    let parts = [ends(&record.connection, canvas), witnesses(&record.witnesses)];
    detail(canvas, Style::Dim, &parts.join(canvas.glyphs().dot));
    for (name, ledger) in ["client to server", "server to client"].iter().zip(&record.ledgers) {
        detail(canvas, Style::Dim, &format!("{name}: {}", ledger::sentence(ledger)));
    }
    for note in &record.notes {
        let note = sanitised(note.as_bytes(), canvas.charset());
        detail(canvas, Style::Warning, &format!("! {note}"));
    }
    attributes(canvas, "", record.facts.iter(), disclosure);
}

/// The messages themselves: headers with `-v`, bodies with `--body`.
pub(super) fn write_messages(
    disclosure: Disclosure,
    options: &OutputOptions,
    exchange: &Exchange,
    canvas: &mut Canvas<'_>,
) {
    for message in exchange.messages() {
        let lead = match (exchange.kind, message.direction) {
            (Kind::Transaction, _) => "",
            (_, Direction::ClientToServer) => "> ",
            (_, Direction::ServerToClient) => "< ",
        };
        let has_body = options.bodies && !message.body.is_empty();
        // The body of a call is frames: what stands in them is told message by message.
        let contents = if options.bodies { contents(message) } else { &[] };
        if options.verbose {
            let start = [message.operation, message.status, message.resource];
            let start = start.into_iter().filter_map(|part| message.text_of(part));
            let start: Vec<String> = start.map(|part| sanitised(part, canvas.charset())).collect();
            piece(canvas, lead, Style::Plain, &start.join(" "));
            fields(canvas, lead, message, &message.headers, disclosure);
            let facts = message.attributes.iter().filter(|it| contents.is_empty() || it.name != MESSAGES);
            attributes(canvas, lead, facts, disclosure);
            if has_body && !message.headers.is_empty() {
                piece(canvas, lead, Style::Plain, "");
            }
        }
        if !contents.is_empty() {
            for (number, content) in contents.iter().enumerate() {
                one_of_many(canvas, lead, number + 1, content, disclosure);
            }
        } else if has_body {
            body(canvas, lead, message);
        }
        if options.verbose {
            fields(canvas, lead, message, &message.trailers, disclosure);
        }
    }
}

fn fields(canvas: &mut Canvas<'_>, lead: &str, message: &Message, fields: &[Field], disclosure: Disclosure) {
    const UNKNOWN: &str = "(unknown)";
    for field in fields {
        let (name, value) = disclosure.field(message, field);
        let text = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => sanitised(bytes, canvas.charset()),
            None => UNKNOWN.to_owned(),
        };
        let name = text(name);
        let value = match value {
            Some(Shown::Redacted(length)) => Placeholder(length).to_string(),
            Some(Shown::Plain(value)) => text(Some(value)),
            None => text(None),
        };
        canvas.pad_to(INDENT);
        canvas.text(Style::Dim, lead);
        canvas.text(Style::Elsewhere, &name);
        canvas.text(Style::Dim, ": ");
        canvas.text(Style::Plain, &value);
        canvas.end_line();
    }
}

fn attributes<'a>(
    canvas: &mut Canvas<'_>,
    lead: &str,
    attributes: impl Iterator<Item = &'a Attribute>,
    disclosure: Disclosure,
) {
    for Attribute { name, value } in attributes {
        let name = sanitised(name.as_bytes(), canvas.charset());
        let value = sanitised(&json::spelled(value, disclosure), canvas.charset());
        piece(canvas, lead, Style::Dim, &format!("{name} = {value}"));
    }
}

/// The attribute with what stands in a body that is made of messages.
const MESSAGES: &str = "messages";

/// The messages in a message, where it tells of them.
fn contents(message: &Message) -> &[Value] {
    let told = message.attributes.iter().find(|attribute| attribute.name == MESSAGES).map(|attribute| &attribute.value);
    let Some(Value::Map(fields)) = told else { return &[] };
    match fields.iter().find(|(name, _)| name == "each") {
        Some((_, Value::List(each))) => each,
        _ => &[],
    }
}

/// One message of those in a body: its number, what is known of it, and what it says.
fn one_of_many(canvas: &mut Canvas<'_>, lead: &str, number: usize, content: &Value, disclosure: Disclosure) {
    let Value::Map(fields) = content else { return };
    let mut about = format!("message {number}");
    let mut said = None;
    for (name, value) in fields {
        match (&**name, value) {
            ("body", value) => said = Some(value),
            ("size", Value::Unsigned(size)) => about.push_str(&format!(", {}", units::bytes(*size))),
            ("at", _) => {}
            (name, Value::Bool(true)) => about.push_str(&format!(", {name}")),
            (name, Value::Text(text)) => about.push_str(&format!(", {name}: {text}")),
            _ => {}
        }
    }
    piece(canvas, lead, Style::Dim, &sanitised(about.as_bytes(), canvas.charset()));
    match said {
        Some(Value::Bytes(bytes)) => bytes_of(canvas, lead, bytes, false),
        Some(value) => {
            piece(canvas, lead, Style::Plain, &sanitised(&json::spelled(value, disclosure), canvas.charset()))
        }
        None => {}
    }
}

/// A body line by line where it is text; else its length and its first bytes.
fn body(canvas: &mut Canvas<'_>, lead: &str, message: &Message) {
    bytes_of(canvas, lead, &message.body, message.body_truncated);
    if message.body_truncated {
        let all = message.body_bytes.map(|bytes| format!(" of a body of {}", units::bytes(bytes))).unwrap_or_default();
        let kept = units::bytes(message.body.len() as u64);
        piece(canvas, lead, Style::Dim, &format!("{} (only {kept}{all} kept)", canvas.glyphs().ellipsis));
    }
}

fn bytes_of(canvas: &mut Canvas<'_>, lead: &str, bytes: &[u8], truncated: bool) {
    const FIRST: usize = 32;
    match body_text(bytes, truncated).filter(|text| is_readable(text)) {
        Some(text) => {
            for line in text.lines() {
                // Tabs and line ends belong in a body; everything else is made harmless.
                let line = line.split('\t').map(|part| sanitised(part.as_bytes(), canvas.charset()));
                piece(canvas, lead, Style::Plain, &line.collect::<Vec<_>>().join("    "));
            }
        }
        None => {
            let first = &bytes[..bytes.len().min(FIRST)];
            let hex: Vec<String> = first.iter().map(|byte| format!("{byte:02x}")).collect();
            let more = if bytes.len() > FIRST { canvas.glyphs().ellipsis } else { "" };
            let kept = units::bytes(bytes.len() as u64);
            piece(canvas, lead, Style::Plain, &format!("({kept} of binary) {} {more}", hex.join(" ")));
        }
    }
}

/// Whether text is for people: hardly any control characters other than tabs and line ends.
fn is_readable(text: &str) -> bool {
    let strange = text.chars().filter(|character| character.is_control() && !"\t\r\n".contains(*character)).count();
    strange * 20 <= text.len()
}

fn ends(connection: &Connection, canvas: &Canvas<'_>) -> String {
    let end = |peer: &Peer| {
        let address = match &peer.name {
            Some(name) => sanitised(name.as_bytes(), canvas.charset()),
            None => cells::address(peer, true),
        };
        match peer.process.as_deref() {
            Some(process) => {
                format!("{}[{}] {address}", sanitised(process.name.as_bytes(), canvas.charset()), process.pid)
            }
            None => address,
        }
    };
    format!("{} {} {}", end(&connection.client), canvas.glyphs().arrow, end(&connection.server))
}

fn witnesses(witnesses: &[SourceKind]) -> String {
    let names: Vec<&str> = witnesses.iter().map(|witness| witness.name()).collect();
    format!("seen by {}", names.join(", "))
}

fn detail(canvas: &mut Canvas<'_>, style: Style, text: &str) {
    piece(canvas, "", style, text);
}

fn piece(canvas: &mut Canvas<'_>, lead: &str, style: Style, text: &str) {
    canvas.pad_to(INDENT);
    canvas.text(Style::Dim, lead.trim_end_matches(if text.is_empty() { ' ' } else { '\0' }));
    canvas.text(style, text);
    canvas.end_line();
}
