use std::sync::{Arc, Mutex};

use l7trace_event::{Cause, Endpoint, Process, Timestamp, Tuple};

use super::*;

/// A writer that a test can look into.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(events: &[Event<'_>]) -> Vec<u8> {
    let file = Shared::default();
    let mut recorder = Recorder::new(Box::new(file.clone())).unwrap();
    for event in events {
        recorder.record(event).unwrap();
    }
    recorder.finish().unwrap();
    file.0.lock().unwrap().clone()
}

fn end(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().unwrap();
    Endpoint::inet(address.ip(), address.port())
}

/// An event as one line, without the packet that it was read from.
fn line(event: &Event<'_>) -> String {
    let event = Event { packet: None, ..event.clone() };
    format!("{event:?}")
}

#[track_caller]
fn check(recorded: &[Event<'_>], expected: &[Event<'_>]) {
    let (mut read, warnings) = crate::fuzzing::read(&record(recorded), line);
    assert_eq!(warnings, Vec::<String>::new());
    let expected: Vec<String> = expected.iter().map(line).collect();
    read.retain(|line| !line.is_empty());
    assert_eq!(read.join("\n"), expected.join("\n"));
}

fn event(source: SourceKind, tuple: Tuple, what: What<'_>) -> Event<'_> {
    Event { at: Timestamp(1_795_341_600_123_456_789), witness: Witness { source, place: 1 }, tuple, what, packet: None }
}

#[test]
fn what_system_calls_saw_comes_back() {
    let four = Tuple::new(end("127.0.0.1:4000"), end("127.0.0.1:80"), 99);
    let six = Tuple::new(end("[2001:db8::1]:4000"), end("[2001:db8::2]:80"), 99);
    let unix = Tuple::new(Endpoint::unix(1 << 40), Endpoint::unix(7), 0);
    for tuple in [four, six, unix] {
        let segment = |segment| event(SourceKind::Syscalls, tuple, What::Segment(segment));
        let plain =
            Segment { position: 7, bytes: b"GET / HTTP/1.1\r\n\r\n", acknowledged: Some(9), ..Segment::default() };
        let flags = Flags::CLIENT.with(Flags::APPEND);
        let noted = Segment { missing: 100, cause: Some(Cause::ZeroCopy), flags, acknowledged: None, ..plain };
        let whole = [
            segment(Segment { bytes: b"", flags: Flags::OPEN, acknowledged: None, ..plain }),
            segment(Segment { bytes: b"", flags: Flags::OPEN.with(Flags::ANSWER), ..plain }),
            segment(plain),
            segment(noted),
            segment(Segment { missing: 5, bytes: b"", cause: Some(Cause::CaptureLimit), ..plain }),
            segment(Segment { flags: Flags::END, ..plain }),
            segment(Segment { bytes: b"", flags: Flags::RESET, ..plain }),
            event(SourceKind::Syscalls, tuple, What::Exists),
            event(SourceKind::Syscalls, tuple, What::Name("/run/x.sock".into())),
            event(
                SourceKind::Syscalls,
                tuple,
                What::Owner(Arc::new(Process { pid: 1, name: "nginx: master".into(), started: 3, cgroup: 4 })),
            ),
        ];
        // The owner comes first, wherever it was told.
        let mut read = whole.clone();
        read.rotate_right(1);
        check(&whole, &read);
    }
}

#[test]
fn what_is_too_long_for_a_packet_comes_back_in_steps() {
    let tuple = Tuple::new(end("10.0.0.1:4000"), end("10.0.0.2:80"), 0);
    let bytes = vec![7u8; 100_000];
    let flags = Flags::OPEN.with(Flags::END).with(Flags::RESET);
    let long = Segment {
        position: u32::MAX,
        bytes: &bytes,
        missing: 50_000,
        cause: Some(Cause::Unreadable),
        acknowledged: None,
        flags,
    };
    let segment = |segment| event(SourceKind::Syscalls, tuple, What::Segment(segment));
    let part = Segment { missing: 0, cause: None, flags: Flags::default(), ..long };
    check(
        &[segment(long)],
        &[
            segment(Segment { bytes: &[], flags: Flags::OPEN, ..part }),
            segment(Segment { position: 0, bytes: &bytes[..65_000], ..part }),
            segment(Segment {
                position: 65_000,
                bytes: &bytes[65_000..],
                missing: 30_000,
                cause: Some(Cause::Unreadable),
                ..part
            }),
            segment(Segment {
                position: 130_000,
                bytes: &[],
                missing: 20_000,
                cause: Some(Cause::Unreadable),
                flags: Flags::END,
                ..part
            }),
            segment(Segment { position: 150_001, bytes: &[], flags: Flags::RESET, ..part }),
        ],
    );
}

#[test]
fn ring_full_comes_back_and_is_counted_as_drops() {
    let none = Tuple::new(Endpoint::default(), Endpoint::default(), 0);
    let tuple = Tuple::new(end("10.0.0.1:4000"), end("10.0.0.2:80"), 0);
    let events = [
        event(SourceKind::Packets, tuple, What::Segment(Segment { acknowledged: Some(1), ..Segment::default() })),
        event(SourceKind::Packets, none, What::RingFull { records: 3, bytes: 4_000 }),
    ];
    check(&events, &events);
    let file = record(&events);
    let dropped = [7, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0];
    assert!(file.windows(dropped.len()).any(|window| window == dropped));
}

#[test]
fn what_was_recorded_is_in_the_file_soon() {
    let file = Shared::default();
    let mut recorder = Recorder::new(Box::new(file.clone())).unwrap();
    let tuple = Tuple::new(end("10.0.0.1:4000"), end("10.0.0.2:80"), 0);
    recorder.record(&event(SourceKind::Packets, tuple, What::Exists)).unwrap();
    let before = file.0.lock().unwrap().len();
    for _ in 0..2 {
        std::thread::sleep(DELAY);
        recorder.tick().unwrap();
    }
    assert!(file.0.lock().unwrap().len() > before);
}
