//! HTTP/2 as tables.

use l7trace_event::{Direction, Timestamp};
use l7trace_protocol::{Chunk, Handshake, Input, Message, Outbox, Output, Protocol, Role, Settings, Start, by_name};
use l7trace_testkit::http2::{
    END_HEADERS, END_STREAM, PADDED, PREFACE, block, data, frame, goaway, headers, indexed_block, reset, settings,
    settings_ack, window_update,
};
use l7trace_testkit::script::{
    Chop, Step, check, check_cuts, client, close, length, line_of, lines, punch, run, server,
};

fn http2() -> &'static dyn Protocol {
    by_name("http2").unwrap()
}

fn get(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a"), ("accept", "*/*")])
}

fn post(path: &str) -> Vec<u8> {
    block(&[(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a")])
}

fn ok() -> Vec<u8> {
    block(&[(":status", "200"), ("server", "x")])
}

fn begin() -> Vec<Step> {
    vec![
        client(PREFACE),
        client(settings(&[(3, 100), (4, 65_535)])),
        server(settings(&[(5, 16_384)])),
        client(settings_ack()),
        server(settings_ack()),
    ]
}

fn script(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    begin().into_iter().chain(steps).chain(close()).collect()
}

#[test]
fn a_request_and_its_answer() {
    check(
        http2(),
        &Settings { body_limit: 100, ..Settings::default() },
        &script([
            client(headers(1, true, get("/x?y=1"))),
            server(headers(1, false, ok())),
            server(frame(0, PADDED, 1, b"\x03hello\0\0\0")),
            server(window_update(0, 100)),
            server(data(1, true, " world")),
        ]),
        &[
            "http2 c>s request 0/1 op=GET res=/x?y=1 st=- host=a \
             | headers=[:method: GET; :scheme: http; :path: /x?y=1; :authority: a; accept: */*] \
             | body_bytes=0 | wire=76 | Whole failed=false | first=54@6000 last=130@6000 | facts=[stream=1]",
            "http2 s>c response 0/1 op=- res=- st=200 host=- headers=[:status: 200; server: x] \
             | body=`hello world` | wire=65 | body_bytes=11 lost=0 Whole failed=false | first=24@7000 last=102@10000",
        ],
    );
}

#[test]
fn interim_answers_count_in_the_final_one_and_trailers_follow() {
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, false, post("/x"))),
            client(data(1, false, "abc")),
            client(headers(1, true, block(&[("digest", "d")]))),
            server(headers(1, false, block(&[(":status", "103"), ("link", "l")]))),
            server(headers(1, false, block(&[(":status", "503")]))),
            server(data(1, false, "xy")),
            server(headers(1, true, block(&[("checksum", "c")]))),
        ]),
        &[
            "request | op=POST res=/x | trailers=[digest: d] | body_bytes=3 | Whole",
            "response | st=503 | headers=[:status: 503] trailers=[checksum: c] | wire=84 | body_bytes=2 | failed=true \
             | attributes=[interim=[\"103\"]]",
        ],
    );
}

#[test]
fn a_header_block_in_many_frames() {
    let block = get("/long");
    check(
        http2(),
        &Settings::default(),
        &script([
            client(frame(1, END_STREAM, 1, &block[..10])),
            client(frame(9, 0, 1, &block[10..20])),
            client(frame(9, END_HEADERS, 1, &block[20..])),
            server(frame(
                1,
                END_HEADERS | END_STREAM | PADDED | 0x20,
                1,
                [&[2, 0, 0, 0, 0, 9][..], &ok(), b"\0\0"].concat(),
            )),
        ]),
        &["res=/long | wire=93 | Whole", "st=200 | body_bytes=0 | Whole"],
    );
}

