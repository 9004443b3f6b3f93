//! Versions 3.1 and 3.1.1.

use l7trace_testkit::script::{Step, client, close, server};

use crate::expect;
use crate::packets::{acknowledge, connack, connect, packet, publish, text};

#[test]
fn a_session_with_every_packet() {
    let connect = packet(
        0x10,
        [
            &text("MQIsdp")[..],
            &[3, 0b1110_1110, 0, 10],
            &text("me"),
            &text("last/will"),
            &text("bye"),
            &text("user"),
            &text("pass"),
        ]
        .concat(),
    );
    let subscribe = packet(0x82, [&[0, 1][..], &text("a/+"), &[1], &text("b/#"), &[2]].concat());
    let unsubscribe = packet(0xa2, [&[0, 2][..], &text("a/+"), &text("b/#")].concat());
    let script: Vec<Step> = [
        client(connect),
        server([0x20, 2, 1, 0]),
        client(subscribe),
        server(packet(0x90, [0, 1, 1, 0x80])),
        server(publish(1, "a/b", 0, "{\"x\":1}")),
        client(publish(0x2, "a/c", 3, "one")),
        server(acknowledge(0x40, 3)),
        client(publish(0x4, "a/d", 4, "two")),
        server(acknowledge(0x50, 4)),
        client(acknowledge(0x62, 4)),
        server(acknowledge(0x70, 4)),
        client([0xc0, 0]),
        server([0xd0, 0]),
        client(unsubscribe),
        server(acknowledge(0xb0, 2)),
        client([0xe0, 0]),
    ]
    .into_iter()
    .chain(close())
    .collect();
    expect(
        &script,
        &[
            "request 1/1 op=CONNECT res=me | body_bytes=0 | protocol_name=\"MQIsdp\"; version=\"3.1\"; clean_session=true; keep_alive=10; will={topic: \"last/will\", qos: 1, retain: true, body_bytes: 3, body: `bye`}; username=\"user\"; password=secret(4)",
            "response 1/1 op=- | st=CONNACK | session_present=true; reason_code=0; reason=\"Connection accepted\" | failed=false",
            "request 4/1 op=SUBSCRIBE res=a/+,b/# | subscriptions=[{filter: \"a/+\", qos: 1}, {filter: \"b/#\", qos: 2}] | facts=[packet_id=1]",
            "response 4/1 | st=SUBACK | failed=true | filters=[{filter: \"a/+\", reason_code: 1, reason: \"Granted QoS 1\"}, {filter: \"b/#\", reason_code: 128, reason: \"Failure\"}]",
            "mqtt s>c oneway | op=PUBLISH res=a/b st=- | body=`{\\\"x\\\":1}` wire=14 body_bytes=7 | notes=[] | dup=false; retain=true | facts=[qos=0]",
            "request 2/3 op=PUBLISH res=a/c st=- | facts=[qos=1; packet_id=3]",
            "mqtt s>c response 2/3 op=- res=- st=PUBACK",
            "request 2/4 op=PUBLISH res=a/d st=- | facts=[qos=2; packet_id=4]",
            "s>c step 2/4 op=- res=- st=PUBREC",
            "c>s step 2/4 op=- res=- st=PUBREL",
            "s>c response 2/4 op=- res=- st=PUBCOMP",
            "request 6/ | op=PINGREQ",
            "response 6/ | st=PINGRESP",
            "request 5/2 op=UNSUBSCRIBE res=a/+,b/# | filters=[\"a/+\", \"b/#\"]",
            "response 5/2 | st=UNSUBACK",
            "oneway | op=DISCONNECT res=- st=- | notes=[]",
        ],
    );
}

#[test]
fn packet_ids_are_apart_by_direction() {
    let script = [
        client(connect("")),
        server(connack()),
        client(publish(2, "up", 1, "")),
        server(publish(2, "down", 1, "")),
        client(acknowledge(0x40, 1)),
        server(acknowledge(0x40, 1)),
    ];
    expect(
        &script,
        &[
            "op=CONNECT res=- st=-",
            "CONNACK",
            "c>s request 2/1 op=PUBLISH res=up",
            "s>c request 3/1 op=PUBLISH res=down",
            "c>s response 3/1 op=- res=- st=PUBACK",
            "s>c response 2/1 op=- res=- st=PUBACK",
        ],
    );
}

#[test]
fn sent_again() {
    let script = [
        client(connect("a")),
        server(connack()),
        client(publish(2, "t", 1, "x")),
        client(publish(0xa, "t", 1, "x")),
        server(acknowledge(0x40, 1)),
        // Sent before on an earlier connection.
        client(publish(0xa, "u", 9, "x")),
        server(acknowledge(0x40, 9)),
        // The same id without the flag: the old one is given up.
        client(publish(2, "v", 5, "x")),
        client(publish(2, "w", 5, "x")),
        server(acknowledge(0x40, 5)),
        server(acknowledge(0x40, 5)),
    ];
    expect(
        &script,
        &[
            "CONNECT",
            "CONNACK",
            "request 2/1 op=PUBLISH res=t | dup=false",
            "repeat 2/1 op=PUBLISH res=t | dup=true | notes=[]",
            "response 2/1",
            "request 2/9 op=PUBLISH res=u | notes=[sent before, on an earlier connection or unseen]",
            "response 2/9",
            "request 2/5 op=PUBLISH res=v",
            "request 2/5 op=PUBLISH res=w",
            "response 2/5",
            "response 8/ | PUBACK | answers nothing that was sent on this connection | packet_id=5",
        ],
    );
}

#[test]
fn a_qos_2_exchange_resumed_on_a_new_connection() {
    let script = [
        client(connect("a")),
        server([0x20, 2, 1, 0]),
        client(acknowledge(0x62, 7)),
        server(acknowledge(0x70, 7)),
        client(acknowledge(0x62, 8)),
    ];
    expect(
        &script,
        &[
            "CONNECT",
            "session_present=true",
            "s>c response 8/ | op=- res=- st=PUBCOMP | earlier_steps=[{name: \"PUBREL\", at: \"1970-01-01T00:00:00.000003000Z\"}] | facts=[packet_id=7]",
            "c>s oneway 8/ | op=PUBREL res=- st=- | facts=[packet_id=8]",
        ],
    );
}

#[test]
fn refused() {
    let script = [client(connect("a")), server([0x20, 2, 0, 5])];
    expect(&script, &["CONNECT", "st=CONNACK | failed=true | reason=\"Not authorized\""]);
}

#[test]
fn a_large_payload_goes_through() {
    let payload = vec![b'x'; 300_000];
    let script =
        [client(connect("a")), server(connack()), client(publish(2, "t", 1, &payload)), server(acknowledge(0x40, 1))];
    let heard = l7trace_testkit::script::run(
        crate::mqtt(),
        &crate::settings(),
        true,
        &script,
        l7trace_testkit::script::Chop::Random(3),
    );
    let publish = &heard.messages[2];
    assert_eq!((publish.body_bytes, publish.body.len(), publish.body_truncated), (Some(300_000), 100, true));
    assert!(heard.most_held < 4096, "{}", heard.most_held);
}
