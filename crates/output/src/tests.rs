//! What holds for every format, and the renderings as people see them.

use l7trace_event::{Direction, SourceKind, Timestamp};
use l7trace_exchange::{Exchange, Outcome, Record, Redaction, Summary};
use l7trace_protocol::{Attribute, Field, Value};
use l7trace_testkit::schema::check_lines;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::sample::{self, with};
use crate::text::is_deceptive;
use crate::{Charset, Color, FORMATS, OutputOptions, by_name};

fn written(format: &str, options: &OutputOptions, records: &[Record<'_>]) -> String {
    let mut output = by_name(format).unwrap().output(options);
    let mut text = Vec::new();
    records.iter().for_each(|record| output.write(record, &mut text));
    String::from_utf8(text).unwrap()
}

fn json_of(record: &Record<'_>) -> Json {
    check_lines(written("json", &OutputOptions::default(), &[Record::Summary(&Summary::default())]).as_bytes());
    let line = written("json", &OutputOptions::default(), std::slice::from_ref(record));
    check_lines(line.as_bytes()).remove(0)
}

fn everything() -> OutputOptions {
    OutputOptions { verbose: true, bodies: true, ..OutputOptions::default() }
}

#[test]
fn every_kind_of_record_is_valid_against_the_schema() {
    let exchanges = sample::exchanges();
    for exchange in &exchanges {
        json_of(&Record::Exchange(exchange));
    }
    json_of(&Record::Connection(&sample::connection_record()));
    json_of(&Record::Summary(&sample::summary()));
    json_of(&Record::Summary(&sample::quiet_summary()));
}

#[test]
fn the_json_line_says_what_the_contract_says() {
    let mut full = sample::full();
    full.request.as_mut().unwrap().notes.clear();
    let expected = json!({
        "type": "exchange", "protocol": "http1", "operation": "GET", "resource": "/item/7?x=1", "status": "200",
        "outcome": "complete", "host": "a.example", "start": "2026-11-22T10:00:00.123456789Z",
        "latency_ns": 812345, "timings": {"send_ns": 2100, "wait_ns": 790245, "receive_ns": 20000},
        "connection": 17, "sequence": 3,
        "client": {"ip": "127.0.0.1", "port": 34552}, "server": {"ip": "127.0.0.1", "port": 8000},
        "process": {"pid": 812, "name": "nginx", "side": "server"},
        "peer_process": {"pid": 4711, "name": "curl", "side": "client"},
        "source": "syscalls", "witnesses": ["packets", "syscalls"], "tls": false,
        "request": {
            "bytes": 78, "body_bytes": 0,
            "headers": [["Host", "a.example"], ["Authorization", "<redacted: 26 bytes>"], [null, "from before"], ["x-late", null]],
        },
        "response": {
            "bytes": 1204, "body_bytes": 1024,
            "headers": [["Server", "nginx"], ["Content-Type", "application/json"]],
            "trailers": [["X-Checksum", "abc"]],
            "body": "{\"item\": 7,\n \"name\": \"café\"}\n", "body_truncated": true,
        },
        "lost_bytes": 0,
    });
    assert_eq!(json_of(&Record::Exchange(&full)), expected);
}

/// Checks one member, by its JSON pointer, of the line of a changed exchange.
#[track_caller]
fn check(change: impl FnOnce(&mut Exchange), pointer: &str, expected: Json) {
    let exchange = with(sample::full(), change);
    let line = json_of(&Record::Exchange(&exchange));
    assert_eq!(line.pointer(pointer).unwrap_or(&json!("(absent)")), &expected, "{line}");
}

#[test]
fn members_of_the_json_line() {
    let absent = || json!("(absent)");
    check(|it| it.response = None, "/response", absent());
    check(|it| it.latency = None, "/latency_ns", absent());
    check(|it| it.timings = None, "/timings", absent());
    check(|it| it.outcome = Outcome::Unanswered, "/outcome", json!("unanswered"));
    check(|it| it.repeats = 2, "/repeats", json!(2));
    check(|_| {}, "/repeats", absent());
    check(|_| {}, "/notes", json!(["bare LF ends a line"]));
    check(|_| {}, "/request/notes", json!(["bare LF ends a line"]));
    check(|it| it.witnesses = vec![SourceKind::File], "/witnesses", json!(["file"]));
    check(|it| it.start = Timestamp(1), "/start", json!("1970-01-01T00:00:00.000000001Z"));
    let request =
        |it: &mut Exchange, change: &dyn Fn(&mut l7trace_protocol::Message)| change(it.request.as_mut().unwrap());
    check(|it| request(it, &|it| it.set_resource(b"/caf\xe9")), "/resource", json!("/café"));
    check(|it| request(it, &|it| it.resource = None), "/resource", absent());
    check(|it| request(it, &|it| it.body_bytes = None), "/request/body_bytes", absent());
    check(|it| request(it, &|it| it.lost_bytes = 7), "/lost_bytes", json!(7));
    check(|it| request(it, &|it| it.lost_bytes = 7), "/request/lost_bytes", json!(7));
    check(|it| request(it, &|it| it.body = b"\xff\0".to_vec()), "/request/body_base64", json!("/wA="));
    check(|it| request(it, &|it| it.body = b"\xff\0".to_vec()), "/request/body", absent());
    // A body cut in the middle of a character is text up to there; one that is not cut is not.
    let cut = |it: &mut Exchange, truncated| {
        request(it, &|it| (it.body, it.body_truncated) = ("né".as_bytes()[..2].to_vec(), truncated));
    };
    check(|it| cut(it, true), "/request/body", json!("n"));
    check(|it| cut(it, false), "/request/body_base64", json!("bsM="));
}

#[test]
fn attributes_and_facts_keep_every_key_unique() {
    let attributes = |it: &mut Exchange, attributes: Vec<(&'static str, Value)>| {
        let attributes = attributes.into_iter().map(|(name, value)| Attribute::new(name, value));
        it.request.as_mut().unwrap().attributes = attributes.collect();
    };
    check(|it| attributes(it, vec![("qos", 1u64.into())]), "/request/qos", json!(1));
    check(|it| attributes(it, vec![("bytes", 1u64.into())]), "/request/http1_bytes", json!(1));
    check(|it| attributes(it, vec![("bytes", 1u64.into())]), "/request/bytes", json!(78));
    check(|it| attributes(it, vec![("a", 1u64.into()), ("a", 2u64.into())]), "/request/a#2", json!(2));
    let bytes = || Value::Bytes(vec![0xff]);
    check(|it| attributes(it, vec![("a", bytes()), ("a_base64", "x".into())]), "/request/a_base64", json!("/w=="));
    check(|it| attributes(it, vec![("a", bytes()), ("a_base64", "x".into())]), "/request/a_base64#2", json!("x"));
    check(|it| attributes(it, vec![("a", Value::Bytes(b"t\n".to_vec()))]), "/request/a", json!("t\n"));
    check(|it| attributes(it, vec![("a", vec![bytes()].into())]), "/request/a/0", json!({"base64": "/w=="}));
    check(|it| attributes(it, vec![("a", Value::Secret(vec![0xff]))]), "/request/a", json!("<redacted: 1 bytes>"));
    check(|it| attributes(it, vec![("a", Value::Float(1.5))]), "/request/a", json!(1.5));
    check(|it| attributes(it, vec![("a", Value::Float(f64::INFINITY))]), "/request/a", json!("inf"));
    check(|it| attributes(it, vec![("a", u64::MAX.into())]), "/request/a", json!(u64::MAX));
    let map = Value::Map((0..100).map(|number| (format!("k{}", number % 50).into(), Value::Integer(number))).collect());
    check(|it| attributes(it, vec![("map", map)]), "/request/map/k49#2", json!(99));
    let deep = (0..10_000).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let exchange = with(sample::full(), |it| attributes(it, vec![("deep", deep)]));
    assert!(written("json", &OutputOptions::default(), &[Record::Exchange(&exchange)]).contains("<nested too deeply>"));
    // Dropping a list nested so deeply takes the stack of whoever made it; this is not the output's.
    std::mem::forget(exchange);

    let facts = |it: &mut Exchange, of_request: &'static str, of_response: &'static str| {
        it.request.as_mut().unwrap().fact(of_request, 7u64);
        it.response.as_mut().unwrap().fact(of_response, 7u64);
    };
    check(|it| facts(it, "stream", "stream"), "/stream", json!(7));
    check(|it| facts(it, "stream", "stream"), "/stream#2", json!("(absent)"));
    check(|it| facts(it, "status", "x"), "/http1_status", json!(7));
    check(|it| facts(it, "status", "x"), "/status", json!("200"));
}

#[test]
fn messages_and_transactions_stand_at_the_top() {
    let told = sample::exchanges();
    let find = |operation: &str| {
        let found = told.iter().find(|exchange| exchange.operation() == Some(operation.as_bytes()));
        json_of(&Record::Exchange(found.unwrap()))
    };
    let (text, binary, mail) = (find("text"), find("binary"), find("mail"));
    assert_eq!(
        (&text["type"], &text["direction"], &text["bytes"], &text["body"]),
        (&json!("message"), &json!("client_to_server"), &json!(78), &json!("hello"))
    );
    assert_eq!(binary["direction"], "server_to_client");
    assert_eq!(binary["body_base64"].as_str().unwrap().len(), 344);
    assert!(text.get("outcome").is_none() && text.get("request").is_none());
    assert_eq!(
        (&mail["type"], &mail["outcome"], &mail["subject"]),
        (&json!("transaction"), &json!("complete"), &json!("Lunch?"))
    );
}

#[test]
fn ends_without_an_address() {
    let check = |name: Option<&str>, expected: Json| {
        let over = sample::connection(1, sample::unix(9, None), sample::unix(10, name));
        let exchange = sample::exchange(&over, "http1", ["GET", "", "/"], "200");
        let line = json_of(&Record::Exchange(&exchange));
        assert_eq!((&line["client"], &line["server"]), (&json!({"unix": 9}), &expected));
    };
    check(Some("/run/a.sock"), json!({"path": "/run/a.sock"}));
    check(Some("@bus\0x"), json!({"abstract": "bus\0x"}));
    check(Some(""), json!({"unix": 10}));
    check(None, json!({"unix": 10}));
}

#[test]
fn the_process_is_the_servers_where_it_is_known() {
    let check = |client: Option<&str>, server: Option<&str>, process: Json, peer: Json| {
        let end =
            |port, name: Option<&'static str>| sample::peer(&format!("10.0.0.1:{port}"), name.map(|name| (1, name)));
        let leak = |name: Option<&str>| name.map(|name| if name == "a" { "a" } else { "b" });
        let over = sample::connection(1, end(1, leak(client)), end(2, leak(server)));
        let line = json_of(&Record::Exchange(&sample::exchange(&over, "http1", ["GET", "", "/"], "200")));
        let given = ["process", "peer_process"].map(|key| line.get(key).cloned().unwrap_or_default());
        assert_eq!(given, [process, peer]);
    };
    let a = || json!({"pid": 1, "name": "a", "side": "client"});
    let b = || json!({"pid": 1, "name": "b", "side": "server"});
    check(Some("a"), Some("b"), b(), a());
    check(Some("a"), None, a(), Json::Null);
    check(None, Some("b"), b(), Json::Null);
    check(None, None, Json::Null, Json::Null);
}

#[test]
fn a_changed_connection_is_spelled_anew() {
    let one = sample::connection(17, sample::peer("10.0.0.1:1", None), sample::peer("10.0.0.2:2", None));
    let changed = sample::curl_to_nginx();
    let exchanges = [&one, &one, &changed].map(|over| sample::exchange(over, "http1", ["GET", "", "/"], "200"));
    let records = exchanges.each_ref().map(Record::Exchange);
    let lines = check_lines(written("json", &OutputOptions::default(), &records).as_bytes());
    assert_eq!(
        (&lines[0]["client"], &lines[1]["client"]),
        (&json!({"ip": "10.0.0.1", "port": 1}), &lines[0]["client"])
    );
    assert_eq!(lines[2]["process"]["name"], "nginx");
}

#[test]
fn the_summary_adds_up() {
    let line = json_of(&Record::Summary(&sample::summary()));
    assert_eq!(
        line["bytes"],
        json!({"seen": 31_200_000, "delivered": 20_000_000, "skipped": 10_000_000, "lost": {"ring_full": 1_000_000, "before_attach": 200_000}})
    );
    assert_eq!(line["statuses"]["grpc"], json!({"OK": 9_990, "NOT_FOUND": 10}));
    assert_eq!(line["blind"], json!([{"pid": 9, "name": "postgres", "why": "io_uring"}]));
    assert_eq!(line["not_understood"], json!({"link type 147": 3}));
    let quiet = json_of(&Record::Summary(&sample::quiet_summary()));
    assert!(quiet.get("blind").is_none() && quiet["bytes"]["lost"] == json!({}));
}

#[test]
fn no_format_shows_a_secret_unless_asked() {
    const SECRET: &str = "s3cr3t-of-somebody";
    let mut exchange = sample::full();
    for message in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        message.add_header(Some(b"Cookie"), Some(SECRET.as_bytes()), true);
        let (name, value) = (message.put(b"X-Token"), message.put(SECRET.as_bytes()));
        message.trailers.push(Field { name: Some(name), value: Some(value), secret: true, plain: false });
        let secret = || Value::Secret(SECRET.into());
        message.attribute("password", secret());
        message.attribute("list", vec![secret()]);
        message
            .attributes
            .push(Attribute::new("map", Value::Map(vec![("key".into(), secret()), ("key".into(), secret())])));
        message.facts.push(Attribute::new("token", secret()));
    }
    let record =
        with(sample::connection_record(), |it| it.facts.push(Attribute::new("t", Value::Secret(SECRET.into()))));
    for format in FORMATS {
        let records = [Record::Exchange(&exchange), Record::Connection(&record)];
        let hidden = written(format.name, &everything(), &records);
        assert!(!hidden.contains(SECRET), "{}: {hidden}", format.name);
        assert!(hidden.contains("<redacted: 18 bytes>"), "{}: {hidden}", format.name);
        let shown = written(format.name, &OutputOptions { redaction: Redaction::Show, ..everything() }, &records);
        assert!(shown.matches(SECRET).count() >= 13, "{}: {shown}", format.name);
        assert!(!shown.contains("redacted: 18"), "{}", format.name);
    }
}

