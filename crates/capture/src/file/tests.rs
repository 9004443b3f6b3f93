use std::io::Write as _;
use std::time::Duration;

use l7trace_event::What;
use l7trace_testkit::capture::{Conversation, Load, Speaker, Turn, generate, write};
use l7trace_testkit::packet::{Tcp, flags};

use super::*;
use crate::fuzzing::read;
use crate::{Batch, Filled, Tap};

/// Packets with their times in nanoseconds and lengths on the wire.
type Packets = Vec<(u64, Vec<u8>, usize)>;

fn packets() -> Packets {
    let packet = |number: u8| {
        let tcp = Tcp {
            source: "10.0.0.1:4000".parse().unwrap(),
            destination: "10.0.0.2:80".parse().unwrap(),
            sequence: u32::from(number),
            acknowledgement: 9,
            flags: flags::ACK,
            payload: &vec![b'a' + number; usize::from(number)],
        };
        (1_000_000_000 * u64::from(number) + 123_456_000, tcp.ip(), 40 + 2 * usize::from(number))
    };
    (1..6).map(packet).collect()
}

fn line(event: &l7trace_event::Event<'_>) -> String {
    let What::Segment(segment) = &event.what else { return format!("{event:?}") };
    format!("{} {} {}+{}", event.at.0, segment.position, segment.bytes.len(), segment.missing)
}

/// What [`packets`] must give, with the wire lengths or without.
fn expected() -> Vec<String> {
    (1..6u64).map(|number| format!("{} {number} {number}+0", 1_000_000_000 * number + 123_456_000)).collect()
}

fn number(big: bool, number: u32) -> [u8; 4] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn half(big: bool, number: u16) -> [u8; 2] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn pcap(big: bool, magic: u32, link: u32, packets: &Packets) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(number(big, magic));
    file.extend([half(big, 2), half(big, 4)].concat());
    for word in [0, 0, 65_535, link] {
        file.extend(number(big, word));
    }
    let unit = if magic == 0xa1b2_3c4d { 1 } else { 1_000 };
    for (at, bytes, length) in packets {
        for word in [at / 1_000_000_000, at % 1_000_000_000 / unit, bytes.len() as u64, *length as u64] {
            file.extend(number(big, word as u32));
        }
        if magic == 0xa1b2_cd34 {
            file.extend([0; 8]);
        }
        file.extend(bytes);
    }
    file
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; (4 - body.len() % 4) % 4];
    let length = number(big, (12 + body.len() + padding.len()) as u32);
    [&number(big, kind), &length[..], body, &padding, &length].concat()
}

fn option(big: bool, code: u16, value: &[u8]) -> Vec<u8> {
    let padding = vec![0; (4 - value.len() % 4) % 4];
    [&half(big, code), &half(big, value.len() as u16)[..], value, &padding].concat()
}

fn section(big: bool) -> Vec<u8> {
    let body = [&number(big, 0x1a2b_3c4d), &half(big, 1)[..], &half(big, 0), &[0xff; 8]].concat();
    block(big, 0x0a0d_0d0a, &body)
}

fn interface(big: bool, link: u16, options: &[Vec<u8>]) -> Vec<u8> {
    block(big, 1, &[&half(big, link)[..], &[0, 0], &number(big, 0), &options.concat()].concat())
}

fn enhanced(big: bool, interface: u32, units: u64, bytes: &[u8], length: usize) -> Vec<u8> {
    let words = [interface, (units >> 32) as u32, units as u32, bytes.len() as u32, length as u32];
    let head: Vec<u8> = words.into_iter().flat_map(|word| number(big, word)).collect();
    block(big, 6, &[head, bytes.to_vec()].concat())
}

fn pcapng(big: bool) -> Vec<u8> {
    let mut file = [section(big), interface(big, 101, &[])].concat();
    for (at, bytes, length) in packets() {
        file.extend(enhanced(big, 0, at / 1_000, &bytes, length));
    }
    file
}

