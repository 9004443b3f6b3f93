//! HTTP/1 as tables: what goes by, and what is made of it, however it is cut.

use l7trace_event::Direction::{ClientToServer, ServerToClient};
use l7trace_protocol::{End, Protocol, Settings, by_name};
use l7trace_testkit::script::{self, Step, client, close, server};

fn http1() -> &'static dyn Protocol {
    by_name("http1").expect("registered")
}

fn bodies(limit: usize) -> Settings {
    Settings { body_limit: limit, ..Settings::default() }
}

#[track_caller]
fn check(script: &[Step], expected: &[&str]) {
    script::check(http1(), &Settings::default(), script, expected);
}

#[track_caller]
fn check_bodies(script: &[Step], expected: &[&str]) {
    script::check(http1(), &bodies(100), script, expected);
}

/// A request and its response, then both directions close.
fn exchange(request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) -> Vec<Step> {
    [vec![client(request), server(response)], close().to_vec()].concat()
}

#[test]
fn a_plain_exchange() {
    check(
        &exchange(
            "GET /x?y=1 HTTP/1.1\r\nHost: a\r\nCookie: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer:x \r\n\r\nhi",
        ),
        &[
            "http1 c>s request 0/0 op=GET res=/x?y=1 st=- host=a headers=[Host: a; Cookie: b (secret)] | wire=43 body_bytes=0 lost=0 Whole failed=false first=0@1000 last=43@1000 notes=[] attributes=[]",
            "http1 s>c response 0/0 op=- res=- st=200 | headers=[Content-Length: 2; Server: x] | wire=51 body_bytes=2 lost=0 Whole failed=false first=0@2000 last=51@2000 notes=[]",
        ],
    );
}

