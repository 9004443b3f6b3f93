//! What each part of the road takes for one exchange or one record, and how often it allocates:
//! `cargo xtask bench --micro`.

#[path = "../tests/traffic/mod.rs"]
mod traffic;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use l7trace_capture::decode::{PacketDecoder, Seen};
use l7trace_event::{Endpoint, Event, Flags, Segment, SourceKind, Timestamp, Tuple, What, Witness};
use l7trace_exchange::{Exchange, Receiver, Record};
use l7trace_output::{JsonLines, Output, OutputOptions, Terminal};
use l7trace_protocol::http2::hpack::{Decoder, Scratch};
use l7trace_stream::{Closed, Delivery, Facts, Limits, Sink, Table};
use traffic::{CONNECTIONS, Lines, Traffic};

/// Measures `work` after a while of it, says how often one round allocates, and lets criterion time it.
fn part(criterion: &mut Criterion, name: &str, bytes: u64, mut work: impl FnMut()) {
    const ROUNDS: u64 = 2_000;
    (0..ROUNDS).for_each(|_| work());
    let allocated = allocation_counter::measure(|| (0..ROUNDS).for_each(|_| work()));
    println!("{name}: {:.3} allocations a round", allocated.count_total as f64 / ROUNDS as f64);
    let mut group = criterion.benchmark_group("road");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function(name, |bencher| bencher.iter(&mut work));
    group.finish();
}

/// Takes what is in order, and does nothing with it.
struct Nowhere;

impl Sink for Nowhere {
    type State = ();

    fn opened(&mut self, _: &Facts) {}

    fn deliver(&mut self, _: &Facts, (): &mut (), delivery: Delivery<'_>) {
        black_box(&delivery);
    }

    fn closed(&mut self, _: &Facts, (): (), _: Closed) {}

    fn held(&self, (): &()) -> usize {
        0
    }
}

/// Segments of one connection, in any order of positions.
struct Reassembly {
    table: Table<Nowhere>,
    tuple: Tuple,
    now: u64,
    position: u32,
}

const SEGMENT: usize = 1_448;

impl Reassembly {
    fn new() -> Reassembly {
        let end = |address: &str, port: u16| Endpoint::inet(address.parse().expect("it is one"), port);
        let tuple = Tuple::new(end("10.0.0.1", 80), end("10.0.0.2", 4_000), 0);
        let mut new =
            Reassembly { table: Table::new(Limits::default()), tuple, now: 1_795_341_600_000_000_000, position: 1 };
        let answer = Flags::OPEN.with(Flags::ANSWER);
        let (tuple, table) = (new.tuple, &mut new.table);
        table.push(&event(1, tuple.reversed(), Segment { flags: Flags::OPEN, ..Segment::default() }), &mut Nowhere);
        table.push(
            &event(2, tuple, Segment { flags: answer, acknowledged: Some(1), ..Segment::default() }),
            &mut Nowhere,
        );
        new
    }

    /// Four segments that follow each other, given in this order.
    fn push(&mut self, order: [u32; 4], bytes: &[u8]) {
        for place in order {
            self.now += 1_000;
            let position = self.position.wrapping_add(place * SEGMENT as u32);
            let segment = Segment { position, bytes, acknowledged: Some(1), ..Segment::default() };
            self.table.push(&event(self.now, self.tuple, segment), &mut Nowhere);
        }
        self.position = self.position.wrapping_add(4 * SEGMENT as u32);
        // The other side has read it.
        let acknowledgement = Segment { position: 1, acknowledged: Some(self.position), ..Segment::default() };
        self.table.push(&event(self.now, self.tuple.reversed(), acknowledgement), &mut Nowhere);
    }
}

fn event(at: u64, tuple: Tuple, segment: Segment<'_>) -> Event<'_> {
    let witness = Witness { source: SourceKind::Packets, place: 1 };
    Event { at: Timestamp(at), witness, tuple, what: What::Segment(segment), packet: None }
}

fn reassembly(criterion: &mut Criterion) {
    let bytes = [b'x'; SEGMENT];
    let mut stream = Reassembly::new();
    part(criterion, "reassembly, 4 segments in order", 4 * SEGMENT as u64, || stream.push([0, 1, 2, 3], &bytes));
    let mut stream = Reassembly::new();
    part(criterion, "reassembly, 4 segments in disorder", 4 * SEGMENT as u64, || stream.push([2, 0, 3, 1], &bytes));
}

fn packets(criterion: &mut Criterion) {
    let mut packet = vec![0u8; 40];
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    packet[20..24].copy_from_slice(&[0, 80, 15, 160]);
    packet[32..34].copy_from_slice(&[0x50, 0x18]);
    packet.extend_from_slice(&[b'x'; 1_024]);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let mut decoder = PacketDecoder::default();
    let witness = Witness { source: SourceKind::Packets, place: 1 };
    let mut bytes = 0;
    part(criterion, "decoding, a packet of 1 KB", u64::from(length), || {
        let seen = Seen { at: Timestamp(1), witness, namespace: 0 };
        decoder.network(seen, black_box(&packet), u32::from(length), &mut |event| {
            if let What::Segment(segment) = &event.what {
                bytes += segment.bytes.len();
            }
        });
    });
    assert!(bytes > 0, "nothing was decoded");
}

fn exchanges(criterion: &mut Criterion) {
    let mut traffic = Traffic::new(Lines::new());
    let mut number = 0;
    part(criterion, "an HTTP/1 exchange, from segments to its JSON line", 768, || {
        traffic.exchange(number as u32 % CONNECTIONS, number);
        number += 1;
    });
    assert_eq!(traffic.tracker.receiver().count, number);
}

/// Keeps the last exchange.
#[derive(Default)]
struct Last(Option<Exchange>);

impl Receiver for Last {
    fn record(&mut self, record: &Record<'_>) {
        if let Record::Exchange(exchange) = record {
            self.0 = Some((*exchange).clone());
        }
    }
}

fn lines(criterion: &mut Criterion) {
    let mut traffic = Traffic::new(Last::default());
    traffic.exchange(0, 7);
    let exchange = traffic.tracker.receiver().0.take().expect("an exchange was told");
    let record = Record::Exchange(&exchange);
    let options = OutputOptions::default();
    let mut line = Vec::new();
    let mut write = |criterion: &mut Criterion, name: &str, output: &mut dyn Output| {
        line.clear();
        output.write(&record, &mut line);
        let length = line.len() as u64;
        part(criterion, name, length, || {
            line.clear();
            output.write(black_box(&record), &mut line);
        });
    };
    write(criterion, "a JSON line", &mut JsonLines::new(&options));
    write(criterion, "a terminal line", &mut Terminal::new(&options));
}

/// A header block as a client sends it (RFC 7541, C.4.1): indexed fields and one that is coded by
/// Huffman and enters the table.
fn hpack(criterion: &mut Criterion) {
    const BLOCK: &[u8] =
        &[0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let (mut decoder, mut scratch) = (Decoder::new(), Scratch::default());
    let mut fields = 0u64;
    part(criterion, "HPACK, a block of four fields", BLOCK.len() as u64, || {
        let result = decoder.decode(black_box(BLOCK), &mut scratch, |field| fields += u64::from(field.name.is_some()));
        assert!(result.is_ok());
    });
    assert!(fields > 0, "nothing was decoded");
}

criterion_group!(benches, packets, reassembly, exchanges, lines, hpack);
criterion_main!(benches);
