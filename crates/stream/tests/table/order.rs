use l7trace_event::{Side, SourceKind};
use l7trace_testkit::told::{a, b};

use crate::{check, steps};

#[test]
fn bytes_in_order_pass_through_with_their_times_and_acknowledgements() {
    check(
        steps![a(100, "GET").ack(500).at(5), b(500, "200").ack(103).at(6), a(103, "next").ack(503).at(7)],
        &[
            r#"1 A 0 "GET" ack 0 at 5"#,
            r#"1 B 0 "200" ack 3 at 6"#,
            r#"1 A 3 "next" ack 3 at 7"#,
            "1 A 7 end unknown at 7",
            "1 B 3 end unknown at 7",
            "1 over open",
        ],
    );
}

#[test]
fn sequence_numbers_wrap_around() {
    check(
        steps![a(0xffff_fffe, "abcd"), a(2, "ef"), a(0xffff_fffe, "abcd")],
        &[r#"1 A 0 "abcd" at 1"#, r#"1 A 4 "ef" at 2"#, "1 A 6 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn what_comes_early_waits_and_keeps_its_time() {
    check(
        steps![a(100, "a"), a(103, "d"), a(102, "c"), a(101, "b")],
        &[
            r#"1 A 0 "a" at 1"#,
            r#"1 A 1 "b" at 4"#,
            r#"1 A 2 "c" at 3"#,
            r#"1 A 3 "d" at 2"#,
            "1 A 4 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn of_what_comes_twice_the_first_is_kept() {
    let heard = check(
        steps![
            a(100, "abc"),
            a(100, "XYZ"),
            a(101, "XYz"),
            a(99, "!!"),
            a(108, "ij"),
            a(106, "GHIJKL"),
            a(104, "efGH"),
        ],
        &[
            r#"1 A 0 "abc" at 1"#,
            r#"1 A 3 "z" at 3"#,
            r#"1 A 4 "ef" at 7"#,
            r#"1 A 6 "GH" at 6"#,
            r#"1 A 8 "ij" at 5"#,
            r#"1 A 10 "KL" at 6"#,
            "1 A 12 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
    let again: Vec<_> = heard.again.iter().map(|again| (again.from, again.position, again.length)).collect();
    assert_eq!(again, [(0, 3), (1, 2), (0, 1), (8, 2), (6, 2)].map(|(at, length)| (Side::A, at, length)));
}

#[test]
fn a_second_witness_adds_nothing_but_its_times() {
    let heard = check(
        steps![
            a(100, "abc").by(SourceKind::Packets, 2).at(1),
            a(100, "abc").by(SourceKind::Syscalls, 1).at(2),
            a(103, "d").by(SourceKind::Syscalls, 1).at(3),
        ],
        &[r#"1 A 0 "abc" at 1"#, r#"1 A 3 "d" at 3"#, "1 A 4 end…", "1 B 0 end…", "1 over open"],
    );
    assert_eq!(heard.again.len(), 1);
    assert_eq!((heard.again[0].witness.source, heard.again[0].at.0), (SourceKind::Syscalls, 2_000_000));
    let witnesses: Vec<_> = heard.over[0].0.witnesses().collect();
    assert_eq!(witnesses, [SourceKind::Packets, SourceKind::Syscalls]);
}

#[test]
fn keep_alive_and_window_probes_bring_nothing() {
    check(
        steps![
            a(100, "abc").ack(500),
            b(500, "").ack(103),
            a(102, "\0").ack(500),
            b(500, "").ack(103),
            a(102, "").ack(500),
            b(499, "").ack(103),
            a(103, "d").ack(500),
        ],
        &[r#"1 A 0 "abc" ack 0 at 1"#, r#"1 A 3 "d" ack 0 at 7"#, "1 A 4 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn a_connection_joined_at_a_keep_alive_begins_after_it() {
    let expected = &[r#"1 A 0 "GET" ack 0 at 3"#, "1 A 3 end…", "1 B 0 end…", "1 over open"];
    check(steps![a(99, "\0").ack(500), b(500, "").ack(100), a(100, "GET").ack(500)], expected);
    check(steps![a(99, "").ack(500), b(500, "").ack(100), a(100, "GET").ack(500)], expected);
    let early = &[r#"1 A 0 "GET" ack 0 at 2"#, "1 A 3 end…", "1 B 0 end…", "1 over open"];
    check(steps![b(500, "").ack(100), a(100, "GET").ack(500), a(99, "\0").ack(500)], early);
}

#[test]
fn a_stray_far_away_changes_nothing() {
    check(
        steps![
            a(100, "abc").ack(500),
            a(2_000_000_000, "evil").ack(500),
            b(900_000_000, "evil").ack(103),
            b(500, "ok").ack(103),
            b(502, "").ack(1_000_000_000),
            a(103, "d").ack(502),
        ],
        &[
            r#"1 A 0 "abc" ack 0 at 1"#,
            r#"1 B 0 "ok" ack 3 at 4"#,
            r#"1 A 3 "d" ack 2 at 6"#,
            "1 A 4 end…",
            "1 B 2 end…",
            "1 over open",
        ],
    );
}

#[test]
fn a_long_hole_is_believed_at_the_second_segment() {
    check(
        steps![a(100, "abc"), a(200_000_000, "lost"), a(200_000_004, "more"), a(200_000_008, "!")],
        &[
            r#"1 A 0 "abc" at 1"#,
            "1 A 3 gap 199999901 not_captured at 3",
            r#"1 A 199999904 "more" at 3"#,
            r#"1 A 199999908 "!" at 4"#,
            "1 A 199999909 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn joined_in_the_middle_something_older_may_still_come_first() {
    check(
        steps![b(500, "").ack(110), a(100, "abcdefghij").ack(500), a(110, "k").ack(500)],
        &[r#"1 A 0 "abcdefghij" ack 0 at 2"#, r#"1 A 10 "k" ack 0 at 3"#, "1 A 11 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn a_slow_witness_may_tell_of_what_was_long_ago() {
    let long = 2_000_000_000u32;
    check(
        steps![
            a(100, "").missing(long, l7trace_event::Cause::ZeroCopy).by(SourceKind::Syscalls, 0),
            a(100, "old").by(SourceKind::Packets, 1),
            a(103, "old").by(SourceKind::Packets, 1),
            a(100 + long, "new").by(SourceKind::Syscalls, 0),
        ],
        &[
            "1 A 0 gap 2000000000 zero_copy at 1",
            r#"1 A 2000000000 "new" at 4"#,
            "1 A 2000000003 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}
