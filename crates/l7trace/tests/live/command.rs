//! What the command does around the tracing: `run`, recordings, ends, errors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use l7trace_testkit::netns::{TestNamespace, eventually};
use l7trace_testkit::schema::check_lines;
use l7trace_testkit::skip;
use rustix::process::Signal;
use serde_json::Value;

use crate::case::Case;
use crate::check::{Report, check};
use crate::http::{Http, body};
use crate::play::Play;
use crate::tracer::{L7TRACE, MODES, Tracer, end_of};

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("l7-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Some exchanges over one connection.
fn talks(name: &str, count: usize) -> Play {
    let mut case = Case::new(name);
    (0..count).for_each(|_| Http::get().talk(&mut case));
    Play::new(case)
}

fn l7trace(arguments: &[&str]) -> Output {
    Command::new(L7TRACE).args(arguments).stdin(Stdio::null()).output().expect("it can be started")
}

/// Says why it did not do it, in a line that names `words`, and ends with `code`; prints nothing.
#[track_caller]
fn refuses(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    for word in words {
        assert!(said.contains(word), "nothing of `{word}`: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_it_cannot_do_it_says_with_status_1() {
    let folder = Folder::new("errors");
    let text = folder.path("text.pcap");
    std::fs::write(&text, "this is no capture at all, whatever its name says\n").expect("it can be written");
    refuses(&l7trace(&["read", &text]), 1, &["text.pcap"]);
    refuses(&l7trace(&["read", &folder.path("none.pcap")]), 1, &["none.pcap", "o such file"]);
    refuses(&l7trace(&["trace", "--netns", "/run/netns/l7-none-such"]), 1, &["/run/netns/l7-none-such"]);
    refuses(&l7trace(&["trace", "--netns", "4000000"]), 1, &["4000000"]);
    refuses(&l7trace(&["trace", "--source", "packets", "--interface", "l7none0"]), 1, &["l7none0"]);
    if !skip::is_root() {
        return skip::skip("errors", "needs root");
    }
    let Some(namespace) = TestNamespace::create() else { return };
    let netns = namespace.path().display().to_string();
    let nowhere = folder.path("none/such");
    refuses(&l7trace(&["trace", "--netns", &netns, "--duration", "1s", "--output-file", &nowhere]), 1, &["none/such"]);
    refuses(&l7trace(&["trace", "--netns", &netns, "--duration", "1s", "--write", &nowhere]), 1, &["none/such"]);
}

#[test]
fn a_user_without_rights_is_told_so() {
    if !skip::is_root() || !skip::has_program("setpriv") {
        return skip::skip("without rights", "needs root and setpriv");
    }
    // The program may lie where only root looks.
    let folder = Folder::new("rights");
    let copy = folder.path("l7trace");
    std::fs::copy(L7TRACE, &copy).expect("it can be copied");
    for source in ["packets", "syscalls", "auto"] {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", &copy, "trace", "--source", source])
            .output()
            .expect("setpriv can be started");
        refuses(&output, 1, &["CAP_", "root"]);
    }
}

#[test]
fn wrong_usage_ends_with_status_2() {
    for arguments in [
        &["--no-such-option"][..],
        &["read"],
        &["run"],
        &["trace", "--port", "70000"],
        &["trace", "--duration", "soon"],
        &["trace", "--body", "much"],
        &["trace", "--follow"],
        &["nonsense"],
    ] {
        refuses(&l7trace(arguments), 2, &["--help"]);
    }
    refuses(&l7trace(&["trace", "--source", "nothing"]), 2, &["nothing"]);
    refuses(&l7trace(&["trace", "--protocol", "gopher"]), 2, &["gopher", "http1"]);
}

#[test]
fn run_passes_on_the_status_and_leaves_the_output_alone() {
    if !skip::is_root() || !skip::has_program("curl") {
        return skip::skip("run", "needs root and curl");
    }
    let folder = Folder::new("run");
    let lines = folder.path("lines");
    let run = |command: &[&str]| {
        let options = ["run", "--output", "json", "--output-file", &lines, "--"];
        l7trace(&[&options[..], command].concat())
    };
    let output = run(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"out\n"[..]));
    assert_eq!(run(&["l7-no-such-command"]).status.code(), Some(127));
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(128 + 9));

    let Some(namespace) = TestNamespace::create() else { return };
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:80")).expect("the port is free");
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().expect("curl connects");
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).expect("curl asks") > 2 {
                line.clear();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            (&stream).write_all(answer).expect("curl reads");
        }
    });
    let netns = format!("--net={}", namespace.path().display());
    let output =
        run(&["nsenter", &netns, "sh", "-c", "curl -s http://127.0.0.1/run/0; curl -s http://127.0.0.1/run/1"]);
    server.join().expect("it answers");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"hellohello"[..]), "{said}");
    let lines = check_lines(&std::fs::read(&lines).expect("it was written"));
    let told: Vec<(&Value, &Value, &Value)> = lines
        .iter()
        .filter(|line| line["type"] == "exchange")
        .map(|line| (&line["resource"], &line["outcome"], &line["process"]["name"]))
        .collect();
    let (complete, curl) = (Value::from("complete"), Value::from("curl"));
    let expected = [Value::from("/run/0"), Value::from("/run/1")];
    assert_eq!(told, [(&expected[0], &complete, &curl), (&expected[1], &complete, &curl)], "{said}{lines:?}");
}

