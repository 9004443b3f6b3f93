//! The one line of an exchange.

use l7trace_event::{Direction, Timestamp};
use l7trace_exchange::{Connection, ConnectionRecord, Exchange, Kind};

use super::canvas::{Canvas, width};
use super::cells::{self, Request, Status};
use super::color::Style;
use super::fit;
use super::layout::{Layout, Time};
use super::units;

/// Latencies from here on stand out.
const SLOW: u64 = units::NANOSECONDS;

pub(super) fn write(layout: &Layout, exchange: &Exchange, canvas: &mut Canvas<'_>) {
    write_time(layout, exchange.start, canvas);
    write_route(layout, &exchange.connection, canvas);
    write_protocol(layout, exchange.protocol(), exchange.connection.tls, canvas);
    write_request_and_status(layout, exchange, canvas);
    if let (Some(end), Some(latency)) = (layout.latency_end, exchange.latency) {
        let style = if latency >= SLOW { Style::Warning } else { Style::Plain };
        canvas.right(end, style, &units::duration(latency, canvas.glyphs()));
    }
    let [sent, received] = bytes_each_way(exchange);
    for (end, bytes) in [(layout.sent_end, sent), (layout.received_end, received)] {
        if let (Some(end), Some(bytes)) = (end, bytes) {
            canvas.right(end, Style::Dim, &units::bytes(bytes));
        }
    }
    canvas.end_line();
}

/// The names of the columns.
pub(super) fn write_header(layout: &Layout, canvas: &mut Canvas<'_>) {
    let style = Style::Dim;
    if layout.time.is_some() {
        canvas.text(style, "TIME");
    }
    if let Some(route) = layout.route {
        canvas.pad_to(route.client);
        canvas.text(style, "CLIENT");
        canvas.pad_to(route.server);
        canvas.text(style, "SERVER");
    }
    if let Some(protocol) = layout.protocol {
        canvas.pad_to(protocol);
        canvas.text(style, "PROTOCOL");
    }
    canvas.pad_to(layout.request);
    canvas.text(style, "REQUEST");
    canvas.right(layout.status_end, style, "STATUS");
    for (end, name) in [(layout.latency_end, "LATENCY"), (layout.sent_end, "SENT"), (layout.received_end, "BACK")] {
        if let Some(end) = end {
            canvas.right(end, style, name);
        }
    }
    canvas.end_line();
}

/// A connection, as it ends (`--connections`).
pub(super) fn write_connection(layout: &Layout, record: &ConnectionRecord, canvas: &mut Canvas<'_>) {
    write_time(layout, record.closed, canvas);
    write_route(layout, &record.connection, canvas);
    write_protocol(layout, record.protocol, record.connection.tls, canvas);
    canvas.pad_to(layout.request);
    let glyphs = canvas.glyphs();
    let ended = if record.why == "open" { "still open" } else { record.why };
    let protocol = record.protocol.unwrap_or("unrecognised");
    let exchanges = units::counted(record.exchanges, "exchange");
    let text = format!("{} #{} {protocol}: {exchanges}, {ended}", glyphs.connection, record.connection.number);
    let text = fit::end(&text, layout.shared(), glyphs.ellipsis);
    canvas.text(Style::Dim, &text);
    if let Some(end) = layout.latency_end {
        canvas.right(end, Style::Dim, &units::duration(record.closed.since(record.opened), glyphs));
    }
    for (end, direction) in
        [(layout.sent_end, Direction::ClientToServer), (layout.received_end, Direction::ServerToClient)]
    {
        if let Some(end) = end {
            canvas.right(end, Style::Dim, &units::bytes(record.ledgers[direction.index()].seen));
        }
    }
    canvas.end_line();
}

