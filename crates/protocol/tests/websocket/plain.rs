//! Without compression.

use l7trace_testkit::script::{Chop, Step, client, close, server};

use crate::frames::{masked, plain};
use crate::{expect, heard};

#[test]
fn a_conversation() {
    let script: Vec<Step> = [
        client(masked(0x81, "hello")),
        server(plain(0x81, "world")),
        server(plain(0x82, [0, 1, 2])),
        client(masked(0x89, "are you there")),
        server(plain(0x8a, "are you there")),
        client([masked(0x01, "one "), masked(0x89, "x"), masked(0x00, "two "), masked(0x80, "three")].concat()),
        server(plain(0x8a, "x")),
        client(masked(0x88, [&[3, 0xe8][..], b"bye"].concat())),
        server(plain(0x88, [3, 0xe8])),
    ]
    .into_iter()
    .chain(close())
    .collect();
    expect(
        &[("Sec-WebSocket-Protocol", "chat")],
        &script,
        &[
            "websocket c>s oneway 0/1 op=text res=- st=- host=server.example | body=`hello` wire=11 body_bytes=5 | notes=[] attributes=[] facts=[path=\"/chat\"; subprotocol=\"chat\"]",
            "s>c oneway 0/2 op=text | body=`world` wire=7 body_bytes=5 | notes=[]",
            "s>c oneway | op=binary | body=`\\x00\\x01\\x02`",
            "c>s oneway | op=ping | body=`are you there` | notes=[]",
            "s>c oneway | op=pong | notes=[] | ping_latency_ns=1000",
            "c>s oneway | op=ping | body=`x`",
            "c>s oneway | op=text | body=`one two three` wire=31 body_bytes=13 | attributes=[fragments=3]",
            "op=pong | ping_latency_ns=1000",
            "c>s oneway | op=close res=- st=1000 | failed=false | meaning=\"normal closure\"; reason=`bye`",
            "s>c oneway | op=close res=- st=1000",
            "transaction 1/0 op=websocket res=/chat st=1000 host=server.example | failed=false first=0@1000 | client_messages={text: 2, binary: 0, ping: 2, pong: 0}; server_messages={text: 1, binary: 1, ping: 0, pong: 2} | messages_from_client=2; pings_from_client=2; payload_bytes_from_client=18; messages_from_server=2; pings_from_server=0; payload_bytes_from_server=8; closed_by=\"client\"",
        ],
    );
}

#[test]
fn what_is_not_allowed_is_noted() {
    let script = [
        client(plain(0x81, "bare")),
        server(masked(0x81, "hidden")),
        server(plain(0xa1, "reserved")),
        server(plain(0x83, "what")),
        server([0x82, 126, 0, 1, 7]),
        server(plain(0x09, "fragmented")),
        server(plain(0x8a, "unasked")),
        server(plain(0x80, "nothing")),
        server(plain(0x81, b"a\xffb")),
        server([plain(0x01, b"a\xe2\x82"), plain(0x80, b"\xac")].concat()),
        server(plain(0x81, b"a\xe2\x82")),
        server([plain(0x01, "unfinished"), plain(0x82, "other")].concat()),
        server(plain(0x89, vec![b'p'; 126])),
        server(plain(0x88, [3, 0xea, b'x'])),
        server(plain(0x81, "too late")),
    ];
    expect(
        &[],
        &script,
        &[
            "op=text | body=`bare` | notes=[an unmasked frame from the client]",
            "op=text | body=`hidden` | notes=[a masked frame from the server]",
            "op=text | notes=[reserved bits are set: 0x2]",
            "op=reserved-3 | notes=[a reserved opcode]",
            "op=binary | notes=[a length that is not in its shortest form]",
            "op=ping | notes=[a fragmented control frame]",
            "op=pong | notes=[answers no ping]",
            "op=- | notes=[a continuation of nothing] | Partial",
            "op=text | notes=[text that is not UTF-8]",
            "op=text | body=`a\\xe2\\x82\\xac` | notes=[] | fragments=2",
            "op=text | notes=[text that is not UTF-8]",
            "op=text | body=`unfinished`… | notes=[another message began before its end] | Partial",
            "op=binary | notes=[]",
            "op=ping | notes=[a control frame of more than 125 bytes]",
            "op=close res=- st=1002 | failed=true | meaning=\"protocol error\"",
            "op=text | notes=[sent after the close frame]",
            "transaction | st=1002 | failed=true | closed_by=\"server\"",
        ],
    );
}

#[test]
fn a_wrong_handshake_is_noted() {
    expect(
        &[("Sec-WebSocket-Accept", "AAAA"), ("Sec-WebSocket-Protocol", "else")],
        &[server(plain(0x81, "a")), server(plain(0x81, "b"))],
        &[
            "op=text | notes=[Sec-WebSocket-Accept does not fit the key; the server chose a subprotocol that the client did not offer]",
            "op=text | notes=[]",
            "transaction | Unfinished | notes=[Sec-WebSocket-Accept does not fit the key",
        ],
    );
}

#[test]
fn closed_without_a_word() {
    let frame = masked(0x81, "cut off");
    let script: Vec<Step> = [client(&frame[..9])].into_iter().chain(close()).collect();
    expect(
        &[],
        &script,
        &[
            "op=text | body=`cut`… wire=9 body_bytes=3 | Cut",
            "transaction | st=- | Cut | notes=[ended without a close frame]",
        ],
    );
}

#[test]
fn large_frames_go_through() {
    let payload = vec![b'x'; 1_000_000];
    let script = [client(masked(0x82, &payload)), server(plain(0x82, &payload)), client(masked(0x81, &payload))];
    let heard = heard(&[], &script, Chop::Random(5));
    for message in &heard.messages[..3] {
        assert_eq!((message.body_bytes, message.body.as_slice()), (Some(1_000_000), &[b'x'; 100][..]));
        assert!(message.body_truncated);
    }
    assert!(heard.most_held < 4096, "{}", heard.most_held);
}

#[test]
fn mqtt_inside_is_read() {
    let connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me";
    let script = [
        client([masked(0x82, &connect[..5]), masked(0x82, &connect[5..])].concat()),
        server(plain(0x82, [0x20, 2, 0, 0])),
        client(masked(0x82, b"\x32\x0c\0\x06topicX\0\x01hi")),
        server(plain(0x82, [0x40, 2, 0, 1])),
    ];
    let heard = heard(&[("Sec-WebSocket-Protocol", "mqtt")], &script, Chop::Whole);
    let lines = l7trace_testkit::script::lines(&heard);
    let inner: Vec<&String> = lines.iter().filter(|line| line.starts_with("mqtt")).collect();
    let expected = [
        "request | op=CONNECT res=me | first=6@1000 last=28@1000 | over=\"websocket\"",
        "response | st=CONNACK | first=2@2000 last=6@2000",
        "request | op=PUBLISH res=topicX | body=`hi`",
        "response | st=PUBACK",
    ];
    assert_eq!(inner.len(), expected.len(), "{}", lines.join("\n"));
    for (line, parts) in inner.into_iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{parts} in {line}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("websocket") && line.contains("op=binary")).count(), 5);
}
