//! HTTP/2 around holes.

use l7trace_event::Direction;
use l7trace_protocol::{Protocol, Settings, by_name};
use l7trace_testkit::http2::{
    END_STREAM, PADDED, PREFACE, data, frame, headers, indexed_block, settings, settings_ack,
};
use l7trace_testkit::script::{Chop, Step, check_cuts, client, close, length, line_of, punch, run, server};

fn http2() -> &'static dyn Protocol {
    by_name("http2").unwrap()
}

/// Everything that a conversation says, for holes everywhere.
fn conversation() -> Vec<Step> {
    let mut steps = vec![
        client(PREFACE),
        client(settings(&[(3, 100), (4, 65_535)])),
        server(settings(&[(5, 16_384)])),
        client(settings_ack()),
        server(settings_ack()),
    ];
    for round in 0..6u32 {
        let (one, two) = (4 * round + 1, 4 * round + 3);
        let path = format!("/{round}");
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", path.as_str()), (":authority", "a")];
        steps.push(client(headers(one, true, indexed_block(&fields))));
        // The path and the authority just named.
        steps.push(client(headers(two, false, [0x82, 0x86, 0xbf, 0xbe])));
        steps.push(client(data(two, true, "some body of it")));
        let value = format!("v{round}");
        steps.push(server(headers(one, false, indexed_block(&[(":status", "200"), ("k", value.as_str())]))));
        steps.push(server(data(one, false, "first part, ")));
        steps.push(server(headers(two, false, [0xbf, 0xbe])));
        steps.push(server(data(one, true, "second part")));
        steps.push(server(frame(0, PADDED | END_STREAM, two, b"\x05the other one\0\0\0\0\0")));
    }
    steps.extend(close());
    steps
}

/// Whatever is lost: what is told is true, nothing hangs, and what comes after is whole again.
#[test]
fn holes_everywhere_make_no_lies() {
    let steps = conversation();
    let whole = run(http2(), &Settings::default(), true, &steps, Chop::Whole);
    let truth: Vec<_> = whole.messages.iter().collect();
    let mut known = (0u32, 0u32);
    for direction in Direction::BOTH {
        for size in [1, 4, 9, 20, 70] {
            for at in 0..length(&steps, direction) {
                let punched = punch(&steps, direction, at, size);
                let heard = run(http2(), &Settings::default(), true, &punched, Chop::Whole);
                assert!(heard.withdrawn.is_none());
                for message in &heard.messages {
                    let real = truth.iter().find(|real| real.key == message.key && real.role == message.role);
                    let Some(real) = real else {
                        panic!("hole of {size} at {at} {direction:?}: invented {}", line_of(message));
                    };
                    for (given, real) in [
                        (message.operation, real.operation),
                        (message.resource, real.resource),
                        (message.status, real.status),
                    ]
                    .map(|(given, true_one)| (message.text_of(given), real.text_of(true_one)))
                    {
                        assert!(
                            given.is_none() || given == real,
                            "hole of {size} at {at} {direction:?}: {}",
                            line_of(message)
                        );
                    }
                    for field in &message.headers {
                        let is = |other: &&l7trace_protocol::Field| {
                            let same = |given, real_one| {
                                message.text_of(given).is_none_or(|text| Some(text) == real.text_of(real_one))
                            };
                            same(field.name, other.name) && same(field.value, other.value)
                        };
                        assert!(
                            real.headers.iter().any(|other| is(&other)),
                            "hole of {size} at {at} {direction:?}: {}",
                            line_of(message)
                        );
                    }
                    if message.completeness == l7trace_protocol::Completeness::Whole {
                        assert_eq!(
                            message.headers.len(),
                            real.headers.len(),
                            "hole of {size} at {at} {direction:?}: {}",
                            line_of(message)
                        );
                        assert_eq!(
                            message.body_bytes,
                            real.body_bytes,
                            "hole of {size} at {at} {direction:?}: {}",
                            line_of(message)
                        );
                    }
                }
                known.0 += truth.len() as u32;
                known.1 += heard
                    .messages
                    .iter()
                    .filter(|message| message.completeness == l7trace_protocol::Completeness::Whole)
                    .count() as u32;
                if at % 13 == 0 {
                    check_cuts(http2(), &Settings::default(), true, &punched);
                }
            }
        }
    }
    let share = 100.0 * f64::from(known.1) / f64::from(known.0);
    println!("whole in spite of a hole: {share:.1} %");
    assert!(share > 70.0, "{share}");
}
