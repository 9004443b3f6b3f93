//! What an event costs in the table, and what an idle connection takes, with a sink that does
//! nothing, in processor time: `cargo run --profile quick -p l7trace-stream --example speed`.

use std::hint::black_box;

use l7trace_event::{Endpoint, Event, Flags, Segment, SourceKind, Timestamp, Tuple, What, Witness};
use l7trace_stream::{Closed, Delivered, Delivery, Facts, Limits, Sink, Table};

struct Nothing;

impl Sink for Nothing {
    type State = u64;

    fn opened(&mut self, _: &Facts) -> u64 {
        0
    }

    fn deliver(&mut self, _: &Facts, state: &mut u64, delivery: Delivery<'_>) {
        if let Delivered::Bytes(bytes) = delivery.what {
            *state += bytes.len() as u64;
        }
    }

    fn closed(&mut self, _: &Facts, state: u64, _: Closed) {
        black_box(state);
    }

    fn held(&self, _: &u64) -> usize {
        0
    }
}

fn main() {
    for connections in [1, 32, 10_000] {
        println!("in order, {connections:>6} connections: {:.1} ns an event", in_order(connections, false));
    }
    println!("in order,     32 connections, each event twice: {:.1} ns an event", in_order(32, true));
    println!("every second segment late: {:.1} ns an event", reordered());
    println!("opened, one exchange, closed: {:.0} ns a connection (9 events)", short());
    idle();
}

const EVENTS: u32 = 4_000_000;

/// Requests of 100 bytes and answers of 1,000, in turn, over so many connections.
fn in_order(connections: u32, twice: bool) -> f64 {
    let bytes = [7u8; 1_000];
    let mut table = Table::new(Limits::default());
    let mut now = Timestamp(1_000_000_000);
    let rounds = EVENTS / connections / 2;
    let mut run = |rounds: std::ops::Range<u32>| {
        for round in rounds {
            for connection in 0..connections {
                now.0 += 1_000;
                let tuple = tuple(connection);
                let (asked, answered) = (round.wrapping_mul(100), round.wrapping_mul(1_000));
                for _ in 0..=u8::from(twice) {
                    table.push(&event(now, tuple, segment(asked, &bytes[..100], answered)), &mut Nothing);
                }
                let answer = segment(answered, &bytes, asked.wrapping_add(100));
                for _ in 0..=u8::from(twice) {
                    table.push(&event(now, tuple.reversed(), answer), &mut Nothing);
                }
            }
        }
    };
    run(0..1);
    let start = on_cpu();
    run(1..rounds);
    let events = f64::from((rounds - 1) * connections * 2 * (1 + u32::from(twice)));
    (on_cpu() - start) / events
}

/// One direction in which segments change places by twos.
fn reordered() -> f64 {
    let bytes = [7u8; 1_000];
    let mut table = Table::new(Limits::default());
    let start = on_cpu();
    for pair in 0..EVENTS / 8 {
        let now = Timestamp(1_000_000_000 + u64::from(pair) * 1_000);
        for part in [1, 0] {
            let position = (pair * 2 + part).wrapping_mul(1_000);
            table.push(&event(now, tuple(0), segment(position, &bytes, 0)), &mut Nothing);
        }
    }
    (on_cpu() - start) / f64::from(EVENTS / 4)
}

/// A connection for each request.
fn short() -> f64 {
    let bytes = [7u8; 1_000];
    let mut table = Table::new(Limits::default());
    let start = on_cpu();
    let connections = 200_000;
    for connection in 0..connections {
        let now = Timestamp(1_000_000_000 + u64::from(connection) * 10_000);
        let there = tuple(connection);
        let back = there.reversed();
        let flagged = |position, flags, acknowledged| Segment { flags, ..segment(position, b"", acknowledged) };
        for (tuple, segment) in [
            (there, flagged(0, Flags::OPEN, 0)),
            (back, flagged(0, Flags::OPEN.with(Flags::ANSWER), 1)),
            (there, segment(1, b"", 1)),
            (there, segment(1, &bytes[..100], 1)),
            (back, segment(1, &bytes, 101)),
            (there, segment(101, b"", 1_001)),
            (there, flagged(101, Flags::END, 1_001)),
            (back, flagged(1_001, Flags::END, 102)),
            (there, segment(102, b"", 1_002)),
        ] {
            table.push(&event(now, tuple, segment), &mut Nothing);
        }
    }
    (on_cpu() - start) / f64::from(connections)
}

/// Connections in which a request was answered and nothing happens any more.
fn idle() {
    let before = resident();
    let mut table = Table::new(Limits::default());
    for connection in 0..100_000 {
        let now = Timestamp(1_000_000_000 + u64::from(connection) * 10_000);
        table.push(&event(now, tuple(connection), segment(0, b"request", 0)), &mut Nothing);
        table.push(&event(now, tuple(connection).reversed(), segment(0, b"response", 7)), &mut Nothing);
    }
    let bytes = resident().saturating_sub(before);
    println!("{} idle connections: {:.1} MB, {} bytes each", table.connections(), bytes as f64 / 1e6, bytes / 100_000);
}

/// Nanoseconds that this process had a processor: other programs' shares do not count.
fn on_cpu() -> f64 {
    let shares = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    shares.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0.0)
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn tuple(connection: u32) -> Tuple {
    let client = Endpoint::inet([10, 1, (connection >> 24) as u8, (connection >> 16) as u8].into(), connection as u16);
    Tuple::new(client, Endpoint::inet([10, 0, 0, 1].into(), 80), 0)
}

fn segment(position: u32, bytes: &[u8], acknowledged: u32) -> Segment<'_> {
    Segment { position, bytes, acknowledged: Some(acknowledged), ..Segment::default() }
}

fn event(at: Timestamp, tuple: Tuple, segment: Segment<'_>) -> Event<'_> {
    let witness = Witness { source: SourceKind::Packets, place: 1 };
    Event { at, witness, tuple, what: What::Segment(segment), packet: None }
}
