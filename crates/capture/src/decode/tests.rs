use l7trace_event::{Flags, SourceKind, What};
use l7trace_testkit::packet::{Tcp, ethernet, flags, ipv4, ipv6, udp};

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

fn tcp4(payload: &[u8]) -> Tcp<'_> {
    Tcp {
        source: "10.0.0.1:4000".parse().unwrap(),
        destination: "10.0.0.2:80".parse().unwrap(),
        sequence: 100,
        acknowledgement: 200,
        flags: flags::ACK | flags::PSH,
        payload,
    }
}

fn tcp6(payload: &[u8]) -> Tcp<'_> {
    Tcp {
        source: "[2001:db8::a]:4000".parse().unwrap(),
        destination: "[2001:db8::b]:80".parse().unwrap(),
        ..tcp4(payload)
    }
}

const FOUR: &str = "10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200: GET / HTTP/1.1\\r\\n\\r\\n";
const SIX: &str = "[2001:db8::a]:4000 > [2001:db8::b]:80 at 100 ack 200: GET / HTTP/1.1\\r\\n\\r\\n";

/// `source > destination at N ack N: bytes +missing flags`
fn line(event: &Event<'_>) -> String {
    let What::Segment(segment) = &event.what else { panic!("not a segment") };
    let mut line = format!("{} > {} at {}", event.tuple.source, event.tuple.destination, segment.position);
    if let Some(acknowledged) = segment.acknowledged {
        line += &format!(" ack {acknowledged}");
    }
    line += &format!(": {}", segment.bytes.escape_ascii());
    if segment.missing > 0 {
        line += &format!(" +{}", segment.missing);
    }
    for (flag, name) in [(Flags::OPEN, "open"), (Flags::ANSWER, "answer"), (Flags::END, "end"), (Flags::RESET, "reset")]
    {
        if segment.flags.has(flag) {
            line += &format!(" {name}");
        }
    }
    line
}

fn seen() -> Seen {
    Seen { at: Timestamp(1), witness: Witness { source: SourceKind::File, place: 3 }, namespace: 0 }
}

/// Decodes packets of a link type: their lines, then what was not understood.
fn decode(link: u32, packets: &[(&[u8], usize)]) -> Vec<String> {
    let mut decoder = PacketDecoder::default();
    let mut lines = Vec::new();
    for (bytes, length) in packets {
        decoder.link(LinkType(link), seen(), bytes, *length as u32, &mut |event| lines.push(line(event)));
    }
    lines.extend(decoder.not_understood().into_iter().map(|(what, count)| format!("{count} {what}")));
    lines
}

