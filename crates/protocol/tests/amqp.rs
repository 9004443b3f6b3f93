//! AMQP 0-9-1 and 1.0.

use l7trace_event::Direction::{ClientToServer, ServerToClient};
use l7trace_protocol::{Protocol, Settings, by_name};
use l7trace_testkit::script::{Chop, Step, check, check_cuts, client, length, lines, punch, run, server};

fn amqp() -> &'static dyn Protocol {
    by_name("amqp").expect("amqp is in the registry")
}

#[track_caller]
fn expect(script: &[Step], expected: &[&str]) {
    check(amqp(), &Settings { body_limit: 100, ..Settings::default() }, script, expected);
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

fn method(channel: u16, class: u16, id: u16, arguments: &[&[u8]]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &id.to_be_bytes(), &arguments.concat()].concat();
    frame(1, channel, &payload)
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn content(channel: u16, body: &[u8]) -> Vec<u8> {
    let header = [
        &60u16.to_be_bytes()[..],
        &[0, 0],
        &(body.len() as u64).to_be_bytes(),
        &0x8000u16.to_be_bytes(),
        &short("text/plain"),
    ]
    .concat();
    let (one, two) = body.split_at(body.len() / 2);
    [frame(2, channel, &header), frame(3, channel, one), frame(3, channel, two)].concat()
}

fn publish(channel: u16, exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    [method(channel, 60, 40, &[&[0, 0], &short(exchange), &short(key), &[1]]), content(channel, body)].concat()
}

fn deliver(channel: u16, tag: u64, key: &str) -> Vec<u8> {
    [
        method(channel, 60, 60, &[&short("consumer"), &tag.to_be_bytes(), &[0], &short(""), &short(key)]),
        content(channel, b"hello"),
    ]
    .concat()
}

fn settle(channel: u16, id: u16, tag: u64, bits: u8) -> Vec<u8> {
    method(channel, 60, id, &[&tag.to_be_bytes(), &[bits]])
}

fn opening() -> Vec<Step> {
    vec![
        client(b"AMQP\0\0\x09\x01"),
        server(method(0, 10, 10, &[&[0, 9], &long(b""), &long(b"PLAIN"), &long(b"en_US")])),
        client(method(0, 10, 11, &[&long(b""), &short("PLAIN"), &long(b"\0user\0pass"), &short("en_US")])),
        server(method(0, 10, 30, &[&[0, 0], &[0, 2, 0, 0], &[0, 60]])),
        client(
            [method(0, 10, 31, &[&[0, 0], &[0, 2, 0, 0], &[0, 60]]), method(0, 10, 40, &[&short("/"), &[0], &[0]])]
                .concat(),
        ),
        server(method(0, 10, 41, &[&[0]])),
        client(method(1, 20, 10, &[&[0]])),
        server(method(1, 20, 11, &[&[0, 0, 0, 0]])),
    ]
}

const OPENED: [&str; 8] = [
    "s>c request | op=connection.start",
    "c>s response | st=connection.start-ok | mechanism=\"PLAIN\" | response=secret(10)",
    "s>c request | op=connection.tune",
    "c>s response | st=connection.tune-ok",
    "c>s request | op=connection.open | virtual_host=\"/\"",
    "s>c response | st=connection.open-ok",
    "c>s request | op=channel.open | facts=[channel=1]",
    "s>c response | st=channel.open-ok",
];

#[track_caller]
fn after_opening(steps: &[Step], expected: &[&str]) {
    let script: Vec<Step> = opening().into_iter().chain(steps.iter().cloned()).collect();
    expect(&script, &[&OPENED, expected].concat());
}

#[test]
fn queues_and_publishes_without_confirms() {
    let declare = method(
        1,
        50,
        10,
        &[&[0, 0], &short("jobs"), &[0b10], &long(&[&short("x-max")[..], b"I", &[0, 0, 0, 5]].concat())],
    );
    let declared = method(1, 50, 11, &[&short("jobs"), &[0, 0, 0, 1], &[0, 0, 0, 2]]);
    after_opening(
        &[
            client(declare),
            server(declared),
            client(publish(1, "", "jobs", b"hello!")),
            client(publish(1, "logs", "", b"")),
            client(frame(8, 0, b"")),
            client(method(1, 50, 30, &[&[0, 0], &short("jobs"), &[1]])),
        ],
        &[
            "c>s request | op=queue.declare res=jobs | durable=true | arguments={x-max: 5}",
            "s>c response | st=queue.declare-ok | message_count=1",
            "c>s oneway | op=basic.publish res=jobs st=- | body=`hello!` | body_bytes=6 | mandatory=true | properties={content_type: \"text/plain\"}",
            "c>s oneway | op=basic.publish res=logs st=- | body_bytes=0",
            "c>s oneway | op=queue.purge res=jobs | no_wait=true",
        ],
    );
}

#[test]
fn confirms_one_by_one_and_many_at_once() {
    after_opening(
        &[
            client(method(1, 85, 10, &[&[0]])),
            server(method(1, 85, 11, &[])),
            client([publish(1, "x", "a", b"1"), publish(1, "x", "b", b"2"), publish(1, "x", "c", b"3")].concat()),
            server([settle(1, 80, 2, 1), settle(1, 120, 3, 0)].concat()),
        ],
        &[
            "op=confirm.select",
            "st=confirm.select-ok",
            "request 9/1 op=basic.publish res=x/a",
            "request 9/2 op=basic.publish res=x/b",
            "request 9/3 op=basic.publish res=x/c",
            "s>c response(up to) 9/2 | st=basic.ack | failed=false",
            "s>c response 9/3 | st=basic.nack | failed=true",
        ],
    );
}

#[test]
fn deliveries_and_their_acknowledgements() {
    after_opening(
        &[
            client(method(1, 60, 20, &[&[0, 0], &short("jobs"), &short("consumer"), &[0], &long(b"")])),
            server(method(1, 60, 21, &[&short("consumer")])),
            server([deliver(1, 1, "jobs"), deliver(1, 2, "jobs"), deliver(1, 3, "jobs")].concat()),
            client([settle(1, 80, 2, 1), settle(1, 90, 3, 1)].concat()),
        ],
        &[
            "op=basic.consume res=jobs",
            "st=basic.consume-ok",
            "s>c request 10/1 op=basic.deliver res=jobs",
            "s>c request 10/2 op=basic.deliver res=jobs",
            "s>c request 10/3 op=basic.deliver res=jobs",
            "c>s response(up to) 10/2 | st=basic.ack",
            "c>s response 10/3 | st=basic.reject | failed=true | requeue=true",
        ],
    );
}

#[test]
fn a_consumer_without_acknowledgements_is_given_messages() {
    after_opening(
        &[
            client(method(1, 60, 20, &[&[0, 0], &short("jobs"), &short("consumer"), &[2], &long(b"")])),
            server(method(1, 60, 21, &[&short("consumer")])),
            server(deliver(1, 1, "jobs")),
        ],
        &["op=basic.consume", "st=basic.consume-ok", "s>c oneway | op=basic.deliver res=jobs"],
    );
}

#[test]
fn get_and_its_late_acknowledgement() {
    let got =
        [method(1, 60, 71, &[&7u64.to_be_bytes(), &[0], &short(""), &short("jobs"), &[0, 0, 0, 0]]), content(1, b"x")]
            .concat();
    after_opening(
        &[
            client(method(1, 60, 70, &[&[0, 0], &short("jobs"), &[0]])),
            server(got),
            client(settle(1, 80, 7, 0)),
            client(method(1, 60, 70, &[&[0, 0], &short("jobs"), &[0]])),
            server(method(1, 60, 72, &[&[0]])),
        ],
        &[
            "op=basic.get res=jobs",
            "st=basic.get-ok | body=`x`",
            "transaction | op=basic.get res=jobs st=basic.ack",
            "op=basic.get res=jobs",
            "st=basic.get-empty",
        ],
    );
}

#[test]
fn a_channel_error_fails_what_caused_it() {
    let close = method(1, 20, 40, &[&404u16.to_be_bytes(), &short("NOT_FOUND"), &[0, 50], &[0, 10]]);
    after_opening(
        &[
            client(method(1, 50, 10, &[&[0, 0], &short("none"), &[1], &long(b"")])),
            server(close),
            client(method(1, 20, 41, &[])),
        ],
        &[
            "op=queue.declare res=none",
            "s>c response | st=404 | failed=true | reply_text=\"NOT_FOUND\"",
            "s>c request | op=channel.close",
            "c>s response | st=channel.close-ok",
        ],
    );
}

/// The broker names the exchange; publishes behind the refused one were never looked at.
#[test]
fn a_refused_publish_is_the_first_to_the_exchange_that_is_named() {
    let text = "NOT_FOUND - no exchange 'gone' in vhost '/'";
    let close = method(1, 20, 40, &[&404u16.to_be_bytes(), &short(text), &[0, 60], &[0, 40]]);
    after_opening(
        &[
            client(method(1, 85, 10, &[&[0]])),
            server(method(1, 85, 11, &[])),
            client([publish(1, "x", "a", b"1"), publish(1, "gone", "b", b"2"), publish(1, "x", "c", b"3")].concat()),
            server(close),
        ],
        &[
            "op=confirm.select",
            "st=confirm.select-ok",
            "request 9/1",
            "request 9/2",
            "request 9/3",
            "response 9/2 | st=404 | failed=true",
            "op=channel.close",
        ],
    );
}

/// connection.close does not say which channel's method it means.
#[test]
fn a_connection_error_fails_a_method_only_where_one_channel_has_it() {
    let declare = |channel| client(method(channel, 50, 10, &[&[0, 0], &short("q"), &[1], &long(b"")]));
    let close = || server(method(0, 10, 50, &[&504u16.to_be_bytes(), &short("CHANNEL_ERROR"), &[0, 50], &[0, 10]]));
    after_opening(
        &[declare(1), close()],
        &["op=queue.declare", "s>c response | st=504 | failed=true", "op=connection.close"],
    );
    after_opening(&[declare(1), declare(2), close()], &["op=queue.declare", "op=queue.declare", "op=connection.close"]);
}

#[test]
fn a_returned_message_is_a_step_of_its_publish() {
    let returned =
        [method(1, 60, 50, &[&312u16.to_be_bytes(), &short("NO_ROUTE"), &short("x"), &short("b")]), content(1, b"2")]
            .concat();
    after_opening(
        &[
            client(method(1, 85, 10, &[&[0]])),
            server(method(1, 85, 11, &[])),
            client([publish(1, "x", "a", b"1"), publish(1, "x", "b", b"2")].concat()),
            server([returned, settle(1, 80, 2, 1)].concat()),
        ],
        &[
            "op=confirm.select",
            "st=confirm.select-ok",
            "request 9/1",
            "request 9/2",
            "s>c step 9/2 op=basic.return",
            "s>c oneway | op=basic.return res=x/b | failed=true | reply_code=312 | publish_tag=2",
            "response(up to) 9/2",
        ],
    );
}

fn performative(channel: u16, code: u8, fields: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let list = fields.concat();
    let mut body = vec![0, 0x53, code, 0xc0, list.len() as u8 + 1, fields.len() as u8];
    body.extend(list);
    body.extend(payload);
    let mut frame = (body.len() as u32 + 8).to_be_bytes().to_vec();
    frame.extend([2, 0]);
    frame.extend(channel.to_be_bytes());
    frame.extend(body);
    frame
}

fn text(value: &str) -> Vec<u8> {
    [&[0xa1, value.len() as u8][..], value.as_bytes()].concat()
}

/// An attach of the link `link` with a target's address.
fn attach(channel: u16, receiver: bool, address: &str) -> Vec<u8> {
    let address = text(address);
    let target = [&[0, 0x53, 0x29, 0xc0, address.len() as u8 + 1, 1][..], &address].concat();
    let role = if receiver { 0x41 } else { 0x42 };
    performative(channel, 0x12, &[&text("link"), &[0x43], &[role], &[0x40], &[0x40], &[0x40], &target], b"")
}

/// A transfer of link 0, not settled.
fn transfer(channel: u16, delivery: u8, more: bool, payload: &[u8]) -> Vec<u8> {
    let more = if more { 0x41 } else { 0x42 };
    let fields: [&[u8]; 6] = [&[0x43], &[0x52, delivery], &[0xa0, 1, delivery], &[0x43], &[0x42], &[more]];
    performative(channel, 0x14, &fields, payload)
}

/// What a receiver says of deliveries; `state` is a descriptor's code.
fn disposition(channel: u16, first: u8, last: u8, state: u8) -> Vec<u8> {
    said_of(true, channel, first, last, state)
}

fn said_of(by_receiver: bool, channel: u16, first: u8, last: u8, state: u8) -> Vec<u8> {
    let role = if by_receiver { 0x41 } else { 0x42 };
    performative(channel, 0x15, &[&[role], &[0x52, first], &[0x52, last], &[0x41], &[0, 0x53, state, 0x45]], b"")
}

const ACCEPTED: u8 = 0x24;
const REJECTED: u8 = 0x25;

/// Begins a session, the client's channel 3 and the server's 8.
fn opening_of_1_0() -> Vec<Step> {
    vec![
        client(b"AMQP\0\x01\0\0"),
        server(b"AMQP\0\x01\0\0"),
        client(performative(0, 0x10, &[&text("me"), &text("broker.example")], b"")),
        server(performative(0, 0x10, &[&text("you")], b"")),
        client(performative(3, 0x11, &[&[0x40], &[0x43], &[0x52, 9], &[0x52, 9]], b"")),
        server(performative(8, 0x11, &[&[0x60, 0, 3], &[0x43], &[0x52, 9], &[0x52, 9]], b"")),
    ]
}

#[test]
fn version_1_0_from_open_to_disposition() {
    let data = [&[0, 0x53, 0x75, 0xa0, 5][..], b"hello"].concat();
    let mut script = opening_of_1_0();
    script.extend([
        client(attach(3, false, "jobs")),
        server(attach(8, true, "jobs")),
        client(performative(3, 0x14, &[&[0x43], &[0x43], &[0xa0, 1, 7]], &data)),
        server(performative(8, 0x15, &[&[0x41], &[0x43], &[0x43], &[0x41], &[0, 0x53, 0x24, 0x45]], b"")),
        client(performative(3, 0x14, &[&[0x43], &[0x52, 1], &[0xa0, 1, 8], &[0x40], &[0x41]], &data)),
        client(performative(0, 0x18, &[], b"")),
        server(performative(0, 0x18, &[], b"")),
    ]);
    expect(
        &script,
        &[
            "request 0/1 op=open res=broker.example",
            "response 0/1 | st=open",
            "request 0/2 op=begin",
            "response 0/2 | st=begin",
            "request 0/3 op=attach res=jobs",
            "response 0/3 | st=attach",
            "c>s request | op=transfer res=jobs | body=`hello` | body_bytes=10",
            "s>c response | st=accepted | failed=false",
            "c>s oneway | op=transfer res=jobs | settled=true",
            "op=close",
            "st=close",
        ],
    );
}

#[test]
fn an_end_with_an_error_fails_the_attach_that_waits() {
    let mut script = opening_of_1_0();
    let error = [&[0, 0x53, 0x1d, 0xc0, 17, 1][..], &[0xa3, 14], b"amqp:not-found"].concat();
    script.extend([client(attach(3, false, "nowhere")), server(performative(8, 0x17, &[&error], b""))]);
    expect(
        &script,
        &[
            "op=open",
            "st=open",
            "op=begin",
            "st=begin",
            "request 0/3 op=attach res=nowhere",
            "response 0/3 | st=amqp:not-found | failed=true",
            "s>c request | op=end | failed=true",
        ],
    );
}

#[test]
fn version_1_0_joined_in_the_middle() {
    let script = [
        // The rest of a frame, and a whole one, in one piece.
        client([b"tail of a message".as_slice(), &transfer(3, 7, false, b"one")].concat()),
        server(disposition(8, 6, 7, ACCEPTED)),
        client(said_of(false, 3, 6, 7, ACCEPTED)),
        client(transfer(3, 8, true, b"two, ")),
        client(performative(3, 0x14, &[&[0x43]], b"three")),
        server(disposition(8, 8, 8, REJECTED)),
    ];
    let heard = run(amqp(), &Settings::default(), false, &script, Chop::Whole);
    let told = lines(&heard).join("\n");
    for (line, expected) in lines(&heard).iter().zip([
        "op=transfer",
        "st=accepted",
        // What settles delivery 6 answers something unseen; the sender's word of it adds nothing.
        "response 0/",
        "op=transfer",
        "st=rejected",
    ]) {
        assert!(line.contains(expected), "{expected} is not in {line}\n{told}");
    }
    assert_eq!(lines(&heard).len(), 5, "{told}");
    check_cuts(amqp(), &Settings::default(), false, &script);
}

#[test]
fn a_disposition_may_name_any_number() {
    let most = [&[0x80][..], &[0xff; 8]].concat();
    let fields: [&[u8]; 4] = [&[0x41], &most, &most, &[0x41]];
    let script = [server(disposition(8, 1, 1, ACCEPTED)), server(performative(8, 0x15, &fields, b""))];
    let heard = run(amqp(), &Settings::default(), false, &script, Chop::Whole);
    assert_eq!(lines(&heard).iter().filter(|line| line.contains(" response 0/")).count(), 2);
}

#[test]
fn after_a_hole_no_disposition_is_paired_wrongly() {
    let mut script = opening_of_1_0();
    script.extend([client(attach(3, false, "jobs")), server(attach(8, true, "jobs"))]);
    for delivery in 0..6 {
        let state = if delivery % 2 == 0 { ACCEPTED } else { REJECTED };
        script.push(client(transfer(3, delivery, false, &vec![b'x'; 10 + usize::from(delivery)])));
        script.push(server(disposition(8, delivery, delivery, state)));
    }
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for hole in [1, 9, 60, 200] {
                let punched = punch(&script, direction, position, hole);
                let heard = lines(&run(amqp(), &Settings::default(), true, &punched, Chop::Whole));
                let told = heard.join("\n");
                let mut whole = 0;
                for transfer in heard.iter().filter(|line| line.contains("op=transfer")) {
                    let key = transfer.split(' ').nth(3);
                    let id = transfer.split("delivery_id=").nth(1).and_then(|rest| rest.split(';').next());
                    let Some(delivery) = id.and_then(|id| id.parse::<u8>().ok()) else { continue };
                    let answer = heard.iter().find(|line| line.contains(" response ") && line.split(' ').nth(3) == key);
                    let Some(answer) = answer else { continue };
                    let right = if delivery % 2 == 0 { "st=accepted" } else { "st=rejected" };
                    assert!(answer.contains(right), "{hole} lost at {position} of {direction:?}:\n{told}");
                    whole += 1;
                }
                // A hole spoils the frames that it touches, and those alone.
                let untouched = 6 - hole.div_ceil(40) as usize - 1;
                let in_deliveries = position > 160;
                assert!(
                    !in_deliveries || whole >= untouched,
                    "{whole}: {hole} lost at {position} of {direction:?}:\n{told}"
                );
                check_cuts_if_few(&punched, position);
            }
        }
    }
}

