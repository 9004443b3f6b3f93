//! Filters in the kernel, connections older than the tracer, and a ring that is too small.

mod live;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use l7trace_capture::syscalls::Options;
use l7trace_event::{Endpoint, Flags};
use live::{Seen, SeenWhat, TestNamespace, Trace, Tracer, compiled, engines, possible};

/// A program that waits for a line before it goes on.
struct Gated {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Gated {
    fn start(mut command: Command) -> Gated {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Gated { child, output }
    }

    /// The next number that it says behind `word`.
    fn number(&mut self, words: &str) -> u64 {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended before it said {words:?}");
            if let Some(number) = line.trim().strip_prefix(words) {
                return number.trim().parse().unwrap();
            }
        }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn finish(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// How many bytes each place saw with this port at either end; and with any other.
fn copied(trace: &Trace, port: u16) -> ([usize; 2], usize) {
    let (mut of_port, mut others) = ([0, 0], 0);
    for event in &trace.events {
        if let SeenWhat::Segment { bytes, .. } = &event.what {
            if event.tuple.source.port() == port || event.tuple.destination.port() == port {
                of_port[event.place as usize] += bytes.len();
            } else {
                others += bytes.len();
            }
        }
    }
    (of_port, others)
}

/// Runs one program that is wanted and one that is not; `options` makes the filter of the former.
fn only_wanted(
    name: &str,
    wanted: impl Fn(&TestNamespace, &Path) -> Command,
    options: impl Fn(&Gated, Options) -> Options,
) {
    if !possible(name) {
        return;
    }
    let program = compiled("socket_calls");
    for engine in engines(name) {
        let namespace = TestNamespace::new(&format!("{name}-{}", engine.name()));
        let mut one = Gated::start(wanted(&namespace, &program));
        let mut other = Gated::start(namespace.command(&program, &["write_read", "gated"]));
        let tracer = Tracer::start(&options(&one, Options { engine, ..namespace.options() }));
        other.go();
        one.go();
        let port = one.number("end a port");
        let total = (one.number("total a") + one.number("total b")) as usize;
        other.finish();
        one.finish();
        let (of_port, others) = copied(&tracer.stop(), port as u16);
        assert_eq!((of_port, others), ([total; 2], 0), "{name} with {}", engine.name());
    }
}

fn gated(namespace: &TestNamespace, program: &Path) -> Command {
    namespace.command(program, &["write_read", "gated"])
}

#[test]
fn one_process_alone() {
    only_wanted("pid", gated, |one, options| Options { pids: vec![one.child.id()], ..options });
}

#[test]
fn the_children_of_a_process_with_follow() {
    let wanted = |namespace: &TestNamespace, program: &Path| {
        let script = format!("read line; (echo go | {} write_read gated; true)", program.display());
        namespace.command("sh", &["-c", &script])
    };
    only_wanted("follow", wanted, |one, options| Options { pids: vec![one.child.id()], follow: true, ..options });
}

#[test]
fn one_command_alone() {
    let wanted = |namespace: &TestNamespace, program: &Path| {
        let copy = program.with_file_name("l7-wanted");
        fs::copy(program, &copy).unwrap();
        namespace.command(&copy, &["write_read", "gated"])
    };
    only_wanted("command", wanted, |_, options| Options { commands: vec!["l7-wanted".into()], ..options });
}

#[test]
fn a_cgroup_and_what_is_below() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let Some(root) = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.contains(" cgroup2 ")))
    else {
        l7trace_testkit::skip::skip("a_cgroup_and_what_is_below", "cgroup2 is not mounted");
        return;
    };
    let parent = PathBuf::from(root).join(format!("l7-syscalls-{}", std::process::id()));
    let child = parent.join("below");
    if let Err(error) = fs::create_dir_all(&child) {
        l7trace_testkit::skip::skip("a_cgroup_and_what_is_below", &format!("{}: {error}", child.display()));
        return;
    }
    let wanted = |namespace: &TestNamespace, program: &Path| {
        let script = format!("echo $$ > {}/cgroup.procs; exec {} write_read gated", child.display(), program.display());
        namespace.command("sh", &["-c", &script])
    };
    only_wanted("cgroup", wanted, |_, options| Options { cgroups: vec![parent.clone()], ..options });
    let _ = fs::remove_dir(&child);
    let _ = fs::remove_dir(&parent);
}

