use std::collections::HashMap;

use l7trace_event::Direction;
use l7trace_protocol::{End, Key, Role, Settings, by_name};

use crate::script::{Chop, Heard, Random, Step, run};

/// The first bytes of packets, by direction.
const FIRST: [&[u8]; 2] = [
    &[0x30, 0x32, 0x34, 0x3a, 0x3c, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0, 0x36, 0x00],
    &[0x30, 0x32, 0x34, 0x3a, 0x3c, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xd0, 0xe0, 0xf0, 0x20, 0x00],
];

/// Makes packets of both ends out of `data`, mostly well-formed, with holes between and within, and
/// gives them to the parser of MQTT. Beside that it does not panic: no more is held than the limits
/// allow, and no answer goes to two requests, or to one that it cannot be the answer to.
///
/// # Panics
/// Where one of these does not hold.
pub fn mqtt(data: &[u8]) {
    let Some((&options, data)) = data.split_first() else { return };
    let Some(protocol) = by_name("mqtt") else { panic!("mqtt is not in the registry") };
    let settings = Settings { body_limit: usize::from(options >> 1 & 3) * 32, ..Settings::default() };
    let from_start = options & 1 == 0;
    let five = options & 8 != 0;
    let mut random = Random::new(u64::from(options) << 8 | data.len() as u64);
    let mut script = Vec::new();
    if options & 16 == 0 {
        let connect: &[u8] = if five {
            b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02me"
        } else {
            b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me"
        };
        script.push(Step::Bytes(Direction::ClientToServer, connect.to_vec()));
    }
    for step in data.chunks_exact(4) {
        let &[what, id, length, noise] = step else { continue };
        let direction = if what & 1 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let mut packet = packet(direction, what >> 1, id, length, five);
        match noise {
            250.. => {
                let at = random.below(packet.len() as u64) as usize;
                packet[at] = random.number() as u8;
            }
            240..250 => packet.truncate(1 + random.below(packet.len() as u64) as usize),
            225..240 => script.push(Step::Gap(direction, u64::from(length) + 1)),
            224 => script.push(Step::End(direction, End::Closed)),
            _ => {}
        }
        script.push(Step::Bytes(direction, packet));
    }
    for chop in [Chop::Whole, Chop::Random(u64::from(options))] {
        check(&run(protocol, &settings, from_start, &script, chop));
    }
}

fn packet(direction: Direction, what: u8, id: u8, length: u8, five: bool) -> Vec<u8> {
    let kinds = FIRST[direction.index()];
    let first = kinds[usize::from(what) % kinds.len()];
    let mut body = Vec::new();
    let properties: &[u8] = match (five, what & 0x40 != 0) {
        (false, _) => &[],
        (true, false) => &[0],
        (true, true) => &[3, 35, 0, 1],
    };
    match first >> 4 {
        2 => body.extend([0, 0]),
        3 => {
            let topic: &[u8] = if length & 1 == 0 || !five { b"\0\x03a/b" } else { b"\0\0" };
            body.extend_from_slice(topic);
            if first & 6 != 0 {
                body.extend([0, id & 7]);
            }
            body.extend_from_slice(properties);
            body.resize(body.len() + usize::from(length), b'x');
        }
        4..=7 | 11 => body.extend([0, id & 7]),
        8 | 10 => {
            body.extend([0, id & 7]);
            body.extend_from_slice(if five { &[0] } else { &[] });
            body.extend_from_slice(b"\0\x03a/#");
            body.extend_from_slice(if first >> 4 == 8 { &[1] } else { &[] });
        }
        9 => {
            body.extend([0, id & 7]);
            body.extend_from_slice(if five { &[0, 1] } else { &[1] });
        }
        15 => body.extend([if length & 1 == 0 { 0x18 } else { 0x19 }, 0]),
        _ => {}
    }
    let mut packet = vec![first];
    if body.len() > 127 {
        packet.extend([(body.len() & 127) as u8 | 128, (body.len() >> 7) as u8]);
    } else {
        packet.push(body.len() as u8);
    }
    packet.extend(body);
    packet
}

fn check(heard: &Heard) {
    assert!(heard.most_held < 8 << 20, "{} bytes are held", heard.most_held);
    let mut open: HashMap<Key, Direction> = HashMap::new();
    for message in &heard.messages {
        match message.role {
            Role::Request => {
                open.insert(message.key, message.direction);
            }
            Role::Response => {
                if let Some(asked) = open.remove(&message.key) {
                    assert_ne!(asked, message.direction, "an answer goes back");
                }
            }
            Role::Step | Role::Repeat | Role::OneWay | Role::Transaction => {}
        }
        assert!(message.first.position <= message.last.position, "a message ends before it begins");
    }
}
