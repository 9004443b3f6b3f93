//! Records to try outputs on: every kind there is, and the odd ones.

use std::borrow::Cow;
use std::sync::Arc;

use l7trace_event::{Blind, Cause, Direction, Endpoint, Ledger, Process, SourceKind, Timestamp};
use l7trace_exchange::{Connection, ConnectionRecord, Exchange, Kind, Outcome, Peer, Step, Summary, Timings};
use l7trace_protocol::{Attribute, Completeness, Field, Key, Mark, Message, Role, Value};

/// 2026-11-22T10:00:00.123456789Z.
pub const START: u64 = 1_795_341_600_123_456_789;

/// One end, with a process where a name is given.
pub fn peer(address: &str, process: Option<(u32, &str)>) -> Peer {
    let (ip, port) = address.rsplit_once(':').unwrap();
    let ip = ip.trim_matches(['[', ']']).parse().unwrap();
    let process = process.map(|(pid, name)| Process { pid, name: name.to_owned(), started: 0, cgroup: 0 });
    Peer { endpoint: Endpoint::inet(ip, port.parse().unwrap()), name: None, process: process.map(Arc::new) }
}

/// One end of a Unix socket.
pub fn unix(identity: u64, name: Option<&str>) -> Peer {
    Peer { endpoint: Endpoint::unix(identity), name: name.map(Arc::from), process: None }
}

/// Two ends.
pub fn connection(number: u64, client: Peer, server: Peer) -> Arc<Connection> {
    Arc::new(Connection { number, client, server, tls: false })
}

/// curl that asks nginx.
pub fn curl_to_nginx() -> Arc<Connection> {
    let client = peer("127.0.0.1:34552", Some((4711, "curl")));
    connection(17, client, peer("127.0.0.1:8000", Some((812, "nginx"))))
}

/// An exchange between them that went well.
pub fn exchange(over: &Arc<Connection>, protocol: &'static str, asked: [&str; 3], status: &str) -> Exchange {
    let [operation, host, resource] = asked;
    let mut request = Message::new(protocol, Direction::ClientToServer, Role::Request);
    request.set_operation(operation.as_bytes());
    if !resource.is_empty() {
        request.set_resource(resource.as_bytes());
    }
    if !host.is_empty() {
        request.set_host(host.as_bytes());
    }
    (request.bytes, request.body_bytes) = (78, Some(0));
    request.first = Mark { position: 0, at: Timestamp(START) };
    let mut response = Message::new(protocol, Direction::ServerToClient, Role::Response);
    if !status.is_empty() {
        response.set_status(status.as_bytes());
    }
    (response.bytes, response.body_bytes) = (1_204, Some(1_024));
    Exchange {
        kind: Kind::Exchange,
        connection: Arc::clone(over),
        sequence: 3,
        key: Key::default(),
        request: Some(Box::new(request)),
        response: Some(Box::new(response)),
        steps: Vec::new(),
        repeats: 0,
        outcome: Outcome::Complete,
        start: Timestamp(START),
        latency: Some(812_345),
        timings: Some(Timings { send: 2_100, wait: 790_245, receive: 20_000 }),
        source: SourceKind::Syscalls,
        witnesses: vec![SourceKind::Packets, SourceKind::Syscalls],
    }
}

/// A message that stands alone.
pub fn message(over: &Arc<Connection>, protocol: &'static str, direction: Direction, asked: [&str; 3]) -> Exchange {
    let mut alone = exchange(over, protocol, asked, "");
    (alone.kind, alone.response, alone.latency, alone.timings) = (Kind::Message, None, None, None);
    if let Some(message) = &mut alone.request {
        (message.role, message.direction) = (Role::OneWay, direction);
    }
    alone
}