#[test]
fn forms_of_the_target_and_invented_methods() {
    for (line, operation, resource) in [
        ("GET http://a/b HTTP/1.1", "GET", "http://a/b"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("FROB_ni.cate /a b c HTTP/1.1", "FROB_ni.cate", "/a b c"),
        ("GET / HTTP/1.0 HTTP/1.1", "GET", "/ HTTP/1.0"),
        ("get /\u{e9} http/1.1", "get", "/\\xc3\\xa9"),
    ] {
        let request = format!("{line}\r\n\r\n");
        let expected = format!("op={operation} res={resource} st=-");
        check(&exchange(request, "HTTP/1.1 204 No\r\n\r\n"), &[&expected, "st=204"]);
    }
}

#[test]
fn bodies_of_known_length_in_both_directions() {
    check_bodies(
        &exchange(
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 500 Oh\r\ncontent-length: 3\r\n\r\nbad",
        ),
        &["body=`hello` wire=43 body_bytes=5", "st=500 | body=`bad` | body_bytes=3 | failed=true"],
    );
    script::check(
        http1(),
        &bodies(3),
        &exchange(
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
        ),
        &["body=`hel`… wire=43 body_bytes=5", "body=`yes` wire"],
    );
}

#[test]
fn chunks_with_extensions_and_trailers() {
    check_bodies(
        &exchange(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n02\r\nde\r\n0\r\nX: y\r\nX-Api-Key: z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\nx\n0\n\n",
        ),
        &[
            "trailers=[X: y; X-Api-Key: z (secret)] body=`abcde` | body_bytes=5 | notes=[]",
            "body=`x` wire=54 body_bytes=1 | notes=[chunk lines end without a carriage return]",
        ],
    );
    check_bodies(
        &[
            client("GET / HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\ncd\r\n0\r\n\r\n"),
        ],
        &["GET", "body=`ab` | Partial | notes=[a chunk's size is no number]"],
    );
}

#[test]
fn a_body_that_lasts_until_the_connection_closes() {
    let opening = [client("GET / HTTP/1.0\r\n\r\n"), server("HTTP/1.0 200 OK\r\n\r\nall of"), server(" it")];
    for (end, completeness) in [(End::Closed, "Whole"), (End::Reset, "Cut"), (End::Unknown, "Unfinished")] {
        let script = [&opening[..], &[Step::End(ServerToClient, end)]].concat();
        check_bodies(
            &script,
            &["version=\"HTTP/1.0\"", &format!("body=`all of it` wire=28 body_bytes=9 lost=0 {completeness}")],
        );
    }
}

#[test]
fn responses_that_have_no_body_by_rule() {
    let next = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for (method, status) in [("HEAD", "200 OK"), ("GET", "204 No"), ("GET", "304 Same")] {
        check_bodies(
            &[
                client(format!("{method} /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")),
                server(format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n{next}")),
            ],
            &["res=/1", "res=/2", "0/0 | body_bytes=0 | Whole", "0/1 | body=`hi`"],
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let requests: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let responses: String =
        (0..20).map(|n| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{n}", n.to_string().len())).collect();
    let expected: Vec<String> = (0..20)
        .map(|n| format!("request 0/{n} | res=/{n} "))
        .chain((0..20).map(|n| format!("response 0/{n} | body=`{n}`")))
        .collect();
    check_bodies(&[client(requests), server(responses)], &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn interim_responses_count_in_the_final_one() {
    check_bodies(
        &[
            client("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
            server("HTTP/1.1 100 Continue\r\n\r\n"),
            client("ab"),
            server("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"),
            server("HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "body=`ab` | Whole",
            "st=201 | wire=96 body_bytes=0 | first=56@5000 | attributes=[interim=[\"100\", \"103\"]]",
        ],
    );
    check(
        &[&[client("GET / HTTP/1.1\r\n\r\n"), server("HTTP/1.1 102 Wait\r\n\r\n")][..], &close()].concat(),
        &["request 0/0", "step 0/0 | st=102"],
    );
}

#[test]
fn a_body_that_was_not_wanted_is_not_sent() {
    check(
        &[
            client("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n"),
            server("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
            client("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "request 0/0 | body_bytes=0 | Whole | notes=[the body was held back after a final response]",
            "response 0/0 | st=417",
            "request 0/1 | body_bytes=2",
            "response 0/1 | st=200",
        ],
    );
}

#[test]
fn a_body_that_was_not_wanted_need_not_come_before_the_end() {
    check(
        &[
            client("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n"),
            server("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
            Step::End(ClientToServer, End::Closed),
        ],
        &[
            "request 0/0 | body_bytes=0 | Whole | notes=[the body was held back after a final response]",
            "response 0/0 | st=417",
        ],
    );
}

#[test]
fn a_folded_field_counts_as_a_whole() {
    check(
        &[client("PUT /a HTTP/1.1\r\nHost:\r\n a.b\r\nContent-Length:\r\n\t 2\r\n\r\nokGET / HTTP/1.1\r\n\r\n")],
        &[
            "request 0/0 | body_bytes=2 | headers=[Host: a.b; Content-Length: 2] | notes=[folded header line]",
            "request 0/1",
        ],
    );
}

#[test]
fn an_early_answer_waits_for_its_request() {
    check(
        &[
            client("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345"),
            server("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"),
            client("67890GET /2 HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["request 0/0 | body_bytes=10 | Whole", "response 0/0 | st=413", "res=/2", "response 0/1 | st=200"],
    );
    check(
        &[
            client("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345"),
            server("HTTP/1.1 413 Large\r\n\r\n"),
            Step::End(ServerToClient, End::Closed),
            Step::End(ClientToServer, End::Reset),
        ],
        &["request 0/0 | body_bytes=5 lost=0 Cut", "response 0/0 | st=413"],
    );
}

#[test]
fn lengths_that_disagree() {
    let body =
        |fields: &str, body: &str| exchange("GET / HTTP/1.1\r\n\r\n", format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"));
    check_bodies(
        &body("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"),
        &[
            "GET",
            "body=`x` | notes=[both Transfer-Encoding and Content-Length: chunked counts; possible request smuggling]",
        ],
    );
    check_bodies(
        &body("Content-Length: 2\r\nContent-Length: 2, 2\r\n", "xy"),
        &["GET", "body=`xy` | notes=[several Content-Length headers that agree]"],
    );
    check_bodies(
        &body("Content-Length: 4\r\nContent-Length: 2\r\n", "xy"),
        &["GET", "body=`xy` | Whole | notes=[conflicting Content-Length: 2 counts; possible request smuggling]"],
    );
    check_bodies(
        &body("Content-Length: two\r\n", "xyz"),
        &["GET", "body=`xyz` | Whole | notes=[Content-Length is no number: ignored]"],
    );
    check_bodies(&body("Transfer-Encoding: xchunked\r\n", "xyz"), &["GET", "body=`xyz` | Whole"]);
}

#[test]
fn content_codings_are_undone() {
    let gzip =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0];
    let with = |fields: &str, body: &[u8]| {
        exchange("GET / HTTP/1.1\r\n\r\n", [format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), body].concat())
    };
    check_bodies(
        &with("Content-Encoding: gzip\r\nContent-Length: 25\r\n", &gzip),
        &["GET", "body=`hello` | body_bytes=25 | notes=[]"],
    );
    let chunked = [&b"19\r\n"[..], &gzip, b"\r\n0\r\n\r\n"].concat();
    check_bodies(
        &with("Transfer-Encoding: gzip, chunked\r\n", &chunked),
        &["GET", "body=`hello` | body_bytes=25 | notes=[]"],
    );
}

#[test]
fn oddities_in_heads_are_noted() {
    let request = |request: &str, expected: &str| {
        check(&exchange(request, "HTTP/1.1 204 No\r\n\r\n"), &[expected, "response 0/0 | st=204"]);
    };
    request("\r\n\r\nGET / HTTP/1.1\r\n\r\n", "notes=[empty line before the start line]");
    request("GET / HTTP/1.1\nHost: a\n\n", "host=a | notes=[line ends without a carriage return]");
    request("GET  /  HTTP/1.1\r\n\r\n", "res=/ | notes=[space where none belongs in the start line]");
    request("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "headers=[Host: a] | notes=[space before the colon of a header]");
    request("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "headers=[Host: a] | notes=[space before a header name]");
    request("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n d \r\n\r\n", "headers=[A: b c d] | notes=[folded header line]");
    request("GET / HTTP/1.1\r\nfoo\r\n\r\n", "headers=[foo: ] | notes=[header line without a colon]");
    request("GET / HTTP/1.1\r\nA: \0\r\n\r\n", "headers=[A: \\x00] | notes=[NUL bytes in the head]");
    request("GET / HTTP/1.1\r\nA: \u{e9}\r\n\r\n", "headers=[A: \\xc3\\xa9] | notes=[bytes beyond ASCII in the head]");
    request(
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "headers=[A: b\\rc] | notes=[carriage return without a line feed in the head]",
    );
    request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "host=a | notes=[several Host headers: the first counts]");
    request("GET / HTTP/2.7\r\n\r\n", "notes=[odd version] attributes=[version=\"HTTP/2.7\"]");
    request("GET HTTP/1.1\r\n\r\n", "op=GET res=- | notes=[no request target");
}

#[test]
fn odd_status_lines() {
    let response = |response: &str, expected: &str| {
        check(&exchange("GET / HTTP/1.1\r\n\r\n", response), &["GET", expected]);
    };
    response(
        "HTTP/1.1 0200 OK\r\n\r\n",
        "st=20 | notes=[the status code is not three digits] | status_as_sent=\"0200\"",
    );
    response("HTTP/1.1 2xx OK\r\n\r\n", "st=2 | status_as_sent=\"2xx\"");
    response("HTTP/1.1 \r\n\r\n", "st=- | notes=[no status code]");
    response(
        "ICY 200 OK\r\nicy-name: x\r\n\r\nnoise",
        "st=200 | body_bytes=5 | Whole | notes=[odd version] | version=\"ICY\"",
    );
    response("<html>no head", "st=- | body_bytes=13 | Whole | notes=[an answer without a head (HTTP/0.9)]");
    response("HTTP/1.1 200 OK\r\nA: b", "st=- | Cut | status_line=\"HTTP/1.1 200 OK\"");
}

#[test]
fn http_0_9() {
    check_bodies(
        &exchange("GET /old\r\n", "plain\r\ntext"),
        &["op=GET res=/old | Whole | version=\"HTTP/0.9\"", "response 0/0 | body=`plain\\r\\ntext` | Whole"],
    );
    check(
        &exchange("GET /old\r\nHost: a\r\n\r\n", "HTTP/1.0 400 Bad\r\n\r\n"),
        &["res=/old | host=a", "response 0/0 | st=400"],
    );
}

#[test]
fn upgrades_switch() {
    check(
        &[
            client("GET /chat HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: nothing-known\r\n\r\n"),
            server("HTTP/1.1 101 Switch\r\nUpgrade: nothing-known\r\nConnection: Upgrade\r\n\r\nhello"),
            client("there"),
        ],
        &["res=/chat", "response 0/0 | st=101 | Whole", "switch to Recognise client=`there` server=`hello`"],
    );
    check(
        &[
            client("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 No\r\n\r\n"),
        ],
        &["request 0/0", "response 0/0 | st=200", "res=/2", "response 0/1 | st=204"],
    );
    let switched = script::run(
        http1(),
        &Settings::default(),
        true,
        &[
            client("GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
            server("HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n"),
        ],
        script::Chop::Whole,
    );
    let handshake = switched.switch.and_then(|switch| switch.handshake).expect("a handshake");
    assert_eq!(handshake.request.and_then(|it| it.header("upgrade").map(<[u8]>::to_vec)), Some(b"x".to_vec()));
    assert_eq!(handshake.response.and_then(|it| it.header("Upgrade").map(<[u8]>::to_vec)), Some(b"x".to_vec()));
}

#[test]
fn tunnels_switch_and_refused_ones_do_not() {
    let connect = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n";
    check(
        &[client(connect), server("HTTP/1.1 200 Open\r\nContent-Length: 9\r\n\r\n\x16"), client("\x16\x03")],
        &["op=CONNECT res=a:443", "st=200 | body_bytes=0", "switch to Recognise client=`\\x16\\x03` server=`\\x16`"],
    );
    check(
        &[
            client(connect),
            server("HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno"),
            client("GET / HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 204 No\r\n\r\n"),
        ],
        &["op=CONNECT", "response 0/0 | st=407", "op=GET", "response 0/1 | st=204"],
    );
}

#[test]
fn heads_beyond_the_limit_are_given_up() {
    let settings = Settings { head_limit: 100, ..Settings::default() };
    let long = format!("GET /long HTTP/1.1\r\nA: b\r\nX: {}\r\n\r\n", "y".repeat(200));
    script::check(
        http1(),
        &settings,
        &[client(long), client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")],
        &[
            "res=/long | headers=[A: b] | wire=100 body_bytes=- | Partial | notes=[the head is longer than the limit: not understood beyond it]",
            "res=/next | Whole",
        ],
    );
}

#[test]
fn what_is_no_http_is_passed_over() {
    check(
        &[
            client("GET /1 HTTP/1.1\r\n\r\n\x01\x02\x03 binary\nmore\nGET /2 HTTP/1.1\r\nA: b\r\n\r\n"),
            server("HTTP/1.1 204 No\r\n\r\n"),
        ],
        &["res=/1", "res=/2 | notes=[something that is no HTTP stands before it]", "response 0/0 | st=204"],
    );
}

#[test]
fn ends_in_the_middle() {
    let request = "POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc";
    for (end, completeness) in [(End::Closed, "Cut"), (End::Reset, "Cut"), (End::Unknown, "Unfinished")] {
        let end = Step::End(ClientToServer, end);
        check(&[client(request), end.clone()], &[&format!("res=/x | body_bytes=3 lost=0 {completeness}")]);
        check(
            &[client(&request[..20]), end.clone()],
            &[&format!("op=POST res=/x | body_bytes=- lost=0 {completeness}")],
        );
        check(&[client(&request[..7]), end.clone()], &[&format!("op=POST res=- | {completeness}")]);
        check(&[client(&request[..3]), end], &[]);
    }
}

#[test]
fn what_nobody_needs_can_be_skipped() {
    use l7trace_event::{Cause, Timestamp};
    use l7trace_protocol::{Chunk, Input, Outbox, Output, Start};
    let settings = Settings::default();
    let mut parser = http1().parser(Start { from_start: [true; 2], settings: &settings, handshake: None });
    let mut out = Outbox::default();
    let mut push = |parser: &mut dyn l7trace_protocol::Parser, position, input| {
        let chunk = Chunk { direction: ClientToServer, position, at: Timestamp(1), acknowledged: Some(0), input };
        parser.push(chunk, &mut out);
    };
    let head = b"PUT / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n0123456789";
    push(&mut *parser, 0, Input::Bytes(head));
    assert_eq!(parser.skippable(ClientToServer), 990);
    assert_eq!(parser.skippable(ServerToClient), 0);
    push(&mut *parser, head.len() as u64, Input::Gap { length: 990, cause: Cause::Skipped });
    let [Output::Message(message)] = &out.take()[..] else { panic!("one message") };
    assert_eq!((message.body_bytes, message.lost_bytes, message.bytes), (Some(1000), 0, 1040));
}
