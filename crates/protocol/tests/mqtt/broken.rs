//! Joined in the middle, with holes, and malformed.

use l7trace_event::Direction::{self, ClientToServer, ServerToClient};
use l7trace_protocol::{Role, Settings};
use l7trace_testkit::script::{Chop, Step, check_cuts, client, close, length, line_of, lines, punch, run, server};

use crate::packets::{acknowledge, connack, connack_five, connect, connect_five, packet, publish, publish_five, text};
use crate::{expect, mqtt, settings};

fn conversation() -> Vec<Step> {
    let subscribe = packet(0x82, [&[0, 1][..], &text("in/#"), &[1]].concat());
    [
        client(connect("me")),
        server(connack()),
        client(subscribe),
        server(packet(0x90, [0, 1, 1])),
        client(publish(2, "out/a", 2, "payload one")),
        server([acknowledge(0x40, 2), publish(2, "in/a", 2, "payload two")].concat()),
        client(acknowledge(0x40, 2)),
        client([0xc0, 0]),
        server([0xd0, 0]),
        client(publish(4, "out/b", 3, "payload three")),
        server(acknowledge(0x50, 3)),
        client(acknowledge(0x62, 3)),
        server(acknowledge(0x70, 3)),
        client([publish(2, "out/c", 2, "payload four"), publish(2, "out/d", 5, "payload five")].concat()),
        server([acknowledge(0x40, 5), acknowledge(0x40, 2)].concat()),
        client([0xc0, 0]),
        server([0xd0, 0]),
        client([0xe0, 0]),
    ]
    .into_iter()
    .chain(close())
    .collect()
}

/// What pairs with what in a run: the request's place by the response's place.
fn pairs(script: &[Step], chop: Chop) -> Vec<(Direction, u64, u64)> {
    let heard = run(mqtt(), &settings(), true, script, chop);
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    for message in &heard.messages {
        match message.role {
            Role::Request => {
                open.retain(|(key, _, _)| *key != message.key);
                open.push((message.key, message.direction, message.first.position));
            }
            Role::Response => {
                if let Some(index) = open.iter().position(|(key, _, _)| *key == message.key) {
                    let (_, direction, position) = open.remove(index);
                    pairs.push((direction, position, message.first.position));
                }
            }
            _ => {}
        }
    }
    pairs
}

#[test]
fn holes_never_pair_wrongly() {
    let script = conversation();
    let right = pairs(&script, Chop::Whole);
    assert_eq!(right.len(), 9);
    let mut kept = 0;
    let mut runs = 0;
    for direction in [ClientToServer, ServerToClient] {
        let all = length(&script, direction);
        for position in 0..all {
            for size in [1, 2, 3, 5, 8, 13, 30, 60, 200] {
                let punched = punch(&script, direction, position, size);
                for chop in [Chop::Whole, Chop::Random(position)] {
                    let found = pairs(&punched, chop);
                    assert!(
                        found.iter().all(|pair| right.contains(pair)),
                        "{size} bytes at {position} of {direction:?}: {found:?}"
                    );
                    kept += found.len();
                    runs += right.len();
                }
            }
        }
    }
    assert!(kept * 10 > runs * 6, "{kept} of {runs} pairs were found");
}

#[test]
fn a_hole_in_a_payload_costs_only_its_bytes() {
    let script = [
        client(connect("a")),
        server(connack()),
        client(publish(2, "t", 1, "0123456789")),
        server(acknowledge(0x40, 1)),
    ];
    let start = connect("a").len() as u64 + 2 + 5;
    let heard = run(mqtt(), &settings(), true, &punch(&script, ClientToServer, start + 3, 4), Chop::Whole);
    let lines = lines(&heard);
    assert_eq!(lines.len(), 4);
    for part in ["res=t", "body=`012`…", "body_bytes=10 lost=4 Whole"] {
        assert!(lines[2].contains(part), "{part} in {}", lines[2]);
    }
    assert!(lines[3].contains("response 2/1"), "{}", lines[3]);
}

#[test]
fn a_hole_in_a_header_leaves_the_framing() {
    let script = [
        client(connect("a")),
        server(connack()),
        client([publish(2, "topic/a", 1, "xx"), publish(0, "b", 0, "yy")].concat()),
    ];
    let start = connect("a").len() as u64;
    let heard = run(mqtt(), &settings(), true, &punch(&script, ClientToServer, start + 5, 2), Chop::Whole);
    let lines = lines(&heard);
    assert_eq!(lines.len(), 4, "{}", lines.join("\n"));
    assert!(lines[2].contains("op=PUBLISH res=-") && lines[2].contains("lost=2 Partial"), "{}", lines[2]);
    assert!(lines[3].contains("op=PUBLISH res=b"), "{}", lines[3]);
}

/// Under load packets lie across chunks: where the bytes go on is in the middle of one.
#[test]
fn a_dense_stream_is_read_on_after_a_hole() {
    let packets: Vec<u8> = (1..=40u8).flat_map(|id| [b"\x32\x0c\0\x06topicX\0", &[id][..], b"hi"].concat()).collect();
    let script = [
        client(b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me"),
        server([0x20, 2, 0, 0]),
        client(&packets),
        server((1..=40).flat_map(|id| [0x40, 2, 0, id]).collect::<Vec<u8>>()),
    ];
    for position in 16 + 14..16 + 28 {
        let heard = lines(&run(mqtt(), &settings(), true, &punch(&script, ClientToServer, position, 30), Chop::Whole));
        let told = heard.iter().filter(|line| line.contains("op=PUBLISH")).count();
        assert!(told >= 36, "{told} told with a hole at {position}:\n{}", heard.join("\n"));
    }
}

#[test]
fn joined_in_the_middle() {
    let script = [
        server([0xd0, 0]),
        client(publish(2, "house/1", 1, "on")),
        server(acknowledge(0x40, 1)),
        server(acknowledge(0x40, 9)),
        client(acknowledge(0x62, 4)),
        server(acknowledge(0x70, 4)),
    ];
    let heard = run(mqtt(), &settings(), false, &script, Chop::Whole);
    let lines = lines(&heard);
    let expected = [
        "response 8/ | PINGRESP | what this answers was sent before tracing",
        "request 2/1 op=PUBLISH res=house/1",
        "response 2/1 | notes=[]",
        "response 8/ | PUBACK | packet_id=9",
        "PUBCOMP | earlier_steps",
    ];
    assert_eq!(lines.len(), expected.len(), "{}", lines.join("\n"));
    for (line, parts) in lines.iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{parts} in {line}");
    }
}

