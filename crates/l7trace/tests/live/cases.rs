//! The table of cases, run through every source and engine.

use l7trace_testkit::netns::TestNamespace;

use crate::case::{Call, Case, Side, Step, Transport};
use crate::check::{Report, check};
use crate::http::{Http, body};
use crate::play::Play;
use crate::tracer::{MODES, Mode, Tracer};

fn table() -> Vec<Case> {
    let mut table = bodies();
    table.extend(framing());
    table.extend(endings());
    table.extend(older());
    table.extend(calls());
    table
}

/// Makes a case of what is done to it.
fn case(name: &str, make: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::new(name);
    make(&mut case);
    case
}

fn bodies() -> Vec<Case> {
    let sizes = [0, 1, 63, 64, 65, 1_000, 4_096, 65_536, 250_000];
    vec![
        case("keep-alive", |case| (0..20).for_each(|_| Http::get().talk(case))),
        case("request-bodies", |case| {
            sizes.iter().for_each(|size| Http::new("POST", 201).send(body(*size)).answer(body(5)).talk(case));
        }),
        case("response-bodies", |case| {
            sizes.iter().for_each(|size| Http::new("GET", 200).answer(body(*size)).talk(case));
        }),
        case("10-MB-both-ways", |case| {
            let pieces = |case: &mut Case| {
                let (request, response) =
                    Http::new("PUT", 200).send(body(10 << 20)).answer(body(10 << 20)).expect(case);
                // In writes as programs make them: what one call copies is limited.
                request.chunks(100_000).for_each(|piece| _ = case.client(piece));
                response.chunks(100_000).for_each(|piece| _ = case.server(piece));
            };
            pieces(case);
            Http::get().talk(case);
        }),
        case("many-methods", |case| {
            for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "M-SEARCH", "BREW"]
            {
                Http::new(method, 200).answer(body(7)).talk(case);
            }
            Http::new("OPTIONS", 204).to("*").talk(case);
            Http::get().to("http://a.example/absolute").talk(case);
        }),
        case("no-body-by-rule", |case| {
            Http::new("HEAD", 200).talk(case);
            let (request, response) = Http::new("HEAD", 200).expect(case);
            let length = "Content-Length: 5000\r\n\r\n";
            let response = [&response[..response.len() - 2], length.as_bytes()].concat();
            case.last().response = Some((response.len() as u64, 0));
            case.client(request).server(response);
            Http::new("GET", 204).talk(case);
            Http::new("GET", 304).talk(case);
            Http::get().talk(case);
        }),
        case("errors", |case| {
            for status in [400, 404, 500, 503, 599] {
                Http::new("GET", status).answer(body(3)).talk(case);
            }
        }),
        case("chunked-with-trailers", |case| {
            let many: Vec<&[u8]> = vec![b"abc"; 300];
            Http::new("POST", 200)
                .send_chunked(&[b"a", b"bcd"])
                .answer_chunked(&[b"hello", b", ", b"world"])
                .talk(case);
            Http::new("POST", 200).send_chunked(&[]).answer_chunked(&many).talk(case);
            Http::get().talk(case);
        }),
        case("ipv6", |case| (0..3).for_each(|_| Http::get().talk(case))).over(Transport::Tcp6),
    ]
}

