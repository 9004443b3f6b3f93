//! Known ids in number: none is missed, none told twice.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use l7trace_testkit::netns::{Running, TestNamespace, eventually};
use l7trace_testkit::skip;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::check::{Report, check_accounts, check_ledger, ended_well, id, response_id};
use crate::tracer::{MODES, Mode, Traced, Tracer};

const CONNECTIONS: usize = 8;
const REQUESTS: usize = 1_250;
const SHORT: usize = 1_000;

/// nginx with one worker, in the foreground, answering with the id that was asked for.
pub(crate) struct Nginx {
    running: Running,
    /// The worker's process.
    pub(crate) worker: u32,
    folder: PathBuf,
}

impl Nginx {
    /// Starts it on port 80; none where the machine has none.
    pub(crate) fn start(namespace: &TestNamespace, files: &[(&str, Vec<u8>)]) -> Option<Nginx> {
        if !skip::has_program("nginx") {
            skip::skip(thread::current().name().unwrap_or("a test"), "needs nginx");
            return None;
        }
        let folder = std::env::temp_dir().join(namespace.name());
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("it can be written");
        }
        let configuration = folder.join("nginx.conf");
        let here = folder.display();
        let text = format!(
            "user root; worker_processes 1; daemon off; pid {here}/pid; error_log {here}/error.log;
             events {{ worker_connections 512; }}
             http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {here}/body;
               proxy_temp_path {here}/p; fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
               add_header X-Id $request_uri;
               server {{ listen 80; root {here};
                 location /id/ {{ return 200 \"{}\"; }} }} }}",
            "x".repeat(1_000)
        );
        fs::write(&configuration, text).expect("it can be written");
        let running = namespace.start("nginx", &["-c", &configuration.display().to_string()]);
        let listens = || namespace.run(|| TcpStream::connect("127.0.0.1:80").is_ok());
        assert!(eventually(listens), "nginx does not listen: {:?}", fs::read_to_string(folder.join("error.log")));
        let master = running.0.id();
        let mut worker = None;
        eventually(|| {
            let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
            worker = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
            worker.is_some()
        });
        let worker = worker.expect("a worker");
        Some(Nginx { running, worker, folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its worker.
        if let Some(pid) = i32::try_from(self.running.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.running.0.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends requests one after another on one connection; bytes moved.
fn ask(connection: usize, requests: usize) -> u64 {
    let mut stream = TcpStream::connect("127.0.0.1:80").expect("nginx listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor is left"));
    let mut moved = 0;
    for request in 0..requests {
        let text = format!("GET /id/{connection}/{request} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        stream.write_all(text.as_bytes()).expect("nginx reads");
        moved += text.len() as u64;
        let mut length = 0;
        loop {
            let mut line = String::new();
            moved += reader.read_line(&mut line).expect("nginx answers") as u64;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("nginx answers");
        moved += length as u64;
    }
    moved
}

/// Every id once, its own response, and with syscalls the right process at both ends.
fn check_ids(report: &mut Report, mode: &Mode, traced: &Traced, worker: u32, ids: &[String]) {
    let mut told: HashMap<&str, Vec<&Value>> = HashMap::new();
    for exchange in traced.exchanges() {
        told.entry(id(exchange).unwrap_or_default()).or_default().push(exchange);
    }
    let mut missing = 0;
    for id in ids {
        let Some(lines) = told.remove(id.as_str()) else {
            missing += 1;
            continue;
        };
        let line = lines[0];
        report.equal(format!("lines of {id}"), lines.len(), 1);
        let right = line["outcome"] == "complete" && line["status"] == "200" && response_id(line) == Some(id);
        let body = line["response"]["body_bytes"] == 1_000;
        let ends =
            !mode.syscalls || (line["process"]["pid"] == worker && line["peer_process"]["pid"] == std::process::id());
        if !(right && body && ends) {
            report.wrong(format!("worker {worker}: {line}"));
        }
    }
    report.equal("missing ids", missing, 0);
    report.equal("lines beyond them", told.len(), 0);
}

fn run(mode: &Mode) {
    let Some(namespace) = TestNamespace::create() else { return };
    let Some(nginx) = Nginx::start(&namespace, &[]) else { return };
    let tracer = Tracer::start(&namespace, mode, &[]);
    let (busy, short) = namespace.run(|| {
        let busy: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS).map(|i| scope.spawn(move || ask(i, REQUESTS))).collect();
            threads.into_iter().map(|thread| thread.join().expect("it asks")).sum()
        });
        let short: u64 = (0..SHORT).map(|i| ask(1_000 + i, 1)).sum();
        (busy, short)
    });
    let traced = tracer.stop();
    let mut report = Report::new(mode.name);
    ended_well(&mut report, &traced);
    let ids = (0..CONNECTIONS).flat_map(|c| (0..REQUESTS).map(move |i| (c, i)));
    let ids = ids.chain((0..SHORT).map(|i| (1_000 + i, 0)));
    let ids: Vec<String> = ids.map(|(connection, request)| format!("/id/{connection}/{request}")).collect();
    check_ids(&mut report, mode, &traced, nginx.worker, &ids);
    check_ledger(&mut report, &traced, busy + short);
    report.finish();
}

#[test]
fn ten_thousand_ids_by_packets() {
    run(&MODES[0]);
}

#[test]
fn ten_thousand_ids_by_the_sock_engine() {
    run(&MODES[1]);
}

#[test]
fn ten_thousand_ids_by_the_tracepoints_engine() {
    run(&MODES[2]);
}

#[test]
fn ten_thousand_ids_by_packets_and_syscalls() {
    run(&MODES[3]);
}

/// A ring of 64 KB, and a tracer that stands still now and then: what finds no room is counted to the byte, and
/// around the holes nobody is given another's answer.
fn lose(mode: &Mode) {
    let Some(namespace) = TestNamespace::create() else { return };
    let Some(nginx) = Nginx::start(&namespace, &[]) else { return };
    let tracer = Tracer::start(&namespace, mode, &["--ring-size", "65536"]);
    let moved: u64 = namespace.run(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS).map(|i| scope.spawn(move || ask(i, REQUESTS))).collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                for signal in [Signal::STOP, Signal::CONT] {
                    tracer.signal(signal);
                    thread::sleep(Duration::from_millis(15));
                }
            }
            threads.into_iter().map(|thread| thread.join().expect("it asks")).sum()
        })
    });
    let traced = tracer.stop();
    let mut report = Report::new(mode.name);
    report.equal("success", traced.status.success(), true);
    let (seen, _) = check_accounts(&mut report, &traced).unwrap_or_default();
    let summary = traced.summary();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (placed, no_room) = (number(&summary["bytes"]["lost"]["ring_full"]), number(&summary["ring_full"]["bytes"]));
    report.equal("something lost", placed > 0, true);
    // What was lost at the very end of a connection nobody can place: the ring's own count has it.
    let unseen = moved.checked_sub(seen);
    let explained = unseen.is_some_and(|unseen| unseen + placed <= no_room);
    report.equal(format!("{moved} moved, {seen} seen, {placed} of {no_room} without room placed"), explained, true);
    let complete: Vec<&Value> = traced.exchanges().filter(|line| line["outcome"] == "complete").collect();
    let ids: HashSet<&str> = complete.iter().filter_map(|line| id(line)).collect();
    report.equal("each complete once", ids.len(), complete.len());
    report.equal("some complete", complete.is_empty(), false);
    for line in complete {
        let right = line["status"] == "200" && response_id(line) == id(line) && line["response"]["body_bytes"] == 1_000;
        let ends = !mode.syscalls || line["process"]["pid"] == nginx.worker;
        if !(right && ends) {
            report.wrong(line.to_string());
        }
    }
    report.finish();
}

#[test]
fn what_finds_no_room_is_counted_by_packets() {
    lose(&MODES[0]);
}

#[test]
fn what_finds_no_room_is_counted_by_the_sock_engine() {
    lose(&MODES[1]);
}

#[test]
fn what_finds_no_room_is_counted_by_the_tracepoints_engine() {
    lose(&MODES[2]);
}

#[test]
fn what_finds_no_room_is_counted_by_packets_and_syscalls() {
    lose(&MODES[3]);
}

/// A tracer that stood still has more to read than it may hold: it gives up the long pieces first, says
/// so, and still tells every exchange.
#[test]
fn what_is_shed_is_said() {
    const EACH: usize = 500;
    let Some(namespace) = TestNamespace::create() else { return };
    let Some(nginx) = Nginx::start(&namespace, &[("large", vec![b'x'; 100_000])]) else { return };
    let mode = &MODES[0];
    let tracer = Tracer::start(&namespace, mode, &["--ring-size", "268435456"]);
    tracer.signal(Signal::STOP);
    namespace.run(|| {
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS / 2 {
                scope.spawn(|| {
                    let mut stream = TcpStream::connect("127.0.0.1:80").expect("nginx listens");
                    let mut answer = vec![0; 1 << 20];
                    for _ in 0..EACH {
                        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a.example\r\n\r\n").expect("nginx reads");
                        let mut got = 0;
                        while got < 100_000 || !answer[..got].ends_with(b"xxxx") {
                            got += stream.read(&mut answer[got..]).expect("nginx answers");
                        }
                    }
                });
            }
        });
    });
    tracer.signal(Signal::CONT);
    let traced = tracer.stop();
    let mut report = Report::new("a tracer that stood still");
    report.equal("success", traced.status.success(), true);
    let complete = traced.exchanges().filter(|line| line["outcome"] == "complete" && line["status"] == "200");
    let whole = complete.filter(|line| line["response"]["body_bytes"] == 100_000).count();
    report.equal("exchanges", whole, CONNECTIONS / 2 * EACH);
    let bytes = &traced.summary()["bytes"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let shed = number(&bytes["lost"]["backlog"]);
    let accounted = number(&bytes["delivered"]) + number(&bytes["skipped"]) + shed;
    report.equal(format!("the ledger {bytes}"), accounted, number(&bytes["seen"]));
    // It may have caught up in time; if not, it says so.
    report.equal(&traced.said, shed == 0 || traced.said.contains("fell behind by"), true);
    drop(nginx);
    report.finish();
}
