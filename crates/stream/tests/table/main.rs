//! What the table makes of events, as tables: events in, deliveries out.

mod causality;
mod closing;
mod holes;
mod limits;
mod opening;
mod order;
mod unix;

use l7trace_stream::Limits;
use l7trace_testkit::heard::{Listener, Step, listen};

/// Checks what is delivered, line by line; lines of [`Listener::lines`], where `…` at the end stands
/// for anything. The finish comes by itself.
#[track_caller]
fn check(steps: impl IntoIterator<Item = Step>, expected: &[&str]) -> Listener {
    check_with(Limits::default(), steps, expected)
}

#[track_caller]
fn check_with(limits: Limits, steps: impl IntoIterator<Item = Step>, expected: &[&str]) -> Listener {
    let steps: Vec<Step> = steps.into_iter().collect();
    let (listener, _) = listen(limits, &steps);
    let fits = listener.lines.len() == expected.len()
        && listener.lines.iter().zip(expected).all(|(line, expected)| match expected.strip_suffix('…') {
            Some(beginning) => line.starts_with(beginning),
            None => line == expected,
        });
    assert!(fits, "expected:\n{}\ngiven:\n{}", expected.join("\n"), listener.lines.join("\n"));
    listener
}

/// A list of steps from events and steps.
macro_rules! steps {
    ($($step:expr),* $(,)?) => { [$(l7trace_testkit::heard::Step::from($step)),*] };
}
use steps;
