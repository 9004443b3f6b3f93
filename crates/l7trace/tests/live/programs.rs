//! Real programs: servers and clients in several languages, each against a party of plain sockets that
//! knows every byte of what was said.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use l7trace_testkit::netns::{Running, TestNamespace, eventually};
use l7trace_testkit::skip;
use serde_json::{Value, json};

use crate::check::{Report, check_ledger, ended_well, id, response_id};
use crate::raw::{self, Truth};
use crate::tracer::{MODES, Mode, Tracer};

/// A program that is a party, and the words before `serve` or `ask`.
struct Program {
    name: &'static str,
    words: Vec<String>,
}

/// Those that this machine can run; what it lacks is counted as skipped.
fn programs() -> Vec<Program> {
    let source = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/programs/parties");
        PathBuf::from(folder).join(name).display().to_string()
    };
    let mut programs = Vec::new();
    for (name, interpreter, file) in
        [("python", "python3", "party.py"), ("node", "node", "party.js"), ("java", "java", "Party.java")]
    {
        if skip::has_program(interpreter) {
            programs.push(Program { name, words: vec![interpreter.to_owned(), source(file)] });
        } else {
            skip::skip(&format!("real programs: {name}"), &format!("needs {interpreter}"));
        }
    }
    if skip::has_program("go") {
        let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("party-go");
        let output = Command::new("go").args(["build", "-o"]).arg(&built).arg(source("party.go")).output();
        let output = output.expect("go can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        programs.push(Program { name: "go", words: vec![built.display().to_string()] });
    } else {
        skip::skip("real programs: go", "needs go");
    }
    programs
}

/// What is asked: every way to delimit a body.
fn requests(prefix: &str) -> Vec<(String, String, usize)> {
    let table = [
        ("GET", "size=0", 0),
        ("GET", "size=12", 0),
        ("POST", "size=5", 5),
        ("POST", "size=70000", 100_000),
        ("GET", "size=5500&chunked=1", 0),
        ("HEAD", "size=500", 0),
        ("GET", "size=9&status=404", 0),
        ("GET", "size=9&status=500", 0),
        ("PUT", "size=1", 30_000),
        ("GET", "size=100000", 0),
    ];
    let target = |number: usize, query: &str| format!("/{prefix}/{number}?{query}");
    table.iter().enumerate().map(|(i, (method, query, body))| ((*method).to_owned(), target(i, query), *body)).collect()
}

/// Who spoke at each end.
struct Ends {
    client: u32,
    server: u32,
}

