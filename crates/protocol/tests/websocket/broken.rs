//! Joined in the middle, with holes, and noise.

use l7trace_event::Direction::{ClientToServer, ServerToClient};
use l7trace_protocol::Settings;
use l7trace_testkit::script::{Chop, Random, Step, client, close, length, line_of, lines, punch, run, server};

use crate::frames::{compressor, deflate, masked, plain};
use crate::{heard, settings, websocket};

const DEFLATE: (&str, &str) = ("Sec-WebSocket-Extensions", "permessage-deflate");

fn conversation() -> Vec<Step> {
    let mut state = compressor();
    [
        client(masked(0x81, "{\"say\": \"hello over there\"}")),
        server(plain(0xc1, deflate(&mut state, "{\"answer\": \"hello over there\", \"more\": 17}"))),
        client(masked(0x89, "one ping")),
        server([plain(0x8a, "one ping"), plain(0x01, "in two "), plain(0x80, "fragments")].concat()),
        server(plain(0xc1, deflate(&mut state, "{\"answer\": \"hello over there\", \"more\": 18}"))),
        client(masked(0x82, vec![7; 300])),
        client(masked(0x89, "another ping")),
        server(plain(0x8a, "another ping")),
        server(plain(0xc1, deflate(&mut state, "{\"answer\": \"hello over there\", \"more\": 19}"))),
        client(masked(0x88, [3, 0xe8])),
        server(plain(0x88, [3, 0xe8])),
    ]
    .into_iter()
    .chain(close())
    .collect()
}

/// Each message's own words: operation, status, body and latency.
fn told(script: &[Step], chop: Chop) -> Vec<(String, Vec<u8>, bool)> {
    let heard = heard(&[DEFLATE], script, chop);
    let each = heard.messages.iter().filter(|message| message.protocol == "websocket").map(|message| {
        let line = line_of(message);
        let latency = line
            .split("latency_ns=")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
            .unwrap_or_default();
        let operation = message.text_of(message.operation).map(|text| String::from_utf8_lossy(text).into_owned());
        let whole = message.lost_bytes == 0 && !message.body_truncated;
        (format!("{operation:?} {latency:?}"), message.body.clone(), whole)
    });
    each.collect()
}

#[test]
fn holes_make_nothing_up() {
    let script = conversation();
    let right = told(&script, Chop::Whole);
    let (mut kept, mut all) = (0, 0);
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for size in [1, 2, 5, 13, 40, 150] {
                let punched = punch(&script, direction, position, size);
                for chop in [Chop::Whole, Chop::Random(position)] {
                    let found = told(&punched, chop);
                    for one in &found {
                        let (what, body, whole) = one;
                        let known = right.iter().any(|(other, full, _)| {
                            let same = other == what || what.ends_with(" \"\"") || what.starts_with("None");
                            same && if *whole { full == body } else { full.starts_with(body) || body.is_empty() }
                        });
                        assert!(
                            known || !whole || what.starts_with("None"),
                            "{size} bytes at {position} of {direction:?}: {what} {}",
                            body.escape_ascii()
                        );
                    }
                    kept += found.iter().filter(|one| right.contains(one)).count();
                    all += right.len();
                }
            }
        }
    }
    assert!(kept * 10 > all * 7, "{kept} of {all} messages");
}

#[test]
fn joined_in_the_middle() {
    let script = [
        server(plain(0x81, "{\"tick\": 1, \"price\": 100}")),
        client(masked(0x81, "{\"order\": 1, \"price\": 100}")),
        server(plain(0x89, "")),
        client(masked(0x8a, "")),
        server(plain(0x81, "{\"tick\": 2, \"price\": 101}")),
    ];
    let heard = run(websocket(), &settings(), false, &script, Chop::Whole);
    let lines = lines(&heard);
    let expected = [
        "op=text | body=`{\\\"tick\\\": 1, | joined in the middle: the handshake was not seen",
        "op=text | notes=[]",
        "op=ping",
        "op=pong | ping_latency_ns=1000",
        "op=text",
        "transaction | res=- | Unfinished",
    ];
    assert_eq!(lines.len(), expected.len(), "{}", lines.join("\n"));
    for (line, parts) in lines.iter().zip(expected) {
        assert!(parts.split(" | ").all(|part| line.contains(part)), "{parts} in {line}");
    }
}

#[test]
fn a_guess_that_breaks_is_withdrawn() {
    let script = [server(plain(0x81, "{\"tick\": 1, \"price\": 100}")), server("220 smtp.example ESMTP\r\n")];
    let heard = run(websocket(), &settings(), false, &script, Chop::Whole);
    assert_eq!(heard.messages.len(), 1);
    assert!(heard.withdrawn.is_some_and(|why| why.starts_with("not WebSocket after all")));
}

#[test]
fn noise_is_survived() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut script = conversation();
        for step in &mut script {
            if let Step::Bytes(_, bytes) = step
                && random.below(2) == 0
            {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.number() as u8;
            }
        }
        for chop in [Chop::Whole, Chop::Bytewise, Chop::Random(seed)] {
            heard(&[DEFLATE], &script, chop);
            run(websocket(), &Settings::default(), false, &script, chop);
        }
        let whole = lines(&heard(&[DEFLATE], &script, Chop::Whole));
        let cut = lines(&heard(&[DEFLATE], &script, Chop::Random(seed)));
        assert_eq!(whole, cut);
    }
}
