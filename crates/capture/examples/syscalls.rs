//! Prints what the syscalls source sees: one line for each event, and totals at the end.
//!
//!     syscalls [--engine NAME] [--pid PID] [--follow] [--command NAME] [--cgroup PATH] [--netns NS]
//!              [--port PORT] [--ring BYTES] [--copy BYTES] [--seconds N] [--quiet]

use std::collections::HashMap;
use std::env;
use std::time::{Duration, Instant};

use l7trace_capture::kernel::NetworkNamespace;
use l7trace_capture::syscalls::{Engine, Options, open};
use l7trace_capture::{Batch, Filled};
use l7trace_event::{Event, What};

fn main() {
    let mut options = Options::default();
    let (mut seconds, mut quiet) = (u64::MAX, false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--engine" => options.engine = Engine::parse(&value()).expect("auto, sock, tracepoints"),
            "--pid" => options.pids.push(value().parse().expect("a number")),
            "--follow" => options.follow = true,
            "--command" => options.commands.push(value()),
            "--cgroup" => options.cgroups.push(value().into()),
            "--netns" => options.namespaces.push(NetworkNamespace::parse(&value())),
            "--port" => options.ports.push(value().parse().expect("a number")),
            "--ring" => options.ring_bytes = value().parse().expect("a number"),
            "--copy" => options.copy_limit = value().parse().expect("a number"),
            "--seconds" => seconds = value().parse().expect("a number"),
            "--quiet" => quiet = true,
            other => panic!("unknown option {other}"),
        }
    }
    let mut source = open(&options).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("tracing {}", source.description);
    let begun = Instant::now();
    let mut totals = Totals::default();
    let mut batch = Batch::default();
    while begun.elapsed() < Duration::from_secs(seconds) {
        batch.bytes.clear();
        match source.tap.fill(&mut batch, Duration::from_millis(200)) {
            Ok(Filled::Some) => source.decoder.decode(&batch, &mut |event| {
                totals.add(event);
                if !quiet {
                    print(event);
                }
            }),
            Ok(Filled::Nothing) => {}
            Ok(Filled::End) => break,
            Err(error) => panic!("{error}"),
        }
        for blind in source.decoder.blind() {
            eprintln!("blind: {blind:?}");
        }
        for warning in source.decoder.warnings() {
            eprintln!("warning: {warning}");
        }
    }
    eprintln!("{totals:#?} {:?}", source.decoder.not_understood());
}

/// What went by.
#[derive(Debug, Default)]
struct Totals {
    events: u64,
    /// Copied, by the caller that sent and the one that received.
    copied: [u64; 2],
    missing: HashMap<&'static str, u64>,
    ring_full: (u64, u64),
}

impl Totals {
    fn add(&mut self, event: &Event<'_>) {
        self.events += 1;
        match &event.what {
            What::Segment(segment) => {
                self.copied[event.witness.place as usize & 1] += segment.bytes.len() as u64;
                if let (Some(cause), 1..) = (segment.cause, segment.missing) {
                    *self.missing.entry(cause.name()).or_default() += u64::from(segment.missing);
                }
            }
            What::RingFull { records, bytes } => {
                self.ring_full.0 += records;
                self.ring_full.1 += bytes;
            }
            _ => {}
        }
    }
}

fn print(event: &Event<'_>) {
    let tuple = event.tuple;
    let head = format!("{} {} {} -> {}", event.at, event.witness.place, tuple.source, tuple.destination);
    match &event.what {
        What::Segment(segment) => {
            let text = String::from_utf8_lossy(&segment.bytes[..segment.bytes.len().min(40)]);
            println!(
                "{head} at {} {} bytes, {} missing {:?}, acknowledged {:?}, flags {} {:?}",
                segment.position,
                segment.bytes.len(),
                segment.missing,
                segment.cause.map(|cause| cause.name()),
                segment.acknowledged,
                segment.flags.0,
                text
            );
        }
        other => println!("{head} {other:?}"),
    }
}
