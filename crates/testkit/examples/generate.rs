//! Writes a capture of HTTP/1 exchanges to standard output:
//! `generate [exchanges=N] [connections=N] [each=N] [body=N] [lost=N] [reordered=N] [missing=N]`,
//! the last three of a thousand segments.

use std::io::BufWriter;

use l7trace_testkit::capture::{Load, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut load = Load::default();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are NAME=NUMBER")?;
        let number: u64 = value.parse()?;
        match name {
            "exchanges" => load.exchanges = number,
            "connections" => load.connections = number,
            "each" => load.exchanges_per_connection = number,
            "body" => load.body = usize::try_from(number)?,
            "lost" => load.lost = number,
            "reordered" => load.reordered = number,
            "missing" => load.missing = number,
            other => return Err(format!("no such argument: {other}").into()),
        }
    }
    let totals = generate(&load, BufWriter::with_capacity(1 << 20, std::io::stdout().lock()))?;
    eprintln!("{totals:?}");
    Ok(())
}
