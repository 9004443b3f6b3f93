use l7trace_event::{Cause, Flags, Side};
use l7trace_testkit::heard::Step;
use l7trace_testkit::told::{a, b};

use crate::{check, steps};

#[test]
fn without_positions_the_sender_speaks_for_both() {
    let heard = check(
        steps![
            a(0, "").append(0).syn(),
            b(0, "").append(0).flags(Flags::OPEN.with(Flags::ANSWER)),
            a(0, "ask").append(0),
            a(0, "ask").append(1),
            b(0, "ans").append(0),
            b(0, "an").append(1),
            b(0, "s").append(1),
            a(0, "again").append(0),
        ],
        &[
            r#"1 A 0 "ask" at 3"#,
            r#"1 B 0 "ans" at 5"#,
            r#"1 A 3 "again" at 8"#,
            "1 A 8 end…",
            "1 B 3 end…",
            "1 over open",
        ],
    );
    let facts = &heard.over[0].0;
    assert_eq!((facts.initiator, facts.from_start), (Some(Side::A), [true, true]));
}

#[test]
fn the_receiver_may_be_heard_first() {
    check(
        steps![
            a(0, "ask").append(1),
            a(0, "ask").append(0),
            a(0, "more").append(1),
            a(0, "more").append(0),
            Step::Advance(100),
        ],
        &[r#"1 A 0 "ask" at 2"#, r#"1 A 3 "more" at 4"#, "1 A 7 end…", "1 B 0 end…", "1 over open"],
    );
}

#[test]
fn the_receiver_alone_speaks_for_itself() {
    check(
        steps![
            a(0, "ask").append(1).at(1),
            a(0, "more").append(1).missing(2, Cause::CaptureLimit).at(2),
            Step::Advance(21),
            a(0, "then").append(1).at(22),
            a(0, "").append(1).fin().at(23),
            b(0, "").append(0).fin().at(24),
        ],
        &[
            r#"1 A 0 "ask" at 1"#,
            r#"1 A 3 "more" at 2"#,
            "1 A 7 gap 2 capture_limit at 2",
            r#"1 A 9 "then" at 22"#,
            "1 A 13 end closed at 23",
            "1 B 0 end closed at 24",
            "1 over closed",
        ],
    );
}

#[test]
fn what_only_the_receiver_told_is_not_forgotten_at_the_end() {
    check(steps![a(0, "ask").append(1)], &[r#"1 A 0 "ask" at 1"#, "1 A 3 end…", "1 B 0 end…", "1 over open"]);
}
