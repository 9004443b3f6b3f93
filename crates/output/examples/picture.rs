//! Draws what the terminal output looks like, as an SVG:
//! `cargo run -p l7trace-output --example picture > docs/terminal.svg`.

#[path = "../src/sample.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with the tests")]
mod sample;

use std::fmt::Write as _;

use l7trace_event::{Direction, Ledger, Timestamp};
use l7trace_exchange::{Exchange, Outcome, Record, Summary};
use l7trace_output::{Color, OutputOptions, by_name};
use sample::{connection, exchange, message, peer, with};
use unicode_width::UnicodeWidthStr;

const COLUMNS: usize = 112;
/// Of a character, in pixels.
const WIDTH: f64 = 7.8;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 16.0;

fn main() -> std::fmt::Result {
    let options = OutputOptions { width: COLUMNS, color: Color::On, ..OutputOptions::default() };
    let mut text = b"$ \x1b[1msudo l7trace\x1b[0m\n".to_vec();
    if let Some(format) = by_name("terminal") {
        let mut output = format.output(&options);
        story().iter().for_each(|exchange| output.write(&Record::Exchange(exchange), &mut text));
        text.extend_from_slice(b"^C\n");
        output.write(&Record::Summary(&summary()), &mut text);
    }
    let mut svg = String::new();
    draw(&String::from_utf8_lossy(&text), &mut svg)?;
    print!("{svg}");
    Ok(())
}

/// A few seconds of a shop.
fn story() -> Vec<Exchange> {
    let nginx = || peer("10.0.0.5:80", Some((812, "nginx")));
    let web = connection(1, peer("203.0.113.7:51034", None), nginx());
    let phone = connection(2, peer("198.51.100.23:40112", None), nginx());
    let cart =
        connection(3, peer("10.0.0.5:33012", Some((812, "nginx"))), peer("10.0.0.6:50051", Some((1204, "cart"))));
    let sensor =
        connection(4, peer("10.0.0.9:1883", Some((77, "sensord"))), peer("10.0.0.7:1883", Some((901, "mosquitto"))));
    let mail = connection(5, peer("10.0.0.6:48100", Some((1204, "cart"))), peer("10.0.0.8:25", Some((650, "master"))));
    let http = |over, method, path, status, milliseconds: f64, bytes| {
        with(exchange(over, "http1", [method, "shop.example", path], status), |it| {
            it.latency = Some((milliseconds * 1e6) as u64);
            if let Some(response) = &mut it.response {
                response.bytes = bytes;
            }
        })
    };
    let mut story = vec![
        http(&web, "GET", "/", "200", 3.21, 14_820),
        http(&web, "GET", "/assets/app.7f3c.js", "304", 0.412, 180),
        http(&web, "GET", "/assets/photos/2026/large/kitchen-0017.webp", "200", 12.3, 734_003),
        with(exchange(&cart, "grpc", ["call", "cart", "/shop.v1.CartService/AddItem"], "OK"), |it| {
            it.latency = Some(1_840_000)
        }),
        http(&web, "POST", "/api/cart", "201", 4.02, 402),
        http(&phone, "GET", "/api/orders?page=2&per_page=50", "404", 0.95, 310),
        with(message(&phone, "websocket", Direction::ServerToClient, ["text", "shop.example", "/live"]), |it| {
            if let Some(message) = &mut it.request {
                message.bytes = 96;
            }
        }),
        with(http(&phone, "POST", "/api/checkout", "502", 5_003.0, 552), |it| it.outcome = Outcome::Failed),
        with(exchange(&cart, "grpc", ["call", "cart", "/shop.v1.CartService/GetCart"], "UNAVAILABLE"), |it| {
            (it.outcome, it.latency) = (Outcome::Failed, Some(2_104_000));
        }),
        with(exchange(&sensor, "mqtt", ["PUBLISH", "", "sensors/kitchen/temperature"], "PUBACK"), |it| {
            it.latency = Some(388_000);
            if let Some(response) = &mut it.response {
                response.bytes = 4;
            }
        }),
        with(exchange(&mail, "smtp", ["RCPT", "", "<nobody@shop.example>"], "550"), |it| {
            (it.outcome, it.latency) = (Outcome::Failed, Some(21_700_000));
        }),
        with(http(&web, "GET", "/api/stream", "", 0.0, 0), |it| {
            (it.outcome, it.response, it.latency) = (Outcome::Unanswered, None, None);
        }),
    ];
    for (index, exchange) in story.iter_mut().enumerate() {
        exchange.start = Timestamp(exchange.start.0 + index as u64 * 83_000_000);
    }
    story
}

