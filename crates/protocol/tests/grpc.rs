//! gRPC as tables.

use base64::Engine as _;
use l7trace_protocol::{Protocol, Settings, by_name};
use l7trace_testkit::http2::{PREFACE, block, data, grpc_message, headers, indexed_block, reset, settings};
use l7trace_testkit::script::{Chop, Step, check, check_cuts, client, close, lines, run, server};

fn http2() -> &'static dyn Protocol {
    by_name("http2").unwrap()
}

fn bodies() -> Settings {
    Settings { body_limit: 1000, ..Settings::default() }
}

fn call(fields: &[(&str, &str)]) -> Vec<u8> {
    let head = [(":method", "POST"), (":scheme", "http"), (":path", "/p.S/M"), (":authority", "a"), ("te", "trailers")];
    let typed = [("content-type", "application/grpc")];
    block(
        &[&head[..], if fields.iter().any(|(name, _)| *name == "content-type") { &[] } else { &typed }, fields]
            .concat(),
    )
}

fn answer() -> Vec<u8> {
    block(&[(":status", "200"), ("content-type", "application/grpc+proto")])
}

fn script(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    [client(PREFACE), client(settings(&[])), server(settings(&[]))].into_iter().chain(steps).chain(close()).collect()
}

/// A message: 1 = "hi", 2 = 300, 3 = { 1 = "in" }, 4 = [1, 150].
const MESSAGE: &[u8] = b"\x0a\x02hi\x10\xac\x02\x1a\x04\x0a\x02in\x22\x03\x01\x96\x01";

#[test]
fn a_unary_call() {
    check(
        http2(),
        &bodies(),
        &script([
            client(headers(1, false, call(&[("grpc-timeout", "1500m")]))),
            client(data(1, true, grpc_message(false, MESSAGE))),
            server(headers(1, false, answer())),
            server(data(1, false, grpc_message(false, b"\x08\x01"))),
            server(headers(1, true, block(&[("grpc-status", "0"), ("grpc-message", "")]))),
        ]),
        &[
            "grpc c>s request 0/1 op=call res=/p.S/M st=- host=a | body_bytes=23 | Whole failed=false \
             | attributes=[timeout_ns=1500000000; messages={count: 1, bytes: 18, each: [{size: 18, at: \
             \"1970-01-01T00:00:00.000005000Z\", body: {1: \"hi\", 2: 300, 3: {1: \"in\"}, 4: [1, 150]}, guessed: true}]}] \
             | facts=[stream=1]",
            "grpc s>c response 0/1 op=- res=- st=OK | trailers=[grpc-status: 0; grpc-message: ] | body_bytes=7 | failed=false \
             | each: [{size: 2, at: \"1970-01-01T00:00:00.000007000Z\", body: {1: 1}, guessed: true}] \
             | facts=[stream=1; http_status=\"200\"]",
        ],
    );
}

#[test]
fn streaming_both_ways_with_messages_across_frames() {
    let many = [grpc_message(false, b"\x08\x01"), grpc_message(false, b"\x08\x02"), grpc_message(false, b"")].concat();
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, false, call(&[]))),
            client(data(1, false, &many[..4])),
            server(headers(1, false, answer())),
            client(data(1, false, &many[4..9])),
            server(data(1, false, grpc_message(false, b"\x08\x09"))),
            client(data(1, true, &many[9..])),
            server(headers(1, true, block(&[("grpc-status", "0")]))),
        ]),
        &[
            "messages={count: 3, bytes: 4 | {size: 0, at: \"1970-01-01T00:00:00.000009000Z\"}]",
            "st=OK | messages={count: 1",
        ],
    );
}

#[test]
fn errors_come_in_trailers_and_in_trailers_only() {
    // google.rpc.Status { code: 5, message: "gone", details: [ErrorInfo { reason: "R" }] }
    let info = b"\x0a\x01R";
    let url = b"type.googleapis.com/google.rpc.ErrorInfo";
    let any = [&[0x0a, url.len() as u8][..], url, &[0x12, info.len() as u8], info].concat();
    let status = [&b"\x08\x05\x12\x04gone\x1a"[..], &[any.len() as u8], &any].concat();
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, true, call(&[]))),
            server(headers(1, false, answer())),
            server(headers(
                1,
                true,
                block(&[
                    ("grpc-status", "5"),
                    ("grpc-message", "not %E2%9C%93 found"),
                    ("grpc-status-details-bin", &details),
                ]),
            )),
            client(headers(3, true, call(&[]))),
            server(headers(
                3,
                true,
                block(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")]),
            )),
            // A proxy's own answer.
            client(headers(5, true, call(&[]))),
            server(headers(5, true, block(&[(":status", "503"), ("content-type", "text/html")]))),
        ]),
        &[
            "request 0/1 op=call",
            "response 0/1 | st=NOT_FOUND | failed=true | grpc_message=\"not ✓ found\"; grpc_status_details={code: 5, \
             message: \"gone\", details: [{type: \"google.rpc.ErrorInfo\", value: {1: \"R\"}, guessed: true}]}",
            "request 0/3",
            "response 0/3 | st=UNIMPLEMENTED | failed=true | http_status=\"200\"",
            "request 0/5 op=call",
            "grpc s>c response 0/5 op=- res=- st=- | failed=true | notes=[no grpc-status] | http_status=\"503\"",
        ],
    );
}

