//! Over HTTP/2, and after HTTP/1's own upgrade.

use l7trace_protocol::{Chunk, End, Input, Next, Outbox, Output, Start, by_name};
use l7trace_testkit::http2::{block, data, headers, settings};
use l7trace_testkit::script::{Chop, Step, client, lines, run, server};

use crate::frames::{masked, plain};
use crate::settings as kept;

#[test]
fn over_http2() {
    let asked = block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "server.example"),
        ("sec-websocket-protocol", "mqtt"),
    ]);
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings(&[])].concat();
    let connect = masked(0x82, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me");
    let script: Vec<Step> = vec![
        client([preface, headers(1, false, asked)].concat()),
        server(
            [settings(&[(8, 1)]), headers(1, false, block(&[(":status", "200"), ("sec-websocket-protocol", "mqtt")]))]
                .concat(),
        ),
        client(data(1, false, connect)),
        server(data(1, false, plain(0x82, [0x20, 2, 0, 0]))),
        server(data(1, true, plain(0x88, [3, 0xe8]))),
        client(data(1, true, masked(0x88, [3, 0xe8]))),
    ];
    let http2 = by_name("http2").expect("http2 is in the registry");
    for chop in [Chop::Whole, Chop::Bytewise, Chop::Random(2)] {
        let lines = lines(&run(http2, &kept(), true, &script, chop));
        let expected = [
            "websocket c>s oneway | op=binary res=- | host=server.example | notes=[] | path=\"/chat\" | stream=1",
            "mqtt c>s request | op=CONNECT res=me | over=\"websocket\" | stream=1",
            "mqtt s>c response | st=CONNACK",
            "websocket s>c oneway | op=close res=- st=1000",
            "websocket c>s transaction | op=websocket res=/chat st=1000 | stream=1",
        ];
        for parts in expected {
            let found = lines.iter().any(|line| parts.split(" | ").all(|part| line.contains(part)));
            assert!(found, "{parts} in\n{}", lines.join("\n"));
        }
    }
}

#[test]
fn after_an_upgrade() {
    let http1 = by_name("http1").expect("http1 is in the registry");
    let asked = "GET /chat HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let answered = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    // The server's first message comes with its answer.
    let script =
        [client(asked), server([answered.as_bytes(), &plain(0x81, "first")].concat()), client(masked(0x81, "x"))];
    let switch = run(http1, &kept(), true, &script, Chop::Whole).switch.expect("it switches");
    assert_eq!(switch.next, Next::Protocol("websocket"));
    let start = Start { from_start: [true; 2], settings: &kept(), handshake: switch.handshake };
    let mut parser = crate::websocket().parser(start);
    let mut out = Outbox::default();
    for held in &switch.rest {
        parser.push(held.chunk(), &mut out);
    }
    for direction in l7trace_event::Direction::BOTH {
        // As an end that came before the switch is told.
        let input = Input::End(End::Closed);
        let at = l7trace_event::Timestamp(9_000);
        parser.push(Chunk { direction, position: u64::MAX, at, acknowledged: None, input }, &mut out);
    }
    let messages = out.take().into_iter().filter_map(|output| match output {
        Output::Message(message) => Some(l7trace_testkit::script::line_of(&message)),
        _ => None,
    });
    let messages: Vec<String> = messages.collect();
    for (line, parts) in messages.iter().zip(["op=text | body=`first` | notes=[]", "op=text | body=`x`", "transaction"])
    {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{parts} in {line}");
    }
    assert_eq!(messages.len(), 3);
}
