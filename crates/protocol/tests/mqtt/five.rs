//! Version 5.0.

use l7trace_testkit::script::{Step, client, close, server};

use crate::expect;
use crate::packets::{acknowledge, connack_five, connect_five, packet, publish_five, text};

#[test]
fn properties_and_reasons() {
    let user = [&[38][..], &text("k"), &text("v")].concat();
    let will_properties = [&[5, 24, 0, 0, 0, 9][..]].concat();
    let connect = packet(
        0x10,
        [
            &text("MQTT")[..],
            &[5, 0b1100_0110, 0, 30],
            &[5 + user.len() as u8, 17, 0, 0, 0, 60],
            &user,
            &text("me"),
            &will_properties,
            &text("w"),
            &text("gone"),
            &text("u"),
            &text("secret"),
        ]
        .concat(),
    );
    let connack = packet(0x20, [&[0, 0, 10, 33, 0, 20, 37, 1, 34, 0, 5, 36, 1][..]].concat());
    let subscribe = packet(0x82, [&[0, 1, 2, 11, 7][..], &text("$share/g/a/#"), &[0b0010_1101]].concat());
    let suback = packet(0x90, [&[0, 1][..], &[5, 31], &text("no"), &[0x8f]].concat());
    let script: Vec<Step> = [
        client(connect),
        server(connack),
        client(subscribe),
        server(suback),
        client(publish_five(2, "t", 5, &[1, 1, 3, 0, 1, b'j', 38, 0, 1, b'a', 0, 1, b'b'], "payload")),
        server(packet(0x40, [0, 5, 0x10])),
        client(publish_five(4, "t", 6, &[], "payload")),
        server(packet(0x50, [0, 6, 0x97, 0])),
        client(packet(0xa2, [&[0, 9, 0][..], &text("a/#")].concat())),
        server(packet(0xb0, [0, 9, 0, 0x11])),
        server(packet(0xe0, [0x8b, 0])),
    ]
    .into_iter()
    .chain(close())
    .collect();
    expect(
        &script,
        &[
            "CONNECT res=me | version=\"5.0\"; clean_start=true; keep_alive=30; properties={session_expiry_interval: 60, user_properties: [[\"k\", \"v\"]]}; will={topic: \"w\", qos: 0, retain: false, body_bytes: 4, body: `gone`, properties: {will_delay_interval: 9}}; username=\"u\"; password=secret(6) | notes=[]",
            "CONNACK | notes=[] | reason=\"Success\"; properties={receive_maximum: 20, retain_available: true, topic_alias_maximum: 5, maximum_qos: 1}",
            "SUBSCRIBE res=$share/g/a/# | properties={subscription_identifiers: [7]}; subscriptions=[{filter: \"$share/g/a/#\", qos: 1, share: \"g\", no_local: true, retain_as_published: true, retain_handling: 2}]",
            "SUBACK | failed=true | properties={reason_string: \"no\"} | reason_code: 143, reason: \"Topic Filter invalid\"",
            "PUBLISH res=t | body=`payload` | body_bytes=7 | properties={payload_format_indicator: 1, content_type: \"j\", user_properties: [[\"a\", \"b\"]]}",
            "PUBACK | failed=false | reason_code=16; reason=\"No matching subscribers\"",
            "request 2/6 op=PUBLISH",
            "response 2/6 | st=PUBREC | failed=true | reason=\"Quota exceeded\"",
            "UNSUBSCRIBE res=a/#",
            "UNSUBACK | filters=[{filter: \"a/#\", reason_code: 17, reason: \"No subscription existed\"}]",
            "s>c oneway | op=DISCONNECT | failed=true | reason=\"Server shutting down\"",
        ],
    );
}

#[test]
fn topic_aliases_are_resolved_by_direction() {
    let script = [
        client(connect_five("a")),
        server(connack_five()),
        client(publish_five(0, "long/topic", 0, &[35, 0, 1], "1")),
        client(publish_five(0, "", 0, &[35, 0, 1], "2")),
        server(publish_five(0, "", 0, &[35, 0, 1], "3")),
        client(publish_five(0, "other", 0, &[35, 0, 1], "4")),
        client(publish_five(0, "", 0, &[35, 0, 1], "5")),
        client(publish_five(0, "", 0, &[], "6")),
    ];
    expect(
        &script,
        &[
            "CONNECT",
            "CONNACK",
            "PUBLISH res=long/topic | body=`1` | topic_alias: 1",
            "PUBLISH res=long/topic | body=`2` | topic_alias: 1",
            "PUBLISH res=- | body=`3` | notes=[unknown: topic alias never set]",
            "PUBLISH res=other | body=`4`",
            "PUBLISH res=other | body=`5`",
            "PUBLISH res=- | body=`6` | notes=[an empty topic]",
        ],
    );
}

#[test]
fn authentication_goes_to_and_fro() {
    let method = [&[21][..], &text("SCRAM"), &[22], &text("data")].concat();
    let auth = |code: u8| packet(0xf0, [&[code, method.len() as u8][..], &method].concat());
    let connect = packet(0x10, [&text("MQTT")[..], &[5, 2, 0, 60, method.len() as u8], &method, &text("me")].concat());
    let script = [
        client(connect),
        server(auth(0x18)),
        client(auth(0x18)),
        server(connack_five()),
        client(auth(0x19)),
        server(auth(0x18)),
        client(auth(0x18)),
        server(auth(0)),
        client(acknowledge(0x62, 3)),
    ];
    expect(
        &script,
        &[
            "request 1/1 op=CONNECT | properties={authentication_method: \"SCRAM\", authentication_data: secret(4)}",
            "s>c step 1/1 | st=AUTH",
            "c>s step 1/1 | st=AUTH",
            "response 1/1 | CONNACK",
            "request 7/ | op=AUTH | reason=\"Re-authenticate\"",
            "s>c step 7/ | st=AUTH",
            "c>s step 7/",
            "response 7/ | st=AUTH | reason=\"Success\"",
            "PUBREL",
        ],
    );
}
