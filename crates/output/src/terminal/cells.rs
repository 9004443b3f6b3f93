//! What stands in the cells of a line, before it is fitted.

use l7trace_event::Direction;
use l7trace_exchange::{Exchange, Kind, Outcome, Peer};
use l7trace_protocol::Completeness;

use super::canvas::width;
use super::color::Style;
use super::fit;
use super::glyphs::{Charset, Glyphs};
use super::sanitise::{sanitise, sanitised};
use super::units;

/// The name of one end, in so many columns: its process, else its address. `with_port` where the
/// port says something (a server's).
pub(super) fn peer(peer: &Peer, columns: usize, with_port: bool, with_pid: bool, charset: Charset) -> String {
    let ellipsis = charset.glyphs().ellipsis;
    let port = if with_port && !peer.endpoint.is_unix() { format!(":{}", peer.endpoint.port()) } else { String::new() };
    if let Some(process) = peer.process.as_deref() {
        let mut behind = if with_pid { format!("[{}]", process.pid) } else { String::new() };
        behind.push_str(&port);
        let name = sanitised(process.name.as_bytes(), charset);
        let name = fit::end(&name, columns.saturating_sub(behind.len()).max(columns.min(4)), ellipsis);
        return fit::end(&format!("{name}{behind}"), columns, ellipsis).into_owned();
    }
    if peer.endpoint.is_unix() {
        // The end of a path says most.
        let name =
            sanitised(peer.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("unix").as_bytes(), charset);
        return fit::start(&name, columns, ellipsis).into_owned();
    }
    fit::middle(&address(peer, with_port), columns, ellipsis).into_owned()
}

/// `10.0.0.1`, `10.0.0.1:80`, `::1`, `[::1]:80`.
pub(super) fn address(peer: &Peer, with_port: bool) -> String {
    match peer.endpoint.ip() {
        Some(ip) if !with_port => ip.to_string(),
        _ => peer.endpoint.to_string(),
    }
}

/// What was asked.
pub(super) struct Request {
    /// The direction of a message, or what else this line is.
    pub(super) lead: &'static str,
    pub(super) operation: String,
    pub(super) host: String,
    pub(super) resource: String,
}

/// Stands where what was asked was not seen.
const UNSEEN: &str = "(request not seen)";

impl Request {
    pub(super) fn of(exchange: &Exchange, charset: Charset) -> Request {
        let text = |bytes: Option<&[u8]>| sanitised(bytes.unwrap_or_default(), charset);
        let resource = exchange.resource().unwrap_or_default();
        let mut host = text(exchange.host().filter(|host| says_more(host, resource, &exchange.connection.server)));
        if !host.is_empty() && !resource.is_empty() && !resource.starts_with(b"/") {
            host.push(' ');
        }
        let unseen = exchange.request.is_none() && exchange.operation().is_none() && resource.is_empty();
        Request {
            lead: lead(exchange, charset.glyphs()),
            operation: if unseen { UNSEEN.to_owned() } else { text(exchange.operation()) },
            host,
            resource: text(Some(resource)),
        }
    }

    /// Shortens it to so many columns.
    pub(super) fn fit(&mut self, columns: usize, ellipsis: &str) {
        let columns = columns.saturating_sub(width(self.lead));
        let most = if self.host.is_empty() && self.resource.is_empty() { columns } else { (columns / 2).max(8) };
        self.operation = fit::end(&self.operation, most.min(columns), ellipsis).into_owned();
        let taken = width(&self.operation);
        let rest = columns.saturating_sub(if taken == 0 { 0 } else { taken + 1 });
        // The resource says more than the host, and a few letters of a host say nothing.
        let mut host = rest.saturating_sub(width(&self.resource));
        if host < width(&self.host) && host < LEAST_HOST {
            host = if rest < ROOMY { 0 } else { rest / 3 };
        }
        self.host = fit::end(&self.host, host, ellipsis).into_owned();
        self.resource = fit::resource(&self.resource, rest - width(&self.host), ellipsis).into_owned();
    }
}

/// So much of a host is worth showing.
const LEAST_HOST: usize = 6;
/// With so many columns there is room for a part of the host beside a part of the resource.
const ROOMY: usize = 36;

