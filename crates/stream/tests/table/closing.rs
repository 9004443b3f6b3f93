use l7trace_testkit::heard::Step;
use l7trace_testkit::told::{a, b};

use crate::{check, steps};

const SAID: [&str; 2] = [r#"1 A 0 "x" ack 0 at 3"#, r#"1 B 0 "yy" ack 1 at 4"#];

/// A connection with a handshake, in which x was asked and yy answered; A stands at 102, B at 503.
fn after(more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut steps =
        Vec::from(steps![a(100, "").syn(), b(500, "").syn_ack(101), a(101, "x").ack(501), b(501, "yy").ack(102),]);
    steps.extend(more);
    steps
}

#[track_caller]
fn check_after(more: impl IntoIterator<Item = Step>, expected: &[&str]) {
    check(after(more), &[&SAID, expected].concat());
}

#[test]
fn each_direction_ends_where_its_fin_says() {
    check_after(
        steps![a(102, "").ack(503).fin(), b(503, "z").ack(103), b(504, "").ack(103).fin(), a(103, "").ack(505)],
        &["1 A 1 end closed ack 2 at 5", r#"1 B 2 "z" ack 1 at 6"#, "1 B 3 end closed ack 1 at 7", "1 over closed"],
    );
}

#[test]
fn a_fin_before_missing_bytes_waits_for_them() {
    check_after(
        steps![b(505, "").ack(102).fin(), b(503, "zz").ack(102), a(102, "").ack(506).fin()],
        &[r#"1 B 2 "zz" ack 1 at 6"#, "1 B 4 end closed ack 1 at 5", "1 A 1 end closed ack 4 at 7", "1 over closed"],
    );
}

#[test]
fn bytes_missing_when_both_have_ended_are_given_up_soon() {
    check_after(
        steps![b(505, "").ack(102).fin().at(5), a(102, "").ack(503).fin().at(6), Step::Advance(25), Step::Advance(26)],
        &[
            "1 A 1 end closed ack 2 at 6",
            "1 B 2 gap 2 not_captured at 5",
            "1 B 4 end closed ack 1 at 5",
            "1 over closed",
        ],
    );
}

#[test]
fn a_fin_in_the_wrong_place_ends_nothing() {
    check_after(
        steps![
            b(501, "").ack(102).fin(),
            b(510, "").ack(102).fin(),
            b(503, "goes on for long").ack(102),
            a(102, "!").ack(519),
        ],
        &[
            r#"1 B 2 "goes on for long" ack 1 at 7"#,
            r#"1 A 1 "!" ack 18 at 8"#,
            "1 A 2 end unknown…",
            "1 B 18 end unknown…",
            "1 over open",
        ],
    );
}

#[test]
fn what_comes_after_a_fin_is_not_part_of_the_stream() {
    check_after(
        steps![a(102, "").ack(503).fin(), a(102, "junk").ack(503), a(103, "junk").ack(503), b(503, "z").ack(103)],
        &["1 A 1 end closed ack 2 at 5", r#"1 B 2 "z" ack 1 at 8"#, "1 B 3 end unknown at 8", "1 over open"],
    );
}

#[test]
fn a_reset_ends_both_directions() {
    check_after(
        steps![b(503, "").rst(), a(102, "late"), b(503, "")],
        &["1 A 1 end reset at 5", "1 B 2 end reset at 5", "1 over reset"],
    );
    check_after(
        steps![a(102, "").ack(503).fin(), b(503, "").ack(103).rst()],
        &["1 A 1 end closed ack 2 at 5", "1 B 2 end reset ack 1 at 6", "1 over reset"],
    );
}

#[test]
fn a_reset_outside_the_window_is_nobodys() {
    for position in [0, 490, 501, 520, 3_000_000_000] {
        check_after(
            steps![a(102, "").ack(503), b(position, "").ack(102).rst(), b(503, "z").ack(102)],
            &[r#"1 B 2 "z" ack 1 at 7"#, "1 A 1 end unknown…", "1 B 3 end unknown…", "1 over open"],
        );
    }
}

#[test]
fn a_reset_waits_a_little_for_what_was_sent_before_it() {
    check_after(
        steps![b(503, "z").ack(102), a(102, "").ack(510).rst(), b(504, "lately").ack(102)],
        &[
            r#"1 B 2 "z" ack 1 at 5"#,
            r#"1 B 3 "lately" ack 1 at 7"#,
            "1 A 1 end reset ack 9 at 6",
            "1 B 9 end reset at 6",
            "1 over reset",
        ],
    );
}

#[test]
fn a_connection_may_be_refused() {
    check(
        steps![a(100, "").syn(), b(0, "").ack(101).rst(), a(100, "").syn()],
        &["1 A 0 end reset at 2", "1 B 0 end reset ack 0 at 2", "1 over reset"],
    );
    check(
        steps![a(100, "").syn(), b(0, "").ack(777).rst(), b(500, "").syn_ack(101), a(101, "x").ack(501)],
        &[r#"1 A 0 "x" ack 0 at 4"#, "1 A 1 end unknown…", "1 B 0 end unknown…", "1 over open"],
    );
}

#[test]
fn who_goes_on_did_not_break_off() {
    check_after(
        steps![a(102, "").ack(503).rst(), a(102, "ask").ack(503), b(503, "answer").ack(105)],
        &[
            "1 A 1 end reset ack 2 at 5",
            "1 B 2 end reset at 5",
            "1 over reset",
            r#"2 A 0 "ask" ack 0 at 6"#,
            r#"2 B 0 "answer" ack 3 at 7"#,
            "2 A 3 end…",
            "2 B 6 end…",
            "2 over open",
        ],
    );
}

#[test]
fn a_reset_with_bytes_missing_before_it_is_one_at_the_end_of_the_trace_too() {
    check_after(
        steps![a(105, "late").ack(503), b(503, "").ack(103).rst()],
        &[
            "1 A 1 gap 3 not_captured at 5",
            r#"1 A 4 "late" ack 2 at 5"#,
            "1 A 8 end reset at 6",
            "1 B 2 end reset ack 2 at 6",
            "1 over reset",
        ],
    );
}

#[test]
fn where_both_go_on_after_a_reset_it_was_not_theirs() {
    check_after(
        steps![b(503, "").rst(), a(102, "one").ack(503), b(504, "two").ack(105), a(105, "three").ack(507)],
        &[
            "1 A 1 end reset at 5",
            "1 B 2 end reset at 5",
            "1 over reset",
            r#"2 B 0 "two" ack 0 at 7"#,
            r#"2 A 0 "three" ack 3 at 8"#,
            "2 A 5 end…",
            "2 B 3 end…",
            "2 over open",
        ],
    );
}

#[test]
fn a_reset_of_what_is_not_known_tells_nothing() {
    check(steps![a(100, "").rst(), b(5, "").ack(3).rst()], &[]);
}

#[test]
fn an_acknowledged_fin_that_was_not_seen_is_no_byte() {
    check_after(
        steps![a(102, "").ack(504), Step::Advance(100), a(102, "").ack(504).fin(), Step::Advance(20_000)],
        &["1 A 1 end closed ack 3 at 7", "1 B 2 end unknown at 7", "1 over open"],
    );
}
