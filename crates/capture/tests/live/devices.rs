use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use l7trace_testkit::device::{send_frames, tun};
use l7trace_testkit::netns::TestNamespace;
use l7trace_testkit::packet::{Tcp, flags};

use crate::seen::{Seen, capture, options};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const PAYLOAD: &[u8] = b"GET /some/where HTTP/1.1\r\nHost: example.org\r\n\r\n";

fn segment(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let (source, destination): (SocketAddr, SocketAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    Tcp { source, destination, sequence: 1000, acknowledgement: 2000, flags: flags::ACK | flags::PSH, payload }.ip()
}

fn version4(payload: &[u8]) -> Vec<u8> {
    segment("10.9.0.2:4000", "10.9.0.1:8000", payload)
}

fn version6(payload: &[u8]) -> Vec<u8> {
    segment("[fd00:9::2]:4000", "[fd00:9::1]:8000", payload)
}

/// An Ethernet frame to everybody, with these tags (ethertype and what the tag says).
fn frame(tags: &[(u16, u16)], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 9]].concat();
    for (kind, tag) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

/// What both ends of a link see of frames that are put into it.
fn seen_at_both_ends(frames: &[Vec<u8>]) -> Option<[Seen; 2]> {
    let (sender, receiver) = (TestNamespace::create()?, TestNamespace::create()?);
    sender.connect(&receiver, "v0", ["10.9.0.2/24", "10.9.0.1/24"]);
    let send = || sender.run(|| send_frames("v0", frames)).unwrap();
    Some([capture(&options(&sender), send), capture(&options(&receiver), send)])
}

#[test]
fn tags_are_stepped_over() {
    let one = [(0x8100, 100)];
    // A tag whose priority and number look like the start of an IPv4 header.
    let odd = [(0x8100, 0x4500 | 20)];
    let two = [(0x88a8, 200), (0x8100, 100)];
    let old_two = [(0x8100, 200), (0x8100, 100)];
    let three = [(0x88a8, 300), (0x8100, 200), (0x8100, 100)];
    for tags in [&[][..], &one, &odd, &two, &old_two, &three] {
        for (ethertype, packet) in [(IPV4, version4(PAYLOAD)), (IPV6, version6(PAYLOAD))] {
            let Some(ends) = seen_at_both_ends(&[frame(tags, ethertype, &packet)]) else { return };
            for (end, seen) in ends.iter().enumerate() {
                assert_eq!(seen.sent_to(8000), PAYLOAD, "end {end}, tags {tags:?}, {ethertype:#x}");
                assert_eq!(seen.payload(), PAYLOAD.len());
            }
        }
    }
}

#[test]
fn link_layer_padding_is_not_data() {
    let mut padded = frame(&[], IPV4, &version4(b"hi"));
    padded.resize(60, 0xaa);
    let mut padded6 = frame(&[], IPV6, &version6(b"hi"));
    padded6.resize(90, 0xaa);
    for frame in [padded, padded6] {
        let Some(ends) = seen_at_both_ends(&[frame]) else { return };
        for seen in ends {
            assert_eq!(seen.sent_to(8000), b"hi");
            assert_eq!(seen.segments[0].missing, 0);
        }
    }
}

/// Cuts an IPv4 packet without options into fragments with so many bytes of payload.
fn fragments4(packet: &[u8], each: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let chunks: Vec<&[u8]> = payload.chunks(each).collect();
    let fragment = |(at, chunk): (usize, &&[u8])| {
        let mut fragment = header.to_vec();
        let more = if at + 1 < chunks.len() { 0x2000 } else { 0 };
        fragment[2..4].copy_from_slice(&((20 + chunk.len()) as u16).to_be_bytes());
        fragment[4..6].copy_from_slice(&7u16.to_be_bytes());
        fragment[6..8].copy_from_slice(&((at * each / 8) as u16 | more).to_be_bytes());
        fragment.extend_from_slice(chunk);
        fragment
    };
    chunks.iter().enumerate().map(fragment).collect()
}