/// Checks one packet, whole and then cut after every byte: what comes of it never is more.
#[track_caller]
fn check(link: u32, packet: &[u8], expected: &str) {
    assert_eq!(decode(link, &[(packet, packet.len())]), [expected], "{}", packet.escape_ascii());
    let bytes_of = |line: &str| line.split(": ").nth(1).map(|rest| rest.split(" +").next().unwrap().to_owned());
    let whole = bytes_of(expected).unwrap_or_default();
    for end in 0..packet.len() {
        for lines in [decode(link, &[(&packet[..end], packet.len())]), decode(link, &[(&packet[..end], end)])] {
            let bytes = lines.first().filter(|line| line.contains(" > ")).and_then(|line| bytes_of(line));
            assert!(bytes.is_none_or(|bytes| whole.starts_with(bytes.trim_end())), "cut at {end}: {lines:?}");
        }
    }
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn links() {
    let (four, six) = (tcp4(GET).ip(), tcp6(GET).ip());
    for link in [12, 14, 101, 228] {
        check(link, &four, FOUR);
    }
    check(101, &six, SIX);
    check(229, &six, SIX);
    check(1, &ethernet(0x0800, &four), FOUR);
    check(1, &ethernet(0x86dd, &six), SIX);
    // NULL in both byte orders, LOOP in network order.
    check(0, &concat(&[&[2, 0, 0, 0], &four]), FOUR);
    check(0, &concat(&[&[0, 0, 0, 2], &four]), FOUR);
    for family in [10, 24, 28, 30] {
        check(0, &concat(&[&[family, 0, 0, 0], &six]), SIX);
        check(108, &concat(&[&[0, 0, 0, family], &six]), SIX);
    }
    // Linux cooked, versions 1 and 2; with a VLAN tag inside.
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    check(113, &concat(&[&cooked, &[0x08, 0], &four]), FOUR);
    check(113, &concat(&[&cooked, &[0x81, 0, 0, 7, 0x86, 0xdd], &six]), SIX);
    let cooked = [0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    check(276, &concat(&[&[0x08, 0], &cooked, &four]), FOUR);
    check(276, &concat(&[&[0x86, 0xdd], &cooked, &six]), SIX);
    // PPP: bare, in HDLC framing, with a compressed protocol number, with a direction, over Cisco HDLC.
    check(9, &concat(&[&[0, 0x21], &four]), FOUR);
    check(9, &concat(&[&[0xff, 3, 0, 0x57], &six]), SIX);
    check(9, &concat(&[&[0x21], &four]), FOUR);
    check(50, &concat(&[&[0xff, 3, 0, 0x21], &four]), FOUR);
    check(50, &concat(&[&[0x0f, 0, 8, 0], &four]), FOUR);
    check(166, &concat(&[&[1, 3, 0, 0x21], &four]), FOUR);
    check(204, &concat(&[&[1, 0xff, 3, 0, 0x21], &four]), FOUR);
    check(104, &concat(&[&[0x0f, 0, 8, 0], &four]), FOUR);
    check(205, &concat(&[&[1, 0x8f, 0, 0x86, 0xdd], &six]), SIX);
    check(51, &concat(&[&[0x11, 0, 0, 1, 0, 60, 0, 0x21], &four]), FOUR);
    // Frame relay: NLPID, SNAP, Cisco's.
    check(107, &concat(&[&[0x18, 0x41, 3, 0xcc], &four]), FOUR);
    check(107, &concat(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &four]), FOUR);
    check(206, &concat(&[&[1, 0x18, 0x41, 8, 0], &four]), FOUR);
    // RFC 1483, NFLOG in both byte orders, PFLOG, ENC, PKTAP, NETANALYZER.
    check(100, &concat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &four]), FOUR);
    let payload = (four.len() + 4) as u8;
    check(239, &concat(&[&[2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 0, 0, payload, 0, 9, 0], &four]), FOUR);
    check(239, &concat(&[&[2, 0, 0, 0, 0, 5, 0, 1, 8, 0, 0, 0, 0, payload, 0, 9], &four]), FOUR);
    check(117, &concat(&[&[61, 2], &[0; 62], &four]), FOUR);
    check(109, &concat(&[&[2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], &four]), FOUR);
    check(258, &concat(&[&[16, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0], &four]), FOUR);
    check(240, &concat(&[&[0; 4], &ethernet(0x0800, &four)]), FOUR);
    check(219, &concat(&[&[0, 1, 1, 64], &four]), FOUR);
}

#[test]
fn wireless() {
    let four = tcp4(GET).ip();
    let llc = concat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &four]);
    let header = |control: [u8; 2], extra: &[u8]| concat(&[&control, &[0; 22], extra]);
    let data = concat(&[&header([0x08, 0x01], &[]), &llc]);
    check(105, &data, FOUR);
    // Four addresses; QoS; QoS with an HT control field.
    check(105, &concat(&[&header([0x08, 0x03], &[0; 6]), &llc]), FOUR);
    check(105, &concat(&[&header([0x88, 0x02], &[0; 2]), &llc]), FOUR);
    check(105, &concat(&[&header([0x88, 0x82], &[0; 6]), &llc]), FOUR);
    // Radiotap: short; with a time stamp, flags that say padding, and a second word of fields.
    check(127, &concat(&[&[0, 0, 8, 0, 0, 0, 0, 0], &data]), FOUR);
    let long = [0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20];
    check(127, &concat(&[&long, &header([0x88, 0x02], &[0; 4]), &llc]), FOUR);
    // PPI, Prism, AVS.
    check(192, &concat(&[&[0, 0, 8, 0, 105, 0, 0, 0], &data]), FOUR);
    check(119, &concat(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &data]), FOUR);
    check(163, &concat(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &data]), FOUR);
    // What carries nothing that can be read.
    check(105, &header([0x80, 0], &[]), "1 not TCP: 802.11 management");
    check(105, &header([0xb4, 0], &[]), "1 not TCP: 802.11 control");
    check(105, &header([0x48, 0], &[]), "1 not TCP: 802.11 frame without data");
    check(105, &concat(&[&header([0x08, 0x41], &[]), &llc]), "1 802.11: encrypted");
    check(105, &concat(&[&header([0x08, 0x05], &[]), &llc]), "1 802.11: fragment");
    // Two frames in one.
    let inner = concat(&[&[0; 12], &(llc.len() as u16).to_be_bytes(), &llc]);
    let padding = vec![0; (4 - inner.len() % 4) % 4];
    let two = concat(&[&header([0x88, 0x02], &[0x80, 0]), &inner, &padding, &inner]);
    assert_eq!(decode(105, &[(&two, two.len())]), [FOUR, FOUR]);
}