/// The exchange of the design's example, with everything that an HTTP exchange can have.
pub fn full() -> Exchange {
    let mut full = exchange(&curl_to_nginx(), "http1", ["GET", "a.example", "/item/7?x=1"], "200");
    if let Some(request) = &mut full.request {
        request.add_header(Some(b"Host"), Some(b"a.example"), false);
        request.add_header(Some(b"Authorization"), Some(b"Basic c2VjcmV0OnNlY3JldA=="), true);
        request.add_header(None, Some(b"from before"), false);
        request.add_header(Some(b"x-late"), None, false);
        request.note("bare LF ends a line");
    }
    if let Some(response) = &mut full.response {
        response.add_header(Some(b"Server"), Some(b"nginx"), false);
        response.add_header(Some(b"Content-Type"), Some(b"application/json"), false);
        let (name, value) = (response.put(b"X-Checksum"), response.put(b"abc"));
        response.trailers.push(Field { name: Some(name), value: Some(value), secret: false, plain: false });
        response.body = b"{\"item\": 7,\n \"name\": \"caf\xc3\xa9\"}\n".to_vec();
        response.body_truncated = true;
    }
    full
}

/// Every kind of exchange, message and transaction, and the odd ones.
pub fn exchanges() -> Vec<Exchange> {
    let local = curl_to_nginx();
    let remote = connection(18, peer("10.1.2.3:51034", None), peer("192.168.100.200:443", Some((77, "envoy"))));
    let six = connection(19, peer("[2001:db8:85a3::8a2e:370:7334]:51034", None), peer("[::1]:8080", None));
    let socket = connection(20, unix(4711, None), unix(4712, Some("/run/containerd/containerd.sock")));
    let mut all = vec![full()];
    all.push(with(exchange(&local, "http1", ["POST", "shop.example", "/api/v1/orders"], "201"), |it| {
        it.latency = Some(12_340_000);
    }));
    all.push(exchange(
        &remote,
        "http1",
        ["GET", "static.example", "/assets/img/products/2026/11/large/photo-0017-final.webp?v=3"],
        "304",
    ));
    all.push(with(exchange(&remote, "http1", ["DELETE", "shop.example", "/cart/99"], "404"), |it| {
        it.latency = Some(950)
    }));
    all.push(with(exchange(&local, "http1", ["GET", "a.example", "/report?year=2026"], "500"), |it| {
        (it.outcome, it.latency) = (Outcome::Failed, Some(2_345_000_000));
    }));
    all.push(with(exchange(&local, "http1", ["GET", "a.example", "/big.iso"], "200"), |it| {
        (it.outcome, it.latency) = (Outcome::Failed, Some(61_000_000_000));
        if let Some(response) = &mut it.response {
            (response.completeness, response.bytes) = (Completeness::Cut, 734_003_200);
        }
    }));
    all.push(with(exchange(&six, "http1", ["GET", "[::1]:8080", "/slow"], ""), |it| {
        (it.outcome, it.response, it.latency, it.timings) = (Outcome::Unanswered, None, None, None);
    }));
    all.push(with(exchange(&six, "http1", ["GET", "x", "/"], "200"), |it| {
        (it.outcome, it.request, it.latency, it.timings) = (Outcome::ResponseOnly, None, None, None);
    }));
    all.push(with(exchange(&local, "http1", ["PUT", "a.example", "/upload"], "200"), |it| {
        it.outcome = Outcome::Partial;
        if let Some(request) = &mut it.request {
            (request.completeness, request.lost_bytes) = (Completeness::Partial, 1_460);
        }
    }));
    all.push(with(exchange(&local, "http1", ["GET", "a.example", "/1MB"], "200"), |it| {
        if let Some(response) = &mut it.response {
            (response.bytes, response.lost_bytes, response.body_bytes) = (1_000_204, 65_536, Some(1_000_000));
        }
    }));
    all.push(with(exchange(&local, "http1", ["CONNECT", "db.example:5432", "db.example:5432"], "200"), |it| {
        it.sequence = 4;
    }));
    all.push(exchange(&socket, "http1", ["GET", "docker", "/v1.44/containers/json"], "200"));
    all.push(with(exchange(&remote, "grpc", ["call", "cart.example", "/shop.v1.CartService/AddItem"], "OK"), |it| {
        if let (Some(request), Some(response)) = (&mut it.request, &mut it.response) {
            request.fact("stream", 7u64);
            response.fact("stream", 7u64);
            response.fact("http_status", "200");
            request.attribute("timeout_ns", 1_000_000_000u64);
            let named = |name: &'static str, value: Value| (name.into(), value);
            let said = Value::Map(vec![named("1", Value::from("SKU-7\u{1b}[31m")), named("2", Value::from(3u64))]);
            let each = vec![
                Value::Map(vec![
                    named("size", Value::from(14u64)),
                    named("at", Value::from("2026-01-02T03:04:05.000000000Z")),
                    named("body", said),
                    named("guessed", Value::Bool(true)),
                ]),
                Value::Map(vec![
                    named("size", Value::from(3u64)),
                    named("at", Value::from("2026-01-02T03:04:05.000000000Z")),
                    named("body", Value::Bytes(vec![0xff, 0xfe, 0xfd])),
                    named("malformed", Value::from("a field goes on beyond the message")),
                ]),
            ];
            let fields = [("count", Value::from(2u64)), ("bytes", Value::from(17u64)), ("each", Value::List(each))];
            request.attribute("messages", Value::Map(fields.map(|(name, value)| named(name, value)).into()));
        }
    }));
    all.push(with(
        exchange(&remote, "grpc", ["call", "cart.example", "/shop.v1.CartService/GetCart"], "DEADLINE_EXCEEDED"),
        |it| {
            (it.outcome, it.latency) = (Outcome::Failed, Some(1_000_200_000));
        },
    ));
    all.push(with(message(&local, "websocket", Direction::ClientToServer, ["text", "a.example", "/chat"]), |it| {
        if let Some(message) = &mut it.request {
            message.body = b"hello".to_vec();
        }
    }));
    all.push(with(message(&local, "websocket", Direction::ServerToClient, ["binary", "a.example", "/chat"]), |it| {
        if let Some(message) = &mut it.request {
            message.body = (0..=255).collect();
            message.bytes = 260;
        }
    }));
    all.push(with(exchange(&remote, "mqtt", ["PUBLISH", "", "sensors/kitchen/temperature"], "PUBCOMP"), |it| {
        it.repeats = 2;
        let step = |name: &str, after: u64, direction| Step {
            name: name.to_owned(),
            at: Timestamp(START + after),
            bytes: 4,
            direction,
        };
        it.steps = vec![
            step("PUBREC", 300_000, Direction::ServerToClient),
            step("PUBREL", 450_000, Direction::ClientToServer),
        ];
        if let Some(request) = &mut it.request {
            request.attribute("qos", 2u64);
            request.attribute("correlation_data", Value::Bytes(vec![0xff, 0]));
            request.attribute("password", Value::Secret(b"hunter2-hunter2".to_vec()));
            let properties: Vec<(Cow<'static, str>, Value)> =
                vec![("a".into(), "1".into()), ("a".into(), "2".into()), ("n".into(), Value::Float(f64::NAN))];
            request.attributes.push(Attribute::new("user_properties", Value::Map(properties)));
        }
    }));
    all.push(with(exchange(&remote, "amqp", ["basic.publish", "", "orders/new.eu"], "basic.ack"), |it| {
        if let Some(request) = &mut it.request {
            request.fact("channel", 1u64);
            request.attribute("bytes", 5u64);
        }
    }));
    all.push(exchange(&remote, "smtp", ["RCPT", "", "<nobody@b.example>"], "550"));
    all.push(with(
        message(&remote, "smtp", Direction::ClientToServer, ["mail", "", "<a@a.example> → <b@b.example>"]),
        |it| {
            (it.kind, it.latency) = (Kind::Transaction, Some(45_000_000));
            if let Some(message) = &mut it.request {
                message.set_status(b"250");
                message.attribute("subject", "Lunch?");
            }
        },
    ));
    all.push(exchange(
        &local,
        "http1",
        ["GET", "evil.example", "/\x1b]0;owned\x07\x1b[2J/\u{202e}gpj.exe\u{200b}"],
        "200",
    ));
    all.push(exchange(
        &local,
        "http1",
        ["GET", "例え.example", "/検索/猫の写真と動画の一覧表示ページ/最新の投稿"],
        "200",
    ));
    let apart = 137_000_000;
    for (index, exchange) in all.iter_mut().enumerate() {
        exchange.start = Timestamp(exchange.start.0 + index as u64 * apart);
        for step in &mut exchange.steps {
            step.at = Timestamp(step.at.0 + index as u64 * apart);
        }
    }
    all
}

/// A record, changed.
pub fn with<T>(mut record: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut record);
    record
}

