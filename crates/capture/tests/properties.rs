//! Properties of packet decoding and capture reading that hold for any bytes.

use etherparse::{PacketBuilder, PacketBuilderStep, SlicedPacket, TransportSlice, VlanId};
use l7trace_capture::decode::{LinkType, PacketDecoder, Seen};
use l7trace_capture::fuzzing;
use l7trace_event::{SourceKind, Timestamp, What, Witness};
use l7trace_testkit::capture::{Load, generate};
use proptest::prelude::*;

fn seen() -> Seen {
    Seen { at: Timestamp(1), witness: Witness { source: SourceKind::File, place: 0 }, namespace: 0 }
}

/// What was read of a packet: ports, sequence number, acknowledgement, payload.
type Read = (u16, u16, u32, Option<u32>, Vec<u8>);

fn ours(frame: &[u8]) -> Vec<Read> {
    let mut read = Vec::new();
    PacketDecoder::default().link(LinkType::ETHERNET, seen(), frame, frame.len() as u32, &mut |event| {
        let What::Segment(segment) = &event.what else { return };
        let ports = (event.tuple.source.port(), event.tuple.destination.port());
        read.push((ports.0, ports.1, segment.position, segment.acknowledged, segment.bytes.to_vec()));
    });
    read
}

fn theirs(frame: &[u8]) -> Vec<Read> {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return Vec::new() };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return Vec::new() };
    let acknowledged = tcp.ack().then(|| tcp.acknowledgment_number());
    let payload = if tcp.rst() { Vec::new() } else { tcp.payload().to_vec() };
    vec![(tcp.source_port(), tcp.destination_port(), tcp.sequence_number(), acknowledged, payload)]
}

/// A frame with any of the headers that both readers know.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let ends = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u16>(), any::<u16>());
    let tcp = (any::<u32>(), any::<Option<u32>>(), any::<[bool; 3]>(), prop::collection::vec(any::<u8>(), 0..40));
    (ends, tcp, 0u8..3, any::<bool>()).prop_map(|(ends, tcp, tags, six)| {
        let (source, destination, from, to) = ends;
        let (sequence, acknowledgement, [syn, fin, reset], payload) = tcp;
        let start = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ip = |step: PacketBuilderStep<etherparse::VlanHeader>| match six {
            true => step.ipv6(source, destination, 64),
            false => step.ipv4(four(source), four(destination), 64),
        };
        let step = match (tags, six) {
            (0, true) => start.ipv6(source, destination, 64),
            (0, false) => start.ipv4(four(source), four(destination), 64),
            (1, _) => ip(start.single_vlan(VlanId::try_new(7).unwrap())),
            _ => ip(start.double_vlan(VlanId::try_new(7).unwrap(), VlanId::try_new(8).unwrap())),
        };
        let mut step = step.tcp(from, to, sequence, 1_000);
        if let Some(number) = acknowledgement {
            step = step.ack(number);
        }
        for (set, with) in [
            (syn, PacketBuilderStep::syn as fn(_) -> _),
            (fin, PacketBuilderStep::fin),
            (reset, PacketBuilderStep::rst),
        ] {
            if set {
                step = with(step);
            }
        }
        let mut bytes = Vec::new();
        step.write(&mut bytes, &payload).unwrap();
        bytes
    })
}

fn four(address: [u8; 16]) -> [u8; 4] {
    [address[0], address[1], address[2], address[3]]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// etherparse, an independent decoder, reads the same of well-formed packets.
    #[test]
    fn etherparse_agrees(frame in frame()) {
        let read = ours(&frame);
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read, theirs(&frame));
    }

    /// Where one byte is wrong, what etherparse still reads is read here too.
    #[test]
    fn etherparse_agrees_on_spoilt_packets(frame in frame(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = frame;
        let at = at.index(frame.len());
        frame[at] = byte;
        let theirs = theirs(&frame);
        if !theirs.is_empty() {
            prop_assert_eq!(ours(&frame), theirs);
        }
    }

    #[test]
    fn any_bytes_as_packets(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::packet(&data);
    }

    #[test]
    fn any_bytes_as_a_capture(start in 0usize..3, data in prop::collection::vec(any::<u8>(), 0..300)) {
        let starts: [&[u8]; 3] = [b"", b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0", SECTION];
        fuzzing::pcapng(&[starts[start], &data].concat());
    }

    /// A real capture with some bytes changed.
    #[test]
    fn a_spoilt_capture(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut file = Vec::new();
        generate(&Load { exchanges: 5, connections: 2, ..Load::default() }, &mut file).unwrap();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        fuzzing::pcapng(&file);
    }
}

const SECTION: &[u8] =
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";