#[track_caller]
fn check(file: &[u8], expected: &[String], warnings: &[&str]) {
    let (lines, warned) = read(file, line);
    assert_eq!(lines.join("\n"), expected.join("\n"));
    let fits = warned.len() == warnings.len() && warned.iter().zip(warnings).all(|(one, part)| one.contains(part));
    assert!(fits, "{warned:?}");
}

#[test]
fn pcap_in_all_its_forms() {
    for big in [false, true] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
            check(&pcap(big, magic, 101, &packets()), &expected(), &[]);
        }
        // The frame check sequence's length stands in the upper bits of the link type.
        check(&pcap(big, 0xa1b2_c3d4, 0x5400_0065, &packets()), &expected(), &[]);
    }
}

#[test]
fn pcapng_in_all_its_forms() {
    for big in [false, true] {
        check(&pcapng(big), &expected(), &[]);
        // Sections of both byte orders; blocks that say nothing of packets; a custom block of others.
        let names = block(big, 4, &[0; 40]);
        let secrets = block(big, 10, b"TLSK\x05\0\0\0abcde");
        let custom = block(big, 0xbad, &[&number(big, 99)[..], b"l7trace: no"].concat());
        let file = [pcapng(big), names, secrets, custom, pcapng(!big)].concat();
        check(&file, &[expected(), expected()].concat(), &[]);
    }
}

#[test]
fn pcapng_times_and_interfaces() {
    let (big, (_, bytes, length)) = (false, packets().remove(0));
    let units = [
        (vec![option(big, 9, &[9])], 5u64, 5u64),
        (vec![option(big, 9, &[3])], 5, 5_000_000),
        (vec![option(big, 9, &[12])], 5_000, 5),
        (vec![option(big, 9, &[0x80 + 10])], 1024 * 3, 3_000_000_000),
        (vec![option(big, 9, &[0xff])], 5, 0),
        (vec![option(big, 14, &7i64.to_le_bytes())], 5, 7_000_005_000),
        (vec![option(big, 14, &(-1i64).to_le_bytes())], 2_000_000, 1_000_000_000),
        (vec![option(big, 2, b"eth0"), option(big, 1, b"l7trace: not quite")], 5, 5_000),
    ];
    let mut file = section(big);
    for (options, ..) in &units {
        file.extend(interface(big, 101, options));
    }
    for (index, (_, units, _)) in units.iter().enumerate() {
        file.extend(enhanced(big, index as u32, *units, &bytes, length));
    }
    let expected: Vec<_> = units.iter().map(|(.., at)| format!("{at} 1 1+0")).collect();
    check(&file, &expected, &[]);
}

#[test]
fn pcapng_simple_and_obsolete_packets() {
    let big = true;
    let (at, bytes, length) = packets().remove(2);
    let simple = block(big, 3, &[&number(big, bytes.len() as u32)[..], &bytes].concat());
    let words = [((at / 1_000) >> 32) as u32, (at / 1_000) as u32, bytes.len() as u32, length as u32];
    let head: Vec<u8> = words.into_iter().flat_map(|word| number(big, word)).collect();
    let obsolete = block(big, 2, &[&half(big, 0)[..], &half(big, 7), &head, &bytes].concat());
    let file = [section(big), interface(big, 101, &[]), obsolete, simple].concat();
    let one = expected().remove(2);
    check(&file, &[one.clone(), one], &[]);
}

#[test]
fn what_is_wrong_with_packet_blocks_is_counted() {
    let big = false;
    let short = block(big, 6, &[0; 8]);
    let beyond = block(big, 6, &[&[0; 12][..], &number(big, 1_000), &[0; 8]].concat());
    let stray = enhanced(big, 9, 0, &[1, 2, 3], 3);
    let mut file = [section(big), interface(big, 101, &[]), short, beyond, stray].concat();
    for (at, bytes, length) in packets() {
        file.extend(enhanced(big, 0, at / 1_000, &bytes, length));
    }
    check(&file, &expected(), &[]);
}

