//! What the parser of HTTP/1 costs for one exchange, and what an idle connection takes.
//!
//! `cargo run --profile quick --example http1_speed -p l7trace-protocol`

use std::hint::black_box;
use std::time::Instant;

use l7trace_event::{Direction, Timestamp};
use l7trace_protocol::{Chunk, Input, Outbox, Output, Parser, Settings, Start, by_name};

const REQUEST: &[u8] =
    b"GET /item/7?x=1 HTTP/1.1\r\nHost: example.org:8000\r\nUser-Agent: wrk/4.1\r\nAccept: */*\r\nX-Id: 12345\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 20:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 25\r\nConnection: keep-alive\r\n\r\nhello hello hello hello!\n";

fn main() {
    let settings = Settings::default();
    let Some(protocol) = by_name("http1") else { return };
    let start = || Start { from_start: [true; 2], settings: &settings, handshake: None };
    let mut parser = protocol.parser(start());
    let mut out = Outbox::default();
    let mut positions = [0u64; 2];
    const ROUNDS: u32 = 2_000_000;
    for round in 0..4 {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            for (direction, bytes) in [(Direction::ClientToServer, REQUEST), (Direction::ServerToClient, RESPONSE)] {
                push(&mut *parser, &mut out, &mut positions, direction, bytes);
            }
        }
        let each = began.elapsed().as_nanos() / u128::from(ROUNDS);
        println!("round {round}: {each} ns an exchange ({} + {} bytes)", REQUEST.len(), RESPONSE.len());
    }
    println!("an idle connection holds {} bytes beside the parser itself", parser.held());
}

fn push(parser: &mut dyn Parser, out: &mut Outbox, positions: &mut [u64; 2], direction: Direction, bytes: &[u8]) {
    let position = positions[direction.index()];
    let chunk = Chunk {
        direction,
        position,
        at: Timestamp(position),
        acknowledged: Some(positions[direction.opposite().index()]),
        input: Input::Bytes(black_box(bytes)),
    };
    parser.push(chunk, out);
    positions[direction.index()] += bytes.len() as u64;
    let mut outputs = out.take();
    for output in outputs.drain(..) {
        if let Output::Message(message) = output {
            black_box(message.status);
            out.recycle(message);
        }
    }
    out.restore(outputs);
}