#[test]
fn after_a_hole_no_acknowledgement_is_paired_wrongly() {
    let mut script = opening();
    script.extend([
        client(method(1, 85, 10, &[&[0]])),
        server(method(1, 85, 11, &[])),
        client(publish(1, "x", "one", b"1")),
        client(publish(1, "x", "two", b"2")),
        server(settle(1, 80, 1, 0)),
        server(settle(1, 120, 2, 0)),
        client(publish(1, "x", "three", b"3")),
        server(settle(1, 80, 3, 0)),
    ]);
    let status = |lines: &[String], route: &str| -> Option<String> {
        let key = |line: &str| line.split(' ').nth(3).map(str::to_owned);
        let publish =
            lines.iter().find(|line| line.contains(" request ") && line.contains(&format!("res=x/{route} ")))?;
        let answer = lines.iter().find(|line| line.contains(" response") && key(line) == key(publish))?;
        answer.split(" st=").nth(1)?.split(' ').next().map(str::to_owned)
    };
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for hole in [1, 9, 60] {
                let punched = punch(&script, direction, position, hole);
                let heard = lines(&run(amqp(), &Settings::default(), true, &punched, Chop::Whole));
                for (route, right) in [("one", "basic.ack"), ("two", "basic.nack"), ("three", "basic.ack")] {
                    let given = status(&heard, route);
                    assert!(
                        given.is_none() || given.as_deref() == Some(right),
                        "{route}: {given:?} with {hole} lost at {position} of {direction:?}:\n{}",
                        heard.join("\n")
                    );
                }
                check_cuts_if_few(&punched, position);
            }
        }
    }
}

/// Cutting every script would take minutes in debug builds.
fn check_cuts_if_few(script: &[Step], position: u64) {
    if position.is_multiple_of(17) {
        check_cuts(amqp(), &Settings::default(), true, script);
    }
}
