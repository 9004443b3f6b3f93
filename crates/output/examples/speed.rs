//! Prints what a line of each output costs:
//! `cargo run --profile quick -p l7trace-output --example speed [FORMAT]`.

#[path = "../src/sample.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with the tests")]
mod sample;

use std::time::Instant;

use l7trace_exchange::{Exchange, Record};
use l7trace_output::{FORMATS, OutputOptions};

const LINES: u64 = 500;
const RUNS: usize = 3_000;

fn main() {
    let argument = std::env::args().nth(1);
    let only = argument.as_deref();
    let usual = || {
        let mut usual = sample::exchange(&sample::curl_to_nginx(), "http1", ["GET", "a.example", "/item/7?x=1"], "200");
        let fields = [
            ("Host", "a.example"),
            ("User-Agent", "curl/8.5.0"),
            ("Accept", "*/*"),
            ("Server", "nginx/1.24.0"),
            ("Date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", "1024"),
            ("Connection", "keep-alive"),
        ];
        for (index, (name, value)) in fields.into_iter().enumerate() {
            let message = if index < 3 { &mut usual.request } else { &mut usual.response };
            if let Some(message) = message {
                message.add_header(Some(name.as_bytes()), Some(value.as_bytes()), false);
            }
        }
        usual
    };
    let bare = sample::exchange(&sample::curl_to_nginx(), "http1", ["GET", "a.example", "/item/7?x=1"], "200");
    // As many connections as there are exchanges: nothing of one line helps with the next.
    let over = |number: u64| {
        sample::connection(number, sample::curl_to_nginx().client.clone(), sample::curl_to_nginx().server.clone())
    };
    let spread = (0..8192).map(|number| sample::with(usual(), |it| it.connection = over(number))).collect();
    let odd = sample::with(usual(), |it| {
        if let Some(request) = &mut it.request {
            request.set_resource("/検索?q=\"猫\"".as_bytes());
        }
    });
    for (name, exchanges) in [
        ("no headers", vec![bare]),
        ("8 headers", vec![usual()]),
        ("8 headers, not ASCII", vec![odd]),
        ("8 headers, 8192 connections", spread),
    ] {
        for format in FORMATS.iter().filter(|format| only.is_none_or(|only| only == format.name)) {
            measure(name, format, &exchanges);
        }
    }
}

fn measure(name: &str, format: &l7trace_output::Format, exchanges: &[Exchange]) {
    let mut output = format.output(&OutputOptions::default());
    let mut to = Vec::with_capacity(1 << 20);
    let mut cycle = exchanges.iter().cycle();
    let mut lines = |count: u64| {
        let mut bytes = 0;
        for exchange in cycle.by_ref().take(count as usize) {
            if to.len() > 1 << 19 {
                bytes += to.len();
                to.clear();
            }
            output.write(&Record::Exchange(exchange), &mut to);
        }
        bytes += to.len();
        to.clear();
        bytes
    };
    lines(10 * LINES);
    // The fastest of many short runs: others have use for this machine, too.
    let mut fastest = f64::MAX;
    for _ in 0..RUNS {
        let started = Instant::now();
        lines(LINES);
        fastest = fastest.min(started.elapsed().as_nanos() as f64 / LINES as f64);
    }
    let allocated = allocation_counter::measure(|| {
        lines(LINES);
    });
    let allocations = allocated.count_total as f64 / LINES as f64;
    let bytes = lines(LINES);
    println!(
        "{:8} {name:27} {fastest:7.1} ns a line, {allocations:5.2} allocations, {} bytes",
        format.name,
        bytes as u64 / LINES
    );
}