#[test]
fn the_version_is_inferred() {
    let publish_ambiguous = publish_five(0, "house/1", 0, &[], "on");
    let with_properties = publish_five(0, "house/1", 0, &[1, 1], "on");
    let heard = run(mqtt(), &settings(), false, &[client(&publish_ambiguous), client(&with_properties)], Chop::Whole);
    let lines = lines(&heard);
    assert!(lines[0].contains("MQTT version unknown, read as 5.0") && lines[0].contains("body=`on`"), "{}", lines[0]);
    let heard = run(mqtt(), &settings(), false, &[server(connack()), server(publish_ambiguous)], Chop::Whole);
    let after = line_of(&heard.messages[1]);
    assert!(after.contains("body=`\\x00on`") && after.contains("notes=[]"), "{after}");
}

#[test]
fn aliases_from_before_are_unknown() {
    let alias = |topic| publish_five(0, topic, 0, &[35, 0, 1], "x");
    let script =
        [server([0xd0, 0]), server(connack_five()), client(alias("house/1")), client(alias("")), client([0xc0, 0])];
    let heard = run(mqtt(), &settings(), false, &script, Chop::Whole);
    assert!(lines(&heard)[3].contains("res=house/1"));
    let script = [
        client([connect_five("a"), alias("t")].concat()),
        Step::Gap(ClientToServer, 40),
        client([[0xc0, 0].to_vec(), alias("")].concat()),
    ];
    let heard = run(mqtt(), &settings(), true, &script, Chop::Whole);
    assert!(lines(&heard)[3].contains("unknown: topic alias set before bytes were lost"), "{}", lines(&heard)[3]);
}

#[test]
fn a_guess_that_breaks_is_withdrawn() {
    let script =
        [client([[0xc0, 0].to_vec(), publish(2, "house/1", 1, "on")].concat()), client("GET / HTTP/1.1\r\n\r\n")];
    let heard = run(mqtt(), &settings(), false, &script, Chop::Whole);
    assert_eq!(heard.messages.len(), 2);
    assert!(heard.withdrawn.is_some_and(|why| why.starts_with("not MQTT after all")));
}

#[test]
fn reserved_types_and_malformed_packets_are_noted() {
    let script = [
        client(connect("a")),
        server(connack()),
        client([packet(0, b"\0\x06topicXblub"), publish(6, "topicX", 1, "x"), packet(0x30, b"\0\x20top")].concat()),
        client([0xe0, 0]),
    ];
    expect(
        &script,
        &[
            "CONNECT",
            "CONNACK",
            "oneway | op=PUBLISH res=topicX | a packet of the reserved type 0 came before: 14 bytes; QoS 3 is not allowed",
            "oneway | op=PUBLISH res=- | malformed: a field runs past the end of the packet",
            "DISCONNECT",
        ],
    );
    let connect = packet(0x10, [&text("MQTT")[..], &[5, 2, 0, 60, 0xff, 0x21], &text("id")].concat());
    let script = [client(connect), server(connack_five())];
    expect(&script, &["op=CONNECT res=- | malformed", "CONNACK | notes=[]"]);
}

#[test]
fn cut_off() {
    let whole = publish(2, "t", 1, "0123456789");
    let script: Vec<Step> = [client(connect("a")), server(connack()), client(&whole[..whole.len() - 4])]
        .into_iter()
        .chain(close())
        .collect();
    expect(&script, &["CONNECT", "CONNACK", "PUBLISH res=t | body=`012345` | body_bytes=6 lost=0 Cut | wire=13"]);
    let script: Vec<Step> =
        [client(connect("a")), server(connack()), client(&whole[..4])].into_iter().chain(close()).collect();
    expect(&script, &["CONNECT", "CONNACK", "oneway | op=PUBLISH res=- | Cut"]);
}

#[test]
fn noise_from_the_start_is_survived() {
    for seed in 0..300 {
        let mut random = l7trace_testkit::script::Random::new(seed);
        let mut script = conversation();
        for step in &mut script {
            if let Step::Bytes(_, bytes) = step
                && random.below(3) == 0
                && !bytes.is_empty()
            {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.number() as u8;
            }
        }
        check_cuts_unless_lost(&script);
    }
}

/// Where framing is lost the next packet is looked for where chunks begin: only then may cuts
/// matter.
fn check_cuts_unless_lost(script: &[Step]) {
    let heard = run(mqtt(), &settings(), true, script, Chop::Whole);
    if heard.withdrawn.is_none() && !lines(&heard).iter().any(|line| line.contains("not understood")) {
        let all: usize = heard.messages.iter().map(|message| message.bytes as usize).sum();
        let sent = length(script, ClientToServer) + length(script, ServerToClient);
        if all as u64 >= sent {
            check_cuts(mqtt(), &Settings::default(), true, script);
        }
    }
    for chop in [Chop::Bytewise, Chop::Random(1)] {
        run(mqtt(), &settings(), true, script, chop);
    }
}
