use l7trace_event::{Flags, Side, SourceKind};
use l7trace_stream::Closed;
use l7trace_testkit::told::{a, b};

use crate::{check, steps};

#[test]
fn a_handshake_tells_who_opened_and_where_bytes_begin() {
    let heard = check(
        steps![a(100, "").syn(), b(500, "").syn_ack(101), a(101, "GET").ack(501), b(501, "200").ack(104)],
        &[r#"1 A 0 "GET" ack 0 at 3"#, r#"1 B 0 "200" ack 3 at 4"#, "1 A 3 end…", "1 B 3 end…", "1 over open"],
    );
    let facts = &heard.over[0].0;
    assert_eq!((facts.initiator, facts.from_start), (Some(Side::A), [true, true]));
}

#[test]
fn an_answer_alone_tells_it_too() {
    let heard = check(
        steps![b(500, "").syn_ack(101), a(101, "GET").ack(501)],
        &[r#"1 A 0 "GET" ack 0 at 2"#, "1 A 3 end…", "1 B 0 end…", "1 over open"],
    );
    let facts = &heard.over[0].0;
    assert_eq!((facts.initiator, facts.from_start), (Some(Side::A), [true, true]));
}

#[test]
fn the_answer_may_come_before_the_question() {
    let heard = check(
        steps![b(500, "").syn_ack(101), a(100, "").syn(), a(101, "GET").ack(501)],
        &[r#"1 A 0 "GET" ack 0 at 3"#, "1 A 3 end…", "1 B 0 end…", "1 over open"],
    );
    assert_eq!(heard.over[0].0.initiator, Some(Side::A));
}

#[test]
fn data_in_a_syn_is_data() {
    check(
        steps![a(100, "GET").syn(), b(500, "").syn_ack(104), b(501, "200").ack(104), a(104, "x").ack(504)],
        &[
            r#"1 A 0 "GET" at 1"#,
            r#"1 B 0 "200" ack 3 at 3"#,
            r#"1 A 3 "x" ack 3 at 4"#,
            "1 A 4 end…",
            "1 B 3 end…",
            "1 over open",
        ],
    );
    // The server did not take it: it comes again.
    check(
        steps![a(100, "GET").syn(), b(500, "").syn_ack(101), a(101, "GET").ack(501), b(501, "200").ack(104)],
        &[r#"1 A 0 "GET" at 1"#, r#"1 B 0 "200" ack 3 at 4"#, "1 A 3 end…", "1 B 3 end…", "1 over open"],
    );
}

#[test]
fn both_may_open_at_once() {
    let heard = check(
        steps![
            a(100, "").syn(),
            b(500, "").syn(),
            a(100, "").syn_ack(501),
            b(500, "").syn_ack(101),
            a(101, "x").ack(501),
            b(501, "y").ack(102),
        ],
        &[r#"1 A 0 "x" ack 0 at 5"#, r#"1 B 0 "y" ack 1 at 6"#, "1 A 1 end…", "1 B 1 end…", "1 over open"],
    );
    assert_eq!(heard.over[0].0.from_start, [true, true]);
}

#[test]
fn a_syn_sent_again_is_the_same_connection() {
    check(
        steps![
            a(100, "").syn(),
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            b(500, "").syn_ack(101),
            a(101, "x").ack(501),
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(102, "y").ack(501),
        ],
        &[r#"1 A 0 "x" ack 0 at 5"#, r#"1 A 1 "y" ack 0 at 8"#, "1 A 2 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn another_syn_before_anything_was_said_is_a_retry() {
    check(
        steps![a(100, "").syn(), a(900, "").syn(), b(500, "").syn_ack(901), a(901, "x").ack(501)],
        &[r#"1 A 0 "x" ack 0 at 4"#, "1 A 1 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn the_tuple_used_again_after_the_end_is_a_new_connection() {
    let heard = check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(101, "x").ack(501).fin(),
            b(501, "y").ack(103).fin(),
            a(103, "").ack(503),
            a(100, "").syn(),
            a(9_000, "").syn(),
            b(7_000, "").syn_ack(9_001),
            a(9_001, "z").ack(7_001),
        ],
        &[
            r#"1 A 0 "x" ack 0 at 3"#,
            "1 A 1 end closed ack 0 at 3",
            r#"1 B 0 "y" ack 1 at 4"#,
            "1 B 1 end closed ack 1 at 4",
            "1 over closed",
            r#"2 A 0 "z" ack 0 at 9"#,
            "2 A 1 end…",
            "2 B 0 end…",
            "2 over open",
        ],
    );
    assert_eq!(heard.over[0].1, Closed::Finished);
}

#[test]
fn the_tuple_used_again_without_an_end_is_believed_when_it_is_answered() {
    check(
        steps![
            a(100, "x").ack(500),
            b(500, "y").ack(101),
            a(90_000, "").syn(),
            b(70_000, "").syn_ack(90_001),
            a(90_001, "z").ack(70_001),
        ],
        &[
            r#"1 A 0 "x" ack 0 at 1"#,
            r#"1 B 0 "y" ack 1 at 2"#,
            "1 A 1 end unknown at 4",
            "1 B 1 end unknown at 4",
            "1 over reused",
            r#"2 A 0 "z" ack 0 at 5"#,
            "2 A 1 end…",
            "2 B 0 end…",
            "2 over open",
        ],
    );
    // Or when its sender goes on from it.
    check(
        steps![a(100, "x").ack(500), a(90_000, "").syn(), a(90_001, "z").ack(70_001)],
        &[
            r#"1 A 0 "x" ack 0 at 1"#,
            "1 A 1 end…",
            "1 B 0 end…",
            "1 over reused",
            r#"2 A 0 "z" ack 0 at 3"#,
            "2 A 1 end…",
            "2 B 0 end…",
            "2 over open",
        ],
    );
}

#[test]
fn a_syn_thrown_in_changes_nothing() {
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(101, "x").ack(501),
            a(7_000_000, "").syn(),
            b(501, "").ack(102),
            b(7_777, "").syn_ack(4_444),
            a(102, "y").ack(501),
        ],
        &[r#"1 A 0 "x" ack 0 at 3"#, r#"1 A 1 "y" ack 0 at 7"#, "1 A 2 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    check(
        steps![
            a(100, "").syn(),
            b(6_666, "").syn_ack(9_999),
            b(500, "").syn_ack(101),
            a(101, "x").ack(501),
            b(501, "y").ack(102),
        ],
        &[r#"1 A 0 "x" ack 0 at 4"#, r#"1 B 0 "y" ack 1 at 5"#, "1 A 1 end…", "1 B 1 end…", "1 over open"],
    );
}

#[test]
fn witnesses_other_than_a_syn_may_tell_who_opened() {
    let heard = check(
        steps![b(500, "y").ack(100).flags(Flags::SERVER).by(SourceKind::Syscalls, 0)],
        &[r#"1 B 0 "y" ack 0 at 1"#, "1 A 0 end…", "1 B 1 end…", "1 over open"],
    );
    let facts = &heard.over[0].0;
    assert_eq!((facts.initiator, facts.from_start), (Some(Side::A), [false, false]));
}

#[test]
fn owners_and_names_may_come_first() {
    let heard = check(
        steps![
            a(0, "").owner(7, "curl"),
            b(0, "").name("/run/x"),
            a(100, "x"),
            b(0, "").owner(8, "nginx"),
            a(101, "").exists(),
        ],
        &[r#"1 A 0 "x" at 3"#, "1 A 1 end…", "1 B 0 end…", "1 over open"],
    );
    let facts = &heard.over[0].0;
    let pids = [0, 1].map(|side| facts.owners[side].as_ref().map(|owner| owner.pid));
    assert_eq!((pids, facts.names[1].as_deref()), ([Some(7), Some(8)], Some("/run/x")));
}

#[test]
fn an_idle_connection_may_be_known_beforehand() {
    check(
        steps![a(0, "").exists(), a(100, "x").ack(500)],
        &[r#"1 A 0 "x" ack 0 at 2"#, "1 A 1 end…", "1 B 0 end…", "1 over open"],
    );
}