#[test]
fn compressed_messages_are_undone() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(MESSAGE).unwrap();
    let gzip = gzip.finish().unwrap();
    check(
        http2(),
        &bodies(),
        &script([
            client(headers(1, false, call(&[("grpc-encoding", "gzip")]))),
            client(data(1, false, grpc_message(true, &gzip))),
            client(data(1, false, grpc_message(false, b"\x08\x01"))),
            client(data(1, true, grpc_message(true, b"broken"))),
        ]),
        &["compressed: true, body: {1: \"hi\", 2: 300 | body: {1: 1}, guessed: true} | content coding gzip"],
    );
}

#[test]
fn malformed_messages_are_bytes_with_the_reason() {
    check(
        http2(),
        &bodies(),
        &script([
            client(headers(1, false, call(&[]))),
            client(data(1, true, grpc_message(false, b"\x0a\x7fshort"))),
            client(headers(3, false, call(&[]))),
            client(data(3, true, b"\x07\x00\x00\x00\x01x")),
            client(headers(5, false, call(&[]))),
            client(data(5, true, b"\x00\x00\x00\x00\x09x")),
        ]),
        &[
            "body: `\\n\\x7fshort`, malformed: \"it ends within a field\"",
            "notes=[gRPC messages are known only in part: what should be a message has flags that are not known]",
            "notes=[a gRPC message breaks off]",
        ],
    );
}

#[test]
fn a_cancelled_call_has_no_status() {
    check(
        http2(),
        &Settings::default(),
        &script([client(headers(1, true, call(&[]))), server(headers(1, false, answer())), client(reset(1, 8))]),
        &["op=call", "st=- | Cut failed=true | notes=[RST_STREAM by the client: CANCEL]"],
    );
}

#[test]
fn grpc_web_is_a_call() {
    let trailers = b"grpc-status: 7\r\ngrpc-message: no%20way\r\n";
    let body =
        [grpc_message(false, b"\x08\x01"), vec![0x80, 0, 0, 0, trailers.len() as u8], trailers.to_vec()].concat();
    let text = base64::engine::general_purpose::STANDARD;
    // Two pieces, each coded on its own.
    let coded = [text.encode(&body[..7]), text.encode(&body[7..])].concat();
    for (kind, body) in [("application/grpc-web+proto", body), ("application/grpc-web-text", coded.into_bytes())] {
        check(
            http2(),
            &Settings::default(),
            &script([
                client(headers(1, true, call(&[("content-type", kind)]))),
                server(headers(1, false, block(&[(":status", "200"), ("content-type", kind)]))),
                server(data(1, true, body)),
            ]),
            &[
                "grpc c>s request 0/1 op=call res=/p.S/M",
                "grpc s>c response 0/1 op=- res=- st=PERMISSION_DENIED | failed=true | messages={count: 1, bytes: 2 \
                 | grpc_message=\"no way\" | facts=[stream=1; http_status=\"200\"]",
            ],
        );
    }
}

#[test]
fn a_call_that_began_before_tracing_says_what_is_not_known() {
    let steps = [
        // Its head went by before.
        server(data(7, false, grpc_message(false, b"\x08\x01"))),
        server(headers(7, true, block(&[("grpc-status", "0"), ("grpc-message", "")]))),
        // Everything but the method by entries from before.
        client(headers(9, false, [0x83, 0x86, 0xc3, 0xc2, 0xc1, 0xc0])),
        client(data(9, true, grpc_message(false, b"\x08\x02"))),
        server(headers(9, false, [0x88, 0xbe])),
        server(headers(9, true, [0xbf])),
        // The path is seen again.
        client(headers(
            11,
            true,
            indexed_block(&[(":method", "POST"), (":path", "/p.S/M"), ("content-type", "application/grpc")]),
        )),
        server(headers(
            11,
            true,
            block(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]),
        )),
        client(headers(13, true, [0xc0, 0xbf, 0xbe])),
        server(headers(
            13,
            true,
            block(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]),
        )),
    ];
    let heard = lines(&run(http2(), &Settings::default(), false, &steps, Chop::Whole));
    let expected = [
        "grpc s>c response 0/7 op=call res=- st=OK | Partial",
        "http2 c>s request 0/9 op=POST res=- | Partial",
        "http2 s>c response 0/9 | st=200 | Partial",
        "grpc c>s request 0/11 op=call res=/p.S/M | Whole",
        "grpc s>c response 0/11 op=- res=- st=OK | Whole",
        "grpc c>s request 0/13 op=call res=/p.S/M | Whole",
        "grpc s>c response 0/13 | st=OK",
    ];
    assert_eq!(heard.len(), expected.len(), "{}", heard.join("\n"));
    for (line, parts) in heard.iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{line}\nhas not all of\n{parts}");
    }
    check_cuts(http2(), &Settings::default(), false, &steps);
}

