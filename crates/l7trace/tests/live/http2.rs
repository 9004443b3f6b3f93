//! HTTP/2 at speed: many streams at once on several connections, each told once, and pushes.

use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;

use l7trace_testkit::netns::{Running, TestNamespace, eventually};
use l7trace_testkit::skip;
use serde_json::Value;

use crate::check::{Report, ended_well};
use crate::tracer::{MODES, Mode, Tracer};

/// Files, each asked for once a connection.
const FILES: usize = 500;
const CONNECTIONS: usize = 4;

/// A server of files that pushes two with `/index`.
struct Nghttpd {
    running: Running,
    folder: PathBuf,
}

impl Nghttpd {
    fn start(namespace: &TestNamespace) -> Option<Nghttpd> {
        if let Some(missing) = ["nghttpd", "nghttp", "h2load"].into_iter().find(|name| !skip::has_program(name)) {
            skip::skip(thread::current().name().unwrap_or("a test"), &format!("needs {missing}"));
            return None;
        }
        let folder = std::env::temp_dir().join(namespace.name());
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let uris: String = (0..FILES).map(|file| format!("http://127.0.0.1:8080/{file}\n")).collect();
        fs::write(folder.join("uris"), uris).expect("it can be written");
        fs::write(folder.join("index"), "index").expect("it can be written");
        for file in 0..FILES {
            fs::write(folder.join(file.to_string()), "x".repeat(size_of(file))).expect("it can be written");
        }
        let here = folder.display().to_string();
        let options = ["--no-tls", "-d", &here, "-m", "200", "--push=/index=/1,/2", "--trailer", "x-sum: 7", "8080"];
        let running = namespace.start("nghttpd", &options);
        let listens = || namespace.run(|| TcpStream::connect("127.0.0.1:8080").is_ok());
        assert!(eventually(listens), "nghttpd does not listen");
        Some(Nghttpd { running, folder })
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Nothing, one byte, a frame and more.
fn size_of(file: usize) -> usize {
    [0, 1, 1_000, 16_384, 40_000][file % 5]
}

fn run(mode: &Mode) {
    let Some(namespace) = TestNamespace::create() else { return };
    let Some(server) = Nghttpd::start(&namespace) else { return };
    let tracer = Tracer::start(&namespace, mode, &[]);
    let (connections, requests) = (CONNECTIONS.to_string(), (CONNECTIONS * FILES).to_string());
    let uris = server.folder.join("uris").display().to_string();
    let load = namespace.output("h2load", &["-n", &requests, "-c", &connections, "-m", "100", "-i", &uris]);
    let push = namespace.output("nghttp", &["-n", "http://127.0.0.1:8080/index"]);
    let traced = tracer.stop();
    let mut report = Report::new(mode.name);
    ended_well(&mut report, &traced);
    let said = String::from_utf8_lossy(&load.stdout).into_owned();
    report.equal("h2load's own count", said.contains(&format!("{requests} succeeded")), true);
    report.equal("nghttp's own status", push.status.success(), true);

    let mut told: HashMap<&str, Vec<&Value>> = HashMap::new();
    for exchange in traced.exchanges() {
        told.entry(exchange["resource"].as_str().unwrap_or_default()).or_default().push(exchange);
    }
    for file in 0..FILES {
        let lines = told.remove(format!("/{file}").as_str()).unwrap_or_default();
        let pushes = usize::from([1, 2].contains(&file));
        report.equal(format!("lines of {file}"), lines.len(), CONNECTIONS + pushes);
        let pushed = lines.iter().filter(|line| line["request"]["notes"][0] == "pushed").count();
        report.equal(format!("pushes of {file}"), pushed, pushes);
        for line in lines {
            let right = line["protocol"] == "http2"
                && line["status"] == "200"
                && line["outcome"] == "complete"
                && line["response"]["body_bytes"] == size_of(file)
                && line["response"]["trailers"][0][1] == "7"
                && line["lost_bytes"] == 0
                && line["stream"].is_u64();
            let process = !mode.syscalls || line["process"]["pid"] == server.running.0.id();
            if !(right && process) {
                report.wrong(line.to_string());
            }
        }
    }
    report.equal("/index", told.remove("/index").unwrap_or_default().len(), 1);
    report.equal("lines beyond them", told.len(), 0);
    report.finish();
}

#[test]
fn streams_at_once_by_packets() {
    run(&MODES[0]);
}

#[test]
fn streams_at_once_by_the_sock_engine() {
    run(&MODES[1]);
}

#[test]
fn streams_at_once_by_the_tracepoints_engine() {
    run(&MODES[2]);
}