fn write_time(layout: &Layout, at: Timestamp, canvas: &mut Canvas<'_>) {
    let Some(time) = layout.time else { return };
    let second = at.0 / units::NANOSECONDS % units::SECONDS_A_DAY;
    let mut text = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    if time == Time::Milliseconds {
        text.push_str(&format!(".{:03}", at.0 % units::NANOSECONDS / 1_000_000));
    }
    canvas.text(Style::Dim, &text);
}

fn write_route(layout: &Layout, connection: &Connection, canvas: &mut Canvas<'_>) {
    let Some(route) = layout.route else { return };
    let (charset, glyphs) = (canvas.charset(), canvas.glyphs());
    let client_port = route.detailed && connection.client.process.is_none();
    let client = cells::peer(&connection.client, route.client_width, client_port, route.detailed, charset);
    let server = cells::peer(&connection.server, route.server_width, true, route.detailed, charset);
    canvas.pad_to(route.client);
    canvas.text(Style::Plain, &client);
    canvas.pad_to(route.server - 2);
    canvas.text(Style::Dim, glyphs.arrow);
    canvas.pad_to(route.server);
    canvas.text(Style::Plain, &server);
}

fn write_protocol(layout: &Layout, protocol: Option<&str>, tls: bool, canvas: &mut Canvas<'_>) {
    let (Some(column), Some(protocol)) = (layout.protocol, protocol) else { return };
    canvas.pad_to(column);
    canvas.text(Style::Dim, protocol);
    if tls {
        canvas.text(Style::Dim, if protocol.len() > 5 { "+" } else { "+tls" });
    }
}

/// Shares the room out: the status takes what it needs, but leaves half to the request.
fn write_request_and_status(layout: &Layout, exchange: &Exchange, canvas: &mut Canvas<'_>) {
    let (charset, ellipsis) = (canvas.charset(), canvas.glyphs().ellipsis);
    let mut request = Request::of(exchange, charset);
    let mut status = Status::of(exchange, charset);
    let room = layout.shared();
    if exchange.kind == Kind::Message && status.text.is_empty() {
        status.text = size_without_column(layout, exchange);
    }
    status.fit(room / 2, ellipsis);
    let taken = status.width();
    request.fit(room - if taken == 0 { 0 } else { taken + 2 }, ellipsis);

    let operation = match exchange.kind {
        _ if exchange.request.is_none() => Style::Dim,
        Kind::Message => Style::OneWay,
        Kind::Exchange | Kind::Transaction => Style::Bold,
    };
    canvas.pad_to(layout.request);
    canvas.text(Style::Dim, request.lead);
    canvas.text(operation, &request.operation);
    let mut space = if request.operation.is_empty() { "" } else { " " };
    for (style, text) in [(Style::Dim, &request.host), (Style::Plain, &request.resource)] {
        if !text.is_empty() {
            canvas.text(Style::Plain, space);
            canvas.text(style, text);
            space = "";
        }
    }
    if taken > 0 {
        canvas.pad_to(layout.status_end - taken);
        canvas.text(status.style, status.mark);
        if !status.mark.is_empty() && width(&status.text) > 0 {
            canvas.text(Style::Plain, " ");
        }
        canvas.text(status.style, &status.text);
    }
}

/// The size of a message whose column there is no room for.
fn size_without_column(layout: &Layout, exchange: &Exchange) -> String {
    let sized = exchange.messages().next().filter(|message| match message.direction {
        Direction::ClientToServer => layout.sent_end.is_none(),
        Direction::ServerToClient => layout.received_end.is_none(),
    });
    sized.map(|message| units::bytes(message.bytes)).unwrap_or_default()
}

/// What went from client to server and back, where it is known.
fn bytes_each_way(exchange: &Exchange) -> [Option<u64>; 2] {
    let mut each = [None, None];
    for message in exchange.messages() {
        *each[message.direction.index()].get_or_insert(0) += message.bytes;
    }
    for step in &exchange.steps {
        *each[step.direction.index()].get_or_insert(0) += step.bytes;
    }
    each
}