#[test]
fn a_capture_cut_at_any_byte_gives_all_before() {
    for file in [pcap(false, 0xa1b2_c3d4, 101, &packets()), pcapng(false)] {
        for end in 0..file.len() {
            let (lines, warnings) = read(&file[..end], line);
            let whole = expected();
            assert_eq!(lines, whole[..lines.len()], "cut at {end}");
            if end < 4 {
                assert!(warnings[0].contains("no capture"), "{warnings:?}");
            } else {
                assert!(warnings.iter().all(|warning| warning.contains("breaks off at byte")), "{warnings:?}");
            }
        }
    }
    // The bytes from which on each packet is there; the place of the break.
    let file = pcap(false, 0xa1b2_c3d4, 101, &packets());
    let mut at = 24;
    for (index, (_, bytes, _)) in packets().iter().enumerate() {
        let warning = format!("breaks off at byte {at}: the last record is cut off after 15 bytes");
        check(&file[..at + 15], &expected()[..index], &[&warning]);
        at += 16 + bytes.len();
        check(&file[..at], &expected()[..=index], &[]);
    }
}

#[test]
fn hostile_lengths_are_not_believed() {
    let file = pcap(false, 0xa1b2_c3d4, 101, &packets());
    let mut huge = file.clone();
    huge[24 + 8..24 + 12].fill(0xff);
    check(&huge, &[], &["breaks off at byte 24: a record claims 4294967295 bytes"]);
    let ng = pcapng(false);
    let second = section(false).len() + interface(false, 101, &[]).len();
    for (length, why) in [
        (0u32, "claims a length of 0 bytes"),
        (11, "claims a length of 11 bytes"),
        (13, "claims a length of 13 bytes"),
        (0xffff_fffc, "claims 4294967292 bytes"),
        (16, "two different lengths"),
    ] {
        let mut file = ng.clone();
        file[second + 4..second + 8].copy_from_slice(&length.to_le_bytes());
        check(&file, &[], &[&format!("breaks off at byte {second}: a block of type 0x00000006")]);
        assert!(read(&file, line).1[0].contains(why));
    }
    // A block that nobody needs is passed over, however long.
    let long = [section(false), block(false, 4, &vec![0; 20 << 20]), pcapng(true)].concat();
    check(&long, &expected(), &[]);
    check(&long[..10 << 20], &[], &["the last block is cut off"]);
    // A stray byte order.
    check(&block(false, 6, &[0; 40]), &[], &["is no capture"]);
    check(&[section(false), block(false, 0x0a0d_0d0a, &[0; 16])].concat(), &[], &["names no byte order"]);
}