#[test]
fn a_recording_gives_the_same_exchanges() {
    let folder = Folder::new("write");
    let file = folder.path("trace.pcapng");
    for mode in &MODES {
        let Some(namespace) = TestNamespace::create() else { return };
        let mut case = Case::new("recorded");
        (0..5).for_each(|_| Http::get().talk(&mut case));
        Http::new("POST", 200).send(body(200_000)).answer(body(100_000)).talk(&mut case);
        Http::new("POST", 500).send_chunked(&[b"abc"]).answer_chunked(&[b"de", b"f"]).talk(&mut case);
        Http::new("HEAD", 200).talk(&mut case);
        let mut plays = [Play::new(case), talks("recorded-too", 3)];
        let traced = namespace.run(|| {
            let tracer = Tracer::start(&namespace, mode, &["--write", &file, "--body", "1M"]);
            plays.iter_mut().for_each(Play::after);
            tracer.stop()
        });
        let mut report = Report::new(mode.name);
        check(&mut report, mode, &traced, &plays);
        let read = l7trace(&["read", &file, "--output", "json", "--body", "1M"]);
        report.equal("what reading says", String::from_utf8_lossy(&read.stderr).into_owned(), String::new());
        let again = check_lines(&read.stdout);
        let live = told(&traced.lines);
        let read = told(&again);
        for (live, read) in live.iter().zip(&read) {
            report.equal("recorded", read, live);
        }
        report.equal("recorded", read.len(), live.len());
        let ledger = |lines: &[Value]| lines.last().map(|summary| summary["bytes"].clone());
        report.equal("the ledger", ledger(&again), ledger(&traced.lines));
        report.finish();
    }
}

/// The exchanges in order of their ids, without what another run cannot know.
fn told(lines: &[Value]) -> Vec<Value> {
    let mut told: Vec<Value> = lines.iter().filter(|line| line["type"] == "exchange").cloned().collect();
    for line in &mut told {
        let Some(fields) = line.as_object_mut() else { continue };
        for name in ["connection", "source", "witnesses"] {
            fields.remove(name);
        }
    }
    told.sort_by_key(|line| line["resource"].as_str().map(str::to_owned));
    told
}

#[test]
fn count_and_duration_end_it() {
    let Some(namespace) = TestNamespace::create() else { return };
    let tracer = Tracer::start(&namespace, &MODES[0], &["--count", "3"]);
    namespace.run(|| talks("count", 10).after());
    let traced = tracer.wait();
    assert_eq!((traced.status.code(), traced.exchanges().count()), (Some(0), 3));
    let started = Instant::now();
    let tracer = Tracer::start(&namespace, &MODES[0], &["--duration", "500ms"]);
    namespace.run(|| talks("duration", 4).after());
    let traced = tracer.wait();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!((traced.status.code(), traced.exchanges().count()), (Some(0), 4));
    traced.summary();
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let Some(namespace) = TestNamespace::create() else { return };
    let netns = namespace.path().display().to_string();
    let mut child = Command::new(L7TRACE)
        .args(["trace", "--source", "packets", "--netns", &netns])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut ready = String::new();
    stderr.read_line(&mut ready).expect("it says that it is ready");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    namespace.run(|| talks("head", 2).after());
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line comes");
    check_lines(line.as_bytes());
    drop(stdout);
    namespace.run(|| {
        let ended = eventually(|| {
            talks("gone", 2).after();
            child.try_wait().expect("it can be waited for").is_some()
        });
        assert!(ended, "it does not notice");
    });
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("it can be read");
    assert_eq!((end_of(&mut child).code(), said.as_str()), (Some(0), ""));
}

