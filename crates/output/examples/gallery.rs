//! Shows what the terminal output looks like, on records made up for it:
//! `cargo run -p l7trace-output --example gallery -- WIDTH [-v] [--body] [--color] [--ascii]`.

#[path = "../src/sample.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with the tests")]
mod sample;

use std::io::Write as _;

use l7trace_exchange::Record;
use l7trace_output::{Charset, Color, OutputOptions, by_name};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let options = OutputOptions {
        width: arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100),
        color: if has("--color") { Color::On } else { Color::Off },
        charset: if has("--ascii") { Charset::Ascii } else { Charset::Unicode },
        verbose: has("-v"),
        bodies: has("--body"),
        ..OutputOptions::default()
    };
    let name = if has("--json") { "json" } else { "terminal" };
    let mut output = by_name(name).map(|format| format.output(&options)).ok_or(std::io::ErrorKind::NotFound)?;
    let mut text = Vec::new();
    for exchange in &sample::exchanges() {
        output.write(&Record::Exchange(exchange), &mut text);
    }
    output.write(&Record::Connection(&sample::connection_record()), &mut text);
    output.write(&Record::Summary(&sample::summary()), &mut text);
    output.write(&Record::Summary(&sample::quiet_summary()), &mut text);
    std::io::stdout().write_all(&text)
}