#[test]
fn tags_and_tunnels() {
    let (four, six) = (tcp4(GET).ip(), tcp6(GET).ip());
    let frame = ethernet(0x0800, &four);
    let over_ip = |protocol: u8, payload: &[u8]| ethernet(0x0800, &ipv4(protocol, payload));
    let over_udp = |port: u16, parts: &[&[u8]]| over_ip(17, &udp(40_000, port, &parts.concat()));
    let gre = |parts: &[&[u8]]| over_ip(47, &parts.concat());
    let check = |packet: &[u8], expected: &str| check(1, packet, expected);
    // VLANs, stacked, in 802.3 with SNAP; 802.1ah; E-tag.
    check(&ethernet(0x8100, &concat(&[&[0, 7, 8, 0], &four])), FOUR);
    check(&ethernet(0x88a8, &concat(&[&[0, 7, 0x81, 0, 0, 8, 0x86, 0xdd], &six])), SIX);
    check(&ethernet(0x9100, &concat(&[&[0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9, 8, 0], &four])), FOUR);
    let snap = concat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &four]);
    check(&ethernet(snap.len() as u16, &snap), FOUR);
    check(&ethernet(0x88e7, &concat(&[&[0, 0, 0, 1], &frame])), FOUR);
    check(&ethernet(0x893f, &concat(&[&[0, 0, 0, 0, 8, 0], &four])), FOUR);
    // MPLS: IPv4, IPv6 under three labels, Ethernet with and without a control word.
    check(&ethernet(0x8847, &concat(&[&[0, 1, 1, 64], &four])), FOUR);
    check(&ethernet(0x8848, &concat(&[&[0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64], &six])), SIX);
    check(&ethernet(0x8847, &concat(&[&[0, 1, 1, 64], &frame])), FOUR);
    check(&ethernet(0x8847, &concat(&[&[0, 1, 1, 64, 0, 0, 0, 0], &frame])), FOUR);
    // PPPoE.
    check(&ethernet(0x8864, &concat(&[&[0x11, 0, 0, 1, 0, 60, 0, 0x21], &four])), FOUR);
    // IP in IP, 6in4, 4in6, authentication headers.
    check(&over_ip(4, &four), FOUR);
    check(&over_ip(41, &six), SIX);
    check(&ethernet(0x86dd, &ipv6(4, &four)), FOUR);
    check(&over_ip(51, &concat(&[&[6, 4], &[0; 22], &tcp4(GET).bare()])), &FOUR.replace("10.0.0.", "192.0.2."));
    check(&over_ip(97, &concat(&[&[0x30, 0], &frame])), FOUR);
    check(&over_ip(137, &concat(&[&[0, 1, 1, 64], &four])), FOUR);
    // GRE: plain; checksum, key and sequence; bridging; NVGRE; PPTP; ERSPAN I, II, III; routing.
    check(&gre(&[&[0, 0, 8, 0], &four]), FOUR);
    check(&gre(&[&[0xb0, 0, 0x86, 0xdd], &[0; 12], &six]), SIX);
    check(&gre(&[&[0, 0, 0x65, 0x58], &frame]), FOUR);
    check(&gre(&[&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0], &frame]), FOUR);
    check(&gre(&[&[0x30, 0x81, 0x88, 0x0b, 0, 60, 0, 1], &[0; 8], &[0xff, 3, 0, 0x21], &four]), FOUR);
    check(&gre(&[&[0, 0, 0x88, 0xbe], &frame]), FOUR);
    check(&gre(&[&[0x10, 0, 0x88, 0xbe], &[0; 12], &frame]), FOUR);
    check(&gre(&[&[0x10, 0, 0x22, 0xeb], &[0; 4], &[0; 11], &[1], &[0; 8], &frame]), FOUR);
    check(&gre(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], &[8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0], &four]), FOUR);
    check(&gre(&[&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &four]), FOUR);
    // UDP: VXLAN at both ports, GPE, Geneve with an option, Teredo, GTP-U, L2TP, GRE and MPLS in UDP.
    for port in [4789, 8472] {
        check(&over_udp(port, &[&[8, 0, 0, 0, 0, 0, 1, 0], &frame]), FOUR);
    }
    check(&over_udp(4790, &[&[0x0c, 0, 0, 1, 0, 0, 1, 0], &four]), FOUR);
    check(&over_udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 1, 2, 0], &frame]), FOUR);
    check(&over_udp(6081, &[&[0, 0, 0x86, 0xdd, 0, 0, 1, 0], &six]), SIX);
    check(&over_udp(3544, &[&six]), SIX);
    check(&over_udp(3544, &[&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 8], &six]), SIX);
    check(&over_udp(2152, &[&[0x30, 255, 0, 58, 0, 0, 0, 1], &four]), FOUR);
    check(&over_udp(2152, &[&[0x34, 255, 0, 66, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0], &four]), FOUR);
    check(&over_udp(1701, &[&[0x48, 2, 0, 80, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 3, 0, 0x21], &four]), FOUR);
    check(&over_udp(4754, &[&[0, 0, 8, 0], &four]), FOUR);
    check(&over_udp(6635, &[&[0, 1, 1, 64], &four]), FOUR);
    // One in the other.
    check(&over_udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &gre(&[&[0, 0, 8, 0], &ipv4(41, &six)])]), SIX);
}