fn lead(exchange: &Exchange, glyphs: &Glyphs) -> &'static str {
    let direction = exchange.messages().next().map(|message| message.direction);
    match (exchange.kind, direction) {
        (Kind::Message, Some(Direction::ServerToClient)) => glyphs.back_lead,
        (Kind::Message, _) => glyphs.arrow_lead,
        (Kind::Transaction, _) => glyphs.transaction_lead,
        (Kind::Exchange, _) => "",
    }
}

/// Whether a host says more than the resource and the server's address already do.
fn says_more(host: &[u8], resource: &[u8], server: &Peer) -> bool {
    // An absolute target (`http://a/x`) and CONNECT's name it themselves.
    if host.is_empty()
        || resource == host
        || resource.windows(3).any(|part| part == b"://") && !resource.starts_with(b"/")
    {
        return false;
    }
    let Some(ip) = server.endpoint.ip() else { return true };
    let is = |text: String| text.as_bytes() == host;
    let local = ip.is_loopback() && (host == b"localhost" || is(format!("localhost:{}", server.endpoint.port())));
    !(local || is(server.endpoint.to_string()) || is(ip.to_string()))
}

/// What came of it.
pub(super) struct Status {
    /// One sign that needs no colour.
    pub(super) mark: &'static str,
    pub(super) text: String,
    pub(super) style: Style,
}

impl Status {
    pub(super) fn of(exchange: &Exchange, charset: Charset) -> Status {
        let glyphs = charset.glyphs();
        let status = exchange.status();
        let mut text = String::new();
        let mut word = |word: &str| {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        };
        if let Some(status) = status {
            let mut status_text = String::new();
            sanitise(status, charset, &mut status_text);
            word(&status_text);
        }
        let cut = exchange.messages().any(|message| message.completeness == Completeness::Cut);
        match exchange.outcome {
            Outcome::Unanswered => word("no answer"),
            Outcome::Partial => word("partial"),
            Outcome::Failed if cut => word("cut off"),
            Outcome::Failed if status.is_none() => word("failed"),
            _ => {}
        }
        if exchange.lost_bytes() > 0 && exchange.outcome != Outcome::Partial {
            word(&format!("lost {}", units::bytes(exchange.lost_bytes())));
        }
        if exchange.repeats > 0 {
            word(&format!("sent {}{}", u64::from(exchange.repeats) + 1, glyphs.times));
        }
        let noted = exchange.messages().any(|message| !message.notes.is_empty());
        let mark = match exchange.outcome {
            Outcome::Failed => glyphs.failed,
            Outcome::Unanswered => glyphs.unanswered,
            Outcome::Partial => glyphs.partial,
            Outcome::ResponseOnly => glyphs.response_only,
            Outcome::Complete if noted => glyphs.noted,
            Outcome::Complete => "",
        };
        Status { mark, text, style: style(status, exchange.outcome) }
    }

    /// Shortens it to so many columns, mark included.
    pub(super) fn fit(&mut self, columns: usize, ellipsis: &str) {
        let columns = columns.saturating_sub(if self.mark.is_empty() { 0 } else { width(self.mark) + 1 });
        self.text = fit::end(&self.text, columns, ellipsis).into_owned();
    }

    /// The columns it takes.
    pub(super) fn width(&self) -> usize {
        match (self.mark, width(&self.text)) {
            ("", text) => text,
            (mark, 0) => width(mark),
            (mark, text) => width(mark) + 1 + text,
        }
    }
}

/// By class where the status is one of three digits, else by outcome.
fn style(status: Option<&[u8]>, outcome: Outcome) -> Style {
    match (status, outcome) {
        (_, Outcome::Unanswered | Outcome::Partial) => Style::Warning,
        (Some([b'4', b'0'..=b'9', b'0'..=b'9']), _) => Style::Warning,
        (Some([b'5', b'0'..=b'9', b'0'..=b'9']), _) | (_, Outcome::Failed) => Style::Bad,
        (Some([b'2', b'0'..=b'9', b'0'..=b'9']), _) => Style::Good,
        (Some([b'3', b'0'..=b'9', b'0'..=b'9']), _) => Style::Elsewhere,
        (Some([b'1', b'0'..=b'9', b'0'..=b'9']), _) | (None, _) => Style::Plain,
        (Some(_), Outcome::Complete) => Style::Good,
        (Some(_), Outcome::ResponseOnly) => Style::Plain,
    }
}