/// A connection as it ends.
pub fn connection_record() -> ConnectionRecord {
    let ledger = |seen| Ledger::new(seen, seen);
    ConnectionRecord {
        connection: curl_to_nginx(),
        protocol: Some("http1"),
        opened: Timestamp(START),
        from_start: true,
        closed: Timestamp(START + 2_500_000_000),
        why: "closed",
        ledgers: [
            ledger(780),
            with(ledger(12_040), |it| {
                it.miss(Cause::RingFull, 1_460);
                it.miss(Cause::Skipped, 99);
                it.seen += 1_559;
            }),
        ],
        exchanges: 10,
        facts: vec![Attribute::new("server_name", "a.example")],
        notes: vec!["joined in the middle".into()],
        witnesses: vec![SourceKind::Syscalls],
    }
}

/// The account of a run in which something of everything happened.
pub fn summary() -> Summary {
    let mut summary = Summary {
        duration: 74_200_000_000,
        connections: 56,
        exchanges: 1_234_567,
        messages: 120,
        transactions: 2,
        latency_p50: Some(812_345),
        latency_p99: Some(12_345_678),
        ledger: Ledger::new(31_200_000, 20_000_000),
        unrecognised_connections: 3,
        unrecognised_bytes: 12_034,
        ring_full_records: 12,
        ring_full_bytes: 3_400,
        unwritten: 7,
        blind: vec![Blind { pid: 9, name: "postgres".to_owned(), why: "io_uring" }],
        ..Summary::default()
    };
    summary.ledger.miss(Cause::Skipped, 10_000_000);
    summary.ledger.miss(Cause::RingFull, 1_000_000);
    summary.ledger.miss(Cause::BeforeAttach, 200_000);
    let statuses =
        [("http1", "2xx", 1_200_000), ("http1", "3xx", 20_000), ("http1", "4xx", 4_000), ("http1", "5xx", 567)];
    for (protocol, class, count) in statuses.into_iter().chain([("grpc", "OK", 9_990), ("grpc", "NOT_FOUND", 10)]) {
        summary.by_status.insert((protocol, class.to_owned()), count);
    }
    summary.messages_by_protocol.insert("websocket", 120);
    summary.by_outcome.extend([("complete", 1_233_980), ("failed", 577), ("unanswered", 10)]);
    summary.evictions.insert("connections", 4);
    summary.not_understood.insert("link type 147".to_owned(), 3);
    summary
}

/// The account of a run in which nothing went wrong.
pub fn quiet_summary() -> Summary {
    let mut summary = Summary {
        duration: 12_400_000_000,
        connections: 2,
        exchanges: 14,
        latency_p50: Some(812_345),
        latency_p99: Some(2_345_678),
        ledger: Ledger::new(1_234_567, 1_234_567),
        ..Summary::default()
    };
    summary.by_status.insert(("http1", "2xx".to_owned()), 14);
    summary.by_outcome.insert("complete", 14);
    summary
}
