//! Exchanges over connections that stay, from segments to JSON lines.

use std::io::Write as _;

use l7trace_event::{Endpoint, Event, Flags, Segment, SourceKind, Timestamp, Tuple, What, Witness};
use l7trace_exchange::{Options, Receiver, Record, Tracker};
use l7trace_output::{JsonLines, Output, OutputOptions};
use l7trace_stream::{Limits, Table};

/// Writes each line where the one before it was.
pub(crate) struct Lines {
    output: JsonLines,
    line: Vec<u8>,
    pub(crate) count: u64,
}

impl Receiver for Lines {
    fn record(&mut self, record: &Record<'_>) {
        self.line.clear();
        self.output.write(record, &mut self.line);
        self.count += 1;
    }
}

impl Lines {
    pub(crate) fn new() -> Lines {
        Lines { output: JsonLines::new(&OutputOptions::default()), line: Vec::new(), count: 0 }
    }
}

pub(crate) const CONNECTIONS: u32 = 32;

pub(crate) struct Traffic<R: Receiver> {
    table: Table<Tracker<R>>,
    pub(crate) tracker: Tracker<R>,
    now: Timestamp,
    /// How far each connection's client and server have spoken.
    spoken: Vec<[u32; 2]>,
    message: Vec<u8>,
}

impl<R: Receiver> Traffic<R> {
    pub(crate) fn new(receiver: R) -> Traffic<R> {
        let mut traffic = Traffic {
            table: Table::new(Limits::default()),
            tracker: Tracker::new(Options::default(), receiver),
            now: Timestamp(1_795_341_600_000_000_000),
            spoken: vec![[1; 2]; CONNECTIONS as usize],
            message: Vec::new(),
        };
        for connection in 0..CONNECTIONS {
            traffic.push(connection, 0, Segment { flags: Flags::OPEN, ..Segment::default() });
            let flags = Flags::OPEN.with(Flags::ANSWER);
            traffic.push(connection, 1, Segment { flags, acknowledged: Some(1), ..Segment::default() });
        }
        traffic
    }

    fn push(&mut self, connection: u32, from: usize, segment: Segment<'_>) {
        self.now.0 += 1_000;
        let end = |address: &str, port: u16| Endpoint::inet(address.parse().expect("it is one"), port);
        let tuple = Tuple::new(end("10.0.0.2", 4_000 + connection as u16), end("10.0.0.1", 80), 0);
        let tuple = if from == 0 { tuple } else { tuple.reversed() };
        let witness = Witness { source: SourceKind::Packets, place: 1 };
        let event = Event { at: self.now, witness, tuple, what: What::Segment(segment), packet: None };
        self.table.push(&event, &mut self.tracker);
    }

    fn say(&mut self, connection: u32, from: usize) {
        let message = std::mem::take(&mut self.message);
        let spoken = self.spoken[connection as usize];
        let segment = Segment {
            position: spoken[from],
            bytes: &message,
            acknowledged: Some(spoken[1 - from]),
            ..Segment::default()
        };
        self.push(connection, from, segment);
        self.spoken[connection as usize][from] += message.len() as u32;
        self.message = message;
    }

    /// One exchange on a connection; lines and lengths differ from one to the next.
    pub(crate) fn exchange(&mut self, connection: u32, number: u64) {
        let body = &[b'x'; 1_024][..(number % 1_000) as usize];
        self.message.clear();
        let request = write!(
            self.message,
            "GET /item/{number} HTTP/1.1\r\nHost: load.example\r\nUser-Agent: load/1\r\n\
             X-Request-Id: {number:016x}\r\nAccept: */*\r\n\r\n"
        );
        self.say(connection, 0);
        self.message.clear();
        let response = write!(
            self.message,
            "HTTP/1.1 200 OK\r\nServer: load\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.message.extend_from_slice(body);
        self.say(connection, 1);
        request.and(response).expect("a vector takes what is written");
    }
}