#[test]
fn formats_are_found_by_name() {
    assert_eq!(FORMATS.iter().map(|format| format.name).collect::<Vec<_>>(), ["terminal", "json"]);
    assert!(by_name("json").is_some() && by_name("yaml").is_none());
}

/// Checks a rendering of all samples against the one at hand; `UPDATE=1` writes it.
#[track_caller]
fn check_rendering(name: &str, options: &OutputOptions) {
    let exchanges = sample::exchanges();
    let (connection, summary, quiet) = (sample::connection_record(), sample::summary(), sample::quiet_summary());
    let mut records: Vec<Record<'_>> = exchanges.iter().map(Record::Exchange).collect();
    records.extend([Record::Connection(&connection), Record::Summary(&summary), Record::Summary(&quiet)]);
    let given = written("terminal", options, &records);
    let path = format!("{}/renderings/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &given).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(given == expected, "not as in {path} (UPDATE=1 writes it):\n{given}");
    if !options.verbose {
        let widest = given.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= options.width, "{widest} columns at a width of {}", options.width);
    }
}

#[test]
fn renderings() {
    for width in [40, 60, 80, 100, 120, 160] {
        check_rendering(&width.to_string(), &OutputOptions { width, ..OutputOptions::default() });
    }
    check_rendering("verbose", &everything());
    check_rendering("ascii", &OutputOptions { charset: Charset::Ascii, width: 80, ..OutputOptions::default() });
}