#[test]
fn streams_finish_in_any_order_and_tables_follow_the_wire() {
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, true, indexed_block(&[(":method", "GET"), (":path", "/1"), (":authority", "a")]))),
            // The three entries, newest first: authority, path, method.
            client(headers(3, true, [0xc0, 0xbf, 0xbe])),
            server(headers(3, true, ok())),
            server(headers(1, true, block(&[(":status", "404")]))),
        ]),
        &["0/3 op=GET res=/1 | host=a", "0/3 | st=200", "0/1 op=GET res=/1", "0/1 | st=404 | failed=false"],
    );
}

#[test]
fn resets_tell_who_and_why() {
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, true, get("/1"))),
            client(headers(3, true, get("/3"))),
            client(headers(5, false, post("/5"))),
            client(headers(7, true, get("/7"))),
            server(reset(1, 7)),
            server(headers(3, false, ok())),
            server(data(3, false, "half")),
            server(reset(3, 2)),
            // A whole answer, and then no need of the rest of the request.
            server(headers(5, true, ok())),
            server(reset(5, 0)),
            client(headers(9, true, get("/9"))),
            client(reset(7, 8)),
            client(reset(9, 8)),
            // This answer was on its way already.
            server(headers(7, true, ok())),
            client(data(5, true, "late")),
        ]),
        &[
            "0/1 op=GET | Whole",
            "response 0/1 | st=- | Whole failed=true | notes=[RST_STREAM by the server: REFUSED_STREAM]",
            "0/3 op=GET",
            "response 0/3 | st=200 | body_bytes=4 | Cut failed=true | notes=[RST_STREAM by the server: INTERNAL_ERROR]",
            "0/5 op=POST | Whole failed=false | notes=[RST_STREAM by the server: NO_ERROR]",
            "response 0/5 | st=200 | Whole failed=false",
            "0/7 op=GET",
            "response 0/7 | st=200 | Whole failed=true | notes=[RST_STREAM by the client: CANCEL]",
            "0/9 op=GET",
            "response 0/9 | st=- | failed=true | notes=[RST_STREAM by the client: CANCEL]",
        ],
    );
}

#[test]
fn goaway_leaves_what_was_not_processed_unanswered() {
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, true, get("/1"))),
            client(headers(3, true, get("/3"))),
            server(goaway(1, 11)),
            server(headers(1, true, ok())),
        ]),
        &["request 0/3 | notes=[GOAWAY: ENHANCE_YOUR_CALM: the server did not process it]", "request 0/1", "st=200"],
    );
}

#[test]
fn a_push_is_an_exchange_of_its_own() {
    let promise = [&2u32.to_be_bytes()[..], &get("/pushed")].concat();
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, true, get("/"))),
            server(frame(5, END_HEADERS, 1, promise)),
            server(headers(1, true, ok())),
            server(headers(2, false, ok())),
            server(data(2, true, "css")),
        ]),
        &[
            "c>s request 0/1",
            "response 0/1",
            "s>c request 0/2 op=GET res=/pushed | host=a | Whole | notes=[pushed] | facts=[stream=2; promised_on=1]",
            "s>c response 0/2 | st=200 | body_bytes=3",
        ],
    );
}

#[test]
fn connect_is_answered_at_once_and_what_follows_is_opaque() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "b:443")]);
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(1, false, connect.clone())),
            server(headers(1, false, block(&[(":status", "200")]))),
            client(data(1, false, "\x16\x03opaque")),
            server(data(1, true, "opaque")),
            client(data(1, true, "")),
            client(headers(3, false, connect)),
            server(headers(3, false, block(&[(":status", "403")]))),
            server(data(3, true, "no")),
            client(data(3, true, "")),
        ]),
        &[
            "0/1 op=CONNECT res=b:443 st=- host=b:443 | body_bytes=0 | Whole",
            "0/1 | st=200 | body_bytes=0 | Whole",
            "0/3 op=CONNECT res=b:443 | Whole",
            "0/3 | st=403 | body_bytes=2",
        ],
    );
}

