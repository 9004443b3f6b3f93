//! `read` gives the same bytes however many threads share the work.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use l7trace_testkit::capture::{Load, generate};
use serde_json::Value;

const L7TRACE: &str = env!("CARGO_BIN_EXE_l7trace");

fn capture(load: &Load) -> Vec<u8> {
    let mut capture = Vec::new();
    generate(load, &mut capture).expect("memory can be written");
    capture
}

/// What comes of a capture that comes through a pipe in pieces of this size.
fn read(capture: &[u8], piece: usize, options: &[&str]) -> String {
    let mut child = Command::new(L7TRACE)
        .args(["read", "--output", "json", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("l7trace runs");
    let mut input = child.stdin.take().expect("it has a pipe");
    let capture = capture.to_vec();
    let feeding = std::thread::spawn(move || {
        for piece in capture.chunks(piece) {
            input.write_all(piece)?;
        }
        std::io::Result::Ok(())
    });
    let output = child.wait_with_output().expect("it ends");
    feeding.join().expect("the feeder ends").expect("all of it is read");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

#[track_caller]
fn check(load: &Load, options: &[&str]) {
    let capture = capture(load);
    let alone = read(&capture, 1 << 20, &[options, &["--threads", "1"]].concat());
    let summary: Value = serde_json::from_str(alone.lines().last().expect("there is a summary")).expect("it is JSON");
    assert!(summary["exchanges"].as_u64() > Some(0), "{summary}");
    let bytes = &summary["bytes"];
    let lost: u64 = bytes["lost"].as_object().expect("it is an object").values().filter_map(Value::as_u64).sum();
    let known = [&bytes["delivered"], &bytes["skipped"]].into_iter().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(bytes["seen"].as_u64(), Some(known + lost), "{summary}");
    for (threads, piece) in [("2", 1 << 20), ("3", 5_003), ("7", 70_001)] {
        let together = read(&capture, piece, &[options, &["--threads", threads]].concat());
        let differs = alone.lines().zip(together.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "{threads} threads {options:?}");
        assert_eq!(alone.len(), together.len(), "{threads} threads {options:?}");
    }
}

fn rough() -> Load {
    Load {
        exchanges: 6_000,
        connections: 50,
        exchanges_per_connection: 20,
        body: 3_000,
        lost: 20,
        reordered: 30,
        missing: 10,
        ..Load::default()
    }
}

#[test]
fn whole_connections() {
    check(&Load { exchanges: 20_000, connections: 64, exchanges_per_connection: 100, ..Load::default() }, &[]);
}

#[test]
fn losses_and_records_of_connections() {
    check(&rough(), &["--connections", "--body", "100"]);
}

/// Limits strike at the same places.
#[test]
fn limits_that_strike() {
    let limits = ["--total-buffer", "64K", "--connection-buffer", "8K", "--idle-timeout", "1ms"];
    check(&rough(), &[&limits[..], &["--connections"]].concat());
    check(&rough(), &["--max-connections", "7", "--total-buffer", "4K", "--body", "100000", "--connections"]);
}

#[test]
fn one_protocol_and_up_to_a_number() {
    check(&rough(), &["--protocol", "http1", "--count", "1000000"]);
    check(&rough(), &["--protocol", "mqtt", "--protocol", "http1", "--connections"]);
}

/// What a slow pipe brought is told at once.
#[test]
fn nothing_waits_for_the_end_of_a_pipe() {
    let capture = capture(&Load { exchanges: 50, connections: 1, exchanges_per_connection: 50, ..Load::default() });
    let mut child = Command::new(L7TRACE)
        .args(["read", "--output", "json", "--threads", "3", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("l7trace runs");
    let mut input = child.stdin.take().expect("it has a pipe");
    input.write_all(&capture).expect("it reads");
    input.flush().expect("it reads");
    let (to, lines) = channel();
    let output = child.stdout.take().expect("it has a pipe");
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
    for _ in 0..50 {
        lines.recv_timeout(Duration::from_secs(20)).expect("every exchange is told before the pipe ends");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
    reading.join().expect("the reader ends");
    assert!(lines.recv().expect("there is a summary").contains("summary"));
}