#[test]
fn ip_headers() {
    let bare = tcp4(GET).bare();
    let six = |first: u8, headers: &[&[u8]]| ipv6(first, &concat(&[&headers.concat(), &bare]));
    let expected = SIX.replace("::a]", "::1]").replace("::b]", "::2]");
    let check = |packet: &[u8], expected: &str| check(101, packet, expected);
    // IPv4 options.
    let mut options = tcp4(GET).ip();
    options[0] = 0x46;
    options[3] += 4;
    options.splice(20..20, [1, 1, 1, 0]);
    check(&options, FOUR);
    // IPv6 extension headers: hop-by-hop, destination, routing, authentication, a whole fragment.
    check(&six(0, &[&[6, 0, 5, 2, 0, 0, 1, 0]]), &expected);
    let all: &[&[u8]] =
        &[&[60, 0], &[0; 6], &[43, 1], &[0; 14], &[51, 0], &[0; 6], &[44, 1], &[0; 10], &[6, 0, 0, 0, 0, 0, 0, 1]];
    check(&six(0, all), &expected);
    check(&six(59, &[]), "1 not TCP: IPv6 without payload");
    // Lengths left to the network card, and a jumbogram.
    let mut unset = tcp4(GET).ip();
    unset[2..4].fill(0);
    check(&unset, FOUR);
    let mut unset = tcp6(GET).ip();
    unset[4..6].fill(0);
    check(&unset, SIX);
    let long = vec![b'x'; 70_000];
    let jumbo = Tcp { payload: &long, ..tcp6(GET) };
    let mut packet = concat(&[&tcp6(GET).ip()[..40], &[6, 0, 0xc2, 4, 0, 1, 0x11, 0x8c], &jumbo.bare(), b"padding"]);
    packet[4..7].fill(0);
    let lines = decode(101, &[(&packet, packet.len())]);
    assert_eq!(lines, [SIX.replace("GET / HTTP/1.1\\r\\n\\r\\n", &"x".repeat(70_000))]);
    // What is wrong.
    let with = |at: usize, byte: u8| {
        let mut packet = tcp4(GET).ip();
        packet[at] = byte;
        packet
    };
    check(&with(0, 0x55), "1 IP: version neither 4 nor 6");
    check(&with(0, 0x44), "1 IPv4: header length below 20");
    check(&with(3, 19), "1 IPv4: total length below header length");
    check(&with(32, 0x40), "1 TCP: header length below 20");
    check(&with(32, 0xf0), "1 TCP: header longer than its packet");
    check(&with(9, 200), "1 IP protocol 200");
    check(&with(9, 1), "1 not TCP: ICMP");
    check(&ipv6(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(20)), "1 IPv6: too many extension headers");
    check(&[], "1 IP: header cut off");
}