fn framing() -> Vec<Case> {
    vec![
        case("pipelined", |case| {
            let (requests, responses): (Vec<_>, Vec<_>) = (0..20).map(|_| Http::get().expect(case)).unzip();
            case.client(requests.concat()).server(responses.concat());
        }),
        case("pipelined-answered-one-by-one", |case| {
            let (requests, responses): (Vec<_>, Vec<_>) = (0..20).map(|_| Http::get().expect(case)).unzip();
            case.client(requests.concat());
            responses.into_iter().for_each(|response| _ = case.server(response));
        }),
        case("three-writes", |case| {
            let (request, response) = Http::new("POST", 200).send(body(30)).answer(body(30)).expect(case);
            request.chunks(request.len().div_ceil(3)).for_each(|piece| _ = case.client(piece));
            response.chunks(response.len().div_ceil(3)).for_each(|piece| _ = case.server(piece));
        }),
        case("byte-by-byte", |case| {
            let (request, response) = Http::get().expect(case);
            request.chunks(1).for_each(|piece| _ = case.client(piece));
            response.chunks(1).for_each(|piece| _ = case.server(piece));
            Http::get().talk(case);
        }),
        case("tiny", |case| {
            // 18 bytes, answered by 38.
            let (request, response) = ("GET /tiny HTTP/1.0\r\n\r\n", "HTTP/1.0 204 A\r\nX-Id: /tiny\r\n\r\n");
            let _ = Http::new("GET", 204).to("/tiny").expect(case);
            case.last().request = Some((request.len() as u64, 0));
            case.last().response = Some((response.len() as u64, 0));
            case.client(request).server(response);
        }),
        case("long-url", |case| {
            let target = format!("/long/{}?x=1", "u".repeat(8_000));
            Http::get().to(target).talk(case);
            Http::get().talk(case);
        }),
        case("64-KB-of-headers", |case| {
            let headers: String = (0..640).map(|i| format!("X-Header-{i:04}: {}\r\n", "v".repeat(100 - 17))).collect();
            let mut http = Http::get();
            http.request_headers += &headers;
            http.response_headers += &headers;
            http.talk(case);
            Http::get().talk(case);
        }),
        case("100-continue", |case| {
            let mut http = Http::new("PUT", 200).send(body(2_000)).answer(body(20));
            http.request_headers += "Expect: 100-continue\r\n";
            http.interim = "HTTP/1.1 100 Continue\r\n\r\n".to_owned();
            let (head, interim) = (2_000, http.interim.len());
            let (request, response) = http.expect(case);
            let (head, rest) = request.split_at(request.len() - head);
            case.client(head).server(&response[..interim]).client(rest).server(&response[interim..]);
            Http::get().talk(case);
        }),
        case("early-answer", |case| {
            let (request, response) = Http::new("POST", 413).send(body(9_000)).answer(body(20)).expect(case);
            case.client(&request[..3_000]).server(response).client(&request[3_000..]);
            Http::get().talk(case);
        }),
        case("upgrade", |case| {
            Http::get().talk(case);
            let mut http = Http::new("GET", 101);
            http.request_headers += "Connection: upgrade\r\nUpgrade: opaque\r\n";
            http.response_headers += "Connection: upgrade\r\nUpgrade: opaque\r\n";
            http.talk(case);
            case.client(vec![0xee; 500]).server(vec![0xff; 700]);
        }),
        case("tunnel", |case| {
            Http::new("CONNECT", 200).to("inner.example:80").talk(case);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
    ]
}

fn endings() -> Vec<Case> {
    let until_close = |case: &mut Case| {
        let mut http = Http::new("GET", 200);
        http.response_headers += "Connection: close\r\n";
        http.response_body = (body(3_000), 3_000);
        http.expect(case)
    };
    vec![
        case("half-close", |case| {
            let (request, response) = until_close(case);
            case.client(request).step(Step::Shutdown(Side::Client)).server(response).step(Step::Close(Side::Server));
        }),
        case("read-until-close", |case| {
            let (request, response) = until_close(case);
            case.client(request).server(response).step(Step::Close(Side::Server));
        }),
        case("reset-before-the-answer", |case| {
            Http::get().talk(case);
            let (request, _) = Http::get().expect(case);
            case.last().status = None;
            case.last().response = None;
            case.last().outcomes = &["unanswered"];
            case.client(request).step(Step::Reset(Side::Server));
        }),
        case("closed-without-an-answer", |case| {
            let (request, _) = Http::get().expect(case);
            case.last().status = None;
            case.last().response = None;
            case.last().outcomes = &["unanswered"];
            case.client(request).step(Step::Close(Side::Server));
        }),
        case("reset-with-an-answer-unread", |case| {
            let (request, response) = Http::get().expect(case);
            case.client(request).step(Step::SendUnread(Side::Server, response));
            case.step(Step::Reset(Side::Client)).step(Step::Close(Side::Server));
        }),
        case("reset-in-mid-response", |case| {
            let (request, response) = Http::new("GET", 200).answer(body(5_000)).expect(case);
            case.last().outcomes = &["failed"];
            case.last().response = None;
            case.client(request).server(&response[..2_000]).step(Step::Reset(Side::Server));
        }),
        case("cut-off-in-mid-response", |case| {
            let (request, response) = Http::new("GET", 200).answer(body(5_000)).expect(case);
            case.last().outcomes = &["failed"];
            case.last().response = None;
            case.client(request).server(&response[..2_000]).step(Step::Close(Side::Server));
        }),
        case("the-same-ports-again", |case| {
            for round in 0..4 {
                Http::get().talk(case);
                if round % 2 == 0 {
                    case.step(Step::Reset(Side::Client)).step(Step::Close(Side::Server));
                } else {
                    case.step(Step::Close(Side::Server)).step(Step::Close(Side::Client));
                }
                case.step(Step::Again);
            }
            Http::get().talk(case);
        }),
    ]
}

/// Connections that are older than the tracer.
fn older() -> Vec<Case> {
    vec![
        case("old-and-idle", |case| {
            let (request, response) = Http::get().expect(case);
            case.expected.clear();
            case.client(request).server(response).step(Step::Attach);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
        case("old-and-never-used", |case| {
            case.step(Step::Attach);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
        case("old-in-mid-request", |case| {
            let (request, response) = Http::new("POST", 200).send(body(900)).answer(body(20)).expect(case);
            case.last().outcomes = &["partial", "response_only"];
            case.last().request = None;
            case.client(&request[..400]).step(Step::Attach).client(&request[400..]).server(response);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
        case("old-before-the-answer", |case| {
            let (request, response) = Http::get().expect(case);
            case.last().outcomes = &["partial", "response_only"];
            case.last().request = None;
            case.client(request).step(Step::Attach).server(response);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
        case("old-in-mid-response", |case| {
            let (request, response) = Http::new("GET", 200).answer(body(900)).expect(case);
            // Nothing that was seen names it.
            case.expected.clear();
            case.client(request).server(&response[..400]).step(Step::Attach).server(&response[400..]);
            (0..3).for_each(|_| Http::get().talk(case));
        }),
    ]
}

/// Ways to move bytes, and sockets that packets do not carry.
fn calls() -> Vec<Case> {
    let talks = |name: &str| {
        case(name, |case| {
            (0..3).for_each(|_| Http::get().talk(case));
            Http::new("POST", 200).send(body(5_000)).answer(body(50_000)).talk(case);
            case.step(Step::Duplicate(Side::Server)).step(Step::Duplicate(Side::Client));
            (0..3).for_each(|_| Http::get().talk(case));
        })
    };
    vec![
        talks("send-and-recv").by(Call::Send),
        talks("one-piece").by(Call::Vector(1)),
        talks("16-pieces").by(Call::Vector(16)),
        talks("300-pieces").by(Call::Vector(300)),
        talks("peek").by(Call::Peek),
        talks("unix-path").over(Transport::UnixPath),
        talks("unix-abstract").over(Transport::UnixAbstract),
        talks("unix-pieces").over(Transport::UnixPath).by(Call::Vector(16)),
        talks("unix-peek").over(Transport::UnixPath).by(Call::Peek),
        talks("socketpair").over(Transport::Socketpair),
    ]
}

/// Plays the table while the tracer runs, and holds its lines against it.
fn run(mode: &Mode) {
    let Some(namespace) = TestNamespace::create() else { return };
    let carried = |case: &Case| case.transport.is_tcp() || mode.syscalls;
    let mut plays: Vec<Play> = table().into_iter().filter(carried).map(Play::new).collect();
    let traced = namespace.run(|| {
        plays.iter_mut().for_each(Play::before);
        let tracer = Tracer::start(&namespace, mode, &[]);
        plays.iter_mut().for_each(Play::after);
        tracer.stop()
    });
    let mut report = Report::new(mode.name);
    check(&mut report, mode, &traced, &plays);
    report.finish();
}

#[test]
fn every_case_is_told_by_packets() {
    run(&MODES[0]);
}

#[test]
fn every_case_is_told_by_the_sock_engine() {
    run(&MODES[1]);
}

#[test]
fn every_case_is_told_by_the_tracepoints_engine() {
    run(&MODES[2]);
}

#[test]
fn every_case_is_told_once_by_packets_and_syscalls() {
    run(&MODES[3]);
}
