//! HTTP/1 with holes: nothing panics, no pair is wrong, and what comes after the next boundary is
//! all there.

use std::collections::BTreeMap;

use l7trace_event::Direction;
use l7trace_protocol::{Completeness, Protocol, Role, Settings, by_name};
use l7trace_testkit::script::{self, Chop, Heard, Random, Step, client, close, server};

fn http1() -> &'static dyn Protocol {
    by_name("http1").expect("registered")
}

fn settings() -> Settings {
    Settings { body_limit: 1000, ..Settings::default() }
}

fn get(n: usize) -> String {
    format!("GET /{n}/ HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn post(n: usize) -> String {
    let body = "x".repeat(n % 7 * 5);
    format!("POST /{n}/ HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn upload(n: usize) -> String {
    format!("PUT /{n}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n")
}

fn answer(n: usize) -> String {
    let body = format!("<{}>\n", "y".repeat(n % 5 * 4));
    format!("HTTP/1.1 200 OK\r\nX-Of: /{n}/\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(n: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Of: /{n}/\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
}

/// Conversations of clients that wait, that pipeline in batches, and that do both.
fn conversations() -> Vec<Vec<Step>> {
    let waiting: Vec<Step> = (0..6)
        .flat_map(|n| {
            let request = [get(n), post(n), upload(n)][n % 3].clone();
            [client(request), server(if n % 2 == 0 { answer(n) } else { chunked(n) })]
        })
        .chain(close())
        .collect();
    let batches: Vec<Step> = (0..4)
        .flat_map(|batch| {
            let ids = batch * 4..batch * 4 + 4;
            [client(ids.clone().map(get).collect::<String>()), server(ids.map(answer).collect::<String>())]
        })
        .chain(close())
        .collect();
    let mixed = [
        client(get(0)),
        server(answer(0)),
        client(post(1) + &get(2)),
        server(answer(1)),
        server(chunked(2)),
        client(get(3)),
        server(answer(3)),
        client(get(4) + &get(5)),
        server(answer(4) + &answer(5)),
        client(post(6)),
        server("HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &answer(6)),
        client(get(7)),
        server(answer(7)),
    ];
    vec![waiting, batches, mixed.into_iter().chain(close()).collect()]
}

/// The number that a message carries, as far as it is known.
fn number_of(heard: &Heard, index: usize) -> Option<String> {
    let message = &heard.messages[index];
    let bytes = match message.role {
        Role::Request => message.text_of(message.resource),
        _ => message.header("X-Of"),
    };
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Every pair is of one number; gives how many pairs there are.
#[track_caller]
fn no_wrong_pair(heard: &Heard, what: &str) -> usize {
    let mut requests = BTreeMap::new();
    let mut pairs = 0;
    for (index, message) in heard.messages.iter().enumerate() {
        let number = number_of(heard, index);
        match message.role {
            Role::Request => {
                assert!(requests.insert(message.key, number).is_none(), "{what}: a key twice");
            }
            Role::Response => {
                let Some(asked) = requests.get(&message.key) else { continue };
                pairs += 1;
                if let (Some(asked), Some(answered)) = (asked, &number) {
                    assert_eq!(asked, answered, "{what}\n{}", script::lines(heard).join("\n"));
                }
            }
            _ => {}
        }
    }
    pairs
}

fn whole_numbers(heard: &Heard, direction: Direction) -> Vec<String> {
    (0..heard.messages.len())
        .filter(|index| heard.messages[*index].direction == direction)
        .filter(|index| heard.messages[*index].completeness == Completeness::Whole)
        .filter_map(|index| number_of(heard, index))
        .collect()
}

#[test]
fn a_hole_anywhere_makes_no_wrong_pair_and_loses_only_what_it_touches() {
    for (which, script) in conversations().iter().enumerate() {
        let intact = script::run(http1(), &settings(), true, script, Chop::Whole);
        let all = no_wrong_pair(&intact, "intact");
        assert_eq!(all * 2, intact.messages.iter().filter(|it| it.role != Role::Step).count());
        for direction in Direction::BOTH {
            let length = script::length(script, direction);
            for hole in [1, 20, 45, 90, 400] {
                for position in 0..length {
                    let what = format!("conversation {which}, {direction:?} {position}+{hole}");
                    let punched = script::punch(script, direction, position, hole);
                    let heard = script::run(http1(), &settings(), true, &punched, Chop::Whole);
                    no_wrong_pair(&heard, &what);
                    // Messages that the hole does not touch are all there.
                    let end = (position + hole).min(length);
                    let untouched: Vec<String> = (0..intact.messages.len())
                        .filter(|index| intact.messages[*index].direction == direction)
                        .filter(|index| {
                            let message = &intact.messages[*index];
                            message.last.position <= position || message.first.position >= end
                        })
                        .filter_map(|index| number_of(&intact, index))
                        .collect();
                    let given = whole_numbers(&heard, direction);
                    for number in &untouched {
                        assert!(
                            given.contains(number),
                            "{what}: {number} is missing\n{}",
                            script::lines(&heard).join("\n")
                        );
                    }
                    let other = whole_numbers(&heard, direction.opposite());
                    assert_eq!(other.len(), all, "{what}: the other direction is whole");
                }
            }
        }
    }
}

#[test]
fn after_a_hole_pairs_are_found_again() {
    let script = &conversations()[0];
    let second = get(0).len() as u64;
    for (direction, position, length) in [
        (Direction::ClientToServer, second, post(1).len() as u64),
        (Direction::ClientToServer, second + 3, post(1).len() as u64),
        (Direction::ServerToClient, answer(0).len() as u64, chunked(1).len() as u64),
        (Direction::ServerToClient, answer(0).len() as u64 + 10, 5),
        (Direction::ServerToClient, answer(0).len() as u64 - 10, 30),
    ] {
        let punched = script::punch(script, direction, position, length);
        let heard = script::run(http1(), &settings(), true, &punched, Chop::Whole);
        let pairs = no_wrong_pair(&heard, "punched");
        assert!(pairs >= 4, "{direction:?} {position}: {}", script::lines(&heard).join("\n"));
    }
}

#[test]
fn holes_in_both_directions() {
    let mut random = Random::new(3);
    for script in &conversations() {
        for _ in 0..1000 {
            let mut punched = script.clone();
            for direction in Direction::BOTH {
                let position = random.below(script::length(script, direction));
                punched = script::punch(&punched, direction, position, 1 + random.below(200));
            }
            let heard = script::run(http1(), &settings(), true, &punched, Chop::Whole);
            no_wrong_pair(&heard, &format!("{punched:?}"));
        }
    }
}

#[test]
fn joined_in_the_middle() {
    for script in &conversations() {
        for from in 0..script.len() - 2 {
            let heard = script::run(http1(), &settings(), false, &script[from..], Chop::Whole);
            no_wrong_pair(&heard, &format!("from step {from}"));
        }
    }
    let waiting = &conversations()[0];
    for from in 0..10 {
        let heard = script::run(http1(), &settings(), false, &waiting[from..], Chop::Whole);
        let pairs = no_wrong_pair(&heard, "waiting");
        assert_eq!(pairs, (waiting.len() - 2 - from) / 2, "from step {from}:\n{}", script::lines(&heard).join("\n"));
    }
}

#[test]
fn cuts_make_no_difference_around_a_hole() {
    let mut random = Random::new(5);
    for script in &conversations() {
        for _ in 0..60 {
            let direction = if random.below(2) == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
            let position = random.below(script::length(script, direction));
            let punched = script::punch(script, direction, position, 1 + random.below(120));
            script::check_cuts(http1(), &settings(), true, &punched);
            script::check_cuts(http1(), &Settings::default(), false, &punched);
        }
    }
}

#[test]
fn a_hole_within_a_body_costs_only_its_bytes() {
    let script = [
        client(get(0)),
        server("HTTP/1.1 200 OK\r\nX-Of: /0/\r\nContent-Length: 20\r\n\r\nabc"),
        Step::Gap(Direction::ServerToClient, 10),
        server("defghij"),
        client(get(1)),
        server("HTTP/1.1 200 OK\r\nX-Of: /1/\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc"),
        Step::Gap(Direction::ServerToClient, 7),
        server("\r\n0\r\n\r\n"),
        client(get(2)),
        server("HTTP/1.1 200 OK\r\nX-Of: /2/\r\n\r\nabc"),
        Step::Gap(Direction::ServerToClient, 7),
        server("def"),
    ];
    let script: Vec<Step> = script.into_iter().chain(close()).collect();
    script::check(
        http1(),
        &settings(),
        &script,
        &[
            "request 0/0",
            "response 0/0 | body=`abc`… | body_bytes=20 lost=10 Whole",
            "request 0/1",
            "response 0/1 | body=`abc`… | body_bytes=10 lost=7 Whole",
            "request 0/2",
            "response 0/2 | body=`abc`… | body_bytes=13 lost=7 Whole",
        ],
    );
}

#[test]
fn anything_however_it_is_cut() {
    let rounds = std::env::var("L7TRACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3000);
    for seed in 0..rounds {
        l7trace_testkit::fuzz::http1_at_random(seed);
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes(data in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..400)) {
        l7trace_testkit::fuzz::http1(&data);
    }
}