#[test]
fn what_the_end_cuts_off_says_so() {
    let steps = script([
        client(headers(1, false, post("/1"))),
        client(headers(3, true, get("/3"))),
        client(headers(5, true, get("/5"))),
        server(headers(3, false, ok())),
    ]);
    check(
        http2(),
        &Settings::default(),
        &steps,
        &["request 0/1 | Cut", "request 0/3 | Whole", "response 0/3 | Cut", "request 0/5 | Whole"],
    );
    let open = &steps[..steps.len() - 2];
    check(
        http2(),
        &Settings::default(),
        open,
        &["request 0/1 | Unfinished", "request 0/3 | Whole", "response 0/3 | Unfinished", "request 0/5 | Whole"],
    );
}

#[test]
fn the_request_of_an_upgrade_is_stream_1() {
    let mut request = Box::new(Message::new("http1", Direction::ClientToServer, Role::Request));
    request.set_operation(b"GET");
    request.set_resource(b"/up");
    request.add_header(Some(b"HTTP2-Settings"), Some(b"AAMAAABkAAQAAP__"), false);
    request.body_bytes = Some(0);
    let handshake = Some(Box::new(Handshake { request: Some(request), response: None }));
    let start = Start { from_start: [true; 2], settings: &Settings::default(), handshake };
    let mut parser = http2().parser(start);
    let mut out = Outbox::default();
    let said = [
        (Direction::ServerToClient, settings(&[])),
        (Direction::ClientToServer, [PREFACE, &settings(&[])].concat()),
        (Direction::ServerToClient, headers(1, true, ok())),
    ];
    let mut positions = [70, 150];
    for (direction, bytes) in &said {
        let position = positions[direction.index()];
        positions[direction.index()] += bytes.len() as u64;
        let chunk =
            Chunk { direction: *direction, position, at: Timestamp(1), acknowledged: None, input: Input::Bytes(bytes) };
        parser.push(chunk, &mut out);
    }
    let heard: Vec<_> = out
        .take()
        .into_iter()
        .map(|output| match output {
            Output::Message(message) => line_of(&message),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("http2 c>s request 0/1 op=GET res=/up"), "{}", heard[0]);
    assert!(heard[0].contains("Whole") && heard[0].contains("facts=[stream=1]"), "{}", heard[0]);
    assert!(heard[1].starts_with("http2 s>c response 0/1 op=- res=- st=200"), "{}", heard[1]);
}

#[test]
fn a_tunnel_is_read_as_what_it_turns_out_to_be() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "b:80")]);
    // HTTP/2 once more, within a stream.
    let inner = [PREFACE.to_vec(), settings(&[]), headers(1, true, get("/inner"))].concat();
    let answer = [settings(&[]), headers(1, true, ok())].concat();
    check(
        http2(),
        &Settings::default(),
        &script([
            client(headers(3, false, connect)),
            server(headers(3, false, block(&[(":status", "200")]))),
            client(data(3, false, &inner[..30])),
            client(data(3, false, &inner[30..])),
            server(data(3, true, answer)),
            client(data(3, true, "")),
        ]),
        &[
            "0/3 op=CONNECT res=b:80",
            "0/3 | st=200",
            "c>s request | /1 op=GET res=/inner | Whole | facts=[stream=1]",
            "s>c response | /1 op=- | st=200 | Whole",
        ],
    );
}

#[test]
fn secrets_are_marked() {
    let fields = [(":method", "GET"), (":path", "/"), ("authorization", "Basic x"), ("cookie", "a=b")];
    check(
        http2(),
        &Settings::default(),
        &script([client(headers(1, true, block(&fields)))]),
        &["authorization: Basic x (secret); cookie: a=b (secret)"],
    );
}

