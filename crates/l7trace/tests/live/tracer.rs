//! The command under test, as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use l7trace_testkit::netns::{Running, TestNamespace};
use l7trace_testkit::schema::check_lines;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The command.
pub(crate) const L7TRACE: &str = env!("CARGO_BIN_EXE_l7trace");

/// How long the command may take to attach, or to end: generous, as machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source, or several, with what its lines must say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) options: &'static [&'static str],
    pub(crate) packets: bool,
    pub(crate) syscalls: bool,
}

/// Everything that can witness a live exchange.
pub(crate) static MODES: [Mode; 4] = [
    Mode { name: "packets", options: &["--source", "packets"], packets: true, syscalls: false },
    Mode { name: "sock", options: &["--source", "syscalls", "--engine", "sock"], packets: false, syscalls: true },
    Mode {
        name: "tracepoints",
        options: &["--source", "syscalls", "--engine", "tracepoints"],
        packets: false,
        syscalls: true,
    },
    Mode {
        name: "packets and syscalls",
        options: &["--source", "packets", "--source", "syscalls"],
        packets: true,
        syscalls: true,
    },
];

/// A running `l7trace trace`, attached.
pub(crate) struct Tracer {
    /// Ends with it: a test that fails leaves none running.
    child: Running,
    output: JoinHandle<Vec<u8>>,
    said: Arc<Mutex<String>>,
}

/// What it left behind.
pub(crate) struct Traced {
    pub(crate) lines: Vec<Value>,
    pub(crate) status: ExitStatus,
    /// Standard error.
    pub(crate) said: String,
}

impl Tracer {
    /// Traces a namespace in a mode; returns once everything is attached.
    pub(crate) fn start(namespace: &TestNamespace, mode: &Mode, more: &[&str]) -> Tracer {
        let path = namespace.path();
        let mut command = Command::new(L7TRACE);
        command.arg("trace").args(mode.options).arg("--netns").arg(path).args(more);
        Tracer::spawn(&mut command)
    }

    /// Starts a command of which standard output is kept, and waits for its ready line.
    pub(crate) fn spawn(command: &mut Command) -> Tracer {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = Running(child.expect("l7trace can be started"));
        let mut stdout = child.0.stdout.take().expect("standard output is piped");
        let output = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).expect("standard output can be read");
            bytes
        });
        let stderr = child.0.stderr.take().expect("standard error is piped");
        let (said, (ready, is_ready)) = (Arc::new(Mutex::new(String::new())), channel());
        let to = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let attached = line.starts_with("l7trace: tracing ");
                if let Ok(mut to) = to.lock() {
                    to.push_str(&line);
                    to.push('\n');
                }
                if attached {
                    // Whoever waited may have gone.
                    let _ = ready.send(());
                }
            }
        });
        if is_ready.recv_timeout(PATIENCE).is_err() {
            panic!("no ready line: {}", said.lock().expect("nobody panics with it"));
        }
        Tracer { child, output, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Interrupts it and takes what it reported.
    pub(crate) fn stop(self) -> Traced {
        // What was just sent is on its way through the ring.
        thread::sleep(Duration::from_millis(100));
        self.signal(Signal::INT);
        self.wait()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.0.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Traced {
        let status = end_of(&mut self.child.0);
        let output = self.output.join().expect("the reader reads");
        let said = self.said.lock().expect("nobody panics with it").clone();
        let lines = if status.success() { check_lines(&output) } else { Vec::new() };
        Traced { lines, status, said }
    }
}

/// Waits for a child's end, and kills it where that does not come.
pub(crate) fn end_of(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("it does not end");
}

impl Traced {
    /// The exchanges.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(|line| line["type"] == "exchange")
    }

    /// The last line.
    pub(crate) fn summary(&self) -> &Value {
        let last = self.lines.last().expect("there is a summary");
        assert_eq!(last["type"], "summary", "{last}");
        last
    }
}
