use std::time::Duration;

use l7trace_stream::{Closed, Limits};
use l7trace_testkit::heard::{Listener, Step, listen, listen_with};
use l7trace_testkit::told::{a, b};

use crate::{check_with, steps};

#[test]
fn too_much_waiting_in_one_connection_gives_up_its_hole() {
    let limits = Limits { connection_bytes: 1_000, ..Limits::default() };
    let mut steps = Vec::from(steps![a(100, "a")]);
    for index in 0..20u32 {
        steps.push(a(200 + index * 10, "0123456789").into());
    }
    let (heard, table) = listen(limits, &steps);
    assert_eq!(heard.lines[1], "1 A 1 gap 99 buffer_limit at 2");
    assert_eq!(table.evictions().connection_bytes, 1);
    assert_eq!(heard.over[0].0.ledgers[0].delivered, 201);
}

#[test]
fn the_connection_idle_for_longest_makes_room() {
    let limits = Limits { connections: 2, ..Limits::default() };
    check_with(
        limits,
        steps![a(1, "one").port(1), a(1, "two").port(2), a(4, "one").port(1), a(1, "three").port(3)],
        &[
            r#"1 A 0 "one" at 1"#,
            r#"2 A 0 "two" at 2"#,
            r#"1 A 3 "one" at 3"#,
            "2 A 3 end unknown at 2",
            "2 B 0 end unknown at 2",
            "2 over evicted",
            r#"3 A 0 "three" at 4"#,
            "1 A 6 end unknown at 3",
            "1 B 0 end unknown at 3",
            "1 over open",
            "3 A 5 end unknown at 4",
            "3 B 0 end unknown at 4",
            "3 over open",
        ],
    );
}

#[test]
fn idle_connections_are_forgotten() {
    let limits = Limits { idle: Duration::from_secs(1), ..Limits::default() };
    let expected = [
        r#"1 A 0 "one" at 0"#,
        "1 A 3 end unknown at 0",
        "1 B 0 end unknown at 0",
        "1 over idle",
        r#"2 A 0 "more" at 1500"#,
        "2 A 4 end unknown at 1500",
        "2 B 0 end unknown at 1500",
        "2 over open",
    ];
    check_with(limits.clone(), steps![a(1, "one").at(0), Step::Advance(1_000), a(4, "more").at(1_500)], &expected);
    // What still comes before anybody asked shows that it is none.
    let expected = [r#"1 A 0 "one" at 0"#, r#"1 A 3 "more" at 1500"#, "1 A 7 end…", "1 B 0 end…", "1 over open"];
    check_with(limits.clone(), steps![a(1, "one").at(0), a(4, "more").at(1_500), Step::Advance(1_500)], &expected);
    // Nor is it one because of a single event that is years ahead.
    let strange = steps![a(1, "one").at(0), a(1, "x").port(9).at(1 << 36), a(4, "more").at(500)];
    let expected = [
        r#"1 A 0 "one" at 0"#,
        r#"2 A 0 "x" at 68719476736"#,
        r#"1 A 3 "more" at 500"#,
        "1 A 7 end…",
        "1 B 0 end…",
        "1 over open",
        "2 A 1 end…",
        "2 B 0 end…",
        "2 over open",
    ];
    check_with(limits.clone(), strange, &expected);
    // Events alone let time go by.
    let expected = [
        r#"1 A 0 "one" at 0"#,
        "1 A 3 end…",
        "1 B 0 end…",
        "1 over idle",
        r#"2 A 0 "x" at 1500"#,
        "2 A 1 end…",
        "2 B 0 end…",
        "2 over open",
    ];
    check_with(limits, steps![a(1, "one").at(0), a(1, "x").port(9).at(1_500)], &expected);
}

#[test]
fn too_much_in_all_takes_from_the_connection_that_holds_most() {
    let limits = Limits { total_bytes: 100_000, ..Limits::default() };
    let big = "x".repeat(30_000);
    let mut steps = Vec::new();
    for port in [1, 2] {
        steps.push(Step::from(a(1, "a").port(port)));
    }
    for index in 0..3u32 {
        steps.push(a(1_000 + index * 30_000, &big).port(1).into());
    }
    steps.push(a(1_000, &big).port(2).into());
    let (heard, table) = listen(limits, &steps);
    assert!(heard.lines.contains(&"1 A 1 gap 998 buffer_limit at 3".to_owned()), "{:?}", &heard.lines[..3]);
    assert!(heard.lines.contains(&"2 A 1 gap 998 not_captured at 6".to_owned()));
    assert_eq!(table.evictions().total_bytes, 1);
}

/// That went on for ever where the connection idle for longest held nothing.
#[test]
fn many_that_hold_little_are_too_much_too() {
    let limits = Limits { total_bytes: 10_000, ..Limits::default() };
    let little = "x".repeat(2_000);
    let mut steps = Vec::from(steps![a(1, "idle").port(9)]);
    for port in 1..=6 {
        steps.push(a(1, "a").port(port).into());
        steps.push(a(100, &little).port(port).into());
    }
    let (heard, table) = listen(limits, &steps);
    assert_eq!(heard.over[0].0.number, 1);
    assert_eq!(heard.over[0].1, Closed::Evicted);
    // Twice one that holds nothing is dropped, and twice what waits in another.
    assert_eq!(table.evictions().total_bytes, 4);
}

#[test]
fn what_the_sink_holds_counts_too() {
    let limits = Limits { total_bytes: 100_000, ..Limits::default() };
    let mut listener = Listener { held_percent: 100, ..Listener::default() };
    let big = "x".repeat(30_000);
    // More than are too many: what the sink holds is counted when it is asked for the second time.
    let steps: Vec<Step> = (0..9u16).map(|port| a(1, &big).port(port + 1).into()).collect();
    let table = listen_with(&mut listener, limits, &steps);
    assert_eq!(table.evictions().total_bytes, 2);
    assert_eq!(listener.over[0].1, Closed::Evicted);
}

#[test]
fn holes_of_an_evicted_connection_say_so() {
    let limits = Limits { connections: 1, ..Limits::default() };
    check_with(
        limits,
        steps![a(1, "a").ack(5), b(5, "b").ack(2), a(5, "e").ack(6), a(1, "z").port(9)],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            r#"1 B 0 "b" ack 1 at 2"#,
            "1 A 1 gap 3 evicted at 3",
            r#"1 A 4 "e" ack 1 at 3"#,
            "1 A 5 end unknown at 3",
            "1 B 1 end unknown at 3",
            "1 over evicted",
            r#"2 A 0 "z" at 4"#,
            "2 A 1 end…",
            "2 B 0 end…",
            "2 over open",
        ],
    );
}