#[test]
fn joined_in_the_middle_only_what_is_known_is_told() {
    let steps = [
        client(headers(101, true, [0x82, 0x86, 0xbe, 0xbf])),
        server(headers(101, false, [0x88, 0xc0])),
        server(data(101, true, "hello")),
        client(headers(103, true, indexed_block(&[(":method", "GET"), (":path", "/now")]))),
        client(headers(105, true, [0xbe, 0xbf, 0x7e, 1, b'v'])),
        server(headers(103, true, [0x88])),
        server(headers(105, true, [0x8d])),
    ];
    let heard = run(http2(), &Settings::default(), false, &steps, Chop::Whole);
    let lines = lines(&heard);
    let expected = [
        "request 0/101 op=GET res=- st=- host=- headers=[:method: GET; :scheme: http; -: -; -: -] | Partial \
         | notes=[unknown: table entry from before tracing]",
        "response 0/101 | st=200 | headers=[:status: 200; -: -] | body_bytes=5 | Partial",
        "request 0/103 op=GET res=/now | Whole | notes=[]",
        "response 0/103 | st=200 | Whole",
        "request 0/105 op=GET res=/now | headers=[:path: /now; :method: GET; :path: v] | Whole",
        "response 0/105 | st=404",
    ];
    assert_eq!(lines.len(), expected.len(), "{}", lines.join("\n"));
    for (line, parts) in lines.iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{line}\nhas not all of\n{parts}");
    }
    check_cuts(http2(), &Settings::default(), false, &steps);
}

#[test]
fn a_guess_that_breaks_is_withdrawn() {
    let steps = [
        client(headers(1, true, get("/"))),
        client(window_update(0, 5)),
        client(headers(3, true, get("/"))),
        client("this is no frame at all, is it?"),
    ];
    let heard = run(http2(), &Settings::default(), false, &steps, Chop::Whole);
    assert_eq!(lines(&heard), ["withdrawn: taken for HTTP/2 by its frames, which then broke off"]);
}

#[test]
fn a_gap_within_data_of_known_length_is_only_lost_bytes() {
    let steps = script([
        client(headers(1, true, get("/1"))),
        server(headers(1, false, indexed_block(&[(":status", "200"), ("x", "y")]))),
        server(data(1, true, "0123456789")),
        client(headers(3, true, get("/3"))),
        server(headers(3, true, [0xbf, 0xbe])),
    ]);
    let at = length(&begin(), Direction::ServerToClient)
        + headers(1, false, indexed_block(&[(":status", "200"), ("x", "y")])).len() as u64
        + 9;
    let punched = punch(&steps, Direction::ServerToClient, at + 2, 5);
    check(
        http2(),
        &Settings::default(),
        &punched,
        &["0/1", "response 0/1 | body_bytes=10 lost=5 Whole", "0/3", "headers=[:status: 200; x: y] | Whole"],
    );
}

#[test]
fn after_lost_framing_the_next_frames_are_found_and_the_table_is_not_believed() {
    let steps = script([
        client(headers(1, true, get("/1"))),
        server(headers(1, true, indexed_block(&[(":status", "200"), ("x", "y")]))),
        client(headers(3, true, get("/3"))),
        server(headers(3, false, [0xbf, 0xbe])),
        server(data(3, true, "abc")),
        client(headers(5, true, get("/5"))),
        client(headers(7, true, get("/7"))),
        server(headers(5, true, [0x88, 0xbe])),
        server(headers(7, true, [0x88, 0x40, 1, b'a', 1, b'b', 0xbe])),
    ]);
    // From within the headers of stream 3 to within its DATA.
    let at = length(&begin(), Direction::ServerToClient)
        + headers(1, true, indexed_block(&[(":status", "200"), ("x", "y")])).len() as u64;
    let punched = punch(&steps, Direction::ServerToClient, at + 4, 15);
    check(
        http2(),
        &Settings::default(),
        &punched,
        &[
            "0/1",
            "response 0/1 | Whole",
            "0/5",
            "response 0/5 | st=200 | headers=[:status: 200; -: -] | Partial",
            "0/7",
            "response 0/7 | headers=[:status: 200; a: b; a: b] | Whole",
            "request 0/3 | Partial | notes=[its answer may have gone by unseen]",
        ],
    );
}