/// The programs or maps in the kernel that a process holds, by their identities.
///
/// Arrays of programs do not count: Linux 6.18 keeps those of a killed process, with nothing in them.
fn held_by(kind: &str, pid: u32) -> Vec<u64> {
    let label = if kind == "prog" { "prog_id:" } else { "map_id:" };
    let folder = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it runs");
    let texts = folder.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let id = |text: &str| text.lines().find_map(|line| line.strip_prefix(label)?.trim().parse().ok());
    let texts = texts.filter(|text| !text.lines().any(|line| line == "map_type:\t3"));
    texts.filter_map(|text| id(&text)).collect()
}

/// The identities of what this kernel holds.
fn ids(kind: &str) -> Vec<u64> {
    let output = Command::new("bpftool").args(["-j", kind, "show"]).output().expect("bpftool can be started");
    let list: Value = serde_json::from_slice(&output.stdout).expect("bpftool prints JSON");
    list.as_array().into_iter().flatten().filter_map(|entry| entry["id"].as_u64()).collect()
}

#[test]
fn killed_it_leaves_nothing_and_two_see_everything() {
    if !skip::is_root() || !skip::has_program("bpftool") {
        return skip::skip("killed", "needs root and bpftool");
    }
    for mode in &MODES {
        let Some(namespace) = TestNamespace::create() else { return };
        let tracer = Tracer::start(&namespace, mode, &[]);
        let second = Tracer::start(&namespace, mode, &[]);
        let mut plays = [talks("two", 5)];
        namespace.run(|| plays[0].after());
        let pid = tracer.pid();
        let (programs, maps) = (held_by("prog", pid), held_by("map", pid));
        let found = !programs.is_empty() && !maps.is_empty();
        assert!(found, "{}: {programs:?} programs and {maps:?} maps", mode.name);
        let before = packet_sockets(&namespace);
        assert_eq!(before, if mode.packets { 2 } else { 0 }, "{}: packet sockets", mode.name);
        tracer.signal(Signal::KILL);
        assert!(!tracer.wait().status.success());
        let gone = eventually(|| {
            let (left_programs, left_maps) = (ids("prog"), ids("map"));
            !programs.iter().any(|id| left_programs.contains(id)) && !maps.iter().any(|id| left_maps.contains(id))
        });
        assert!(gone, "{}: something is left", mode.name);
        assert_eq!(packet_sockets(&namespace), before / 2, "{}: packet sockets", mode.name);
        // The other saw everything, and goes on.
        let mut more = talks("after", 5);
        namespace.run(|| more.after());
        let [two] = plays;
        let mut report = Report::new(mode.name);
        check(&mut report, mode, &second.stop(), &[two, more]);
        report.finish();
    }
}

/// Packet sockets of a namespace.
fn packet_sockets(namespace: &TestNamespace) -> usize {
    // `/proc/net` is the reading thread's own namespace's only by its thread folder.
    let list = namespace.run(|| std::fs::read_to_string(Path::new("/proc/thread-self/net/packet")));
    list.expect("the kernel has packet sockets").lines().count() - 1
}

#[test]
fn an_interface_that_comes_later_is_captured_beside_system_calls() {
    let (Some(namespace), Some(other)) = (TestNamespace::create(), TestNamespace::create()) else { return };
    let both = MODES.iter().find(|mode| mode.packets && mode.syscalls).expect("it is one of the modes");
    let tracer = Tracer::start(&namespace, both, &[]);
    // Until nothing but an alarm ends its wait.
    thread::sleep(Duration::from_millis(500));
    namespace.connect(&other, "v0", ["10.9.0.2/24", "10.9.0.1/24"]);
    let listener = other.run(|| TcpListener::bind("10.9.0.1:0")).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it listens");
        stream.read_exact(&mut [0; 18]).expect("a request comes");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("it is read");
    });
    thread::sleep(Duration::from_millis(300));
    namespace.run(|| {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is read");
        stream.read_to_end(&mut Vec::new()).expect("an answer comes");
    });
    server.join().expect("it served");
    let traced = tracer.stop();
    let exchanges: Vec<&Value> = traced.exchanges().collect();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0]["witnesses"].to_string(), r#"["packets","syscalls"]"#);
}
