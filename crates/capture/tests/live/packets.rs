use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use l7trace_capture::kernel::NetworkNamespace;
use l7trace_capture::packets::{Options, open};
use l7trace_event::{Flags, Side};
use l7trace_testkit::netns::TestNamespace;

use crate::seen::{capture, options};

/// Bytes of which no two stretches are alike.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A client sends `request` in these pieces, the server answers with `response`, both close.
fn exchange(server: &TestNamespace, client: &TestNamespace, address: &str, request: &[&[u8]], response: &[u8]) {
    let listener = server.run(|| TcpListener::bind(address)).unwrap();
    let mut stream = client.run(|| TcpStream::connect(address)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let expected: usize = request.iter().map(|piece| piece.len()).sum();
            let mut got = vec![0; expected];
            accepted.read_exact(&mut got).unwrap();
            accepted.write_all(response).unwrap();
            accepted.shutdown(Shutdown::Write).unwrap();
        });
        for piece in request {
            stream.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), response.len());
    });
}

#[test]
fn loopback_gives_every_byte_once() {
    let Some(namespace) = TestNamespace::create() else { return };
    for address in ["127.0.0.1:8000", "[::1]:8000"] {
        let request: [&[u8]; 3] = [b"G", b"ET / HTTP", b"/1.1\r\n\r\n"];
        let response = bytes(3000);
        let seen = capture(&options(&namespace), || exchange(&namespace, &namespace, address, &request, &response));
        assert_eq!(seen.sent_to(8000), request.concat());
        assert_eq!(seen.sent_from(8000), response);
        assert_eq!(seen.payload(), request.concat().len() + response.len(), "a segment was seen twice");
        assert!(seen.segments.iter().all(|segment| segment.missing == 0 && segment.place == 1));
        let count = |flag: Flags| seen.segments.iter().filter(|segment| segment.flags.has(flag)).count();
        assert_eq!((count(Flags::OPEN), count(Flags::ANSWER), count(Flags::END)), (2, 1, 2));
        assert_ne!(seen.segments[0].tuple.namespace, 0);
        assert_eq!(seen.not_understood, []);
    }
}

#[test]
fn both_directions_between_hosts_and_two_interfaces() {
    let (Some(server), Some(client)) = (TestNamespace::create(), TestNamespace::create()) else { return };
    server.connect(&client, "v0", ["10.9.0.1/24", "10.9.0.2/24"]);
    server.connect(&client, "v1", ["fd00:9::1/64", "fd00:9::2/64"]);
    for address in ["10.9.0.1:8000", "[fd00:9::1]:8000"] {
        let response = bytes(200_000);
        let seen = capture(&options(&server), || exchange(&server, &client, address, &[b"hello"], &response));
        assert_eq!(seen.sent_to(8000), b"hello");
        assert_eq!(seen.sent_from(8000), response);
        assert_eq!(seen.segments[0].tuple.namespace, 0);
    }
    let only = Options { interfaces: vec!["v1".into()], ..options(&server) };
    let seen = capture(&only, || exchange(&server, &client, "10.9.0.1:8000", &[b"hello"], b"there"));
    assert!(seen.segments.is_empty());
    let two = Options { interfaces: vec!["v1".into(), "v0".into()], ..options(&server) };
    let seen = capture(&two, || exchange(&server, &client, "10.9.0.1:8000", &[b"hello"], b"there"));
    assert_eq!((seen.sent_to(8000), seen.sent_from(8000)), (b"hello".to_vec(), b"there".to_vec()));
    assert_eq!(seen.payload(), 10);
}

#[test]
fn interfaces_that_come_later_are_captured() {
    let (Some(server), Some(client)) = (TestNamespace::create(), TestNamespace::create()) else { return };
    let seen = capture(&options(&server), || {
        for round in 0..3 {
            server.connect(&client, "v0", ["10.9.0.1/24", "10.9.0.2/24"]);
            exchange(&server, &client, &format!("10.9.0.1:{}", 8000 + round), &[b"hello"], b"there");
            server.ip(&["link", "delete", "v0"]);
        }
    });
    for port in 8000..8003 {
        assert_eq!((seen.sent_to(port), seen.sent_from(port)), (b"hello".to_vec(), b"there".to_vec()));
    }
    let opened = |segment: &&crate::seen::Segment| segment.flags.has(Flags::OPEN);
    assert_eq!(seen.segments.iter().filter(opened).count(), 6, "every SYN and its answer, once");
}

/// A device that is down when tracing begins, and goes down and up again.
#[test]
fn devices_that_go_down_and_come_up() {
    let (Some(server), Some(client)) = (TestNamespace::create(), TestNamespace::create()) else { return };
    server.connect(&client, "v0", ["10.9.0.1/24", "10.9.0.2/24"]);
    server.ip(&["link", "set", "v0", "down"]);
    for interfaces in [vec![], vec!["v0".to_owned()]] {
        let seen = capture(&Options { interfaces, ..options(&server) }, || {
            for port in 8000..8002 {
                server.ip(&["link", "set", "v0", "up"]);
                exchange(&server, &client, &format!("10.9.0.1:{port}"), &[b"hello"], b"there");
                server.ip(&["link", "set", "v0", "down"]);
            }
        });
        for port in 8000..8002 {
            assert_eq!((seen.sent_to(port), seen.sent_from(port)), (b"hello".to_vec(), b"there".to_vec()));
        }
    }
}