#[test]
fn colour_changes_no_character() {
    let exchanges = sample::exchanges();
    let records: Vec<Record<'_>> = exchanges.iter().map(Record::Exchange).collect();
    let plain = written("terminal", &everything(), &records);
    let colored = written("terminal", &OutputOptions { color: Color::On, ..everything() }, &records);
    let mut stripped = String::new();
    for (index, piece) in colored.split('\x1b').enumerate() {
        stripped.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(stripped, plain);
    assert!(colored.len() > plain.len());
}

/// An exchange all of whose texts are a stranger's.
fn hostile(texts: &[Vec<u8>; 6], numbers: [u64; 3]) -> Exchange {
    let over = sample::connection(1, sample::unix(1, str::from_utf8(&texts[0]).ok()), sample::peer("[::1]:80", None));
    let mut exchange = sample::exchange(&over, "http1", ["", "", ""], "");
    let [start, latency, bytes] = numbers;
    (exchange.start, exchange.latency) = (Timestamp(start), Some(latency));
    for message in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        message.set_operation(&texts[0]);
        message.set_resource(&texts[1]);
        message.set_status(&texts[2]);
        message.set_host(&texts[3]);
        message.add_header(Some(&texts[4]), Some(&texts[5]), false);
        message.body.clone_from(&texts[5]);
        message.body_truncated = start % 2 == 0;
        message.bytes = bytes;
        message.note(String::from_utf8_lossy(&texts[3]).into_owned() + "!");
        let name = String::from_utf8_lossy(&texts[4]).into_owned();
        message.attributes.push(Attribute::new(name.clone(), Value::Bytes(texts[5].clone())));
        message.attributes.push(Attribute::new(name, Value::Bytes(texts[1].clone())));
    }
    exchange
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        any::<String>().prop_map(String::into_bytes),
        "[\u{202a}-\u{202e}\u{200b}-\u{200f}a-z/?=\u{1b}\u{301}]{0,40}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stranger_can_break_no_output(
        texts in [text(), text(), text(), text(), text(), text()],
        numbers in any::<[u64; 3]>(),
        width in 0usize..200,
        ascii in any::<bool>(),
        direction in any::<bool>(),
    ) {
        let mut exchange = hostile(&texts, numbers);
        if direction {
            exchange.kind = l7trace_exchange::Kind::Message;
            exchange.response = None;
            exchange.request.as_mut().unwrap().direction = Direction::ServerToClient;
        }
        let records = [Record::Exchange(&exchange)];
        check_lines(written("json", &everything(), &records).as_bytes());
        let charset = if ascii { Charset::Ascii } else { Charset::Unicode };
        for verbose in [false, true] {
            let options = OutputOptions { width, charset, verbose, bodies: verbose, ..OutputOptions::default() };
            let text = written("terminal", &options, &records);
            // The one mark is ours, after what runs from right to left; a stranger's is spelled.
            let ours = ['\n', '\u{200e}'];
            prop_assert!(!text.chars().any(|character| is_deceptive(character) && !ours.contains(&character)), "{text:?}");
            prop_assert!(verbose || text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= width.max(26)), "{text}");
            prop_assert!(verbose || text.lines().count() == 3);
            prop_assert!(!ascii || text.is_ascii());
        }
    }
}

#[test]
fn the_documents_examples_are_valid() {
    let document = include_str!("../../../docs/json.md");
    let blocks = document.split("```json\n").skip(1).filter_map(|block| block.split("```").next());
    let kinds: Vec<Json> = blocks.map(|block| check_lines(block.as_bytes()).remove(0)["type"].clone()).collect();
    for kind in ["exchange", "message", "transaction", "connection", "summary"] {
        assert!(kinds.contains(&json!(kind)), "no example of {kind}");
    }
}