#[test]
fn connections_older_than_the_tracer() {
    if !possible("connections_older_than_the_tracer") {
        return;
    }
    let program = compiled("socket_calls");
    let scenarios = ["older", "older_unix"];
    let engines = engines("connections_older_than_the_tracer");
    for (engine, scenario) in engines.iter().flat_map(|engine| scenarios.map(|scenario| (*engine, scenario))) {
        let namespace = TestNamespace::new(&format!("older-{}", engine.name()));
        let mut one = Gated::start(namespace.command(&program, &[scenario]));
        let a = match scenario {
            "older" => None,
            _ => Some(Endpoint::unix(one.number("end a inode"))),
        };
        let port = if a.is_none() { one.number("end a port") as u16 } else { 0 };
        let before = [one.number("before a"), one.number("before b")];
        let tracer = Tracer::start(&Options { engine, ..namespace.options() });
        one.go();
        let total = [one.number("total a"), one.number("total b")];
        let pid = one.child.id();
        one.finish();
        let trace = tracer.stop();
        let is_a = |endpoint: Endpoint| a.map_or(!endpoint.is_unix() && endpoint.port() == port, |a| endpoint == a);
        for (end, of_end) in [(0, true), (1, false)] {
            let events: Vec<&Seen> = trace.events.iter().filter(|event| is_a(event.tuple.source) == of_end).collect();
            let exists = events.iter().position(|event| matches!(event.what, SeenWhat::Exists));
            let owner = events.iter().position(|event| matches!(&event.what, SeenWhat::Owner(it) if it.pid == pid));
            let first = events.iter().position(|event| matches!(&event.what, SeenWhat::Segment { .. }));
            assert!(
                exists.is_some() && exists < owner && owner < first,
                "{engine:?} {end}: {exists:?} {owner:?} {first:?}"
            );
            let sent: usize = events.iter().filter(|event| event.place == 0).map(length).sum();
            let received: usize = events.iter().filter(|event| event.place == 1).map(length).sum();
            if a.is_some() {
                // Neither knows where the stream began, so one of them speaks: the first that did.
                assert_eq!((sent + received) as u64, total[end] - before[end] + [100, 0][end], "{engine:?} {end}");
            } else {
                assert_eq!(sent as u64, total[end] - before[end], "{engine:?} {end}");
                // 100 bytes of a's were read after the tracer came, and sent before.
                assert_eq!(received as u64, total[end] - before[end] + [100, 0][end], "{engine:?} {end}");
                let positions: Vec<u32> = (0..2).filter_map(|place| last_position(&events, place)).collect();
                assert_eq!(positions[0], positions[1], "both callers name the last byte alike");
            }
        }
    }
}

fn length(event: &&Seen) -> usize {
    match &event.what {
        SeenWhat::Segment { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// The position after the last byte that a place saw.
fn last_position(events: &[&Seen], place: u32) -> Option<u32> {
    let mut of_place = events.iter().rev().filter(|event| event.place == place);
    of_place.find_map(|event| match &event.what {
        SeenWhat::Segment { position, bytes, .. } if !bytes.is_empty() => {
            Some(position.wrapping_add(bytes.len() as u32))
        }
        _ => None,
    })
}

#[test]
fn a_ring_too_small_loses_by_the_byte() {
    if !possible("a_ring_too_small_loses_by_the_byte") {
        return;
    }
    let program = compiled("socket_calls");
    for engine in engines("a_ring_too_small_loses_by_the_byte") {
        let namespace = TestNamespace::new(&format!("loss-{}", engine.name()));
        let tracer = Tracer::start(&Options { engine, ring_bytes: 64 << 10, ..namespace.options() });
        live::run(&mut namespace.command(&program, &["flood"]));
        let trace = tracer.stop();
        let (mut copied, mut lost) = ([0u64; 2], 0);
        for event in &trace.events {
            match &event.what {
                SeenWhat::Segment { bytes, missing, flags, .. } => {
                    assert!(!flags.has(Flags::RESET));
                    copied[event.place as usize] += bytes.len() as u64 + u64::from(*missing);
                }
                SeenWhat::RingFull { bytes, .. } => lost += bytes,
                _ => {}
            }
        }
        eprintln!("{}: seen {copied:?}, lost {lost}", engine.name());
        assert!(lost > 0, "nothing was lost");
        assert_eq!(copied[0] + copied[1] + lost, 2 * (100 << 20), "{}", engine.name());
    }
}