#[test]
fn ports_are_filtered_at_either_end() {
    let Some(namespace) = TestNamespace::create() else { return };
    let only = Options { ports: vec![8001, 65535], ..options(&namespace) };
    let seen = capture(&only, || {
        for address in ["127.0.0.1:8000", "127.0.0.1:8001", "[::1]:8002", "[::1]:65535"] {
            exchange(&namespace, &namespace, address, &[b"hello"], b"there");
        }
    });
    let ports = |tuple: l7trace_event::Tuple| {
        let (key, _) = tuple.connection();
        key.end(Side::A).port().min(key.end(Side::B).port()).max(8000)
    };
    assert!(seen.segments.iter().all(|segment| ports(segment.tuple) == 8001
        || segment.tuple.source.port() == 65535
        || segment.tuple.destination.port() == 65535));
    assert_eq!((seen.sent_to(8001), seen.sent_from(65535)), (b"hello".to_vec(), b"there".to_vec()));
    assert_eq!((seen.sent_to(8000), seen.sent_to(8002)), (vec![], vec![]));
}

#[test]
fn large_packets_come_whole() {
    let Some(namespace) = TestNamespace::create() else { return };
    let response = bytes(20 << 20);
    let seen = capture(&options(&namespace), || exchange(&namespace, &namespace, "127.0.0.1:8000", &[b"x"], &response));
    assert!(seen.longest_packet > 60_000, "{}", seen.longest_packet);
    assert_eq!(seen.ring_full_bytes, 0);
    assert!(seen.sent_from(8000) == response);
}

/// Packets beyond 64 KB come in parts that read like packets.
#[test]
fn big_tcp_comes_whole() {
    let Some(namespace) = TestNamespace::create() else { return };
    let set = namespace.output("ip", &["link", "set", "lo", "gso_max_size", "400000", "gro_max_size", "400000"]);
    if !set.status.success() {
        l7trace_testkit::skip::skip("big_tcp_comes_whole", "this kernel or ip has no gso_max_size beyond 64 KB");
        return;
    }
    let response = bytes(20 << 20);
    let seen = capture(&options(&namespace), || exchange(&namespace, &namespace, "[::1]:8000", &[b"x"], &response));
    assert_eq!(seen.ring_full_bytes, 0);
    assert!(seen.sent_from(8000) == response);
    assert!(seen.segments.iter().all(|segment| segment.missing == 0));
    let end =
        seen.segments.iter().rfind(|segment| segment.tuple.source.port() == 8000 && segment.flags.has(Flags::END));
    assert!(end.is_some(), "the end was lost");
}

#[test]
fn a_full_ring_is_accounted_for() {
    let Some(namespace) = TestNamespace::create() else { return };
    let small = Options { ring_bytes: 256 << 10, ..options(&namespace) };
    let mut source = open(&small).unwrap();
    let response = bytes(8 << 20);
    exchange(&namespace, &namespace, "127.0.0.1:8000", &[b"x"], &response);
    let mut seen = crate::seen::Seen::default();
    crate::seen::drain(&mut source, &mut seen);
    let captured = seen.payload() as u64;
    assert!(seen.ring_full_bytes > 4 << 20, "{}", seen.ring_full_bytes);
    // Retransmissions may count twice; nothing may be missing from the account.
    assert!(captured + seen.ring_full_bytes > response.len() as u64);
    assert!(captured + seen.ring_full_bytes < response.len() as u64 * 11 / 10);
}

#[test]
fn two_at_once_see_everything() {
    let Some(namespace) = TestNamespace::create() else { return };
    let mut one = open(&options(&namespace)).unwrap();
    let two = capture(&options(&namespace), || {
        exchange(&namespace, &namespace, "127.0.0.1:8000", &[b"hello"], &bytes(100_000));
    });
    let mut first = crate::seen::Seen::default();
    crate::seen::drain(&mut one, &mut first);
    for seen in [first, two] {
        assert_eq!(seen.sent_to(8000), b"hello");
        assert_eq!(seen.sent_from(8000), bytes(100_000));
    }
}

#[test]
fn nothing_is_queued_on_the_socket() {
    let Some(namespace) = TestNamespace::create() else { return };
    let source = open(&options(&namespace)).unwrap();
    exchange(&namespace, &namespace, "127.0.0.1:8000", &[b"hello"], &bytes(1 << 20));
    // The column before the last but one of the table: memory taken by what waits to be read.
    let table = String::from_utf8(namespace.output("cat", &["/proc/net/packet"]).stdout).unwrap();
    // One for loopback.
    let waiting: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(6)).collect();
    assert_eq!(waiting, ["0"], "{table}");
    drop(source);
    let table = String::from_utf8(namespace.output("cat", &["/proc/net/packet"]).stdout).unwrap();
    assert_eq!(table.lines().count(), 1, "{table}");
}

#[test]
fn errors_name_what_is_not_there() {
    let Some(namespace) = TestNamespace::create() else { return };
    let check = |options: Options, expected: &[&str]| {
        let error = open(&options).err().unwrap().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    check(Options { interfaces: vec!["eth77".into()], ..options(&namespace) }, &["eth77", "there are lo"]);
    check(
        Options { namespace: NetworkNamespace::parse("nonesuch"), ..Options::default() },
        &["nonesuch", "no such file"],
    );
}