#[test]
fn padding_is_no_payload() {
    let empty = Tcp { flags: flags::ACK, ..tcp4(b"") }.ip();
    let frame = concat(&[&ethernet(0x0800, &empty), &[0; 6]]);
    assert_eq!(decode(1, &[(&frame, 60)]), ["10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200: "]);
    let frame = concat(&[&ethernet(0x86dd, &tcp6(GET).ip()), b"fcs!"]);
    assert_eq!(decode(1, &[(&frame, frame.len())]), [SIX]);
}

#[test]
fn flags_of_tcp() {
    let check = |bits: u8, payload: &[u8], expected: &str| {
        let packet = Tcp { flags: bits, ..tcp4(payload) }.ip();
        assert_eq!(decode(101, &[(&packet, packet.len())]), [format!("10.0.0.1:4000 > 10.0.0.2:80 at 100{expected}")]);
    };
    check(flags::SYN, b"", ":  open");
    check(flags::SYN, b"early", ": early open");
    check(flags::SYN | flags::ACK, b"", " ack 200:  open answer");
    check(flags::FIN | flags::ACK, b"bye", " ack 200: bye end");
    check(flags::RST, b"", ":  reset");
    check(flags::RST | flags::ACK, b"why", " ack 200:  reset");
}

#[test]
fn what_the_capture_cut_is_missing() {
    let packet = ethernet(0x0800, &tcp4(GET).ip());
    let check = |end: usize, expected: &str| {
        let padded = packet.len() + 4;
        assert_eq!(decode(1, &[(&packet[..end], padded)]), [expected]);
    };
    check(58, "10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200: GET  +14");
    check(54, "10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200:  +18");
    check(53, "1 TCP: header cut off");
    // TCP options may be cut: what they are is not needed, how long they are is.
    let mut options = tcp4(GET).ip();
    options[3] += 12;
    options[32] = 0x80;
    options.splice(40..40, [1; 12]);
    assert_eq!(decode(101, &[(&options[..44], options.len())]), ["10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200:  +18"]);
}

/// Cuts a packet into fragments of so many payload bytes each.
fn fragments4(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let parts = packet[20..].chunks(size).enumerate().map(|(index, part)| {
        let more = if (index + 1) * size < packet.len() - 20 { 0x2000 } else { 0 };
        let mut fragment = ipv4(6, part);
        fragment[12..20].copy_from_slice(&packet[12..20]);
        fragment[4..8].copy_from_slice(&(0x1234_0000 + more + (index * size / 8) as u32).to_be_bytes());
        fragment
    });
    parts.collect()
}

fn fragments6(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let parts = packet[40..].chunks(size).enumerate().map(|(index, part)| {
        let more = u16::from((index + 1) * size < packet.len() - 40);
        let offset = ((index * size) as u16 | more).to_be_bytes();
        let extension = [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, offset[0], offset[1], 9, 9, 9, 9];
        let mut fragment = ipv6(0, &concat(&[&extension, part]));
        fragment[8..40].copy_from_slice(&packet[8..40]);
        fragment
    });
    parts.collect()
}

#[track_caller]
fn check_packets(packets: &[Vec<u8>], expected: &[&str]) {
    let packets: Vec<_> = packets.iter().map(|packet| (&packet[..], packet.len())).collect();
    assert_eq!(decode(101, &packets), expected);
}

#[test]
fn fragments_are_put_together() {
    for (packet, expected) in [(fragments4(&tcp4(GET).ip(), 8), FOUR), (fragments6(&tcp6(GET).ip(), 8), SIX)] {
        check_packets(&packet, &[expected]);
        let mut reversed = packet.clone();
        reversed.reverse();
        check_packets(&reversed, &[expected]);
        // Each twice, as on two interfaces; the whole packet twice, as sent again.
        let doubled: Vec<_> = packet.iter().flat_map(|one| [one.clone(), one.clone()]).collect();
        check_packets(&doubled, &[expected]);
        check_packets(&[packet.clone(), packet.clone()].concat(), &[expected, expected]);
        check_packets(&packet[1..], &["1 IP fragments: given up, the rest never came"]);
    }
}