fn summary() -> Summary {
    let mut summary = Summary {
        duration: 1_240_000_000,
        connections: 5,
        exchanges: 11,
        messages: 1,
        latency_p50: Some(3_210_000),
        latency_p99: Some(5_003_000_000),
        ledger: Ledger::new(751_900, 751_900),
        ..Summary::default()
    };
    let statuses = [
        ("http1", "2xx", 3),
        ("http1", "3xx", 1),
        ("http1", "4xx", 1),
        ("http1", "5xx", 1),
        ("http1", "none", 1),
        ("grpc", "OK", 1),
        ("grpc", "UNAVAILABLE", 1),
        ("mqtt", "PUBACK", 1),
        ("smtp", "5xx", 1),
    ];
    for (protocol, class, count) in statuses {
        summary.by_status.insert((protocol, class.to_owned()), count);
    }
    summary.messages_by_protocol.insert("websocket", 1);
    summary.by_outcome.extend([("complete", 7), ("failed", 3), ("unanswered", 1)]);
    summary
}

/// Text with the colours that the terminal output uses, as an SVG.
fn draw(text: &str, svg: &mut String) -> std::fmt::Result {
    let width = COLUMNS as f64 * WIDTH + 2.0 * MARGIN;
    let height = text.lines().count() as f64 * HEIGHT + 2.0 * MARGIN;
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="l7trace in a terminal">
<style>text{{font:13px "DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#d4d7dd;white-space:pre}}.dim{{fill:#7d8590}}.bold{{font-weight:bold;fill:#f0f3f6}}.good{{fill:#57c97a}}.else{{fill:#56c2d6}}.warn{{fill:#e0b34c}}.bad{{font-weight:bold;fill:#ff6b6b}}.way{{fill:#c78bf0}}</style>
<rect width="100%" height="100%" rx="8" fill="#15181d"/>"##
    )?;
    for (row, line) in text.lines().enumerate() {
        let y = MARGIN + (row as f64 + 0.75) * HEIGHT;
        let mut column = 0;
        for piece in line.split('\x1b') {
            let (sequence, piece) = match piece.strip_prefix('[').and_then(|rest| rest.split_once('m')) {
                Some((sequence, rest)) => (sequence, rest),
                None => ("0", piece),
            };
            let begin = column + (piece.len() - piece.trim_start_matches(' ').len());
            let shown = piece.trim_matches(' ');
            column += piece.width();
            if shown.is_empty() {
                continue;
            }
            let class = match sequence {
                "2" => r#" class="dim""#,
                "1" => r#" class="bold""#,
                "32" => r#" class="good""#,
                "36" => r#" class="else""#,
                "33" => r#" class="warn""#,
                "1;31" => r#" class="bad""#,
                "35" => r#" class="way""#,
                _ => "",
            };
            let escaped = shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            // The length is given, so that columns hold in any font.
            let (x, length) = (MARGIN + begin as f64 * WIDTH, shown.width() as f64 * WIDTH);
            writeln!(
                svg,
                r#"<text xml:space="preserve"{class} x="{x:.1}" y="{y:.1}" textLength="{length:.1}" lengthAdjust="spacingAndGlyphs">{escaped}</text>"#
            )?;
        }
    }
    writeln!(svg, "</svg>")
}
