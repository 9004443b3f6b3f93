//! Prints what the packets source sees: `packets [--netns NAME] [--interface NAME] [--port PORT]
//! [--ring BYTES] [--seconds N] [--count] [--bytes]`.

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use l7trace_capture::kernel::NetworkNamespace;
use l7trace_capture::packets::{Options, open};
use l7trace_capture::{Batch, Filled};
use l7trace_event::{Event, Flags, What};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("packets: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Totals {
    counts: BTreeMap<&'static str, u64>,
    bytes: u64,
    missing: u64,
    lost_bytes: u64,
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let (mut seconds, mut count, mut show_bytes) = (u64::MAX, false, false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--netns" => options.namespace = NetworkNamespace::parse(&value()?),
            "--interface" => options.interfaces.push(value()?),
            "--port" => options.ports.push(value()?.parse()?),
            "--ring" => options.ring_bytes = value()?.parse()?,
            "--seconds" => seconds = value()?.parse()?,
            "--no-owners" => options.owners = false,
            "--count" => count = true,
            "--bytes" => show_bytes = true,
            _ => return Err(format!("unknown option {argument}").into()),
        }
    }
    let start = Instant::now();
    let mut source = open(&options)?;
    eprintln!("{}: ready after {:?}", source.description, start.elapsed());

    let mut totals = Totals::default();
    let mut largest = 0;
    let mut batch = Batch::default();
    while start.elapsed().as_secs() < seconds {
        batch.bytes.clear();
        match source.tap.fill(&mut batch, Duration::from_millis(100))? {
            Filled::Some => {}
            Filled::Nothing => continue,
            Filled::End => break,
        }
        largest = largest.max(batch.bytes.len());
        source.decoder.decode(&batch, &mut |event| {
            add(&mut totals, event);
            if !count {
                print(event, show_bytes);
            }
        });
    }
    eprintln!(
        "{:?}, {} bytes, {} missing, {} lost in a full ring, largest batch {largest}, not understood {:?}",
        totals.counts,
        totals.bytes,
        totals.missing,
        totals.lost_bytes,
        source.decoder.not_understood()
    );
    Ok(())
}

fn add(totals: &mut Totals, event: &Event<'_>) {
    let kind = match &event.what {
        What::Segment(segment) => {
            totals.bytes += segment.bytes.len() as u64;
            totals.missing += u64::from(segment.missing);
            if segment.bytes.is_empty() { "without data" } else { "with data" }
        }
        What::Owner(_) => "owner",
        What::Name(_) => "name",
        What::Exists => "exists",
        What::RingFull { records, bytes } => {
            totals.lost_bytes += bytes;
            *totals.counts.entry("ring full").or_insert(0) += records;
            "ring full, times"
        }
    };
    *totals.counts.entry(kind).or_insert(0) += 1;
}

fn print(event: &Event<'_>, show_bytes: bool) {
    let what = match &event.what {
        What::Segment(segment) => {
            let flag = |flag: Flags, name: &'static str| if segment.flags.has(flag) { name } else { "" };
            let bytes =
                if show_bytes { format!(" {:?}", segment.bytes.escape_ascii().to_string()) } else { String::new() };
            format!(
                "{}+{} missing {} acknowledges {:?}{}{}{}{}{bytes}",
                segment.position,
                segment.bytes.len(),
                segment.missing,
                segment.acknowledged,
                flag(Flags::OPEN, " open"),
                flag(Flags::ANSWER, " answer"),
                flag(Flags::END, " end"),
                flag(Flags::RESET, " reset"),
            )
        }
        other => format!("{other:?}"),
    };
    let tuple = event.tuple;
    println!("{} #{} {} > {} {what}", event.at, event.witness.place, tuple.source, tuple.destination);
}