#[test]
fn fragments_may_carry_tunnels_and_fragments() {
    let inner = fragments4(&tcp4(GET).ip(), 16).remove(0);
    let rest = fragments4(&tcp4(GET).ip(), 16)[1..].to_vec();
    let mut packets = fragments4(&ipv4(4, &inner), 24);
    for packet in &mut packets {
        packet[9] = 4;
    }
    packets.extend(rest);
    check_packets(&packets, &[FOUR]);
}

#[test]
fn of_overlapping_fragments_the_first_bytes_count() {
    let mut packets = fragments4(&tcp4(GET).ip(), 16);
    // The second fragment again, its bytes changed, before and after the true one.
    let mut other = packets[1].clone();
    other[24..28].copy_from_slice(b"POST");
    packets.insert(2, other.clone());
    check_packets(&packets, &[FOUR]);
    let mut packets = fragments4(&tcp4(GET).ip(), 16);
    packets.insert(1, other);
    check_packets(&packets, &[&FOUR.replace("GET /", "POST/")]);
}

#[test]
fn fragments_cut_by_the_capture_leave_bytes_missing() {
    let packets = fragments4(&tcp4(GET).ip(), 24);
    let cut: Vec<_> = packets.iter().map(|packet| (&packet[..packet.len().min(42)], packet.len())).collect();
    assert_eq!(decode(101, &cut), ["10.0.0.1:4000 > 10.0.0.2:80 at 100 ack 200: GE +16"]);
}

#[test]
fn fragments_are_held_within_limits() {
    let packet = tcp4(GET).ip();
    let mut many = Vec::new();
    for identification in 0..5_000u16 {
        let mut fragment = fragments4(&packet, 16).remove(0);
        fragment[4..6].copy_from_slice(&identification.to_be_bytes());
        many.push(fragment);
    }
    check_packets(
        &many,
        &["4096 IP fragments: given up, the rest never came", "904 IP fragments: given up, too many waiting"],
    );
    let mut far = fragments4(&packet, 16).remove(0);
    far[6..8].copy_from_slice(&0x3fffu16.to_be_bytes());
    check_packets(&[far], &["1 IP fragments: packet longer than 65535"]);
}

#[test]
fn what_is_not_understood_is_counted_by_what_it_was() {
    let check = |link: u32, packet: &[u8], expected: &str| {
        assert_eq!(decode(link, &[(packet, packet.len())]), [expected]);
    };
    check(1, &ethernet(0x0806, &[0; 28]), "1 not TCP: ARP");
    check(1, &ethernet(0x1234, &[0; 28]), "1 Ethernet type 0x1234");
    check(1, &ethernet(0x88e5, &[0; 28]), "1 not TCP: MACsec (encrypted)");
    check(1, &ethernet(38, &[0x42, 0x42, 3, 0]), "1 not TCP: spanning tree");
    check(9, &[0xc0, 0x21, 1, 2], "1 not TCP: PPP control");
    check(0, &[7, 0, 0, 0, 0], "1 address family 7");
    check(147, &[0; 60], "1 link type 147 (USER0)");
    check(101, &ipv4(50, &[0; 40]), "1 not TCP: ESP (encrypted)");
    check(101, &ipv4(17, &udp(53, 53, b"x")), "1 not TCP: UDP");
    check(101, &ipv4(47, &[0, 5, 8, 0]), "1 GRE version 5");
    let mut deep = tcp4(GET).ip();
    for _ in 0..30 {
        deep = ipv4(4, &deep);
    }
    check(101, &deep, "1 nested too deeply");
}

#[test]
fn the_packet_of_an_event_is_the_innermost_one() {
    let inner = tcp4(GET).ip();
    let packet = concat(&[&ethernet(0x0800, &ipv4(4, &inner)), b"padding"]);
    let mut decoder = PacketDecoder::default();
    let mut times = 0;
    decoder.link(LinkType::ETHERNET, seen(), &packet[..70], packet.len() as u32, &mut |event| {
        let Packet { bytes, length, interface } = event.packet.unwrap();
        assert_eq!((bytes, length as usize, interface), (&inner[..36], inner.len(), 3));
        times += 1;
    });
    assert_eq!(times, 0, "36 bytes hold no TCP header");
    decoder.link(LinkType::ETHERNET, seen(), &packet[..80], packet.len() as u32, &mut |event| {
        let Packet { bytes, length, interface } = event.packet.unwrap();
        assert_eq!((bytes, length as usize, interface), (&inner[..46], inner.len(), 3));
        times += 1;
    });
    assert_eq!(times, 1);
}