#[test]
fn grpc_web_over_http_1() {
    let http1 = by_name("http1").unwrap();
    let asked = grpc_message(false, MESSAGE);
    let trailers = b"grpc-status: 5\r\ngrpc-message: no%20such\r\n";
    let answered = [
        grpc_message(false, b"\x08\x01"),
        grpc_message(false, b"\x08\x02"),
        vec![0x80, 0, 0, 0, trailers.len() as u8],
        trailers.to_vec(),
    ]
    .concat();
    let text = base64::engine::general_purpose::STANDARD;
    for (kind, asked, answered) in [
        ("application/grpc-web+proto", asked.clone(), answered.clone()),
        ("application/grpc-web-text", text.encode(&asked).into_bytes(), text.encode(&answered).into_bytes()),
    ] {
        let request = format!(
            "POST /p.S/M HTTP/1.1\r\nContent-Type: {kind}\r\ngrpc-timeout: 2S\r\nContent-Length: {}\r\n\r\n",
            asked.len()
        );
        let response = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (one, two) = answered.split_at(9);
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        check(
            http1,
            &bodies(),
            &[
                client([request.as_bytes(), &asked].concat()),
                server(response),
                server(chunk(one)),
                server([chunk(two), b"0\r\n\r\n".to_vec()].concat()),
            ]
            .into_iter()
            .chain(close())
            .collect::<Vec<_>>(),
            &[
                "grpc c>s request 0/0 op=call res=/p.S/M | timeout_ns=2000000000 | messages={count: 1, bytes: 18, \
                 | body: {1: \"hi\", 2: 300, 3: {1: \"in\"}, 4: [1, 150]}, guessed: true}",
                "grpc s>c response 0/0 op=- res=- st=NOT_FOUND | failed=true | messages={count: 2, bytes: 4 \
                 | body: {1: 2} | grpc_message=\"no such\" | http_status=\"200\"",
            ],
        );
    }
    // Trailers only, a proxy's answer, and something else of that name.
    check(
        http1,
        &Settings::default(),
        &[
            client("POST /p.S/M HTTP/1.1\r\nContent-Type: application/grpc-web\r\nContent-Length: 0\r\n\r\n"),
            server(
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n",
            ),
            client("POST /p.S/M HTTP/1.1\r\nContent-Type: application/grpc-web\r\nContent-Length: 0\r\n\r\n"),
            server("HTTP/1.1 502 No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"),
            client("GET / HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 415 No\r\nContent-Type: application/grpc\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n"),
        ]
        .into_iter()
        .chain(close())
        .collect::<Vec<_>>(),
        &[
            "grpc c>s | op=call",
            "grpc s>c | st=UNIMPLEMENTED | failed=true | http_status=\"200\"",
            "grpc c>s | op=call",
            "grpc s>c | st=- | failed=true | no grpc-status | http_status=\"502\"",
            "op=GET",
            "http1 s>c | st=415 | failed=false",
        ],
    );
}

#[test]
fn calls_joined_late_are_told_by_what_is_like_nothing_else() {
    let steps = [
        // Nothing is known but the method; both bodies are messages, and fields follow the answer's.
        client(headers(9, false, [0x83, 0x86, 0xc3, 0xc2, 0xc1, 0xc0])),
        client(data(9, true, grpc_message(false, b"\x08\x02"))),
        server(headers(9, false, [0x88, 0xbe])),
        server(data(9, false, grpc_message(false, b"\x08\x03"))),
        server(headers(9, true, [0xbf])),
        // The same, but its body is no row of messages.
        client(headers(11, false, [0x83, 0x86, 0xc3, 0xc2, 0xc1, 0xc0])),
        client(data(11, true, "hello, world")),
        server(headers(11, false, [0x88, 0xbe])),
        server(data(11, false, grpc_message(false, b"\x08\x03"))),
        server(headers(11, true, [0xbf])),
        // A trailer's name is known.
        client(headers(13, true, [0x83, 0x86, 0xc3, 0xc2, 0xc1, 0xc0])),
        server(headers(13, false, [0x88, 0xbe])),
        server(headers(13, true, [&[0xbf], &block(&[("grpc-message", "")])[..]].concat())),
    ];
    let heard = lines(&run(http2(), &Settings::default(), false, &steps, Chop::Whole));
    let expected = [
        "grpc c>s request 0/9 op=call res=- | messages={count: 1 | Partial | taken for gRPC by its messages",
        "grpc s>c response 0/9 | st=- | messages={count: 1 | http_status=\"200\" | Partial",
        "http2 c>s request 0/11 op=POST res=- | Partial",
        "http2 s>c response 0/11 | st=200 | Partial",
        "grpc c>s request 0/13 op=call | Partial",
        "grpc s>c response 0/13 | st=- | Partial",
    ];
    assert_eq!(heard.len(), expected.len(), "{}", heard.join("\n"));
    for (line, parts) in heard.iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{line}\nhas not all of\n{parts}");
    }
    check_cuts(http2(), &Settings::default(), false, &steps);
}