#[test]
fn what_is_no_capture_is_an_error() {
    let check = |file: &[u8], expected: &str| {
        let (lines, warnings) = read(file, line);
        assert!(lines.is_empty() && warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
    };
    check(b"", "is empty");
    check(b"\x7fELF\x02\x01\x01", "is no capture: it begins with the bytes 7f 45 4c 46");
    check(&pcap(false, 0xa1b2_c3d4, 147, &packets()), "link type 147 (USER0)");
    check(&pcap(false, 0xa1b2_c3d4, 9999, &packets()), "link type 9999, which");
    check(&[section(false), interface(false, 195, &[])].concat(), "link type 195 (IEEE802_15_4_WITHFCS)");
    // One interface of several that cannot be read is no error.
    let both = [section(false), interface(false, 195, &[]), interface(false, 101, &[])].concat();
    assert_eq!(read(&both, line), (vec![], vec![]));
}

#[test]
fn drops_that_a_capture_tells_of_are_told() {
    let drops = |count: u64| block(false, 5, &[&[0; 12][..], &option(false, 5, &count.to_le_bytes())].concat());
    let file = [pcapng(false), drops(2), drops(7)].concat();
    check(&file, &expected(), &["says that 7 packets were dropped while it was captured"]);
}

#[test]
fn files_on_disk_compressed_and_in_turn() {
    let folder = std::env::temp_dir().join(format!("l7trace-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let paths: Vec<_> = ["one.pcap", "two.pcapng", "three.pcap.gz", "none"].map(|name| folder.join(name)).into();
    std::fs::write(&paths[0], pcap(true, 0xa1b2_c3d4, 101, &packets())).unwrap();
    std::fs::write(&paths[1], pcapng(false)).unwrap();
    let mut gzip =
        flate2::write::GzEncoder::new(std::fs::File::create(&paths[2]).unwrap(), flate2::Compression::fast());
    gzip.write_all(&pcapng(true)).unwrap();
    gzip.finish().unwrap();
    let mut source = open(&paths[..3]).unwrap();
    let (mut batch, mut lines) = (Batch::default(), Vec::new());
    // Nothing is emptied between two fills: batches may be gathered.
    while source.tap.fill(&mut batch, Duration::ZERO).unwrap() != Filled::End {}
    source.decoder.decode(&batch, &mut |event| lines.push(line(event)));
    assert_eq!(lines, [expected(), expected(), expected()].concat());
    assert!(open(&paths).err().unwrap().to_string().contains("cannot open"));
    assert!(open(std::slice::from_ref(&folder)).is_err());
    std::fs::write(&paths[3], b"no capture at all").unwrap();
    assert!(open(&paths).err().unwrap().to_string().contains("is no capture"));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// `tcpdump -U -w - | l7trace read -`: each packet is handed on when it is there, though its last
/// byte came alone.
#[test]
fn packets_are_handed_on_as_they_arrive() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut tap = tap::FileTap::of_stream(std::os::fd::OwnedFd::from(reader).into());
    let mut decoder = decoder::FileDecoder::default();
    let file = pcap(false, 0xa1b2_c3d4, 101, &packets());
    let mut at = 24;
    let ends: Vec<_> = packets().iter().map(|(_, bytes, _)| (at += 16 + bytes.len(), at).1).collect();
    let (mut sent, mut lines) = (0, Vec::new());
    let mut drain = |lines: &mut Vec<String>| {
        let mut batch = Batch::default();
        while tap.fill(&mut batch, Duration::ZERO).unwrap() == Filled::Some {
            crate::Decoder::decode(&mut decoder, &batch, &mut |event| lines.push(line(event)));
            batch.clear();
        }
    };
    for (index, end) in ends.into_iter().enumerate() {
        writer.write_all(&file[sent..end - 1]).unwrap();
        drain(&mut lines);
        assert_eq!(lines.len(), index);
        writer.write_all(&file[end - 1..end]).unwrap();
        drain(&mut lines);
        assert_eq!(lines.len(), index + 1);
        sent = end;
    }
}

#[test]
fn what_the_testkit_writes_can_be_read() {
    let conversation = Conversation {
        client: "[::1]:4000".parse().unwrap(),
        server: "[::1]:80".parse().unwrap(),
        turns: vec![Turn { from: Speaker::Client, bytes: b"hello".to_vec() }],
    };
    let file = write(Vec::new(), &[conversation], 2).unwrap();
    let (lines, warnings) = read(&file, line);
    assert_eq!((lines.len(), warnings.len()), (3 + 3 + 1 + 3, 0));
    let mut file = Vec::new();
    let load = Load { exchanges: 2_000, connections: 10, body: 3_000, lost: 50, reordered: 50, ..Load::default() };
    let totals = generate(&load, &mut file).unwrap();
    let (lines, warnings) = read(&file, line);
    assert_eq!((lines.len() as u64, warnings.len()), (totals.packets, 0));
}

/// An independent reader of the same format sees the same packets.
#[test]
fn pcap_parser_agrees() {
    let file = pcapng(true);
    let mut reader = pcap_parser::create_reader(1 << 16, std::io::Cursor::new(&file)).unwrap();
    let mut lengths = Vec::new();
    while let Ok((offset, block)) = reader.next() {
        if let pcap_parser::PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(packet)) = block {
            lengths.push((packet.caplen - 40) as usize);
        }
        reader.consume(offset);
    }
    let ours = read(&file, |event| match &event.what {
        What::Segment(segment) => segment.bytes.len().to_string(),
        _ => String::new(),
    });
    assert_eq!(ours.0, lengths.iter().map(usize::to_string).collect::<Vec<_>>());
}
