use l7trace_event::{Cause, SourceKind};
use l7trace_testkit::heard::Step;
use l7trace_testkit::told::{a, b, ring_full};

use crate::{check, steps};

#[test]
fn a_hole_is_given_up_when_the_receiver_has_read_past_it() {
    check(
        steps![
            a(100, "a").ack(500).at(1),
            a(104, "e").ack(500).at(2),
            b(500, "").ack(105).at(3),
            Step::Advance(22),
            Step::Advance(23),
            a(105, "f").ack(500).at(24),
        ],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            "1 A 1 gap 3 not_captured at 2",
            r#"1 A 4 "e" ack 0 at 2"#,
            r#"1 A 5 "f" ack 0 at 24"#,
            "1 A 6 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn a_hole_is_given_up_only_as_far_as_the_receiver_has_read() {
    check(
        steps![
            a(100, "a").ack(500).at(1),
            a(106, "g").ack(500).at(2),
            b(500, "").ack(103).at(3),
            Step::Advance(23),
            a(103, "def").ack(500).at(24),
        ],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            "1 A 1 gap 2 not_captured at 2",
            r#"1 A 3 "def" ack 0 at 24"#,
            r#"1 A 6 "g" ack 0 at 2"#,
            "1 A 7 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn without_a_reader_a_hole_is_given_up_in_time() {
    check(
        steps![
            a(100, "a").at(1),
            a(104, "e").at(2),
            Step::Advance(10_001),
            a(105, "f").at(10_001),
            Step::Advance(10_002),
            a(101, "bcd").at(10_003),
        ],
        &[
            r#"1 A 0 "a" at 1"#,
            "1 A 1 gap 3 time_limit at 2",
            r#"1 A 4 "e" at 2"#,
            r#"1 A 5 "f" at 10001"#,
            "1 A 6 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn its_own_next_event_is_the_connections_clock() {
    check(
        steps![a(100, "a").at(1), a(104, "e").at(2), a(105, "f").at(10_002)],
        &[
            r#"1 A 0 "a" at 1"#,
            "1 A 1 gap 3 time_limit at 2",
            r#"1 A 4 "e" at 2"#,
            r#"1 A 5 "f" at 10002"#,
            "1 A 6 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn a_tail_that_only_the_reader_tells_of_is_a_hole() {
    check(
        steps![a(100, "a").ack(500).at(1), b(500, "").ack(151).at(2), Step::Advance(22), a(151, "z").ack(500).at(23),],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            "1 A 1 gap 50 not_captured at 2",
            r#"1 A 51 "z" ack 0 at 23"#,
            "1 A 52 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn the_loss_of_the_first_segment_is_noticed() {
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(101, "").ack(501),
            b(501, "200").ack(111).at(4),
            Step::Advance(24),
            a(111, "x").ack(504).at(25),
        ],
        &[
            "1 A 0 gap 10 not_captured at 4",
            r#"1 B 0 "200" ack 10 at 4"#,
            r#"1 A 10 "x" ack 3 at 25"#,
            "1 A 11 end…",
            "1 B 3 end…",
            "1 over open",
        ],
    );
    // Joined in the middle as well.
    check(
        steps![b(500, "").ack(100).at(1), b(500, "y").ack(110).at(2), a(110, "x").ack(501).at(3), Step::Advance(30)],
        &[
            r#"1 B 0 "y" ack 10 at 2"#,
            "1 A 0 gap 10 not_captured at 3",
            r#"1 A 10 "x" ack 1 at 3"#,
            "1 A 11 end…",
            "1 B 1 end…",
            "1 over open",
        ],
    );
}

#[test]
fn a_direction_never_witnessed_holds_nothing_back_and_counts_for_nothing() {
    let heard = check(
        steps![a(100, "one").ack(500), a(103, "two").ack(9_500), a(106, "three").ack(29_500), Step::Advance(100)],
        &[
            r#"1 A 0 "one" ack 0 at 1"#,
            r#"1 A 3 "two" ack 9000 at 2"#,
            r#"1 A 6 "three" ack 29000 at 3"#,
            "1 A 11 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
    assert_eq!((heard.over[0].0.ledgers[0].seen, heard.over[0].0.ledgers[1].seen), (11, 0));
}

#[test]
fn a_hole_is_the_rings_when_it_was_full() {
    let ring = |before: bool| {
        let mut steps = Vec::from(steps![a(100, "a").ack(500).at(1_000)]);
        if before {
            steps.push(ring_full().at(1_001).into());
        }
        steps.push(a(104, "e").ack(500).at(1_002).into());
        steps.push(b(500, "").ack(105).at(1_003).into());
        if !before {
            steps.push(ring_full().at(1_004).into());
        }
        steps.push(Step::Advance(1_100));
        steps
    };
    for before in [true, false] {
        check(
            ring(before),
            &[
                r#"1 A 0 "a" ack 0 at 1000"#,
                "1 A 1 gap 3 ring_full at 1002",
                r#"1 A 4 "e" ack 0 at 1002"#,
                "1 A 5 end…",
                "1 B 0 end…",
                "1 over open",
            ],
        );
    }
    let long_ago = steps![
        ring_full().at(1),
        a(100, "a").ack(500).at(1_000),
        a(104, "e").ack(500).at(1_002),
        b(500, "").ack(105).at(1_003),
    ];
    check(
        long_ago,
        &[
            r#"1 A 0 "a" ack 0 at 1000"#,
            "1 A 1 gap 3 not_captured at 1002",
            r#"1 A 4 "e" ack 0 at 1002"#,
            "1 A 5 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn bytes_known_to_be_missing_are_given_up_at_once_where_nobody_else_can_bring_them() {
    check(
        steps![a(100, "ab").missing(8, Cause::CaptureLimit), a(110, "x"), a(102, "cdefghij")],
        &[
            r#"1 A 0 "ab" at 1"#,
            "1 A 2 gap 8 capture_limit at 1",
            r#"1 A 10 "x" at 2"#,
            "1 A 11 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn another_witness_may_bring_what_one_could_not_copy() {
    let sender = |told: l7trace_testkit::told::Told| told.by(SourceKind::Syscalls, 0);
    let reader = |told: l7trace_testkit::told::Told| told.by(SourceKind::Syscalls, 1);
    check(
        steps![
            sender(a(100, "ab")),
            reader(a(100, "ab")),
            sender(a(102, "").missing(8, Cause::ZeroCopy)),
            sender(a(110, "x")),
            reader(a(102, "cdef")),
            Step::Advance(22),
            Step::Advance(23),
        ],
        &[
            r#"1 A 0 "ab" at 1"#,
            r#"1 A 2 "cdef" at 5"#,
            "1 A 6 gap 4 zero_copy at 3",
            r#"1 A 10 "x" at 4"#,
            "1 A 11 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}

#[test]
fn what_is_skipped_by_choice_waits_for_nobody() {
    let heard = check(
        steps![
            a(100, "ab").by(SourceKind::Packets, 1),
            a(100, "ab").by(SourceKind::Syscalls, 0),
            a(102, "").missing(1_000, Cause::Skipped).by(SourceKind::Syscalls, 0),
            a(1_102, "x").by(SourceKind::Syscalls, 0),
        ],
        &[
            r#"1 A 0 "ab" at 1"#,
            "1 A 2 gap 1000 skipped at 3",
            r#"1 A 1002 "x" at 4"#,
            "1 A 1003 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
    let ledger = &heard.over[0].0.ledgers[0];
    assert_eq!((ledger.seen, ledger.delivered, ledger.skipped(), ledger.lost()), (1_003, 3, 1_000, 0));
}

#[test]
fn missing_bytes_out_of_order_keep_their_cause_and_their_place() {
    check(
        steps![a(100, "a"), a(105, "f").missing(4, Cause::Unreadable), a(101, "bcde"), a(110, "k"),],
        &[
            r#"1 A 0 "a" at 1"#,
            r#"1 A 1 "bcde" at 3"#,
            r#"1 A 5 "f" at 2"#,
            "1 A 6 gap 4 unreadable at 2",
            r#"1 A 10 "k" at 4"#,
            "1 A 11 end…",
            "1 B 0 end…",
            "1 over open",
        ],
    );
}
