use l7trace_testkit::heard::Step;
use l7trace_testkit::told::{a, b};

use crate::{check, steps};

#[test]
fn an_answer_waits_for_its_question() {
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            b(501, "200").ack(104),
            a(104, "second").ack(504),
            a(101, "one").ack(501),
        ],
        &[
            r#"1 A 0 "one" ack 0 at 5"#,
            r#"1 B 0 "200" ack 3 at 3"#,
            r#"1 A 3 "second" ack 3 at 4"#,
            "1 A 9 end…",
            "1 B 3 end…",
            "1 over open",
        ],
    );
}

#[test]
fn it_does_not_wait_longer_than_for_the_hole() {
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            b(501, "200").ack(104).at(3),
            b(504, "more").ack(104).at(4),
            Step::Advance(23),
            b(508, "!").ack(104).at(24),
        ],
        &[
            "1 A 0 gap 3 not_captured at 3",
            r#"1 B 0 "200" ack 3 at 3"#,
            r#"1 B 3 "more" ack 3 at 4"#,
            r#"1 B 7 "!" ack 3 at 24"#,
            "1 A 3 end…",
            "1 B 8 end…",
            "1 over open",
        ],
    );
}

#[test]
fn an_answer_that_says_nothing_of_its_question_does_not_overtake_it() {
    // All of it waits for the hole before it; whoever told of "two" did not say what its sender had read.
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(104, "first").ack(501).at(3),
            b(501, "one").ack(109).at(4),
            a(109, "second").ack(504).at(5),
            b(504, "two").at(6),
            Step::Advance(26),
        ],
        &[
            "1 A 0 gap 3 not_captured…",
            r#"1 A 3 "first" ack 0 at 3"#,
            r#"1 B 0 "one" ack 8 at 4"#,
            r#"1 A 8 "second" ack 3 at 5"#,
            r#"1 B 3 "two" at 6"#,
            "1 A 14 end…",
            "1 B 6 end…",
            "1 over open",
        ],
    );
}

#[test]
fn two_that_wait_for_each_other_go_in_the_order_of_time() {
    // Each claims to have read the other's byte before it sent its own, which cannot be.
    check(
        steps![a(100, "a").ack(500), b(500, "b").ack(101), a(101, "c").ack(502), b(501, "d").ack(102)],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            r#"1 B 0 "b" ack 1 at 2"#,
            r#"1 A 1 "c" ack 2 at 3"#,
            r#"1 B 1 "d" ack 2 at 4"#,
            "1 A 2 end…",
            "1 B 2 end…",
            "1 over open",
        ],
    );
    check(
        steps![a(100, "a").ack(500), b(500, "b").ack(101), b(501, "dd").ack(104), a(101, "ccc").ack(503)],
        &[
            r#"1 A 0 "a" ack 0 at 1"#,
            r#"1 B 0 "b" ack 1 at 2"#,
            r#"1 B 1 "dd" ack 4 at 3"#,
            r#"1 A 1 "ccc" ack 3 at 4"#,
            "1 A 4 end…",
            "1 B 3 end…",
            "1 over open",
        ],
    );
}

#[test]
fn an_acknowledgement_taken_back_holds_nothing_up() {
    check(
        steps![
            a(100, "").syn(),
            b(500, "").syn_ack(101),
            a(101, "a").ack(501),
            a(102, "evil").ack(801),
            a(102, "b").ack(501).at(10),
            b(501, "first").ack(103).at(30),
        ],
        &[
            r#"1 A 0 "a" ack 0 at 3"#,
            r#"1 A 1 "evil" ack 300 at 4"#,
            r#"1 B 0 "first" ack 2 at 30"#,
            "1 A 5 end…",
            "1 B 5 end…",
            "1 over open",
        ],
    );
}

#[test]
fn an_acknowledgement_that_merely_comes_late_takes_nothing_back() {
    check(
        steps![
            a(100, "").syn(),
            b(501, "").ack(104),
            b(501, "200").ack(104),
            b(500, "").syn_ack(101),
            a(101, "one").ack(501),
        ],
        &[r#"1 A 0 "one" ack 0 at 5"#, r#"1 B 0 "200" ack 3 at 3"#, "1 A 3 end…", "1 B 3 end…", "1 over open"],
    );
}

#[test]
fn an_answer_waits_a_moment_for_an_opening_that_was_not_seen() {
    let answer = steps![b(500, "").syn_ack(101), b(501, "200").ack(104)];
    let mut late = answer.to_vec();
    late.extend(steps![a(100, "").syn(), a(101, "one").ack(501)]);
    check(late, &[r#"1 A 0 "one" ack 0 at 4"#, r#"1 B 0 "200" ack 3 at 2"#, "1 A 3 end…", "1 B 3 end…", "1 over open"]);
    // Where only one direction is seen, what it says is not held up for long.
    let mut one_sided = answer.to_vec();
    one_sided.extend(steps![b(504, "more").ack(110).at(23), b(508, "!").ack(110).at(24)]);
    check(
        one_sided,
        &[
            r#"1 B 0 "200" ack 3 at 2"#,
            r#"1 B 3 "more" ack 9 at 23"#,
            r#"1 B 7 "!" ack 9 at 24"#,
            "1 A 0 end…",
            "1 B 8 end…",
            "1 over open",
        ],
    );
}

#[test]
fn an_end_waits_like_bytes() {
    check(
        steps![a(100, "ask").ack(500), b(500, "").ack(103), a(103, "").ack(507).fin(), b(500, "answer").ack(103).fin()],
        &[
            r#"1 A 0 "ask" ack 0 at 1"#,
            r#"1 B 0 "answer" ack 3 at 4"#,
            "1 A 3 end closed ack 6 at 3",
            "1 B 6 end closed ack 3 at 4",
            "1 over closed",
        ],
    );
}