/// The same for IPv6.
fn fragments6(packet: &[u8], each: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(40);
    let chunks: Vec<&[u8]> = payload.chunks(each).collect();
    let fragment = |(at, chunk): (usize, &&[u8])| {
        let mut fragment = header.to_vec();
        fragment[4..6].copy_from_slice(&((8 + chunk.len()) as u16).to_be_bytes());
        let next = std::mem::replace(&mut fragment[6], 44);
        let more = u16::from(at + 1 < chunks.len());
        fragment.extend([next, 0]);
        fragment.extend(((at * each) as u16 | more).to_be_bytes());
        fragment.extend(7u32.to_be_bytes());
        fragment.extend_from_slice(chunk);
        fragment
    };
    chunks.iter().enumerate().map(fragment).collect()
}

#[test]
fn fragments_are_put_together() {
    let payload = PAYLOAD.repeat(40);
    for (ethertype, fragments) in
        [(IPV4, fragments4(&version4(&payload), 400)), (IPV6, fragments6(&version6(&payload), 400))]
    {
        assert!(fragments.len() > 4);
        for tags in [&[][..], &[(0x8100, 100)]] {
            let mut frames: Vec<Vec<u8>> = fragments.iter().map(|packet| frame(tags, ethertype, packet)).collect();
            frames.reverse();
            let Some(ends) = seen_at_both_ends(&frames) else { return };
            for seen in ends {
                assert_eq!(seen.sent_to(8000), payload, "{ethertype:#x} {tags:?} {:?}", seen.not_understood);
            }
        }
    }
}

#[test]
fn ipv4_options_and_ipv6_extensions() {
    let mut options4 = version4(PAYLOAD);
    options4[0] = 0x47;
    options4.splice(20..20, [1, 1, 1, 1, 1, 1, 1, 0]);
    let length = options4.len() as u16;
    options4[2..4].copy_from_slice(&length.to_be_bytes());
    let mut extensions = version6(PAYLOAD);
    let next = std::mem::replace(&mut extensions[6], 60);
    // Destination options, then a fragment header that is the whole packet.
    extensions.splice(40..40, [44, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, next, 0, 0, 0, 0, 0, 0, 9]);
    let length = (extensions.len() - 40) as u16;
    extensions[4..6].copy_from_slice(&length.to_be_bytes());
    for (ethertype, packet) in [(IPV4, options4), (IPV6, extensions)] {
        let Some(ends) = seen_at_both_ends(&[frame(&[], ethertype, &packet)]) else { return };
        for seen in ends {
            assert_eq!(seen.sent_to(8000), PAYLOAD, "{ethertype:#x}");
        }
    }
}

#[test]
fn tun_devices_have_no_link_layer() {
    let Some(namespace) = TestNamespace::create() else { return };
    let Ok(mut device) = namespace.run(|| tun("tun7")) else {
        l7trace_testkit::skip::skip("tun_devices_have_no_link_layer", "there is no /dev/net/tun");
        return;
    };
    namespace.ip(&["address", "add", "10.9.0.1/24", "dev", "tun7"]);
    namespace.ip(&["link", "set", "tun7", "up"]);
    let seen = capture(&options(&namespace), || {
        device.write_all(&version4(PAYLOAD)).unwrap();
        device.write_all(&version6(b"six")).unwrap();
        // And out by it: a connection that nobody answers.
        let peer: SocketAddr = "10.9.0.7:9000".parse().unwrap();
        namespace.run(|| TcpStream::connect_timeout(&peer, Duration::from_millis(100)).unwrap_err());
        thread::sleep(Duration::from_millis(10));
    });
    let to = |port: u16| seen.segments.iter().filter(move |segment| segment.tuple.destination.port() == port);
    let incoming: Vec<&[u8]> = to(8000).map(|segment| segment.bytes.as_slice()).collect();
    assert_eq!(incoming, [PAYLOAD, b"six"]);
    assert_eq!(to(9000).count(), 1, "the SYN that went out");
}