fn check_truths(
    report: &mut Report,
    mode: &Mode,
    told: &mut HashMap<String, Vec<&Value>>,
    truths: &[Truth],
    ends: &Ends,
) {
    for truth in truths {
        let lines = told.remove(&truth.resource).unwrap_or_default();
        let [line] = lines[..] else {
            report.wrong(format!("{}: told {} times", truth.resource, lines.len()));
            continue;
        };
        let found = Truth {
            operation: line["operation"].as_str().unwrap_or_default().to_owned(),
            resource: response_id(line).unwrap_or_default().to_owned(),
            status: line["status"].as_str().unwrap_or_default().to_owned(),
            request: counts(&line["request"]),
            response: counts(&line["response"]),
            client_port: line["client"]["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or(0),
        };
        report.equal(&truth.resource, &found, truth);
        let outcome = if truth.status.starts_with('5') { "failed" } else { "complete" };
        report.equal(format!("{}: outcome", truth.resource), &line["outcome"], &json!(outcome));
        report.equal(format!("{}: lost", truth.resource), &line["lost_bytes"], &json!(0));
        for (process, side, pid) in [("process", "server", ends.server), ("peer_process", "client", ends.client)] {
            // Packets may have only one end's process; a wrong one they must not have.
            let found = [&line["process"], &line["peer_process"]].into_iter().find(|found| found["side"] == side);
            match found {
                Some(found) => report.equal(format!("{}: {process}", truth.resource), &found["pid"], &json!(pid)),
                None if mode.syscalls => report.wrong(format!("{}: no {process}", truth.resource)),
                None => {}
            }
        }
    }
}

fn counts(message: &Value) -> (u64, u64) {
    let number = |name: &str| message[name].as_u64().unwrap_or(u64::MAX);
    (number("bytes"), number("body_bytes"))
}

/// Serves in a namespace; returns once it listens.
fn serve(namespace: &TestNamespace, program: &Program, port: u16) -> Running {
    let (first, rest) = program.words.split_first().expect("a program has a name");
    let port_text = port.to_string();
    let words: Vec<&str> = rest.iter().map(String::as_str).chain(["serve", &port_text]).collect();
    let running = namespace.start(first, &words);
    let listens = || eventually(|| namespace.run(|| TcpStream::connect(("127.0.0.1", port)).is_ok()));
    assert!(listens() || listens(), "{} does not listen", program.name);
    running
}

/// Lets a program ask a raw server; what that server knows, and who asked.
fn asked(namespace: &TestNamespace, words: &[String], requests: &[(String, String, usize)]) -> (Vec<Truth>, u32) {
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let (first, rest) = words.split_first().expect("a program has a name");
    let mut command = namespace.command(first);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if first == "curl" {
        // One process, one connection; a request with a body is one of many options of its own.
        for (at, (method, target, size)) in requests.iter().enumerate() {
            let url = format!("http://127.0.0.1:{port}{target}");
            let body = "b".repeat(*size);
            command.args((at > 0).then_some("--next")).args(["-s", "-o", "/dev/null", &url]);
            match method.as_str() {
                "HEAD" => _ = command.arg("-I"),
                method => _ = command.args(["-X", method]),
            }
            if *size > 0 {
                command.args(["-H", "Expect: 100-continue", "--data-binary", &body]);
            }
        }
    } else {
        command.arg("ask");
        for (method, target, size) in requests {
            command.args([method, &format!("http://127.0.0.1:{port}{target}"), &size.to_string()]);
        }
    }
    let mut child = command.spawn().expect("it can be started");
    let pid = child.id();
    let count = requests.len();
    let truths = thread::spawn(move || raw::answer(&listener, count));
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{words:?}: {status}");
    (truths.join().expect("it answers").expect("sockets work"), pid)
}

#[test]
fn real_programs_are_told_to_the_byte() {
    let Some(namespace) = TestNamespace::create() else { return };
    let programs = programs();
    let servers: Vec<(u16, Running)> =
        (7001..).zip(&programs).map(|(port, program)| (port, serve(&namespace, program, port))).collect();
    for mode in &MODES {
        let short = mode.name.replace(' ', "-");
        let tracer = Tracer::start(&namespace, mode, &[]);
        let mut spoken: Vec<(Vec<Truth>, Ends)> = Vec::new();
        for (program, (port, running)) in programs.iter().zip(&servers) {
            let requests = requests(&format!("{short}/{}/server", program.name));
            let truths = namespace
                .run(|| raw::ask(*port, &requests))
                .unwrap_or_else(|error| panic!("{}: {error}", program.name));
            spoken.push((truths, Ends { client: std::process::id(), server: running.0.id() }));
        }
        let curl = Program { name: "curl", words: vec!["curl".to_owned()] };
        for program in programs.iter().chain(skip::has_program("curl").then_some(&curl)) {
            let requests = requests(&format!("{short}/{}/client", program.name));
            let (truths, pid) = asked(&namespace, &program.words, &requests);
            spoken.push((truths, Ends { client: pid, server: std::process::id() }));
        }
        let traced = tracer.stop();
        let mut report = Report::new(mode.name);
        ended_well(&mut report, &traced);
        let mut told: HashMap<String, Vec<&Value>> = HashMap::new();
        for exchange in traced.exchanges() {
            told.entry(id(exchange).unwrap_or_default().to_owned()).or_default().push(exchange);
        }
        let mut moved = 0;
        for (truths, ends) in &spoken {
            check_truths(&mut report, mode, &mut told, truths, ends);
            moved += truths.iter().map(|truth| truth.request.0 + truth.response.0).sum::<u64>();
        }
        report.equal("lines beyond what was said", told.keys().collect::<Vec<_>>(), Vec::new());
        check_ledger(&mut report, &traced, moved);
        report.finish();
    }
}
